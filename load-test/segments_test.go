package loadtest_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// The load of each of several runners begins at the same time, even if the ramp gives a runner its first VU later. Otherwise it would count
// as late.
func TestARunnerBeginsWithTheOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startAt := time.Now().UTC().Add(5 * time.Second).Truncate(time.Second)
	k6Run(queueConcurrency, startStandin(t, conditions{}), "REPORT_DIR="+dir, "START_AT="+startAt.Format(time.RFC3339), "TARGET_VUS=4", "USERS_PER_VU=2",
		"RAMP_UP=10s", "HOLD=3s", "RAMP_DOWN=1s").
		flags("--execution-segment", "1/2:1", "--execution-segment-sequence", "0,1/2,1").run(t).requirePassed(t)
	run, err := evidence.ReadFile(filepath.Join(dir, "queue-concurrency-runner-2-of-2"+evidence.Extension))
	require.NoError(t, err)
	first := run.Header.Began.Add(time.Minute)
	for at, second := range run.Seconds {
		if len(second.Cells) > 0 && second.Levels[evidence.LevelPresent] > 0 && time.Unix(at, 0).Before(first) {
			first = time.Unix(at, 0)
		}
	}
	require.WithinRange(t, run.Header.Began, startAt.Add(-time.Second/2), startAt.Add(3*time.Second), "by the service's clock")
	require.Greater(t, first.Sub(startAt), 3*time.Second, "its first user came later, or this tests nothing")
}
