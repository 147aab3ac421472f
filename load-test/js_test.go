package loadtest_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The unit tests of js/, each a script that checks what the scenarios share. One that checks nothing has not passed.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob(filepath.Join("..", "js", "test", "*.test.js"))
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			t.Parallel()
			r := k6("run", "--quiet", script).run(t)
			require.NotContains(t, r.stderr, "level=error")
			require.Zero(t, r.exit)
			checks, isCounted := r.summary.Metrics["checks"]
			require.True(t, isCounted, "no check was made")
			require.Positive(t, checks.Passes)
			require.Zero(t, checks.Fails)
		})
	}
}
