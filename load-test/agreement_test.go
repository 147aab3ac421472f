//go:build netns || trials

package loadtest_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
)

// requireAgreement holds what the runners recorded together against the service's own account of the same run: equal to the last session and
// token, and for sessions at once to so many.
func requireAgreement(t *testing.T, run *evidence.Run, account standin.Stats, users int, within float64) {
	t.Helper()
	require.Equal(t, users, run.End.Ledger.Users)
	require.Zero(t, run.End.Ledger.Wrong)
	require.Zero(t, run.End.Ledger.Unread)
	require.Equal(t, account.Tokens.Bought, run.End.Ledger.Bought)
	require.Equal(t, account.Tokens.Spent, run.End.Ledger.Spent)
	require.Equal(t, account.Tokens.Balance, run.End.Ledger.Left)

	started, peak := int64(0), 0.0
	left := int64(0)
	var ok, cut [2]int64
	for _, second := range run.Seconds {
		started += second.Counts[evidence.CountStarted]
		peak = max(peak, second.Levels[evidence.LevelInside]/2)
		for series, cell := range second.Cells {
			if series.Label == "queue_leave" {
				left += cell.OK.Count()
			}
			if i := slices.Index([]string{"queue_join", "auth_signup"}, series.Label); i >= 0 {
				ok[i], cut[i] = ok[i]+cell.OK.Count(), cut[i]+cell.Cut.Count()
			}
		}
	}
	made := 2 * account.Sessions.Made // of users: a session has two
	require.Equal(t, made, account.Tokens.Spent)
	require.LessOrEqual(t, started, made)
	require.LessOrEqual(t, made-started, left, "but for users who left just then, at the end of the run")
	t.Logf("sessions at once: %g by the runners, %d by the service; %d sessions", peak, account.Peak, account.Sessions.Made)
	require.InDelta(t, float64(account.Peak), peak, within, "the runners look once a second, each at its own moment")
	for i, route := range []string{"POST /queue/join", "POST /auth/signup-anonymous"} {
		answered := account.Requests[route].Statuses[http.StatusCreated]
		require.Positive(t, answered, route)
		require.LessOrEqual(t, ok[i], answered, route)
		require.GreaterOrEqual(t, ok[i]+cut[i], answered, route)
	}
}
