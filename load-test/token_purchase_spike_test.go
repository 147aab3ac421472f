package loadtest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// spike is a token-purchase-spike of a few seconds.
// spike has VUs for events that are repeated for seconds, so that k6 drops none while it makes more VUs on a busy machine.
func spike(target *target, variables ...string) command {
	small := []string{
		"SEED_USER_COUNT=10", "BASE_RATE=5", "SPIKE_RATE=30", "RAMP_UP=2s", "SPIKE_HOLD=4s", "RAMP_DOWN=1s", "REPLAY_RATE=0.5", "PREALLOCATED_VUS=100",
	}
	return k6Run(tokenPurchaseSpike, target, append(small, variables...)...)
}

func TestTokenPurchaseSpikeReplays(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		r := spike(target).run(t)
		s := target.state(t)
		r.requirePassed(t)
		s.requireSettled(t, r)
		s.requireRefunded(t)
		require.Len(t, s.Users, 10)
		require.Equal(t, 10, s.requests(routeBalance), "each balance is read at the end")
		events := s.sum(func(u account) int64 { return u.Bought }) / 5
		require.Greater(t, events, 100)
		require.InDelta(t, 1.5, float64(s.requests(routeWebhook))/float64(events), 0.25, "half of the events come twice")
		require.Equal(t, events, r.count("iterations"), "each iteration sells one event")
		require.Regexp(t, fmt.Sprintf(`(?m)^      events       %d sent, and %d sent again; %d answers were 500 for a copy `, events,
			s.requests(routeWebhook)-events, s.Answers[routeWebhook][http.StatusInternalServerError]), r.stdout)
	})
}

func TestTokenPurchaseSpikeFailsWhereAnEventIsCreditedTwice(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{}, "--double-credit")
	r := spike(target).run(t)
	r.requireCrossed(t, "error_rate rate<0.001", "error_rate{name:tokens_balance} rate==0")
	require.Contains(t, r.stdout, "tokens_balance UnexpectedAnswerError")
}
