//go:build image

package image_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	builderImage = "localhost/builder"
	runtimeImage = "localhost/runtime"
	image        = "xk6-verity"

	// planted is a text that no image and no build context may contain.
	planted = "whsec_PlantedForTheImageTest"
	// commandLimit bounds the time of one command. A first build without a cache takes half of it.
	commandLimit = 10 * time.Minute
)

// basePackages are the Debian packages of a golang image that the build needs.
const basePackages = "bash,ca-certificates,coreutils,dash,findutils,git,grep,mawk,sed"

// workshop is a separate image storage with the bases, and the settings of the tests' commands.
type workshop struct {
	dir  string // of all its files
	root string // the checkout
	env  []string
}

// newWorkshop makes the workshop, and removes it at the end of the test.
func newWorkshop(t *testing.T) workshop {
	t.Helper()
	require.Zero(t, os.Geteuid(), "images are built without a daemon here, which takes root")
	for _, tool := range []string{"buildah", "mmdebstrap", "unshare"} {
		_, err := exec.LookPath(tool)
		require.NoError(t, err, "this test needs Debian's packages buildah, busybox-static and mmdebstrap")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	w := workshop{dir: t.TempDir(), root: root}
	conf := filepath.Join(w.dir, "storage.conf")
	write(t, conf, "[storage]\ndriver = \"vfs\"\ngraphroot = \""+w.dir+"/images\"\nrunroot = \""+w.dir+"/run\"\n")
	w.env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+conf, "BUILDAH_ISOLATION=chroot", "GOWORK=off")
	t.Cleanup(func() {
		r := w.bash(t, w.dir, "buildah rm --all && buildah rmi --all --force")
		require.Zero(t, r.exit, r.String())
		mounts, err := os.ReadFile("/proc/self/mounts")
		require.NoError(t, err)
		require.NotContains(t, string(mounts), w.dir, "a mount is left behind")
	})
	w.makeRuntime(t)
	w.makeBuilder(t)
	return w
}

// makeRuntime makes a minimal base. Like Alpine's it starts a shell, which ENTRYPOINT must replace.
func (w workshop) makeRuntime(t *testing.T) {
	t.Helper()
	w.must(t, w.dir, `
		container=$(buildah from scratch)
		buildah add --quiet "$container" "$(command -v busybox)" /bin/busybox
		buildah run "$container" /bin/busybox --install -s /bin
		buildah config --cmd /bin/sh "$container"
		buildah commit --quiet --rm "$container" `+runtimeImage)
}

// makeBuilder makes the base with the tools, from Debian packages of this machine's sources. They are unpacked, not installed;
// hooks do the necessary steps of their scripts. This machine's Go is mounted later.
func (w workshop) makeBuilder(t *testing.T) {
	t.Helper()
	w.must(t, w.dir, `
		source /etc/os-release
		sources() {
			apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
				'Created-By: Packages' 'Origin: Debian' "Codename: $VERSION_CODENAME" >sources.list
		}
		sources
		if [[ ! -s sources.list ]]; then apt-get update -qq; sources; fi
		apt-config dump Acquire | { grep -E '^Acquire::(http|https|Check)' || true; } >apt.conf
		mmdebstrap --quiet --variant=extract --include=`+basePackages+` --aptopt="$PWD/apt.conf" \
			--customize-hook='ln -sf mawk "$1/usr/bin/awk"' \
			--customize-hook='cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"' \
			"$VERSION_CODENAME" base.tar "$PWD/sources.list"
		container=$(buildah from scratch)
		buildah add --quiet "$container" base.tar /
		buildah config --env PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOTOOLCHAIN=local \
			--env GOROOT=/usr/local/go --env GOPATH=/go --env GOCACHE=/cache "$container"
		buildah commit --quiet --rm "$container" `+builderImage+`
		rm base.tar`)
}

// buildFlags returns the build flags that the README does not have: the bases, this machine's Go with its caches, and its settings
// for the module proxy. Volumes leave only their mount points in an image.
func (w workshop) buildFlags(t *testing.T) string {
	t.Helper()
	goEnv := w.must(t, w.root, "go env GOPROXY GOSUMDB GOROOT GOMODCACHE GOCACHE")
	values := strings.Split(strings.TrimSpace(goEnv.stdout), "\n")
	require.Len(t, values, 5)
	flags := []string{
		"--pull-never",
		"--build-arg", "BUILDER_IMAGE=" + builderImage, "--build-arg", "RUNTIME_IMAGE=" + runtimeImage,
		"--build-arg", "GOPROXY=" + values[0], "--build-arg", "GOSUMDB=" + values[1], "--build-arg", "GOPRIVATE=" + planted,
		"--volume", values[2] + ":/usr/local/go:ro", "--volume", values[3] + ":/go/pkg/mod", "--volume", values[4] + ":/cache",
	}
	if certificates := "/etc/ssl/certs/ca-certificates.crt"; exists(certificates) {
		flags = append(flags, "--volume", certificates+":"+certificates+":ro")
	}
	return strings.Join(flags, " ")
}

// checkout copies the checkout, with its uncommitted changes, to another folder, and adds files as in an engineer's checkout.
func (w workshop) checkout(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(w.dir, "checkout")
	w.must(t, w.root, `
		git clone --quiet --no-checkout . `+dir+`
		git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - --ignore-failed-read | tar --extract --directory `+dir+`
		cd `+dir+`
		mkdir -p results reports extension/queue/node_modules
		for file in secrets.env .env results/run.json reports/run.md extension/queue/node_modules/index.js load-test/secrets.env js/.env; do
			echo STRIPE_WEBHOOK_SECRET=`+planted+` >"$file"
		done
		chmod -R go= .`)
	return dir
}

// result is the outcome of a command.
type result struct {
	exit           int
	stdout, stderr string
}

func (r result) String() string { return r.stdout + r.stderr }

// output is the output of a command.
type output struct{ stdout, stderr bytes.Buffer }

// result returns the outcome of a command that has ended.
func (o *output) result(cmd *exec.Cmd) result {
	return result{exit: cmd.ProcessState.ExitCode(), stdout: o.stdout.String(), stderr: o.stderr.String()}
}

// command returns a script that is not started yet. Later variables replace earlier ones.
func (w workshop) command(ctx context.Context, dir, script string, variables ...string) (*exec.Cmd, *output) {
	out := &output{}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script) //nolint:gosec // scripts of these tests
	cmd.Dir, cmd.Env = dir, slices.Concat(w.env, variables)
	cmd.Stdout, cmd.Stderr = &out.stdout, &out.stderr
	return cmd, out
}

// bash runs a script.
func (w workshop) bash(t *testing.T, dir, script string, variables ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit) // the test's context has ended in its cleanup
	defer cancel()
	cmd, out := w.command(ctx, dir, script, variables...)
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return out.result(cmd)
}

// must runs a script, and fails the test if the script fails.
func (w workshop) must(t *testing.T, dir, script string) result {
	t.Helper()
	r := w.bash(t, dir, script)
	require.Zero(t, r.exit, "%s\n%s", script, r)
	return r
}

// docker runs commands with `docker`, which buildah executes; see testdata/docker.
func (w workshop) docker(t *testing.T, dir, script string, variables ...string) result {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	require.True(t, ok)
	path := "PATH=" + filepath.Join(filepath.Dir(file), "testdata") + ":" + os.Getenv("PATH")
	return w.bash(t, dir, script, append([]string{path}, variables...)...)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
