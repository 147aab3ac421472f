//go:build image

// Package image_test builds the image from build/Dockerfile, on base images that it assembles itself, and runs the README's
// commands with it. It uses buildah in place of docker, since CI reaches neither a daemon nor a registry.
//
// It needs root and Debian's packages buildah, busybox-static and mmdebstrap:
//
//	go test -tags image -timeout 20m ./build/image
package image_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

const (
	secret = "whsec_standin"
	// laptop sets the small scale at which the README's full load runs here.
	laptop = "TARGET_VUS=20 RAMP_UP=3s HOLD=2s RAMP_DOWN=2s"
	// sizeLimit is the largest size of an image without its base, in bytes, uncompressed.
	sizeLimit = 70 << 20
)

// The steps depend on each other: the first builds the image.
func TestImage(t *testing.T) {
	w := newWorkshop(t)
	checkout := w.checkout(t)
	flags := w.buildFlags(t)
	blocks := readmeBlocks(t, w.root)
	require.Len(t, blocks, 2, "the section has one block that builds, and one that tests a staging system")

	t.Run("bases", func(t *testing.T) { testBases(t, w) })
	t.Run("context", func(t *testing.T) { testContext(t, w, checkout) })
	version := strings.TrimSpace(w.must(t, w.root, "build/version.sh").stdout)
	build := w.docker(t, checkout, blocks[0], "DOCKER_BUILD_FLAGS="+flags+" --build-arg VERSION="+version)
	isBuilt := t.Run("the README builds it and runs the smoke", func(t *testing.T) {
		require.Zero(t, build.exit, build)
		require.Equal(t, 3, strings.Count(build.stdout, "✓ passed"), build)
		require.NotContains(t, build.String(), "✗ passed")
	})
	if !isBuilt {
		return
	}
	t.Run("configuration", func(t *testing.T) { testConfiguration(t, w) })
	t.Run("layers", func(t *testing.T) { testLayers(t, w) })
	t.Run("the README tests a staging system", func(t *testing.T) { testScenario(t, w, checkout, blocks[1]) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, w) })
	t.Run("what k6-operator runs", func(t *testing.T) { testOperator(t, w) })
	t.Run("any user", func(t *testing.T) { testAnyUser(t, w) })
	t.Run("PID 1 on a read-only root", func(t *testing.T) { testPIDOne(t, w) })
	t.Run("make image builds the same binary", func(t *testing.T) { testSameBinary(t, w, flags, version) })
}

