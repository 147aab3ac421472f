//go:build image

package image_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// inspection is buildah's description of an image.
type inspection struct {
	OCIv1 struct {
		Config struct {
			User       string
			Entrypoint []string
			Cmd        []string
			WorkingDir string
			Env        []string
			Labels     map[string]string
		} `json:"config"`
	}
}

func inspect(t *testing.T, w workshop) inspection {
	t.Helper()
	var i inspection
	require.NoError(t, json.Unmarshal([]byte(w.must(t, w.dir, "buildah inspect --type image xk6-verity").stdout), &i))
	return i
}

func testConfiguration(t *testing.T, w workshop) {
	t.Helper()
	config := inspect(t, w).OCIv1.Config
	require.Equal(t, "12345", config.User, "a number, so that Kubernetes can tell that it is not root")
	require.Equal(t, []string{"k6"}, config.Entrypoint)
	require.Empty(t, config.Cmd, "that of the base would be an argument of k6")
	require.Equal(t, "/home/k6", config.WorkingDir)
	require.Subset(t, config.Env, []string{"K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false", "HOME=/home/k6"})
	delete(config.Labels, "io.buildah.version")
	require.Equal(t, map[string]string{
		"org.opencontainers.image.title":       "xk6-verity",
		"org.opencontainers.image.description": "k6 with k6/x/verity and the load-test scenarios for Verity",
		"org.opencontainers.image.source":      "https://github.com/verity-app/xk6-verity",
		"org.opencontainers.image.licenses":    "Apache-2.0 AND AGPL-3.0-only",
		"org.opencontainers.image.version":     strings.TrimSpace(w.must(t, w.root, "build/version.sh").stdout),
		"org.opencontainers.image.revision":    "unknown",
	}, config.Labels)

	version := w.docker(t, w.dir, "docker run --rm xk6-verity version")
	require.Contains(t, version.stdout, "k6/x/verity [js]")
	require.Contains(t, version.stdout, "verity [subcommand]")
}

// The bases have the Go version of go.mod, and the digest of the base of k6's own image.
func testBases(t *testing.T, w workshop) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.root, "build", "Dockerfile"))
	require.NoError(t, err)
	goVersion := strings.TrimSuffix(strings.TrimSpace(w.must(t, w.root, "go list -m -f '{{.GoVersion}}'").stdout), ".0")
	require.Regexp(t, `(?m)^ARG BUILDER_IMAGE=golang:`+regexp.QuoteMeta(goVersion)+`\.\d+-trixie$`, string(text))
	k6 := strings.TrimSpace(w.must(t, w.root, "go list -m -f '{{.Dir}}' go.k6.io/k6/v2").stdout)
	theirs, err := os.ReadFile(filepath.Join(k6, "Dockerfile")) //nolint:gosec // in the module cache
	require.NoError(t, err)
	base := regexp.MustCompile(`alpine:\S+@sha256:[0-9a-f]{64}`).FindString(string(theirs))
	require.NotEmpty(t, base)
	require.Contains(t, string(text), "\nARG RUNTIME_IMAGE="+base+"\n")
}

// layerFile is a file of a layer.
type layerFile struct {
	header *tar.Header
	text   []byte
}

// layers returns the configuration of an image as text, and the files of its layers.
func layers(t *testing.T, w workshop) (config string, files map[string]layerFile, compressed int64) {
	t.Helper()
	dir := filepath.Join(w.dir, "oci")
	w.must(t, w.dir, "buildah push --quiet xk6-verity oci:"+dir+":latest")
	var index, manifest struct {
		Manifests, Layers []struct{ Digest string }
		Config            struct{ Digest string }
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, strings.Replace(name, "sha256:", "blobs/sha256/", 1))) //nolint:gosec // of this test
		require.NoError(t, err)
		return text
	}
	require.NoError(t, json.Unmarshal(read("index.json"), &index))
	require.Len(t, index.Manifests, 1)
	require.NoError(t, json.Unmarshal(read(index.Manifests[0].Digest), &manifest))
	files = map[string]layerFile{}
	for _, layer := range manifest.Layers {
		blob := read(layer.Digest)
		compressed += int64(len(blob))
		unpack(t, blob, files)
	}
	return string(read(manifest.Config.Digest)), files, compressed
}

func unpack(t *testing.T, blob []byte, files map[string]layerFile) {
	t.Helper()
	plain, err := gzip.NewReader(strings.NewReader(string(blob)))
	require.NoError(t, err)
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		text, err := io.ReadAll(archive)
		require.NoError(t, err)
		files[path.Clean("/"+header.Name)] = layerFile{header, text}
	}
}

// The layers contain only the files that the image needs, besides the base's /bin, readable for every user.
func testLayers(t *testing.T, w workshop) {
	t.Helper()
	config, files, compressed := layers(t, w)
	require.NotContains(t, config, planted, "a build argument is in the history")
	wanted := regexp.MustCompile(`^/(bin/\w+|etc/(passwd|group|ssl/certs/ca-certificates\.crt)|usr/bin/k6` +
		`|home/k6/(LICENSE|\.dashboard\.json|js/[a-z-]+\.js(on)?|load-test/([a-z-]+\.js|README\.md)|examples/([a-z-]+\.[jt]s|README\.md)))$`)
	var size int64
	for name, file := range files {
		require.NotContains(t, string(file.text), planted, name)
		if file.header.Typeflag != tar.TypeReg {
			continue
		}
		size += file.header.Size
		if strings.HasPrefix(name, "/bin/") || wanted.MatchString(name) {
			continue
		}
		require.Empty(t, file.text, "%s does not belong here", name) // an empty file may be a mount point
	}
	for _, name := range []string{"/home/k6/js/config.js", "/home/k6/load-test/queue-concurrency.js", "/home/k6/examples/smoke.js", "/home/k6/LICENSE"} {
		require.EqualValues(t, 0o644, files[name].header.Mode&0o777, name)
	}
	require.EqualValues(t, 0o755, files["/usr/bin/k6"].header.Mode&0o777)
	require.EqualValues(t, 0o1777, files["/results"].header.Mode&0o7777)
	require.EqualValues(t, 0o1777, files["/tmp"].header.Mode&0o7777)

	// This machine may have its own certificate authorities, through which the build reached the module proxy.
	authorities := w.docker(t, w.dir, "container=$(buildah from --pull-never "+builderImage+"); buildah run $container cat /etc/ssl/certs/ca-certificates.crt; buildah rm $container >&2")
	require.Equal(t, authorities.stdout, string(files["/etc/ssl/certs/ca-certificates.crt"].text))

	t.Logf("beside its base the image takes %.1f MB, and %.1f MB to download with the base of this test", float64(size)/1e6, float64(compressed)/1e6)
	require.Less(t, size, int64(sizeLimit))
}
