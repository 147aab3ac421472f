//go:build netns || trials

package loadtest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
)

// mostAudited is the number of balances that a runner of these scenarios reads.
const mostAudited = 1000

// routes are operations as runners and service count them: with a status that only the load gets.
var routes = []struct { //nolint:gochecknoglobals // a constant table
	operation, service string
	status             int
}{
	{"auth_signup", "POST /auth/signup-anonymous", http.StatusCreated},
	{"queue_join", "POST /queue/join", http.StatusCreated},
	{"queue_leave", "DELETE /queue/leave", http.StatusOK}, // the third
}

// requireAgreement holds what the runners recorded together against the service's own account of the same run: equal to the last session and
// token, and for sessions at once to so many.
func requireAgreement(t *testing.T, run *evidence.Run, account standin.Stats, users int, within float64) {
	t.Helper()
	audited := min(users, mostAudited*len(run.Runners))
	require.Equal(t, audited, run.End.Ledger.Users)
	require.Zero(t, run.End.Ledger.Wrong)
	require.Zero(t, run.End.Ledger.Unread)
	if audited == users {
		require.Equal(t, account.Tokens.Bought, run.End.Ledger.Bought)
		require.Equal(t, account.Tokens.Spent, run.End.Ledger.Spent)
		require.Equal(t, account.Tokens.Balance, run.End.Ledger.Left)
	}

	started, peak := int64(0), 0.0
	ok, cut := make([]int64, len(routes)), make([]int64, len(routes))
	for _, second := range run.Seconds {
		started += second.Counts[evidence.CountStarted]
		peak = max(peak, second.Levels[evidence.LevelInside]/2)
		for series, cell := range second.Cells {
			for i, route := range routes {
				if series.Label == route.operation {
					ok[i], cut[i] = ok[i]+cell.OK.Count(), cut[i]+cell.Cut.Count()
				}
			}
		}
	}
	made := 2 * account.Sessions.Made // counted per user: a session has two
	require.Equal(t, made, account.Tokens.Spent)
	require.LessOrEqual(t, started, made)
	require.LessOrEqual(t, made-started, ok[2], "but for users who left just then, at the end of the run")
	t.Logf("sessions at once: %g by the runners, %d by the service; %d sessions", peak, account.Peak, account.Sessions.Made)
	require.InDelta(t, float64(account.Peak), peak, within, "the runners look once a second, each at its own moment")
	for i, route := range routes {
		answered := account.Requests[route.service].Statuses[route.status]
		t.Logf("%s: %d by the runners, %d by the service", route.operation, ok[i], answered)
		require.Positive(t, answered, route.service)
		require.LessOrEqual(t, ok[i], answered, route.service)
		require.GreaterOrEqual(t, ok[i]+cut[i], answered, "%s: the end cuts requests that were answered", route.service)
	}
}
