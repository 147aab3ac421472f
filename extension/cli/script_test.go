package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScriptNote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	link := func(target, name string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.Symlink(target, path))
		return path
	}
	write("repo/js/config.js", "")
	scenario := write("repo/load-test/a.js", "import { x } from '../js/config.js';")
	own := write("own.js", "export default () => {}")
	behind, err := filepath.EvalSymlinks(scenario)
	require.NoError(t, err)
	lost, beside := link(scenario, "links/a.js"), link(scenario, "repo/examples/a.js")
	const stdinNote = "A script from standard input has no folder, so that k6 does not find what it imports: give k6 its path."
	for name, tc := range map[string]struct {
		args  []string
		stdin string
		want  string
	}{
		"a path":            {[]string{"k6", "run", scenario}, own, ""},
		"a lost link":       {[]string{"k6", "run", "-q", lost}, own, lost + " is a symbolic link, and k6 looks beside the link for what the script imports: run " + behind + "."},
		"a link that works": {[]string{"k6", "run", beside}, own, ""},
		"a link of another": {[]string{"k6", "run", link(own, "links/own.js")}, own, ""},
		"a link to nothing": {[]string{"k6", "run", link("gone", "links/gone.js")}, own, ""},
		"stdin":             {[]string{"k6", "inspect", "-"}, scenario, stdinNote},
		"stdin of another":  {[]string{"k6", "run", "-"}, own, ""},
		"not a run":         {[]string{"k6", "x", "verity", lost}, scenario, ""},
		"no file":           {[]string{"k6", "run", "-"}, os.DevNull, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdin, err := os.Open(tc.stdin)
			require.NoError(t, err)
			defer func() { _ = stdin.Close() }()
			require.Equal(t, tc.want, ScriptNote(tc.args, stdin))
		})
	}
}
