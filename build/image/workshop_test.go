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

	// planted is what no image and no context of a build may have in it.
	planted = "whsec_PlantedForTheImageTest"
	// commandLimit bounds the time of one command. A first build without any cache takes half of it.
	commandLimit = 10 * time.Minute
)

// basePackages are those of Debian's packages that a golang image has, and the build needs.
const basePackages = "bash,ca-certificates,coreutils,dash,findutils,git,grep,mawk,sed"

// workshop is a storage of images of its own, with the bases in it, and what the commands of the tests run with.
type workshop struct {
	dir  string // holds it all
	root string // the checkout
	env  []string
}

// newWorkshop makes the workshop, and takes it down at the end of the test.
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

// makeRuntime makes the smallest base that there can be. Like Alpine's it starts a shell, which ENTRYPOINT must undo.
func (w workshop) makeRuntime(t *testing.T) {
	t.Helper()
	w.must(t, w.dir, `
		container=$(buildah from scratch)
		buildah add --quiet "$container" "$(command -v busybox)" /bin/busybox
		buildah run "$container" /bin/busybox --install -s /bin
		buildah config --cmd /bin/sh "$container"
		buildah commit --quiet --rm "$container" `+runtimeImage)
}

// makeBuilder makes the base that has the tools: Debian's packages from where this machine has its own. They are unpacked,
// not installed; what their scripts would have done and matters here is done by the hooks. This machine's Go is mounted later.
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

// buildFlags are what a build takes here beside what the README says: the bases, this machine's Go with its caches, and its
// way to the module proxy. Volumes leave nothing in an image but the folders that they are mounted on.
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

// checkout copies the checkout, with its uncommitted changes, to another folder, and leaves there what an engineer's has.
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

// result is how a command ended.
type result struct {
	exit           int
	stdout, stderr string
}

func (r result) String() string { return r.stdout + r.stderr }

// output is what a command writes.
type output struct{ stdout, stderr bytes.Buffer }

// result returns how a command that is over has ended.
func (o *output) result(cmd *exec.Cmd) result {
	return result{exit: cmd.ProcessState.ExitCode(), stdout: o.stdout.String(), stderr: o.stderr.String()}
}

// command returns a script that has yet to be started. Later variables win over earlier ones.
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
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit) // the test's own is over in its cleanup
	defer cancel()
	cmd, out := w.command(ctx, dir, script, variables...)
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return out.result(cmd)
}

// must runs a script that is to succeed.
func (w workshop) must(t *testing.T, dir, script string) result {
	t.Helper()
	r := w.bash(t, dir, script)
	require.Zero(t, r.exit, "%s\n%s", script, r)
	return r
}

// docker runs commands with `docker` in them, which buildah carries out; see testdata/docker.
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
