package loadtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// A spike with most of its events unsent fails, regardless of the answers to the others: it says nothing about the service.
func TestASpikeThatDidNotHappenFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		latency time.Duration
		advice  string
	}{
		"too few VUs": {0, "Set MAX_VUS and PREALLOCATED_VUS higher, or use a faster runner"},
		"a slow target": {
			1500 * time.Millisecond, "They waited for the target, which took 15",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := startStandin(t, conditions{latency: c.latency})
			r := k6Run(tokenPurchaseSpike, target, "SEED_USER_COUNT=2", "BASE_RATE=20", "SPIKE_RATE=40", "RAMP_UP=1s", "SPIKE_HOLD=3s",
				"RAMP_DOWN=1s", "PREALLOCATED_VUS=1", "MAX_VUS=1", "THINK_TIME_MIN=0.5s", "THINK_TIME_MAX=500ms").run(t)
			r.requireCrossed(t, "dropped_iterations count<10")
			require.Greater(t, r.count("dropped_iterations"), 100)
			require.Contains(t, r.stdout, c.advice)
		})
	}
}

// USE_SIMPLE=1 leaves the scenario out, so the start line has none of its rates.
func TestASimpleRunAnnouncesNoRates(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	r := k6Run(tokenPurchaseSpike, target, "SEED_USER_COUNT=2").simple("2", "2s").run(t)
	r.requirePassed(t)
	require.Contains(t, r.stdout, target.url+": events one after the other, as k6's flags say, for 2 users")
	require.NotContains(t, r.stdout, "events/s")
}

// Every request of a run names the tool in its User-Agent, including those of the preflight and the sockets; k6's own flag overrides it.
func TestRequestsNameTheTool(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags []string
		agent string
	}{
		"ours": {nil, `^xk6-verity/\S+ k6/2\.\d+\.\d+$`},
		"k6's": {[]string{"--user-agent", "mine"}, `^mine$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := startStandin(t, whole)
			address, err := url.Parse(behind.url)
			require.NoError(t, err)
			var mu sync.Mutex
			agents := map[string]string{} // by path
			proxy := httputil.NewSingleHostReverseProxy(address)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				agents[r.URL.Path] = r.UserAgent()
				mu.Unlock()
				proxy.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			k6Run(queueConcurrency, &target{url: server.URL, secret: secret}, "QUEUE_MODE=shared").simple("4", "4s").flags(c.flags...).run(t)
			mu.Lock()
			defer mu.Unlock()
			for _, path := range []string{"/health", "/auth/signup-anonymous", "/queue/join", "/webhooks/stripe", "/socket.io/"} {
				require.Contains(t, sortedKeys(agents), path)
			}
			for path, agent := range agents {
				require.Regexp(t, c.agent, agent, path)
			}
		})
	}
}

func TestASecretInASourceThatIsNotTheDefault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.env"), filepath.Join(dir, "second.env")
	require.NoError(t, os.WriteFile(first, []byte("OTHER=x\n"), 0o600))
	require.NoError(t, os.WriteFile(second, []byte("STRIPE_WEBHOOK_SECRET="+secret+"\n"), 0o600))
	k6Run(queueConcurrency, startStandin(t, conditions{}), "STRIPE_WEBHOOK_SECRET=").simple("2", "3s").
		flags("--secret-source", "file=default,"+first, "--secret-source", "file=name=second,"+second).run(t).requirePassed(t)
}

// The example of a custom scenario has all the features of our scenarios.
func TestAScenarioOfOnesOwn(t *testing.T) {
	t.Parallel()
	script := filepath.Join("..", "examples", "scenario.js")
	text, err := os.ReadFile(script) //nolint:gosec // the example
	require.NoError(t, err)
	require.Less(t, strings.Count(string(text), "\n"), 40)
	target, dir := startStandin(t, conditions{}), t.TempDir()
	r := k6Run(script, target, "PROFILE=readers-dry", "READ_EVERY=250ms", "REPORT_DIR="+dir).run(t)
	r.requirePassed(t)
	require.Contains(t, r.stdout, target.url+": profile readers-dry; 2 users read their balance every 0.25 s for 2s")
	require.Contains(t, r.stdout, "16 a minute planned (READERS / READ_EVERY)")
	require.FileExists(t, filepath.Join(dir, "readers-dry.md"))
	for variable, says := range map[string]string{
		"READERS=0":          `READERS must be a whole number from 1 to 10000, got \"0\"`,
		"READ_EVERY=2m":      `READ_EVERY must be a number of seconds from 0.1 to 60, such as 6, 6s or 500ms, got \"2m\"`,
		"READER=2":           "READER is no variable of balance-readers, but READERS is",
		"TARGET_VUS=2":       "TARGET_VUS is a variable of queue-concurrency, and balance-readers would not heed it",
		"PROFILE=queue-full": "PROFILE=queue-full is of queue-concurrency.js, and this is balance-readers.js; its profiles: readers-dry",
	} {
		refused := k6Run(script, target, variable).run(t)
		require.Equal(t, exitcodes.ScriptException, refused.exit)
		refused.requireOneError(t, says)
	}
}

