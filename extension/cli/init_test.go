package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func scriptsForInit() fstest.MapFS {
	return fstest.MapFS{
		"js/config.js":                   {Data: []byte("config")},
		"load-test/queue-concurrency.js": {Data: []byte("scenario")},
	}
}

func TestInitUnpacksTheScripts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, unpack(scriptsForInit(), dir, false), "a folder that is not there")
	text, err := os.ReadFile(filepath.Join(dir, "load-test", "queue-concurrency.js")) //nolint:gosec // a test's own
	require.NoError(t, err)
	require.Equal(t, "scenario", string(text))
	require.NoError(t, unpack(scriptsForInit(), t.TempDir(), false), "an empty folder")
}

func TestInitKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config, mine := filepath.Join(dir, "js", "config.js"), filepath.Join(dir, "mine.js")
	require.NoError(t, os.Mkdir(filepath.Dir(config), 0o750))
	require.NoError(t, os.WriteFile(config, []byte("changed"), 0o600))
	require.NoError(t, os.WriteFile(mine, []byte("mine"), 0o600))

	require.EqualError(t, unpack(scriptsForInit(), dir, false),
		dir+" is not empty; name another folder, or overwrite files of the same name in it with --force")
	requireText(t, config, "changed")

	require.NoError(t, unpack(scriptsForInit(), dir, true))
	requireText(t, config, "config")
	requireText(t, mine, "mine")

	require.ErrorContains(t, unpack(scriptsForInit(), mine, true), "looking into the folder for the scenarios: ")
}

func requireText(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // a test's own
	require.NoError(t, err)
	require.Equal(t, want, string(text))
}

func TestInitPrintsTheNextCommands(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, printNextCommands(&out, "my load", "/opt/k6"))
	require.Contains(t, out.String(), "  cd 'my load'\n  /opt/k6 x verity smoke --from .\n")
	require.Contains(t, out.String(), "  /opt/k6 x verity campaign --scripts .\n")
}

func TestHowTheBinaryWasStarted(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs("k6")
	require.NoError(t, err)
	for _, tc := range []struct {
		argv0, here, anywhere string
	}{
		{"k6", "k6", "k6"},
		{"./k6", "./k6", here},
		{"/opt/my k6/k6", "'/opt/my k6/k6'", "'/opt/my k6/k6'"},
		{"/it's/k6", `'/it'\''s/k6'`, `'/it'\''s/k6'`},
		{"", "k6", "k6"},
	} {
		require.Equal(t, tc.here, started([]string{tc.argv0, "x"}), tc.argv0)
		require.Equal(t, tc.anywhere, startedAnywhere([]string{tc.argv0, "x"}), tc.argv0)
	}
}

func TestVersionNamesAllThatItWasBuiltOf(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, printVersion(&out))
	require.Regexp(t, `^xk6-verity \d+\.\d+\.\d+\S* \(k6 \S+, go\S+, \w+/\w+\)\n$`, out.String())
}
