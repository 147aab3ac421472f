package loadtest_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// drainLimit is how long an aborted run may take to end.
const drainLimit = 10 * time.Second

// requireWoundUp requires that an aborted run printed its summary and left the service in order.
func requireWoundUp(t *testing.T, r result, s state) {
	t.Helper()
	require.Contains(t, r.stdout, "█ VERITY")
	require.Contains(t, r.stdout, "█ TOTAL RESULTS")
	require.NotContains(t, r.stdout, "left behind")
	require.Contains(t, r.stdout, "0.00 % did not do what the scenario wanted", "what the end cut is no error")
	s.requireSettled(t, r)
	s.requireStatuses(t)
}

// Ctrl-C in the middle of a run, while most users are queued or in a session, leaves no user queued.
func TestInterruptedRunsLeaveNobodyQueued(t *testing.T) {
	t.Parallel()
	queued := func(s state) bool { return len(s.Users) == 40 && s.queued() > 0 }
	inSession := func(s state) bool { return s.Live >= 15 }
	cases := map[string]struct {
		run  func(target *target) command
		when func(state) bool
	}{
		"queue-concurrency simple": {func(target *target) command {
			return k6Run(queueConcurrency, target, "THINK_TIME_MIN=1").simple("40", "30s")
		}, queued},
		"queue-concurrency ramp": {func(target *target) command {
			return k6Run(queueConcurrency, target, "THINK_TIME_MIN=1", "TARGET_VUS=40", "RAMP_UP=2s", "HOLD=30s", "RAMP_DOWN=2s")
		}, queued},
		"queue-concurrency many users per VU": {func(target *target) command {
			return k6Run(queueConcurrency, target, "THINK_TIME_MIN=1", "USERS_PER_VU=20").simple("2", "30s")
		}, queued},
		"video-session-sustain waiting": {func(target *target) command {
			return k6Run(videoSessionSustain, target, "QUEUE_MODE=isolated").simple("40", "30s")
		}, queued},
		"video-session-sustain in session": {func(target *target) command {
			return k6Run(videoSessionSustain, target, "SESSION_VUS=40", "QUEUE_SHARDS=8", "RAMP_UP=2s", "HOLD=60s", "RAMP_DOWN=2s")
		}, inSession},
		"video-session-sustain in session, many users per VU": {func(target *target) command {
			return k6Run(videoSessionSustain, target, "USERS_PER_VU=20").simple("2", "60s")
		}, inSession},
	}
	for _, name := range sortedKeys(cases) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cases[name]
			target := startNode(t, conditions{sockets: true})
			run := c.run(target).start(t)
			require.Eventually(t, func() bool { return c.when(target.state(t)) }, 30*time.Second, 50*time.Millisecond)
			r, took := run.interrupt(t)
			require.Less(t, took, drainLimit)
			require.Equal(t, exitcodes.ExternalAbort, r.exit)
			requireWoundUp(t, r, target.state(t))
			require.NotContains(t, r.stdout, "rule broken")
			require.Zero(t, r.summary.Metrics["match_failed"].Value, "what the end cut is no failure")
			require.Zero(t, r.summary.Metrics["session_dropped"].Value, "and no drop")
		})
	}
}

func TestRunsThatAbortThemselvesLeaveNobodyQueued(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		exit exitcodes.ExitCode
		says string
	}{
		"abort-on-fail.js": {exitcodes.ThresholdsHaveFailed, "queue_join_latency max<0"},
		"test-abort.js":    {exitcodes.ScriptAborted, "enough seen"},
	}
	for _, script := range sortedKeys(cases) {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			target := startNode(t, conditions{})
			run := k6Run(filepath.Join("testdata", script), target, "TARGET_VUS=40", "THINK_TIME_MIN=1", "THINK_TIME_MAX=3",
				"RAMP_UP=2s", "HOLD=60s", "RAMP_DOWN=2s")
			started := time.Now()
			r := run.run(t)
			require.Less(t, time.Since(started), 30*time.Second)
			require.Equal(t, cases[script].exit, r.exit)
			require.Contains(t, r.stdout+r.stderr, cases[script].says)
			requireWoundUp(t, r, target.state(t))
		})
	}
}