// readmeBlocks returns the shell blocks of the README's section on the image.
func readmeBlocks(t *testing.T, root string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md")) //nolint:gosec // of this checkout
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Run it as an image\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// Only the files that the build needs are in its context, whatever else the checkout contains.
func testContext(t *testing.T, w workshop, checkout string) {
	t.Helper()
	out := filepath.Join(w.dir, "context")
	write(t, filepath.Join(w.dir, "Context"), "FROM scratch\nCOPY . /context\n")
	w.must(t, checkout, `
		buildah build --quiet --file ../Context --tag context .
		container=$(buildah from --pull-never context)
		cp -R "$(buildah mount "$container")/context" `+out+`
		buildah umount "$container" && buildah rm "$container" && buildah rmi context`)
	r := w.must(t, out, "find . -type f | cut -c 3- | sort")
	files := strings.Fields(r.stdout)
	require.Subset(t, files, []string{
		"LICENSE", "go.mod", "go.sum", "register.go", "build/env.sh", "build/k6.sh", "build/version.sh", "build/tools/go.mod", "build/tools/go.sum",
		"extension/jsapi/module.go", "extension/report/assets/report.css", "js/config.js", "load-test/queue-concurrency.js", "examples/smoke.js",
	})
	wanted := regexp.MustCompile(`^(LICENSE|\.dashboard\.json|index\.d\.ts|jsconfig\.json|go\.(mod|sum)|register\.go|docs/[a-z.-]+\.(md|json)|build/bench/README\.md|build/(env|k6|version)\.sh|build/tools/go\.(mod|sum)` +
		`|extension/[a-z0-9]+/[a-z0-9_]+\.go|extension/version/VERSION|extension/campaign/assets/campaign\.(css|html\.tmpl)|extension/report/assets/(report\.(css|js|html\.tmpl)|uplot-[0-9.]+/[A-Za-z.]+)|js/[a-z-]+\.js(on)?|load-test/([a-z-]+\.js|README\.md)|examples/([a-z-]+\.[jt]s|README\.md))$`)
	for _, file := range files {
		require.Regexp(t, wanted, file)
		require.NotRegexp(t, `_test\.go$`, file)
	}
	require.Equal(t, 1, w.bash(t, out, "grep -rl "+planted+" .").exit, "a secret is in the context")
}

// The load is the README's at a small scale, against a stand-in.
func testScenario(t *testing.T, w workshop, checkout, block string) {
	t.Helper()
	server := startStandin(t)
	export := regexp.MustCompile(`(?m)^export BASE_URL=.*$`)
	require.Regexp(t, export, block)
	block = export.ReplaceAllString(block, "export BASE_URL="+server.URL()+" STRIPE_WEBHOOK_SECRET="+secret)
	r := w.docker(t, checkout, "rm -r results\n"+block, "DOCKER_RUN_ENV="+laptop)
	require.Zero(t, r.exit, r)
	runs := strings.Count(block, "xk6-verity run ")
	require.Equal(t, runs, strings.Count(r.stdout, "█ VERITY queue-concurrency on "+server.URL()), r)
	require.NotContains(t, r.String(), secret, "the secret is let out")
	for _, kind := range []string{".json", ".md", ".xml"} {
		require.FileExists(t, filepath.Join(checkout, "results", "queue-concurrency"+kind))
	}
	stats := server.Stats()
	require.Equal(t, 20*runs, stats.Users)
	require.Zero(t, stats.Tokens.Queued)
}

func testRefusals(t *testing.T, w workshop) {
	t.Helper()
	cases := map[string]struct{ flags, says string }{
		"no BASE_URL": {"-e STRIPE_WEBHOOK_SECRET=" + secret, "BASE_URL is not set"},
		"no secret":   {"-e BASE_URL=http://127.0.0.1:1", "STRIPE_WEBHOOK_SECRET is not set"},
		"wrong value": {"-e BASE_URL=http://127.0.0.1:1 -e STRIPE_WEBHOOK_SECRET=" + secret + " -e TARGET_VUS=many", `TARGET_VUS must be a whole number from 1 to 1000000, got \"many\"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := w.docker(t, w.dir, "docker run --rm "+c.flags+" xk6-verity run load-test/queue-concurrency.js")
			require.Equal(t, 107, r.exit, r)
			require.Contains(t, r.stderr, c.says)
		})
	}
}

// k6-operator's initializer is a shell command with mkdir and grep; its runners start k6 by name.
func testOperator(t *testing.T, w workshop) {
	t.Helper()
	r := w.docker(t, w.dir, `docker run --rm --entrypoint sh xk6-verity -c '
		if [ ! -f /home/k6/load-test/queue-concurrency.js ]; then echo "LocalFile not found exiting..."; exit 1; fi
		mkdir -p $(dirname /tmp/load-test/queue-concurrency.js.archived.tar) &&
		k6 archive --log-format json /home/k6/load-test/queue-concurrency.js -O /tmp/load-test/queue-concurrency.js.archived.tar 2>/tmp/k6logs &&
		! cat /tmp/k6logs | grep "\"level\":\"error\"" &&
		k6 inspect --execution-requirements /tmp/load-test/queue-concurrency.js.archived.tar'`)
	require.Zero(t, r.exit, r)
	require.Regexp(t, `"maxVUs": 100\b`, r.stdout)
}

func testAnyUser(t *testing.T, w workshop) {
	t.Helper()
	r := w.docker(t, w.dir, `docker run --rm --entrypoint sh xk6-verity -c 'id -u; id -g; id -un; touch /results/a /tmp/b'`)
	require.Zero(t, r.exit, r)
	require.Equal(t, "12345\n12345\nk6\n", r.stdout)

	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "mine"), 0o700))
	require.NoError(t, os.Chown(filepath.Join(w.dir, "mine"), 54321, 0))
	r = w.docker(t, w.dir, `docker run --rm --user 54321 -v "$PWD/mine:/results" xk6-verity run --summary-export /results/x.json examples/queue-key.js`)
	require.Zero(t, r.exit, r)
	require.FileExists(t, filepath.Join(w.dir, "mine", "x.json"))

	r = w.docker(t, w.dir, `docker run --rm -v "$PWD/mine:/results" xk6-verity run --verbose --summary-export /results/y.json examples/queue-key.js`)
	require.Contains(t, r.stderr, "permission denied", "12345 may not write to another one's folder, as the README says")
	require.Contains(t, r.stderr, "level=debug")
	require.NotContains(t, r.stderr, "usage report")
}

