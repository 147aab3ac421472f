package cli

import (
	"bytes"
	"os"
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

func TestSmokeTableAndExitCode(t *testing.T) {
	t.Parallel()
	passed := smokeResult{scenario: "a", thresholds: 3}
	crossed := smokeResult{scenario: "b", exitCode: 99, thresholds: 3, crossed: 1}
	refused := smokeResult{scenario: "c", exitCode: 107}
	unjudged := smokeResult{scenario: "d"}
	var out bytes.Buffer
	writeSmokeTable(&out, "http://127.0.0.1:1", []smokeResult{passed, crossed, refused, unjudged})
	require.Equal(t, `
SCENARIO  TARGET              RESULT                          THRESHOLDS
a         http://127.0.0.1:1  ✓ passed                        3 of 3 passed
b         http://127.0.0.1:1  ✗ thresholds crossed (exit 99)  2 of 3 passed
c         http://127.0.0.1:1  ✗ failed (exit 107)             0 of 0 passed
d         http://127.0.0.1:1  ✗ no threshold was judged       0 of 0 passed
`, out.String())

	require.NoError(t, smokeError([]smokeResult{passed, passed}, false))
	for _, tc := range []struct {
		results     []smokeResult
		interrupted bool
		code        int
		want        string
	}{
		{[]smokeResult{passed, crossed}, false, 99, "the smoke run failed in b"},
		{[]smokeResult{refused, crossed}, false, 107, "the smoke run failed in c"},
		{[]smokeResult{unjudged}, false, 99, "the smoke run failed in d"},
		{[]smokeResult{passed}, true, 105, "the smoke run was interrupted"},
	} {
		err := smokeError(tc.results, tc.interrupted)
		require.EqualError(t, err, tc.want)
		require.Equal(t, tc.code, exitCodeOf(t, err))
	}
}

func TestThresholdsAreReadFromASummaryExport(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "summary.json")
	all, crossed := readThresholds(path)
	require.Zero(t, all+crossed, "a run that was refused has no export")
	require.NoError(t, os.WriteFile(path, []byte(`{"metrics":{
		"http_reqs":{"count":5,"thresholds":{"count>0":false}},
		"error_rate":{"value":1,"thresholds":{"rate<0.001":true}},
		"vus":{"value":1}}}`), 0o600))
	all, crossed = readThresholds(path)
	require.Equal(t, 2, all)
	require.Equal(t, 1, crossed)
}

func TestFromMustBeACheckout(t *testing.T) {
	t.Parallel()
	scripts := fstest.MapFS{}
	for _, scenario := range smokeScenarios {
		scripts[scenario.path()] = &fstest.MapFile{}
	}
	dir, err := scriptsFolder(scripts, "")
	require.NoError(t, err)
	require.Empty(t, dir)

	empty := t.TempDir()
	_, err = scriptsFolder(scripts, empty)
	require.ErrorContains(t, err, `--from must be a checkout of xk6-verity with load-test/queue-concurrency.js, got "`+empty+`"`)

	dir, err = scriptsFolder(scripts, "../..")
	require.NoError(t, err)
	require.True(t, filepath.IsAbs(dir))
}

func TestARedisPasswordIsNotPrinted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "redis://:xxxxx@127.0.0.1:6379/1", redacted("redis://:hunter2@127.0.0.1:6379/1"))
	require.Empty(t, redacted("redis://:hunter2%"))
}