// The variables of a custom profile are checked as strictly as those of the environment.
func TestProfilesOfOnesOwnThatAreRefused(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "profiles.json")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const profile = `[{"name":"mine","scenario":"queue-concurrency","variables":{"TARGET_VUS":"2","RAMP_UP":"1s","HOLD":"1s"},"claims":[%s]}]`
	for name, c := range map[string]struct{ file, says string }{
		"a misspelled variable": {
			write(`[{"name":"mine","scenario":"queue-concurrency","variables":{"TARGET_VSU":"5"}}]`),
			"the profile mine has TARGET_VSU, which is no variable of queue-concurrency; its variables: BASE_URL",
		},
		"another scenario's variable": {
			write(`[{"name":"mine","scenario":"queue-concurrency","variables":{"SESSION_VUS":"5"}}]`),
			"the profile mine has SESSION_VUS, which is no variable of queue-concurrency",
		},
		"an unknown claim":     {write(fmt.Sprintf(profile, `{"claim":"speed"}`)), `the profile mine: claim 1 (\"speed\"): `},
		"an unknown operation": {write(fmt.Sprintf(profile, `{"claim":"latency","operations":["queue_jion"],"withinMs":100}`)), `the profile mine: claim 1 (\"latency\"): `},
		"no JSON":              {write(`{`), "PROFILES_FILE must be a JSON array of profiles as in js/profiles.json: "},
		"no profile":           {write(`[null]`), "PROFILES_FILE must be a JSON array of profiles with name, scenario and variables"},
		"a relative path":      {"profiles.json", `PROFILES_FILE must be an absolute path, got \"profiles.json\"`},
		"no file":              {"/nowhere/profiles.json", "which cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := k6Run(queueConcurrency, startStandin(t, conditions{}), "PROFILES_FILE="+c.file, "PROFILE=mine").run(t)
			require.Equal(t, exitcodes.ScriptException, r.exit)
			r.requireOneError(t, c.says)
			require.NotContains(t, r.stderr, `\tat `, "no stack of the script")
		})
	}
}

// START_AT lets runners begin together: the load begins at that time, and an impossible time is refused.
func TestStartAt(t *testing.T) {
	t.Parallel()
	began := time.Now()
	r := k6Run(queueConcurrency, startStandin(t, conditions{}), append(slices.Clone(brief), "START_AT=+4s")...).run(t)
	r.requirePassed(t)
	require.Greater(t, time.Since(began), 4*time.Second)
	require.Regexp(t, `VERITY waits \d\.\d s, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \(START_AT\)`, r.stdout)
	for start, says := range map[string]string{
		"2020-01-01T00:00:00Z": "START_AT must not be in the past, got ",
		"+2h":                  "START_AT must be within setupTimeout, got ",
		"soon":                 "START_AT must be ",
	} {
		r := k6Run(queueConcurrency, startStandin(t, conditions{}), append(slices.Clone(brief), "START_AT="+start)...).run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		r.requireOneError(t, says)
	}
}

