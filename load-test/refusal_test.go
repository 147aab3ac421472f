package loadtest_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// Invalid input is refused before the first request, with the name of the variable, the value given and the values accepted.
func TestBadInputIsRefusedBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	const noScheme = "got a value that does not begin with http:// or https:// (it is not shown, for it may be a secret)"
	const url = "must be an http or https URL of scheme, host and port only, such as https://staging.example.com"
	cases := []struct {
		name      string
		scenarios []string
		variables []string
		says      []string
	}{
		{"no target", scenarios, []string{"BASE_URL="}, []string{"BASE_URL is not set; it must be", "https://staging.example.com"}},
		{"no scheme", scenarios, []string{"BASE_URL=localhost:3000"}, []string{"BASE_URL " + url, noScheme}},
		{"a secret", scenarios, []string{"BASE_URL=sk_live_pa55word"}, []string{"BASE_URL " + url, noScheme}},
		{"port", scenarios, []string{"BASE_URL=http://localhost:70000"}, []string{"BASE_URL " + url, "got the port 70000, and a port is from 1 to 65535"}},
		{"other scheme", scenarios, []string{"BASE_URL=ftp://localhost"}, []string{"BASE_URL " + url, `got the scheme \"ftp\"`}},
		{"no host", scenarios, []string{"BASE_URL=http://"}, []string{"BASE_URL " + url, "got a value without a host"}},
		{"no URL", scenarios, []string{"BASE_URL=http://[::1"}, []string{"BASE_URL " + url}},
		{
			"credentials", scenarios, []string{"BASE_URL=http://user:pa55word@localhost"},
			[]string{"BASE_URL must not contain credentials"},
		},
		{"query", scenarios, []string{"BASE_URL=http://localhost?key=pa55word"}, []string{"BASE_URL " + url, "take off what follows the host"}},
		{"path", scenarios, []string{"BASE_URL=http://localhost/api"}, []string{"BASE_URL " + url, "take off the path"}},
		{"no secret", scenarios, []string{"STRIPE_WEBHOOK_SECRET="}, []string{"STRIPE_WEBHOOK_SECRET is not set", "--secret-source"}},

		{"Prometheus", scenarios, []string{"PROMETHEUS_URL=localhost:9090"}, []string{"PROMETHEUS_URL must be an http or https URL, with the path", noScheme}},
		{
			"an API key", scenarios, []string{"STRIPE_WEBHOOK_SECRET=sk_live_pa55word"},
			[]string{"STRIPE_WEBHOOK_SECRET: the webhook secret begins with sk_, as a key of Stripe's API does"},
		},
		{
			"a space", scenarios, []string{"STRIPE_WEBHOOK_SECRET=whsec_pa55 word"},
			[]string{"STRIPE_WEBHOOK_SECRET: the webhook secret has white space or a control character in it"},
		},
		{"Redis", scenarios[:2], []string{"REDIS_URL=redis://localhost:6379/-1"}, []string{"REDIS_URL: its path is not a database number"}},
		{"Redis' host", scenarios[:2], []string{"REDIS_URL=redis://:pa55word@:6379"}, []string{"REDIS_URL: it has no host, or a port that is not from 1 to 65535"}},
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
		{"infinite", scenarios[:1], []string{"THINK_TIME_MAX=Infinity"}, []string{"THINK_TIME_MAX must be a number of seconds from 0 to 86400, such as 6, 6s or 500ms", `got \"Infinity\"`}},
		{"users per VU", scenarios[:2], []string{"USERS_PER_VU=1.5"}, []string{"USERS_PER_VU must be a whole number from 1 to", `got \"1.5\"`}},
		{"shards", scenarios[:2], []string{"QUEUE_SHARDS=0"}, []string{"QUEUE_SHARDS must be a whole number from 1 to", `got \"0\"`}},
		{"tokens", scenarios[:2], []string{"TOKENS_PER_USER=2147483648"}, []string{"TOKENS_PER_USER must be a whole number from 1 to 2147483647"}},
		{"top-up", scenarios[:2], []string{"TOP_UP_TOKENS=0"}, []string{"TOP_UP_TOKENS must be a whole number from 1 to 2147483647"}},
		{"flag", scenarios[:2], []string{"AUTO_TOP_UP=yes"}, []string{`AUTO_TOP_UP must be \"0\" or \"1\", got \"yes\"`}},
		{"simple", scenarios, []string{"USE_SIMPLE=true"}, []string{`USE_SIMPLE must be \"0\" or \"1\", got \"true\"`}},
		{"nobody can join", scenarios[:2], []string{"SEED_TOKENS=0", "AUTO_TOP_UP=0"}, []string{"SEED_TOKENS and AUTO_TOP_UP must not both be 0"}},
		{"balance checks", scenarios[1:2], []string{"BALANCE_CHECK_EVERY=-3"}, []string{"BALANCE_CHECK_EVERY must be a whole number from 0 to", `got \"-3\"`}},
		{"users", scenarios[1:2], []string{"SESSION_VUS=1e9"}, []string{"SESSION_VUS must be a whole number from 1 to 1000000", `got \"1e9\"`}},
		{"hold", scenarios[1:2], []string{"SESSION_HOLD_SECONDS=2h"}, []string{"SESSION_HOLD_SECONDS must be a number of seconds from 0.1 to 3600", `got \"2h\"`}},
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
		{"a day and more", scenarios, []string{"RAMP_UP=86401"}, []string{"RAMP_UP must be a duration", "such as 90s", `got \"86401\"`}},
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

// A variable that seems to be meant for the run but would be ignored is refused; a switch turns this check off.
func TestVariablesThatWouldNotBeHeededAreRefused(t *testing.T) {
	t.Parallel()
	const near = "%s is no variable of %s, but %s is: rename it, or set ALLOW_UNKNOWN_VARIABLES=1 if it is for something else"
	const foreign = "%s is a variable of %s, and %s would not heed it; unset it, or set ALLOW_UNKNOWN_VARIABLES=1"
	const queue, sessions, purchases = "queue-concurrency", "video-session-sustain", "token-purchase-spike"
	for variable, c := range map[string]struct{ scenario, says string }{
		"PROFLE=queue-dry":       {queue, fmt.Sprintf(near, "PROFLE", queue, "PROFILE")},
		"TARGET_USERS=50":        {queue, fmt.Sprintf(near, "TARGET_USERS", queue, "TARGET_VUS")},
		"TARGTE_VUS=50":          {queue, fmt.Sprintf(near, "TARGTE_VUS", queue, "TARGET_VUS")},
		"SKIP_PREFLIGTH=1":       {sessions, fmt.Sprintf(near, "SKIP_PREFLIGTH", sessions, "SKIP_PREFLIGHT")},
		"base_url=x":             {sessions, fmt.Sprintf(near, "base_url", sessions, "BASE_URL")},
		"SESSION_USERS=7":        {sessions, fmt.Sprintf(near, "SESSION_USERS", sessions, "SESSION_VUS")},
		"SPIKERATE=7":            {purchases, fmt.Sprintf(near, "SPIKERATE", purchases, "SPIKE_RATE")},
		"SESSION_VUS=7":          {queue, fmt.Sprintf(foreign, "SESSION_VUS", sessions, queue)},
		"SESSION_HOLD_SECONDS=7": {queue, fmt.Sprintf(foreign, "SESSION_HOLD_SECONDS", sessions, queue)},
		"TARGET_VUS=7":           {sessions, fmt.Sprintf(foreign, "TARGET_VUS", queue, sessions)},
		"SPIKE_RATE=7":           {sessions, fmt.Sprintf(foreign, "SPIKE_RATE", purchases, sessions)},
		"USERS_PER_VU=7":         {purchases, fmt.Sprintf(foreign, "USERS_PER_VU", queue+" and "+sessions, purchases)},
		"REDIS_URL=redis://h":    {purchases, fmt.Sprintf(foreign, "REDIS_URL", queue+" and "+sessions, purchases)},
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			inspected := k6("inspect", "-e", variable, c.scenario+".js").run(t)
			require.Equal(t, exitcodes.ScriptException, inspected.exit)
			inspected.requireOneError(t, c.says)
			inspect(t, c.scenario+".js", variable, "ALLOW_UNKNOWN_VARIABLES=1")
			inspect(t, c.scenario+".js", strings.SplitAfter(variable, "=")[0])
		})
	}
}

