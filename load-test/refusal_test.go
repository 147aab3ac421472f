package loadtest_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// What cannot work is refused before the first request, with the name of the variable, what it got and what it takes.
func TestBadInputIsRefusedBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	const url = "must be an http or https URL of scheme, host and port only, such as https://staging.example.com"
	cases := []struct {
		name      string
		scenarios []string
		variables []string
		says      []string
	}{
		{"no target", scenarios, []string{"BASE_URL="}, []string{"BASE_URL is not set; it must be", "https://staging.example.com"}},
		{"no scheme", scenarios, []string{"BASE_URL=localhost:3000"}, []string{"BASE_URL " + url, `got \"localhost:3000\"`}},
		{"other scheme", scenarios, []string{"BASE_URL=ftp://localhost"}, []string{"BASE_URL " + url, `got \"ftp://localhost\"`}},
		{"no host", scenarios, []string{"BASE_URL=http://"}, []string{"BASE_URL " + url, `got \"http:`}},
		{"no URL", scenarios, []string{"BASE_URL=http://[::1"}, []string{"BASE_URL " + url}},
		{
			"credentials", scenarios, []string{"BASE_URL=http://user:pa55word@localhost"},
			[]string{"BASE_URL must not contain credentials"},
		},
		{"query", scenarios, []string{"BASE_URL=http://localhost?key=pa55word"}, []string{"BASE_URL " + url, "take off the query"}},
		{"path", scenarios, []string{"BASE_URL=http://localhost/api"}, []string{"BASE_URL " + url, `take off the path \"/api\"`}},
		{"no secret", scenarios, []string{"STRIPE_WEBHOOK_SECRET="}, []string{"STRIPE_WEBHOOK_SECRET is not set", "--secret-source"}},

		{"Prometheus", scenarios, []string{"PROMETHEUS_URL=localhost:9090"}, []string{"PROMETHEUS_URL must be an http or https URL, with the path", `got \"localhost:9090\"`}},
		{
			"Prometheus' credentials", scenarios, []string{"PROMETHEUS_URL=http://user:pa55word@localhost:9090"},
			[]string{"PROMETHEUS_URL must not contain credentials"},
		},
		{
			"token", scenarios, []string{"PROMETHEUS_URL=http://localhost:9090", "PROMETHEUS_BEARER_TOKEN=pa55word \n"},
			[]string{"PROMETHEUS_BEARER_TOKEN must be visible ASCII characters without a space or a line break"},
		},
		{
			"token for nobody", scenarios, []string{"PROMETHEUS_BEARER_TOKEN=pa55word"},
			[]string{"PROMETHEUS_BEARER_TOKEN is set, but PROMETHEUS_URL is not; set both, or unset PROMETHEUS_BEARER_TOKEN"},
		},
		{
			"queries for nobody", scenarios, []string{`PROMETHEUS_QUERIES={}`},
			[]string{"PROMETHEUS_QUERIES is set, but PROMETHEUS_URL is not"},
		},
		{"queries", scenarios, []string{"PROMETHEUS_URL=http://localhost:9090", "PROMETHEUS_QUERIES=up"}, []string{
			"PROMETHEUS_QUERIES must be a JSON object of PromQL expressions by name, such as ", `got \"up\"`,
		}},
		{
			"list of queries", scenarios, []string{"PROMETHEUS_URL=http://localhost:9090", `PROMETHEUS_QUERIES=["up"]`},
			[]string{"PROMETHEUS_QUERIES must be a JSON object of PromQL expressions by name"},
		},
		{
			"kind of a query", scenarios,
			[]string{"PROMETHEUS_URL=http://localhost:9090", `PROMETHEUS_QUERIES={"a":{"expr":"up","kind":"total"}}`},
			[]string{`PROMETHEUS_QUERIES has the kind \"total\" for \"a\"; it takes \"counter\" or \"gauge\"`},
		},
		{
			"query to turn off", scenarios, []string{"PROMETHEUS_URL=http://localhost:9090", `PROMETHEUS_QUERIES={"redis":null}`},
			[]string{`PROMETHEUS_QUERIES turns off \"redis\", which is none of redis_clients, redis_memory_bytes`},
		},

		{"no number", scenarios[:1], []string{"TARGET_VUS=many"}, []string{`TARGET_VUS must be a whole number from 1 to 1000000, got \"many\"`}},
		{"negative", scenarios[:1], []string{"TARGET_VUS=-1"}, []string{`TARGET_VUS must be a whole number from 1 to 1000000, got \"-1\"`}},
		{"zero", scenarios[:1], []string{"TARGET_VUS=0"}, []string{`TARGET_VUS must be a whole number from 1 to 1000000, got \"0\"`}},
		{"NaN", scenarios[:1], []string{"TARGET_VUS=NaN"}, []string{`TARGET_VUS must be a whole number from 1 to 1000000, got \"NaN\"`}},
		{"too large", scenarios[:1], []string{"TARGET_VUS=1000001"}, []string{`TARGET_VUS must be a whole number from 1 to 1000000, got \"1000001\"`}},
		{"infinite", scenarios[:1], []string{"THINK_TIME_MAX=Infinity"}, []string{"THINK_TIME_MAX must be a number from 0 to", `got \"Infinity\"`}},
		{"users per VU", scenarios[:2], []string{"USERS_PER_VU=1.5"}, []string{"USERS_PER_VU must be a whole number from 1 to", `got \"1.5\"`}},
		{"shards", scenarios[:2], []string{"QUEUE_SHARDS=0"}, []string{"QUEUE_SHARDS must be a whole number from 1 to", `got \"0\"`}},
		{"tokens", scenarios[:2], []string{"TOKENS_PER_USER=2147483648"}, []string{"TOKENS_PER_USER must be a whole number from 1 to 2147483647"}},
		{"top-up", scenarios[:2], []string{"TOP_UP_TOKENS=0"}, []string{"TOP_UP_TOKENS must be a whole number from 1 to 2147483647"}},
		{"flag", scenarios[:2], []string{"AUTO_TOP_UP=yes"}, []string{`AUTO_TOP_UP must be \"0\" or \"1\", got \"yes\"`}},
		{"simple", scenarios, []string{"USE_SIMPLE=true"}, []string{`USE_SIMPLE must be \"0\" or \"1\", got \"true\"`}},
		{"nobody can join", scenarios[:2], []string{"SEED_TOKENS=0", "AUTO_TOP_UP=0"}, []string{"SEED_TOKENS and AUTO_TOP_UP must not both be 0"}},
		{"balance checks", scenarios[1:2], []string{"BALANCE_CHECK_EVERY=-3"}, []string{"BALANCE_CHECK_EVERY must be a whole number from 0 to", `got \"-3\"`}},
		{"users", scenarios[1:2], []string{"SESSION_VUS=1e9"}, []string{"SESSION_VUS must be a whole number from 1 to 1000000", `got \"1e9\"`}},
		{"hold", scenarios[1:2], []string{"SESSION_HOLD_SECONDS=45s"}, []string{"SESSION_HOLD_SECONDS must be a number from", `got \"45s\"`}},
		{"nobody to match", scenarios[1:2], []string{"SESSION_VUS=1"}, []string{"SESSION_VUS must be at least 2", `got \"1\"`}},

		{
			"think times", scenarios, []string{"THINK_TIME_MIN=2.5", "THINK_TIME_MAX=1"},
			[]string{"THINK_TIME_MIN must not be above THINK_TIME_MAX, got 2.5 and 1"},
		},
		{
			"think times against the default", scenarios, []string{"THINK_TIME_MIN=9"},
			[]string{"THINK_TIME_MIN must not be above THINK_TIME_MAX, got 9 and"},
		},
		{"mode", scenarios[:2], []string{"QUEUE_MODE=Shared"}, []string{`QUEUE_MODE must be \"isolated\" or \"shared\", got \"Shared\"`}},
		{"no unit", scenarios, []string{"RAMP_UP=90"}, []string{"RAMP_UP must be a duration", "such as 90s", `got \"90\"`}},
		{"no duration", scenarios, []string{"RAMP_DOWN=soon"}, []string{"RAMP_DOWN must be a duration", `got \"soon\"`}},
		{"negative duration", scenarios[:2], []string{"HOLD=-1m"}, []string{"HOLD must be a duration", `got \"-1m\"`}},
		{"no length", scenarios[:1], []string{"RAMP_UP=0s", "HOLD=0s", "RAMP_DOWN=0s"}, []string{"RAMP_UP, HOLD and RAMP_DOWN must not all be 0"}},
		{"spike hold", scenarios[2:], []string{"SPIKE_HOLD=1min"}, []string{"SPIKE_HOLD must be a duration", `got \"1min\"`}},

		{"replays", scenarios[2:], []string{"REPLAY_RATE=1.1"}, []string{`REPLAY_RATE must be a number from 0 to 1, got \"1.1\"`}},
		{"rate", scenarios[2:], []string{"SPIKE_RATE=0"}, []string{"SPIKE_RATE must be a whole number from 1 to", `got \"0\"`}},
		{"rates", scenarios[2:], []string{"BASE_RATE=50", "SPIKE_RATE=40"}, []string{"BASE_RATE must not be above SPIKE_RATE, got 50 and 40"}},
		{"seeds", scenarios[2:], []string{"SEED_USER_COUNT=-5"}, []string{"SEED_USER_COUNT must be a whole number from 1 to", `got \"-5\"`}},
		{"event", scenarios[2:], []string{"TOKENS_PER_EVENT=0"}, []string{"TOKENS_PER_EVENT must be a whole number from 1 to", `got \"0\"`}},
		{"VUs", scenarios[2:], []string{"PREALLOCATED_VUS=9", "MAX_VUS=8"}, []string{"PREALLOCATED_VUS must not be above MAX_VUS, got 9 and 8"}},
	}

	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(func() {
		server.Close()
		require.Zero(t, requests.Load(), "requests that reached the service")
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, scenario := range c.scenarios {
				run := k6Run(scenario, &target{url: server.URL, secret: secret}, c.variables...)
				run.secrets = append(run.secrets, "pa55word")
				r := run.run(t)
				require.Equal(t, exitcodes.ScriptException, r.exit, scenario)
				r.requireOneError(t, c.says...)
			}
		})
	}
}

