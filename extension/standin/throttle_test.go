package standin

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// throttledRoutes are the routes with a limit, each with a request that creates nothing.
var throttledRoutes = []struct {
	method, path, body string
	limit, status      int
}{
	{"POST", "/auth/signup-anonymous", `{"foo":1}`, 10, 400},
	{"POST", "/auth/refresh", "", 20, 401},
	{"GET", "/health", "", 120, 200},
	{"POST", "/queue/join", "", 120, 401},
	{"DELETE", "/queue/leave", "", 120, 401},
	{"GET", "/tokens/balance", "", 120, 401},
	{"POST", "/webhooks/stripe", "{}", 120, 400},
	{"POST", "/sessions/x/choice", "", 120, 401},
}

func TestThrottleCountsEachRouteBeforeAuthenticationAndValidation(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{Throttle: true, now: clock.now})
	for _, rt := range throttledRoutes {
		for i := range rt.limit {
			r := ts.do(rt.method, rt.path, rt.body, "X-Forwarded-For: 10.0.0."+strconv.Itoa(i))
			require.Equal(t, rt.status, r.status, rt.path)
			require.Equal(t, strconv.Itoa(rt.limit), r.header.Get("X-RateLimit-Limit"), rt.path)
			require.Equal(t, strconv.Itoa(rt.limit-1-i), r.header.Get("X-RateLimit-Remaining"), rt.path)
			require.Equal(t, "60", r.header.Get("X-RateLimit-Reset"), rt.path)
			require.Empty(t, r.header.Get("Retry-After"), rt.path)
		}
		r := ts.do(rt.method, rt.path, rt.body, "X-Forwarded-For: 10.0.0.250", "X-Real-IP: 10.0.0.250", "Forwarded: for=10.0.0.250")
		require.Equal(t, 429, r.status, rt.path)
		require.Equal(t, `{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}`, r.body)
		require.Equal(t, "60", r.header.Get("Retry-After"))
		require.Empty(t, r.header.Get("X-RateLimit-Limit"))
		require.Empty(t, r.header.Get("X-RateLimit-Remaining"))
		require.Empty(t, r.header.Get("X-RateLimit-Reset"))
	}
	require.Empty(t, ts.Users())
}

func TestThrottleSparesUnknownRoutesAndUnreadableBodies(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Throttle: true, now: newClock().now})
	for range 15 {
		r := ts.do("GET", "/nope", "")
		require.Equal(t, 404, r.status)
		require.Empty(t, r.header.Get("X-RateLimit-Limit"))
		r = ts.do("POST", "/auth/signup-anonymous", "{")
		require.Equal(t, 400, r.status)
		require.Empty(t, r.header.Get("X-RateLimit-Limit"))
		require.Equal(t, 413, ts.do("POST", "/auth/signup-anonymous", strings.Repeat(" ", contract.MaxBody+1)).status)
	}
	require.Equal(t, "9", ts.do("POST", "/auth/signup-anonymous", "").header.Get("X-RateLimit-Remaining"))
}

func TestThrottleHeadersAreSpelledAsByVerity(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Throttle: true})
	raw := rawGet(t, ts.URL(), "/health")
	require.Contains(t, raw, "\r\nX-RateLimit-Limit: 120\r\n")
	require.Contains(t, raw, "\r\nX-RateLimit-Remaining: 119\r\n")
	require.Contains(t, raw, "\r\nX-RateLimit-Reset: 60\r\n")
}

func TestThrottleWindowSlides(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := newLimiter(3, clock.now)
	require.Equal(t, verdict{admitted: true, remaining: 2, reset: time.Minute}, l.take("a"))
	clock.advance(20 * time.Second)
	require.Equal(t, verdict{admitted: true, remaining: 1, reset: 40 * time.Second}, l.take("a"))
	clock.advance(39*time.Second + 999*time.Millisecond)
	require.Equal(t, verdict{admitted: true, remaining: 0, reset: time.Millisecond}, l.take("a"))
	clock.advance(time.Millisecond)
	require.Equal(t, verdict{admitted: true, remaining: 0, reset: 20 * time.Second}, l.take("a"), "the first is 60 s old")
	require.Equal(t, verdict{admitted: true, remaining: 2, reset: time.Minute}, l.take("b"), "another client")
}

func TestThrottleBlocksForAMinuteFromTheRefusal(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := newLimiter(2, clock.now)
	l.take("a")
	l.take("a")
	clock.advance(50 * time.Second)
	require.Equal(t, verdict{blocked: time.Minute}, l.take("a"))
	clock.advance(30 * time.Second)
	require.Equal(t, verdict{blocked: 30 * time.Second}, l.take("a"), "although the window is empty; and not prolonged")
	clock.advance(30*time.Second - time.Millisecond)
	require.Equal(t, verdict{blocked: time.Millisecond}, l.take("a"))
	clock.advance(time.Millisecond)
	require.Equal(t, verdict{admitted: true, remaining: 1, reset: time.Minute}, l.take("a"))
}

func TestRetryAfterRoundsUp(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1", time.Second: "1", time.Second + 1: "2", time.Minute: "60",
	} {
		require.Equal(t, want, seconds(d))
	}
}