// The subcommands know custom profiles, and refuse what a run would refuse, in the same words.
func TestSubcommandsKnowProfilesOfOnesOwn(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "profiles.json")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	target := startStandin(t, conditions{})
	file := write(`[
		{"name":"evening","scenario":"queue-concurrency","shows":"300 users wait","variables":{"TARGET_VUS":"300","RAMP_UP":"1m30s","HOLD":"1m"}},
		{"name":"queue-dry","scenario":"queue-concurrency","shows":"a smaller one","variables":{"TARGET_VUS":"20","RAMP_DOWN":"10s"}},
		{"name":"readers","scenario":"balance-readers","shows":"readers read","variables":{"READERS":"20"}}
	]`)
	profiles := k6("x", "verity", "profiles")
	profiles.env = []string{"PROFILES_FILE=" + file}
	r := profiles.run(t)
	require.Zero(t, r.exit)
	require.Regexp(t, `(?m)^evening +queue-concurrency +300 +4m30s +300 users wait$`, r.stdout)
	require.Regexp(t, `(?m)^queue-dry +queue-concurrency +20 +10m10s +a smaller one$`, r.stdout)
	require.Regexp(t, `(?m)^readers +balance-readers +– +– +readers read$`, r.stdout)
	require.Contains(t, r.stdout, "  PROFILES_FILE="+file+" PROFILE=evening "+k6Binary(t)+" run load-test/queue-concurrency.js\n")

	r = preflightOf(target, "PROFILES_FILE="+file, "PROFILE=evening").run(t)
	require.Zero(t, r.exit)
	requireRow(t, r.stdout, "✓", "auth_signup", "no X-RateLimit-Limit, so no limit; 200 a minute planned (300 users within 1m30s)")
	r = preflightOf(target, "PROFILES_FILE="+file, "PROFILE=readers").run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "PROFILE=readers is of balance-readers.js, and a preflight is of queue-concurrency, ")

	for name, file := range map[string]string{
		"no JSON": write(`{`), "no list": write(`{}`), "no profile": write(`[null]`), "a number for a text": write(
			`[{"name":"mine","scenario":"queue-concurrency","variables":{"TARGET_VUS":5}}]`), "a relative path": "profiles.json",
		"no file": "/nowhere/profiles.json",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := regexp.MustCompile(`PROFILES_FILE must be (?:[^"\\]|\\.)*`)
			run := k6Run(queueConcurrency, target, "PROFILES_FILE="+file, "PROFILE=mine").run(t)
			require.Equal(t, exitcodes.ScriptException, run.exit)
			message := said.FindString(run.stderr)
			require.NotEmpty(t, message)
			listing := k6("x", "verity", "profiles")
			listing.env = []string{"PROFILES_FILE=" + file}
			for _, r := range []result{listing.run(t), preflightOf(target, "PROFILES_FILE="+file, "PROFILE=mine").run(t)} {
				require.Equal(t, exitcodes.ScriptException, r.exit)
				r.requireOneError(t, message)
			}
		})
	}
}

func TestAPreflightSaysThatTheTrialWasLeftOut(t *testing.T) {
	t.Parallel()
	const says = "The trial match was left out, for it makes two accounts: --trial lets two users match"
	target := startStandin(t, conditions{})
	require.Contains(t, preflightOf(target, "PROFILE=match-dry", "TRIAL=").run(t).stdout, says)
	require.NotContains(t, preflightOf(target, "PROFILE=queue-dry", "TRIAL=").run(t).stdout, says, "nobody matches")
	asked := preflightOf(target, "PROFILE=match-dry", "TRIAL=")
	asked.args = append(asked.args, "--trial")
	r := asked.run(t)
	require.NotContains(t, r.stdout, says)
	require.Regexp(t, `✓ +trial`, r.stdout)
	asked.args[len(asked.args)-1] = "--json"
	require.True(t, json.Valid([]byte(asked.run(t).stdout)))
}

func TestAPreflightHasNoPlanForSimpleRuns(t *testing.T) {
	t.Parallel()
	run := preflightOf(&target{url: "http://127.0.0.1:1", secret: secret}, "USE_SIMPLE=1")
	run.args = append(run.args, "--scenario", "queue-concurrency")
	r := run.run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "USE_SIMPLE=1 leaves the number of users and the length to k6's flags, and a preflight takes none: unset USE_SIMPLE")
	require.NotContains(t, r.stderr, "PREFLIGHT_ONLY")
}
