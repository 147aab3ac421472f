package loadtest_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScripts runs the unit tests of js/, scripts that check the code shared by the scenarios. A script without a check does not pass.
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
