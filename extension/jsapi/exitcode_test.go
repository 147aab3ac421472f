package jsapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// One of several runners proves nothing alone, and must not look failed for that: every pod of a healthy Job would.
func TestTheExitCodeIsThatOfTheVerdictUnlessTheMergeDecides(t *testing.T) {
	t.Parallel()
	const stopped, crossed = int(exitcodes.ExternalAbort), int(exitcodes.ThresholdsHaveFailed)
	one, second := evidence.Runner{Count: 1}, evidence.Runner{Index: 1, Count: 2}
	for name, tc := range map[string]struct {
		runner   evidence.Runner
		failed   int64 // of 1,000 operations
		k6, want int
		status   verdict.Status
	}{
		"one runner, too few samples":        {one, 0, 0, int(exitcodes.MarkedAsFailed), verdict.NotProven},
		"one runner, errors":                 {one, 900, 0, crossed, verdict.Fail},
		"one of two, healthy":                {second, 0, 0, 0, verdict.NotProven},
		"one of two, errors":                 {second, 900, 0, crossed, verdict.Fail},
		"one of two, a crossed threshold":    {second, 0, crossed, crossed, verdict.NotProven},
		"one of two, stopped":                {second, 0, stopped, stopped, verdict.NotProven},
		"one of two, marked by k6 as failed": {second, 0, int(exitcodes.MarkedAsFailed), int(exitcodes.MarkedAsFailed), verdict.NotProven},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t).run()
			r := h.root.run
			r.Describe(run.Plan{Header: evidence.Header{Scenario: "a", Claims: []evidence.Claim{{Kind: verdict.KindErrors, Below: 0.0001}}}})
			r.Begin(time.Now(), tc.runner, h.state.Logger)
			r.Evidence.Count(evidence.Labelled(evidence.CountOperations, "queue_join"), time.Now(), 1000)
			if tc.failed > 0 {
				r.Evidence.Count(evidence.Labelled(evidence.CountErrors, "queue_join", "HTTPError 500"), time.Now(), tc.failed)
			}
			text := r.Summarize(run.Summary{Scenario: "a", Data: report.Summary{}})
			require.Contains(t, text, tc.status.String())
			if tc.runner == second {
				require.Regexp(t, ` +merge +this is runner 2 of 2: the verdict of the test is that of k6 x verity merge, on the evidence \(REPORT_DIR\) of all 2\n`, text)
			} else {
				require.NotContains(t, text, "x verity merge")
			}
			require.Equal(t, tc.want, h.root.ExitCode(tc.k6))
		})
	}
}
