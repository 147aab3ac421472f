package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
)

func calmOf(service fakeService) *calm {
	return &calm{
		health: healthClient{client: &http.Client{Transport: service}, baseURL: "http://verity.example.com"}, every: calmEvery, limit: calmLimit,
	}
}

// after returns a healthy service that takes this time for each answer.
func after(took time.Duration) fakeService {
	return func(*http.Request) (*http.Response, error) {
		time.Sleep(took)
		return healthyFor(time.Hour)
	}
}

func TestTheBaselineIsTheMedianOfHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		took := []time.Duration{3 * time.Millisecond, 2 * time.Second, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond}
		asked := 0
		base, err := calmOf(func(request *http.Request) (*http.Response, error) {
			asked++
			return after(took[asked-1])(request)
		}).Baseline(t.Context())
		require.NoError(t, err)
		require.Equal(t, &Baseline{
			At: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), HealthMs: 3, Queued: -1, LeftBehind: -1, InSession: -1,
			Text: "GET /health takes 3 ms; the queue is not looked at, for REDIS_URL is not set; no gauges, for PROMETHEUS_URL is not set",
		}, base)
	})
}

func TestTheBaselineOfAServiceThatIsNotWell(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		service fakeService
		want    string
		isDown  bool
		took    time.Duration
	}{
		{"down", refuses, "the service is down: GET /health of http://verity.example.com got no answer: connect: connection refused", true, 0},
		{"hangs", hangs, "the service is down: GET /health of http://verity.example.com got no answer within 10s", true, 10 * time.Second},
		{
			"throttled for long", func(*http.Request) (*http.Response, error) { return answers(http.StatusTooManyRequests, "") },
			"GET /health of http://verity.example.com is throttled (429) for longer than 1m30s; have the rate limit lifted for this machine's " +
				"address, or wait until nothing else asks from it", false, 90 * time.Second,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := calmOf(tc.service)
				c.service.BaseURL = "http://verity.example.com"
				_, err := c.Baseline(t.Context())
				require.EqualError(t, err, tc.want)
				require.Equal(t, tc.isDown, errors.Is(err, errDown))
				require.Equal(t, tc.took, time.Since(began))
			})
		})
	}
}

func TestTheBaselineOfAServiceThatIsThrottledForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		base, err := calmOf(func(*http.Request) (*http.Response, error) {
			if time.Since(began) < 40*time.Second {
				return answers(http.StatusTooManyRequests, "")
			}
			return healthyFor(time.Hour)
		}).Baseline(t.Context())
		require.NoError(t, err)
		require.NotNil(t, base)
		require.Equal(t, time.Minute, time.Since(began), "it waits for as long as the service says, twice")
	})
}

func TestItIsWaitedUntilTheServiceIsCalm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		then fakeService // for a minute
		want string
		took string
	}{
		{"slow", after(60 * time.Millisecond), "waiting until the service is calm: GET /health takes 60 ms, and took 10 ms before the first " +
			"step (up to 35 ms is calm)", "1m2s"},
		{"down", refuses, "waiting until the service is calm: GET /health got no answer: connect: connection refused", "1m0s"},
		{"throttled", func(*http.Request) (*http.Response, error) { return answers(http.StatusTooManyRequests, "") },
			"waiting until the service is calm: GET /health is throttled (429)", "1m0s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var heard said
				err := calmOf(func(request *http.Request) (*http.Response, error) {
					if time.Since(began) < time.Minute {
						return tc.then(request)
					}
					return after(20 * time.Millisecond)(request)
				}).Wait(t.Context(), &Baseline{HealthMs: 10}, heard.say)
				require.NoError(t, err)
				require.Equal(t, []string{tc.want, "the service is calm after " + tc.took + ": GET /health takes 20 ms"}, heard.all())
			})
		})
	}
}

func TestAServiceThatIsCalmIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var heard said
		require.NoError(t, calmOf(healthyAlways).Wait(t.Context(), &Baseline{HealthMs: 1}, heard.say))
		require.Equal(t, []string{"the service is calm after 0s: GET /health takes 0 ms"}, heard.all())
	})
}

func TestTheWaitForCalmEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := calmOf(after(time.Second)).Wait(t.Context(), &Baseline{HealthMs: 10}, func(string) {})
		require.EqualError(t, err, "the service is not calm after 5m3s: GET /health takes 1000 ms, and took 10 ms before the first step (up to "+
			"35 ms is calm); see what the service, its database and its Redis are busy with; then go on with --resume")
		require.NotErrorIs(t, err, errDown)
		require.Less(t, time.Since(began), calmLimit+10*time.Second)

		err = calmOf(refuses).Wait(t.Context(), &Baseline{HealthMs: 10}, func(string) {})
		require.EqualError(t, err, "the service is not calm after 5m0s: GET /health got no answer: connect: connection refused; see in the "+
			"service's log why it does not recover, and restart it; then go on with --resume")
		require.ErrorIs(t, err, errDown)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		require.ErrorIs(t, calmOf(refuses).Wait(ctx, &Baseline{HealthMs: 10}, func(string) {}), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(began))
	})
}

func TestHealthIsNotAskedTooOftenWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute-time.Second)
		defer cancel()
		err := calmOf(func(request *http.Request) (*http.Response, error) {
			asked++
			return after(50 * time.Millisecond)(request)
		}).Wait(ctx, &Baseline{HealthMs: 1}, func(string) {})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 36, asked)
	})
}

// verityOf starts a healthy service and returns its URL.
func verityOf(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"ok","uptimeSeconds":12}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// newCalm returns a calm with short intervals.
func newCalm(t *testing.T, service Service) *calm {
	t.Helper()
	made, err := NewCalm(service)
	require.NoError(t, err)
	c, ok := made.(*calm)
	require.True(t, ok)
	c.every, c.limit = 10*time.Millisecond, 200*time.Millisecond
	return c
}

func TestTheQueueMustBeAsItWas(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	redis.RequireAuth("hunter2")
	c := newCalm(t, Service{BaseURL: verityOf(t), RedisURL: "redis://:hunter2@" + redis.Addr()})
	base, err := c.Baseline(t.Context())
	require.NoError(t, err)
	require.Zero(t, base.Queued)
	require.Zero(t, base.LeftBehind)
	require.Zero(t, base.InSession)
	require.Contains(t, base.Text, "; nobody is queued or in a session; no gauges, for PROMETHEUS_URL is not set")

	queued := func(user string) {
		_, err := redis.SAdd("queue:keys", "sydney:1")
		require.NoError(t, err)
		_, err = redis.ZAdd("queue:zset:sydney:1", 1, user)
		require.NoError(t, err)
		require.NoError(t, redis.Set("queue:user:"+user, `{"queueKey":"sydney:1"}`))
	}
	ghosts := func(n int) {
		for i := range n {
			user := fmt.Sprintf("ghost%03d", i)
			queued(user)
			redis.Del("queue:user:" + user)
		}
	}
	states := func(n int) {
		for i := range n {
			require.NoError(t, redis.Set(fmt.Sprintf("queue:user:eve%03d", i), `{"queueKey":"perth:2"}`))
		}
	}
	for _, tc := range []struct {
		name string
		make func()
		want string
	}{
		{"queued", func() { queued("ada"); queued("bob") }, "2 users are queued, and 0 were before the first step; see which users are queued, and " +
			"whether somebody else uses the service (redis-cli: SMEMBERS queue:keys); then go on with --resume"},
		{"in a session", func() { require.NoError(t, redis.Set("session:active:ada", "session-1")) },
			"1 user is in a session, and 0 were before the first step; see why sessions do not end: the service deletes session:active:<user> " +
				"at the end of each; then go on with --resume"},
		{"left by half", func() { ghosts(101) }, "101 users are left in the queue by half, such as ghost000 in sydney:1; take them " +
			"out of Redis, as with: redis-cli ZREM queue:zset:sydney:1 ghost000; redis-cli DEL queue:user:ghost000; then go on with --resume"},
		{"states alone", func() { states(101) },
			"101 users are left in the queue by half, such as eve000 in perth:2; take them out of Redis, as with: redis-cli ZREM queue:zset:perth:2 " +
				"eve000; redis-cli DEL queue:user:eve000; then go on with --resume"},
		{"one whole among some by half", func() { ghosts(50); queued("ada") }, "1 user is queued, and 0 were before the first step; see which users "},
	} {
		redis.FlushAll()
		tc.make()
		err := c.Wait(t.Context(), base, func(string) {})
		require.ErrorContains(t, err, "the service is not calm after 0s: "+tc.want, tc.name)
		require.NotErrorIs(t, err, errDown)
	}

	// Some users are left behind by a known defect of the service. They are named, and are no reason to stop.
	redis.FlushAll()
	ghosts(100)
	var left said
	require.NoError(t, c.Wait(t.Context(), base, left.say))
	require.Contains(t, strings.Join(left.all(), "\n"), "; 100 users are queued, 100 by half, and 0 users are in a session: take them out of Redis, as with: "+
		"redis-cli ZREM queue:zset:sydney:1 ghost000; redis-cli DEL queue:user:ghost000")

	// A user left half-queued before the first step may still be there after it.
	redis.FlushAll()
	queued("ada")
	redis.Del("queue:user:ada")
	base, err = c.Baseline(t.Context())
	require.NoError(t, err)
	require.Contains(t, base.Text, "; 1 user is queued, 1 by half, and 0 users are in a session; ")
	require.NoError(t, c.Wait(t.Context(), base, func(string) {}))

	redis.Close()
	var heard said
	err = c.Wait(t.Context(), base, heard.say)
	require.ErrorContains(t, err, "queue depths from Redis: ")
	require.ErrorContains(t, err, "; see whether the service's Redis is up, or unset REDIS_URL; then go on with --resume")
	_, err = c.Baseline(t.Context())
	require.ErrorContains(t, err, "REDIS_URL: queue depths from Redis: ")
	require.ErrorContains(t, err, "; without it the queue is not looked at between the steps")
	require.NotContains(t, err.Error()+strings.Join(heard.all(), ""), "hunter2")
}

