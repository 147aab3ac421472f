package cli

import (
	"bytes"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext"

	"github.com/verity-app/xk6-verity/extension/queue"
)

func exitCodeOf(t *testing.T, err error) int {
	t.Helper()
	var coded errext.HasExitCode
	require.ErrorAs(t, err, &coded)
	return int(coded.ExitCode())
}

func TestPlanAsText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, printPlan(&out, queue.Load{Users: 10000}, 1, false))
	require.Contains(t, out.String(), "users             10000\nshards            1\n")
	require.Contains(t, out.String(), "all at once       matched in 250.0 s\nlimited by        matcher\n")
	require.Contains(t, out.String(), "10,000 users in 1 key")
}

func TestPlanAsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, printPlan(&out, queue.Load{Users: 2000, HoldSeconds: 45}, 1, true))
	require.Contains(t, out.String(), `"shards": 1,`)
	require.Contains(t, out.String(), `"sessions": 900,`)
	require.Contains(t, out.String(), `"pairsPerSecond": 20,`)
	require.Contains(t, out.String(), `1,000 needs 2 keys and 2,200 users`)
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		load   queue.Load
		shards int
		want   string
	}{
		{queue.Load{Users: 1}, 0, "users: 1; set 2 or more, for a match needs two"},
		{queue.Load{Users: 10}, 6, "shards: 6 for 10 users; set 1 to 5, for a shard needs two users"},
		{queue.Load{Users: 10, HoldSeconds: -1}, 0, "hold: -1 s; set 0 to 1000000"},
	} {
		err := printPlan(&bytes.Buffer{}, tc.load, tc.shards, false)
		require.EqualError(t, err, tc.want)
		require.Equal(t, 107, exitCodeOf(t, err))
	}
}

func TestFromMustBeACheckout(t *testing.T) {
	t.Parallel()
	scripts := fstest.MapFS{}
	for _, scenario := range smokeScenarios {
		scripts[scenario.path()] = &fstest.MapFile{}
	}
	dir, err := scriptsFolder(scripts, "--from", "")
	require.NoError(t, err)
	require.Empty(t, dir)

	empty := t.TempDir()
	_, err = scriptsFolder(scripts, "--from", empty)
	require.ErrorContains(t, err, `--from must be a checkout of xk6-verity with load-test/queue-concurrency.js, got "`+empty+`"`)

	dir, err = scriptsFolder(scripts, "--scripts", "../..")
	require.NoError(t, err)
	require.True(t, filepath.IsAbs(dir))
}

func TestARedisPasswordIsNotPrinted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "redis://:xxxxx@127.0.0.1:6379/1", redacted("redis://:hunter2@127.0.0.1:6379/1"))
	require.Empty(t, redacted("redis://:hunter2%"))
}
