package loadtest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// Lost sockets fail a run, even if its users were matched before the loss and opened new sockets.
func TestLostSocketsFailARunInWhichNobodyWaitedForThem(t *testing.T) {
	t.Parallel()
	lost := func(t *testing.T, target *target) {
		t.Helper()
		r := k6Run(queueConcurrency, target, "QUEUE_MODE=shared", "QUEUE_SHARDS=1").simple("20", "8s").run(t)
		require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
		require.Contains(t, r.crossed(), "socket_dropped rate<0.001")
		require.Greater(t, r.count("sockets_lost"), 20)
		require.Greater(t, r.count("sockets_opened"), r.count("sockets_lost"), "the last ones were closed by their users")
		require.Regexp(t, `✗ sockets lost \d+ of \d+: close 1006 \d+\. Their users had not closed them`, r.stdout)
	}
	t.Run("node", func(t *testing.T) {
		t.Parallel()
		lost(t, startNode(t, conditions{sockets: true, session: 2 * time.Second}, "--drop-sockets-after", "2"))
	})
	t.Run("stand-in", func(t *testing.T) {
		t.Parallel()
		lost(t, startStandin(t, conditions{
			sockets: true, session: 2 * time.Second, defects: standin.Defects{DropSocketsAfter: 2 * time.Second},
		}))
	})
}

// A run with VUs that could not start fails, although k6 v2.2.0 goes on without them.
func TestARampThatComesBackTooSoonFailsTheRun(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "ramp.js")
	require.NoError(t, os.WriteFile(script, []byte(`
		import { StripeSigner, Verity, stay, printSummary } from 'k6/x/verity';
		const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer: new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET), countOperations: true });
		const stages = [[0, 2], [2, 2], [0, 0], [2, 0], [0, 2], [4, 2]].map(([s, target]) => ({ duration: s + 's', target }));
		export const options = {
			scenarios: { ramps: { executor: 'ramping-vus', stages, startVUs: 0, gracefulRampDown: '0s', gracefulStop: '0s' } },
			thresholds: { operations: ['count>0'], error_rate: ['rate==0'] },
		};
		export default () => stay({ users: 1, signUp: () => verity.signUp({ tokens: 5 }) }, async (user) => {
			await user.connect();
			await user.holdSession({ place: { city: 'Perth' } });
		});
		export const handleSummary = (data) => printSummary({ scenario: 'ramps', target: __ENV.BASE_URL, data });
	`), 0o600))
	target := startStandin(t, conditions{sockets: true, session: 12 * time.Second})
	r := k6Run(script, target).run(t)
	require.Equal(t, exitcodes.MarkedAsFailed, r.exit)
	require.Contains(t, r.stdout, "✗ VUs missing  2 VUs could not start, and k6 went on without them: their users were never there.")
	require.Contains(t, r.stdout, "2 planned, 2 started, 2 held to the end, 0 dropped", "those who were there were not cut")
}