// In a container k6 runs without an init process. SIGTERM, which `docker stop` sends, must remove the users from the queue.
func testPIDOne(t *testing.T, w workshop) {
	t.Helper()
	server := startStandin(t)
	root := strings.TrimSpace(w.must(t, w.dir, "buildah mount $(buildah from --pull-never --name pid1 xk6-verity)").stdout)
	t.Cleanup(func() { w.must(t, w.dir, "buildah umount pid1; buildah rm pid1") })

	// The outer /proc shows this process with the id that other processes see.
	cmd, output := w.command(t.Context(), w.dir, `exec unshare --pid --fork --mount --kill-child=KILL bash -euc '
		read -r pid _ </proc/self/stat; echo "$pid" >pid
		mount --bind "$0" "$0"
		mount -o remount,bind,ro "$0"
		mount -t tmpfs -o mode=1777 none "$0/tmp"
		mount -t proc none "$0/proc"
		exec chroot --userspec=12345 "$0" /bin/env HOME=/home/k6 k6 run --vus 20 --duration 1m /home/k6/load-test/queue-concurrency.js
		' `+root, "BASE_URL="+server.URL(), "STRIPE_WEBHOOK_SECRET="+secret, "USE_SIMPLE=1", "THINK_TIME_MIN=1")
	require.NoError(t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // an error has the exit code, which is checked below
		close(exited)
	}()
	require.Eventually(t, func() bool {
		stats := server.Stats()
		return stats.Users == 20 && stats.Tokens.Queued > 5
	}, 30*time.Second, 50*time.Millisecond)

	w.must(t, w.dir, `read -r pid <pid; grep -E '^NSpid:\s+[0-9]+\s+1$' "/proc/$pid/status"; kill -TERM "$pid"`)
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		t.Fatal("k6 goes on after SIGTERM")
	}
	r := output.result(cmd)
	require.Equal(t, 105, r.exit, r)
	require.Contains(t, r.stdout, "█ TOTAL RESULTS")
	require.Zero(t, server.Stats().Tokens.Queued, "users are left in the queue")
}

// Two builds, from checkouts in different folders, make the same binary. The second is given its commit.
func testSameBinary(t *testing.T, w workshop, flags, version string) {
	t.Helper()
	first := w.binary(t)
	w.must(t, w.root, "make image FLAGS='"+flags+"'")
	require.Equal(t, first, w.binary(t))
	commit := strings.TrimSpace(w.must(t, w.root, "git rev-parse HEAD").stdout)
	labels := inspect(t, w).OCIv1.Config.Labels
	require.Equal(t, commit, labels["org.opencontainers.image.revision"])
	require.Equal(t, version, labels["org.opencontainers.image.version"])
	shown := w.docker(t, w.dir, "docker run --rm xk6-verity version")
	require.Contains(t, shown.stdout, "github.com/verity-app/xk6-verity v"+version+", k6/x/verity [js]", shown)
}

// binary returns the checksum of the image's k6.
func (w workshop) binary(t *testing.T) string {
	t.Helper()
	r := w.docker(t, w.dir, "docker run --rm --entrypoint sha256sum xk6-verity /usr/bin/k6")
	require.Zero(t, r.exit, r)
	return r.stdout
}

func startStandin(t *testing.T) *standin.Server {
	t.Helper()
	server, err := standin.Start(t.Context(), standin.Options{Addr: "127.0.0.1:0", WebhookSecret: secret})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(context.Background())) }) // the test's own is over
	return server
}
