package loadtest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// A throttled run reports it and does not pass, and its users wait instead of retrying at once.
func TestThrottledSignUps(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target, "SKIP_PREFLIGHT=1").simple("30", "8s").run(t)
		s := target.state(t)
		r.requireCrossed(t, "error_rate rate<0.001", "http_req_failed rate<0.001", "throttled_requests count<1")
		require.Regexp(t, `throttled +21 answers were 429: auth_signup 21`, r.stdout)
		require.Contains(t, r.stdout, "auth_signup ThrottledError 429 × 21")
		require.Equal(t, map[int]int{http.StatusCreated: 9, http.StatusTooManyRequests: 21}, s.Answers[routeSignUp],
			"a user who is told to wait a minute does not come back within 8 s")
		require.Equal(t, 21, r.count("throttled_requests"))
		s.requireSettled(t, r)
	})
}

// Nine users, as many as may sign up after the preflight's request, exceed the limit of 120 requests of each route of the queue.
func TestThrottledQueue(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target, "THINK_TIME_MIN=0.05", "THINK_TIME_MAX=0.15", "SKIP_PREFLIGHT=1").
			simple("9", "8s").run(t)
		s := target.state(t)
		require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
		require.Subset(t, r.crossed(), []string{"error_rate rate<0.001", "throttled_requests count<1"})
		require.Regexp(t, `throttled .* answers were 429: .*queue_join`, r.stdout)
		require.Equal(t, 119, s.Answers[routeJoin][http.StatusCreated])
		for _, route := range []string{routeJoin, routeLeave} {
			require.LessOrEqual(t, s.Answers[route][http.StatusTooManyRequests], 18, "each of 9 users is told once or twice")
		}
	})
}

// The users cannot be seeded, so the run is aborted.
func TestThrottledSetup(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
		r := spike(target, "SEED_USER_COUNT=100", "SKIP_PREFLIGHT=1").run(t)
		require.Equal(t, exitcodes.ScriptAborted, r.exit)
		r.requireOneError(t, "100 users could not be signed up", "auth_signup was throttled (429)")
		require.Regexp(t, `throttled .*auth_signup`, r.stdout)
		s := target.state(t)
		require.LessOrEqual(t, s.requests(routeSignUp), 20)
		require.Zero(t, s.requests(routeWebhook))
	})
}

// A missing refund is a finding about the service, not an error of the run.
func TestLostRefundsAreCounted(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{}, "--lose-refunds", "0.3")
	r := k6Run(queueConcurrency, target, "BALANCE_CHECK_EVERY=2").simple("30", "8s").run(t)
	s := target.state(t)
	r.requirePassed(t)
	s.requireSettled(t, r)
	lost := s.sum(func(u account) int64 { return u.Lost })
	require.Positive(t, lost)
	require.Equal(t, lost, r.count("tokens_lost"))
	require.Regexp(t, `tokens lost +\d+ refunds? did not come: left_without_refund \d+`, r.stdout)
	require.Greater(t, s.sum(func(u account) int64 { return u.Bought }), 60, "who lost both tokens buys more")
}

// The status is 201, although the user is not in the queue.
func TestAnAnswerThatSaysAlreadyQueuedIsAnError(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{}, "--already-queued", "0.3")
	r := k6Run(queueConcurrency, target).simple("20", "8s").run(t)
	r.requireCrossed(t, "error_rate rate<0.001")
	require.Regexp(t, `queue_join UnexpectedAnswerError 201 × \d+, for example: queue_join: already_queued, though this user was in no queue`,
		r.stdout)
	target.state(t).requireSettled(t, r)
}

// startMute starts a service that is healthy but only answers 500 to sign-ups, after a delay.
func startMute(t *testing.T, after time.Duration) *target {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"ok","timestamp":"2026-01-01T00:00:00.000Z","uptimeSeconds":1}`))
	})
	mux.HandleFunc("POST /auth/signup-anonymous", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that goes is noticed once its body was read
		select {
		case <-time.After(after):
			w.WriteHeader(http.StatusInternalServerError)
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &target{url: server.URL, secret: secret}
}

// A run that measured nothing does not pass: here it is over before the first answer.
func TestRunsWithoutAnAnswerFail(t *testing.T) {
	t.Parallel()
	for _, scenario := range []string{queueConcurrency, videoSessionSustain} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			late := before(t, startStandin(t, conditions{}), func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/auth/signup-anonymous" {
					time.Sleep(4 * time.Second)
				}
				return false
			})
			r := k6Run(scenario, late, "TARGET_VUS=2", "SESSION_VUS=2", "ALLOW_UNKNOWN_VARIABLES=1",
				"RAMP_UP=1s", "HOLD=1s", "RAMP_DOWN=0s", "SKIP_PREFLIGHT=1").run(t)
			require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
			require.Subset(t, r.crossed(), []string{"operations count>0", "queue_join_latency max>0"})
			require.Contains(t, r.stdout, "nothing was measured")
		})
	}
}

func TestRunsInWhichNobodyCanSignUpFail(t *testing.T) {
	t.Parallel()
	for _, scenario := range []string{queueConcurrency, videoSessionSustain} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			r := k6Run(scenario, startMute(t, 0), "SKIP_PREFLIGHT=1").simple("3", "3s").run(t)
			require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
			require.Subset(t, r.crossed(), []string{"error_rate rate<0.001", "queue_join_latency max>0"})
			require.Contains(t, r.stdout, "auth_signup HTTPError 500")
		})
	}
	t.Run(tokenPurchaseSpike, func(t *testing.T) {
		t.Parallel()
		r := spike(startMute(t, 0), "SKIP_PREFLIGHT=1").run(t)
		require.Equal(t, exitcodes.ScriptAborted, r.exit)
		r.requireOneError(t, "10 users could not be signed up", "auth_signup was answered 500")
	})
}

// A user without tokens that may not buy any is an error: it stops joining.
func TestUsersWithoutTokensAreTold(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{sockets: true})
	r := k6Run(queueConcurrency, target, "QUEUE_MODE=shared", "AUTO_TOP_UP=0", "TOKENS_PER_USER=1",
		"THINK_TIME_MIN=0.6", "THINK_TIME_MAX=0.9").simple("10", "6s").run(t)
	r.requireCrossed(t, "error_rate rate<0.001")
	require.Contains(t, r.stdout, "the user has no token left; set AUTO_TOP_UP=1, or more TOKENS_PER_USER")
}

// An archive keeps the options made from the variables at that time; other variables would contradict them.
func TestAnArchiveOfOtherVariablesIsRefused(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	archive := filepath.Join(t.TempDir(), "archive.tar")
	require.Zero(t, k6("archive", "--archive-out", archive, "-e", "TARGET_VUS=7", queueConcurrency).run(t).exit)
	r := k6Run(archive, target, "TARGET_VUS=5").run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	require.Contains(t, r.stderr, "TARGET_VUS was 7 and is 5")
	require.Zero(t, target.state(t).requests(routeSignUp))
}