func TestGaugesMustBeNearTheirStart(t *testing.T) {
	t.Parallel()
	var now atomic.Pointer[map[string]string]
	now.Store(&map[string]string{
		"sum(redis_connected_clients)": "6", "sum(pg_stat_database_numbackends)": "", "cpu": "0.02",
		"min_over_time((cpu)[5m:15s])": "0.01", "max_over_time((cpu)[5m:15s])": "0.05",
	})
	url := prometheusOf(t, func(query string) (string, bool) { return (*now.Load())[query], true })
	c := newCalm(t, Service{BaseURL: verityOf(t), PrometheusURL: url, PrometheusQueries: `{"cpu": "cpu", "logins": "sum(logins_total)"}`})
	base, err := c.Baseline(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]Gauge{"redis_clients": {6, 6, 6}, "cpu": {0.02, 0.01, 0.05}}, base.Gauges)
	require.True(t, strings.HasSuffix(base.Text, "; the queue is not looked at, for REDIS_URL is not set; cpu 0.02, redis_clients 6"), base.Text)

	for _, tc := range []struct{ cpu, clients, want string }{
		{"0.1", "26", ""},
		{"0.0025", "1", ""},
		{"0.11", "6", `cpu is 0.11, and was 0.02 before the first step (0.0025 to 0.1 is calm); see why it does not come back, or leave it out with ` +
			`"cpu": null in PROMETHEUS_QUERIES; then go on with --resume`},
		{"0.02", "27", `redis_clients is 27, and was 6 before the first step (0 to 26 is calm); see why it does not come back, or leave it out with ` +
			`"redis_clients": null in PROMETHEUS_QUERIES; then go on with --resume`},
		{"", "6", "cpu has no value, and was 0.02 before the first step; see why Prometheus does not read it any more; then go on with --resume"},
	} {
		now.Store(&map[string]string{"sum(redis_connected_clients)": tc.clients, "cpu": tc.cpu})
		err := c.Wait(t.Context(), base, func(string) {})
		if tc.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, "the service is not calm after 0s: "+tc.want)
	}
}

func TestGaugesBelowZeroAreNearTheirStart(t *testing.T) {
	t.Parallel()
	low, high := Gauge{Least: -8, Most: -4}.near("balance")
	require.Equal(t, -16.0, low)
	require.Equal(t, -1.0, high)
	low, high = Gauge{Least: -8, Most: 4}.near("balance")
	require.Equal(t, -16.0, low)
	require.Equal(t, 8.0, high)
}

func TestACalmThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		service Service
		want    string
	}{
		{Service{RedisURL: "http://:hunter2@redis"}, "REDIS_URL: redis URL: its scheme is neither redis nor rediss; give redis://[user:password@]" +
			"host[:port][/database], or rediss:// for TLS"},
		{Service{PrometheusURL: "http://prometheus", PrometheusQueries: "[]"}, "PROMETHEUS_QUERIES must be a JSON object of PromQL expressions by " +
			`name, such as {"logins": "sum(logins_total)"}, got "[]"`},
		{Service{PrometheusURL: "http://prometheus", PrometheusQueries: `{"x": null}`}, `PROMETHEUS_QUERIES turns off "x", which is none of ` +
			"redis_clients, redis_memory_bytes, redis_evicted_keys, redis_commands, postgres_connections, postgres_commits, postgres_rollbacks, " +
			"postgres_blocks_read, postgres_deadlocks"},
		{Service{PrometheusURL: "hunter2"}, "the URL of Prometheus must be an http or https URL, with the path under which Prometheus is served if " +
			"it has one, such as https://prometheus.example.com or https://example.com/prometheus, got a value that does not begin with http:// or " +
			"https:// (it is not shown, for it may be a secret)"},
	} {
		_, err := NewCalm(tc.service)
		require.EqualError(t, err, tc.want)
	}
}

// A Prometheus that refuses the token is reported before the first step, without the token.
func TestAPrometheusThatRefuses(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{})
	}))
	t.Cleanup(server.Close)
	c := newCalm(t, Service{BaseURL: verityOf(t), PrometheusURL: server.URL, PrometheusToken: "hunter2"})
	_, err := c.Baseline(t.Context())
	require.EqualError(t, err, "PROMETHEUS_URL: "+server.URL+" refuses the bearer token (PROMETHEUS_BEARER_TOKEN): it answered 401 Unauthorized; "+
		"without it no gauge is looked at between the steps")
}
