package k6

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/lib"
)

func TestAbortText(t *testing.T) {
	t.Parallel()
	coded := func(text string, code exitcodes.ExitCode, by errext.AbortReason) error {
		return errext.WithAbortReasonIfNone(errext.WithExitCodeIfNone(errors.New(text), code), by)
	}
	signal := func(name string) error {
		return coded("test run was aborted because k6 received a '"+name+"' signal", exitcodes.ExternalAbort, errext.AbortedByUser)
	}
	for want, reason := range map[string]error{
		"stopped by Ctrl-C after 12 s":           signal("interrupt"),
		"stopped by SIGTERM after 12 s":          signal("terminated"),
		"stopped by SIGHUP after 12 s":           signal("hangup"),
		"stopped by a signal after 12 s":         signal("quit"),
		"stopped over k6's REST API after 12 s":  coded("…", exitcodes.ScriptStoppedFromRESTAPI, errext.AbortedByUser),
		"stopped after 12 s: the disk is full":   coded("the disk is full", exitcodes.GenericTimeout, errext.AbortedByOutput),
		"stopped after 12 s: something unknown":  errors.New("something unknown"),
		"stopped by test.abort() after 12 s":     &errext.InterruptError{Reason: errext.AbortTest + " at file:///a.js:18:18(6)"},
		"stopped by test.abort() after 12 s: ok": &errext.InterruptError{Reason: errext.AbortTest + ": ok at default (file:///a.js:18:18(6))"},
		"stopped after 12 s by a threshold with abortOnFail": coded("thresholds on metrics 'x' were crossed", exitcodes.ThresholdsHaveFailed,
			errext.AbortedByThreshold),
	} {
		require.Equal(t, want, abortText(reason, 12*time.Second+300*time.Millisecond, ""))
	}
	require.Equal(t, "stopped after 12 s: Ctrl-C on the campaign", abortText(signal("interrupt"), 12*time.Second, "Ctrl-C on the campaign"))
}

// Stays that ended as planned are complete iterations, of those that k6 has counted as interrupted, once.
func TestStaysThatEndAsPlannedAreComplete(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		finished, interrupted, stays uint64
		wantFull, wantInterrupted    uint64
	}{
		"all of them":                      {0, 5, 5, 5, 0},
		"some were cut":                    {2, 7, 5, 7, 2},
		"none":                             {3, 4, 0, 3, 4},
		"more than k6 has counted":         {1, 2, 9, 3, 0},
		"nothing was ever an iteration":    {0, 0, 3, 0, 0},
		"as many as a counter of k6 takes": {0, math.MaxUint64, math.MaxUint32, math.MaxUint32, math.MaxUint64 - math.MaxUint32},
	} {
		segments, err := lib.NewExecutionTuple(nil, nil)
		require.NoError(t, err)
		state := lib.NewExecutionState(nil, segments, 1, 1)
		state.AddFullIterations(c.finished)
		state.AddInterruptedIterations(c.interrupted)
		e := Ending{state: state, complete: c.stays}
		for range 2 { // teardown() begins, and is entered again
			e.Enter(context.Background())
			require.Equal(t, c.wantFull, state.GetFullIterationCount(), name)
			require.Equal(t, c.wantInterrupted, state.GetPartialIterationCount(), name)
		}
	}
}

func TestHowARunEnded(t *testing.T) {
	t.Parallel()
	expired, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	failed := lib.NewTestStatus()
	failed.MarkFailed()
	whole, err := lib.NewExecutionTuple(nil, nil)
	require.NoError(t, err)
	state := lib.NewExecutionState(&lib.TestRunState{}, whole, 0, 0)
	for name, tc := range map[string]struct {
		ending *Ending
		want   string
	}{
		"as planned":            {&Ending{run: t.Context(), status: lib.NewTestStatus()}, ""},
		"setup() took too long": {&Ending{setup: expired}, "stopped before the load: setup() took longer than setupTimeout"},
		"setup() failed": {&Ending{setup: t.Context(), state: state},
			"stopped before the load: setup() failed, or no iteration could begin"},
		"refused":                  {&Ending{setup: t.Context(), state: state, refusal: errors.New("no Verity")}, "stopped before the load: no Verity"},
		"teardown() took too long": {&Ending{teardown: expired}, "stopped after the load: teardown() took longer than teardownTimeout"},
		"an exception":             {&Ending{status: failed, scripting: true}, "failed by an exception that the script threw in a stay"},
		"test.fail()":              {&Ending{status: failed}, "failed by the script, with test.fail()"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, tc.ending.Text(time.Minute))
		})
	}
}
