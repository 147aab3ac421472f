package loadtest_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// The files that the binary unpacks run in another folder, without the checkout.
func TestInitUnpacksWhatRuns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "load")
	r := k6("x", "verity", "init", dir).run(t)
	require.Zero(t, r.exit)
	require.Contains(t, r.stdout, "  cd "+dir+"\n  "+k6Binary(t)+" x verity smoke --from .\n")
	for _, name := range []string{
		"load-test/README.md", "load-test/token-purchase-spike.js", "js/profiles.json", "examples/README.md", "index.d.ts", "jsconfig.json",
	} {
		require.FileExists(t, filepath.Join(dir, name))
	}

	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(suite)) })
	run := k6Run(filepath.Join(dir, "load-test", "queue-concurrency.js"), &target{url: server.URL(), secret: secret},
		"TARGET_VUS=4", "RAMP_UP=2s", "HOLD=1s", "RAMP_DOWN=1s").run(t)
	require.Zero(t, run.exit)
	require.NotEmpty(t, run.summary.Metrics)

	r = k6("x", "verity", "init", dir).run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	require.Contains(t, r.stderr, "is not empty; name another folder")
}

// Links in the unpacked pages lead only to unpacked files.
func TestLinksOfTheUnpackedPagesResolve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.Zero(t, k6("x", "verity", "init", dir).run(t).exit)
	link := regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	seen := map[string]int{}
	unpacked := os.DirFS(dir)
	require.NoError(t, fs.WalkDir(unpacked, ".", func(page string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(page) != ".md" {
			return err
		}
		text, err := fs.ReadFile(unpacked, page)
		require.NoError(t, err)
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			seen[page]++
			if _, err := fs.Stat(unpacked, path.Join(path.Dir(page), match[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, match[1])
			}
		}
		return nil
	}))
	require.Positive(t, seen["load-test/README.md"])
	require.Positive(t, seen["examples/README.md"])
	require.Positive(t, seen["docs/evidence.md"])
}

func TestTheTypeScriptExample(t *testing.T) {
	t.Parallel()
	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(suite)) })
	r := k6Run(filepath.Join("..", "examples", "typescript.ts"), &target{url: server.URL(), secret: secret}).run(t)
	require.Zero(t, r.exit)
	require.NotEmpty(t, r.summary.Metrics)
}