// Variables that are usually set on a machine, in CI or in a cluster are not refused.
func TestVariablesOfOtherProgramsAreLeftAlone(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "environment.txt"))
	require.NoError(t, err)
	names := strings.Fields(string(text))
	require.Greater(t, len(names), 400)
	for _, scenario := range scenarios {
		run := k6("inspect", "--include-system-env-vars", scenario)
		for _, name := range names {
			run.env = append(run.env, name+"=1")
		}
		r := run.run(t)
		require.Equal(t, exitcodes.ExitCode(0), r.exit, scenario)
		require.Empty(t, r.stderr)
	}
	r := k6("inspect", "--include-system-env-vars", queueConcurrency)
	r.env = []string{"PROFLE=1"}
	r.run(t).requireOneError(t, "PROFLE is no variable of queue-concurrency") // so that the names were looked at
}

// Runs without users or a length, and runs with more users than this machine can hold, are refused.
func TestRunsThatCannotBeMadeAreRefused(t *testing.T) {
	t.Parallel()
	const nowhere = "http://127.0.0.1:1" // nothing is asked of it
	const simple = "USE_SIMPLE=1 leaves the number of users and the length to k6: give it --vus and --duration, such as --vus 10 " +
		"--duration 30s, or --stage"
	for _, scenario := range scenarios {
		r := k6Run(scenario, &target{url: nowhere, secret: secret}, "USE_SIMPLE=1").run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		r.requireOneError(t, simple)
		require.NotContains(t, r.stdout, "VERITY "+strings.TrimSuffix(scenario, ".js")+" on "+nowhere+":", "what is refused is not announced")
	}
	for variable, c := range map[string]struct{ script, says string }{
		"TARGET_VUS":       {queueConcurrency, "TARGET_VUS=1000000 with 1 users a VU takes about 351.0 GB of memory, and this machine has "},
		"SESSION_VUS":      {videoSessionSustain, "SESSION_VUS=1000000 with 1 users a VU takes about 361.0 GB of memory, and this machine has "},
		"PREALLOCATED_VUS": {tokenPurchaseSpike, "PREALLOCATED_VUS=1000000 takes about 351.0 GB of memory, and this machine has "},
	} {
		variables := []string{variable + "=1000000"}
		if c.script != tokenPurchaseSpike {
			variables = append(variables, "USERS_PER_VU=1")
		} else {
			variables = append(variables, "MAX_VUS=1000000")
		}
		r := k6Run(c.script, &target{url: nowhere, secret: secret}, variables...).run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		r.requireOneError(t, c.says, ": plan fewer users, more users a VU, or several runners; SKIP_PREFLIGHT=1 runs it all the same")
		require.Zero(t, inspectExit(t, c.script, variables...), "it is this machine's matter, and none of an archive's")
	}
}

