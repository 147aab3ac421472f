package loadtest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireUndisturbed requires a run without fault on either side, which leaves the service as it must be.
func requireUndisturbed(t *testing.T, r result, s state) {
	t.Helper()
	r.requirePassed(t)
	s.requireSettled(t, r)
	s.requireStatuses(t)
	require.Zero(t, s.requests(routeRefresh)-s.Answers[routeRefresh][200], "a refresh that was refused costs the session")
}

// requireRefunded requires that every user has the tokens it bought: no user was matched, so every token was refunded.
func (s state) requireRefunded(t *testing.T) {
	t.Helper()
	for id, u := range s.Users {
		require.Positive(t, u.Bought)
		require.Equal(t, account{Balance: u.Bought, Bought: u.Bought}, u, "user %s", id)
	}
}

func TestQueueConcurrency(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target, "BALANCE_CHECK_EVERY=2").simple("50", "10s").run(t)
		s := target.state(t)
		requireUndisturbed(t, r, s)
		s.requireRefunded(t)
		require.Len(t, s.Users, 50)
		require.Positive(t, s.requests(routeBalance))
		require.Equal(t, s.requests(routeJoin), s.requests(routeLeave))
		require.Greater(t, s.requests(routeJoin), 100)
		require.Equal(t, s.requests(routeJoin), r.count("queue_join_latency"))
		require.Equal(t, s.requests(routeLeave), r.count("cycles"))
	})
}

// The server closes a connection that was idle for 5 s.
func TestQueueConcurrencyThinksLongerThanKeepAlive(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target, "THINK_TIME_MIN=4.9", "THINK_TIME_MAX=5.5").simple("40", "14s").run(t)
		s := target.state(t)
		requireUndisturbed(t, r, s)
		s.requireRefunded(t)
		require.GreaterOrEqual(t, s.requests(routeLeave), 40)
	})
}

// Users wait for their match, and go on without waiting for the end of the session.
func TestQueueConcurrencyShared(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{sockets: true}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target, "QUEUE_MODE=shared", "BALANCE_CHECK_EVERY=2").simple("30", "8s").run(t)
		s := target.state(t)
		r.requirePassed(t)
		s.requireSettled(t, r)
		s.requireStatuses(t)
		s.requireMatchesAsMeasured(t, r)
		require.Zero(t, r.summary.Metrics["match_failed"].Value)
		require.Greater(t, r.count("match_attempts"), 30, "users come back for the next match")
		require.LessOrEqual(t, r.count("match_attempts"), s.sum(func(u account) int64 { return u.Spent }))
		require.Zero(t, r.count("sessions_started"), "nobody holds a session")
		require.NotContains(t, r.stdout, "rule broken")
		require.Equal(t, s.sum(func(u account) int64 { return u.Lost }), r.count("tokens_lost"),
			"tokens of users who left within an hour of a match")
	})
}

func TestQueueConcurrencyCarriesManyUsersPerVU(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target, "USERS_PER_VU=10").simple("5", "8s").run(t)
		s := target.state(t)
		requireUndisturbed(t, r, s)
		s.requireRefunded(t)
		require.Len(t, s.Users, 50)
	})
}

// A 17-minute run outlasts the access token, which is valid for 15 minutes; here it is valid for 3 s.
func TestQueueConcurrencyRefreshesTokens(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{tokenTTL: 3 * time.Second}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target).simple("20", "12s").run(t)
		s := target.state(t)
		requireUndisturbed(t, r, s)
		s.requireRefunded(t)
		require.Len(t, s.Users, 20)
		require.Greater(t, s.requests(routeRefresh), 40, "each of 20 users needs three or four")
	})
}

func TestQueueConcurrencyRamps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		users     int
		variables []string
	}{
		"one in each VU": {30, []string{"TARGET_VUS=30", "RAMP_UP=3s", "HOLD=3s", "RAMP_DOWN=2s"}},
		// The last VU comes when the ramp is over, and goes as soon as the ramp-down begins.
		"nothing is held": {40, []string{"TARGET_VUS=40", "USERS_PER_VU=20", "RAMP_UP=6s", "HOLD=0s", "RAMP_DOWN=4s"}},
		// Of 25 users with ten to a VU the third VU has five.
		"with a remainder": {25, []string{"TARGET_VUS=25", "USERS_PER_VU=10", "RAMP_UP=3s", "HOLD=3s", "RAMP_DOWN=1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, conditions{}, func(t *testing.T, target *target) {
				r := k6Run(queueConcurrency, target, c.variables...).run(t)
				s := target.state(t)
				requireUndisturbed(t, r, s)
				s.requireRefunded(t)
				require.Len(t, s.Users, c.users)
			})
		})
	}
}