// A runner that has a segment of the test and not the sequence would number its users like every other runner.
func TestASegmentWithoutASequenceIsRefused(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(server.Close)
	r := k6Run(queueConcurrency, &target{url: server.URL, secret: secret}, "TARGET_VUS=10").
		flags("--execution-segment", "0:1/2").run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "--execution-segment needs --execution-segment-sequence")
	require.Zero(t, requests.Load())
}

// A target that cannot be reached, or is no Verity, ends the run early with one message.
func TestTargetsThatAreNoVerityEndTheRun(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		start func(t *testing.T) *target
		says  []string
	}{
		"unreachable": {
			func(t *testing.T) *target { return &target{url: unusedURL(t), secret: secret} },
			[]string{"cannot be reached", "connection refused", "BASE_URL"},
		},
		"404": {
			func(t *testing.T) *target { return startNode(t, conditions{}, "--not-verity") },
			[]string{"is not a healthy Verity: GET /health was answered 404", "check BASE_URL"},
		},
		"HTML": {
			func(t *testing.T) *target { return startNode(t, conditions{}, "--html") },
			[]string{"is not a Verity: GET /health was answered 200 with a page of HTML", "check BASE_URL"},
		},
	}
	for _, name := range sortedKeys(cases) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, scenario := range scenarios {
				target := cases[name].start(t)
				run := k6Run(scenario, target, "TARGET_VUS=20", "SESSION_VUS=20").start(t)
				giveUp := time.AfterFunc(15*time.Second, func() { _ = run.cmd.Process.Kill() })
				r := run.wait(t)
				giveUp.Stop()
				require.Equal(t, exitcodes.ScriptAborted, r.exit, scenario)
				r.requireOneError(t, append(cases[name].says, target.url)...)
				require.Less(t, strings.Count(r.stderr, "\n"), 3, "one message, no flood")
				require.Zero(t, r.count("iterations"))
				if target.observe != nil {
					require.Equal(t, 1, target.state(t).requests(routeHealth)+target.state(t).requests("unknown"))
				}
			}
		})
	}
}

// unusedURL returns the address of a port that nobody listens on.
func unusedURL(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String()
}