func inspectExit(t *testing.T, script string, variables ...string) exitcodes.ExitCode {
	t.Helper()
	run := k6("inspect", "--include-system-env-vars", script)
	run.env = variables
	return run.run(t).exit
}

// An archive keeps the options made from the variables at that time: other variables would be announced but have no effect.
func TestArchivesAndOtherVariables(t *testing.T) {
	t.Parallel()
	const nowhere = "http://127.0.0.1:1" // nothing is asked of it
	const rest = "; an archive keeps the options of the variables with which it was made: run it with the same ones, or make it anew"
	for name, c := range map[string]struct {
		script  string
		made    []string
		run     []string
		differs string // "": nothing
	}{
		"the same":       {queueConcurrency, []string{"TARGET_VUS=7", "HOLD=1m"}, []string{"TARGET_VUS=7"}, ""},
		"think times":    {queueConcurrency, nil, []string{"THINK_TIME_MAX=9", "TOKENS_PER_USER=3"}, ""},
		"users":          {queueConcurrency, []string{"TARGET_VUS=7"}, []string{"TARGET_VUS=5"}, "TARGET_VUS was 7 and is 5"},
		"users a VU":     {queueConcurrency, nil, []string{"USERS_PER_VU=50"}, "USERS_PER_VU was 100 and is 50"},
		"mode":           {queueConcurrency, nil, []string{"QUEUE_MODE=shared"}, "QUEUE_MODE was isolated and is shared"},
		"durations":      {videoSessionSustain, nil, []string{"RAMP_UP=90", "HOLD=1m"}, "HOLD was 10m and is 1m, RAMP_UP was 5m and is 90s"},
		"a profile":      {queueConcurrency, []string{"PROFILE=queue-dry"}, []string{"PROFILE=queue-full"}, "TARGET_VUS was 1000 and is 10000"},
		"rates":          {tokenPurchaseSpike, nil, []string{"BASE_RATE=10", "SPIKE_HOLD=9s"}, "BASE_RATE was 20 and is 10, SPIKE_HOLD was 2m and is 9s"},
		"simple":         {tokenPurchaseSpike, nil, []string{"USE_SIMPLE=1"}, "USE_SIMPLE was not set and is 1"},
		"only a look":    {queueConcurrency, nil, []string{"PREFLIGHT_ONLY=json"}, "PREFLIGHT_ONLY was not set and is json"},
		"made of a look": {queueConcurrency, []string{"PREFLIGHT_ONLY=table"}, []string{"PREFLIGHT_ONLY="}, "PREFLIGHT_ONLY was table and is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive := filepath.Join(t.TempDir(), "archive.tar")
			args := []string{"archive", "--archive-out", archive}
			for _, variable := range c.made {
				args = append(args, "-e", variable)
			}
			require.Zero(t, k6(append(args, c.script)...).run(t).exit)
			r := k6Run(archive, &target{url: nowhere, secret: secret}, c.run...).run(t)
			if c.differs == "" {
				require.Equal(t, exitcodes.ScriptAborted, r.exit)
				r.requireOneError(t, nowhere+" cannot be reached")
				return
			}
			require.Equal(t, exitcodes.ScriptException, r.exit)
			r.requireOneError(t, "the options of this run were made with other variables: ", c.differs, rest)
			require.NotContains(t, r.stdout, " on "+nowhere+":", "what is refused is not announced")
		})
	}
}

// A runner with a segment of the test but without the sequence would number its users like every other runner.
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

// A target that cannot be reached, or is not a Verity, ends the run early with one message.
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
				run := k6Run(scenario, target, "TARGET_VUS=20", "SESSION_VUS=20", "ALLOW_UNKNOWN_VARIABLES=1").start(t)
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

// unusedURL returns a URL with a port on which no process listens.
func unusedURL(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String()
}
