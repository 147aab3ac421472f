package loadtest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVideoSessionSustain(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{session: 3 * time.Second}, func(t *testing.T, target *target) {
		r := k6Run(videoSessionSustain, target, "SESSION_VUS=40", "SESSION_HOLD_SECONDS=3", "BALANCE_CHECK_EVERY=1",
			"TOKENS_PER_USER=1", "RAMP_UP=2s", "HOLD=7s", "RAMP_DOWN=2s").run(t)
		s := target.state(t)
		r.requirePassed(t)
		s.requireSettled(t, r)
		s.requireStatuses(t)
		require.Len(t, s.Users, 40)
		require.Greater(t, s.Sessions, 20)
		require.Greater(t, s.requests(routeWebhook), 40, "users with one token buy more before they join again")
		require.Equal(t, s.sum(func(u account) int64 { return u.Lost }), r.count("tokens_lost"))
	})
}
