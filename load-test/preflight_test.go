package loadtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// preflightOf returns the command k6 x verity preflight for a target.
func preflightOf(target *target, variables ...string) command {
	c := k6Run("", target, variables...)
	c.args = []string{"x", "verity", "preflight"}
	return c
}

// requireRow requires a row in the table of a preflight.
func requireRow(t *testing.T, stdout, mark, check, found string) {
	t.Helper()
	require.Regexp(t, `(?m)^ +`+mark+` +`+check+` +`+regexp.QuoteMeta(found)+`$`, stdout)
}

// requireUntouched requires that the service was looked at and nothing else.
func requireUntouched(t *testing.T, target *target) {
	t.Helper()
	s := target.state(t)
	require.Zero(t, s.allRequests(), "%v", s.Answers)
	require.Empty(t, s.Users)
}

func requireQueueFullIsRefused(t *testing.T, r result) {
	t.Helper()
	const throughout = "(10,000 users × 60 s / 2.5 s a cycle)"
	require.Equal(t, exitcodes.ScriptException, r.exit)
	requireRow(t, r.stdout, "✓", "webhook secret", "accepted, with an event that credits nothing")
	requireRow(t, r.stdout, "✗", "auth_signup", "10 a minute allowed, 1,000 planned (10,000 users within 10m)")
	requireRow(t, r.stdout, "✗", "stripe_webhook", "120 a minute allowed, 1,000 planned (10,000 users within 10m)")
	requireRow(t, r.stdout, "✗", "queue_join", "120 a minute allowed, 240,000 planned "+throughout)
	requireRow(t, r.stdout, "✗", "queue_leave", "120 a minute allowed, 240,000 planned "+throughout)
	requireRow(t, r.stdout, "✗", "tokens_balance", "120 a minute allowed, 24,000 planned (240,000 joins / 10)")
	r.requireOneError(t, "the preflight stops this run", "auth_signup: 10 a minute allowed, 1,000 planned", "SKIP_PREFLIGHT=1")
}

// Against a service with Verity's real throttle, the full load is refused before any of it is sent.
func TestPreflightRefusesTheFullLoad(t *testing.T) {
	t.Parallel()
	t.Run("command", func(t *testing.T) {
		t.Parallel()
		onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
			r := preflightOf(target, "PROFILE=queue-full").run(t)
			requireQueueFullIsRefused(t, r)
			requireUntouched(t, target)
		})
	})
	t.Run("run", func(t *testing.T) {
		t.Parallel()
		onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
			r := k6Run(queueConcurrency, target, "PROFILE=queue-full", "USERS_PER_VU=1000").run(t)
			requireQueueFullIsRefused(t, r)
			requireUntouched(t, target)
			require.Zero(t, r.count("http_reqs"))
			require.Zero(t, r.count("iterations"))
		})
	})
}

// Without a throttle each step of the plan passes the preflight, quickly.
func TestPreflightOfEachProfile(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	for name := range readProfiles(t) {
		begun := time.Now()
		r := preflightOf(target, "PROFILE="+name).run(t)
		require.Less(t, time.Since(begun), 10*time.Second)
		require.Equal(t, exitcodes.ExitCode(0), r.exit, name)
		require.Empty(t, r.stderr)
		require.Contains(t, r.stdout, "profile "+name+"; ")
		require.NotRegexp(t, `(?m)^ +[✗!] `, r.stdout)
		requireUntouched(t, target)
	}
}

func TestPreflightPlansOfProfiles(t *testing.T) {
	t.Parallel()
	const free = "no X-RateLimit-Limit, so no limit; "
	for profile, rows := range map[string]map[string]string{
		"sessions-full": {
			"auth_signup":    free + "400 a minute planned (2,000 users within 5m)",
			"auth_refresh":   free + "400 a minute planned (2,000 users within 5m, again and again)",
			"queue_join":     free + "2,594 a minute planned (2,000 users × 60 s / 46.27 s a cycle)",
			"queue_leave":    free + "1,000 a minute planned (who of 2,000 users waits at the end)",
			"stripe_webhook": free + "919 a minute planned (2,000 users within 5m, and 519 top-ups)",
			"tokens_balance": free + "1,000 a minute planned (1,000 users at the end)",
		},
		"purchase-spike": {
			"auth_signup":    free + "100 a minute planned (100 users before the events)",
			"stripe_webhook": free + "24,000 a minute planned (400 a second × 60 s)",
			"tokens_balance": free + "100 a minute planned (100 users at the end)",
		},
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			r := preflightOf(startStandin(t, conditions{}), "PROFILE="+profile).run(t)
			for check, found := range rows {
				requireRow(t, r.stdout, "✓", check, found)
			}
		})
	}
}

// A short spike has its full rate for less than a minute: 10 s up, 20 s held, 10 s down, and 10 s to zero.
func TestPreflightCountsTheBusiestMinute(t *testing.T) {
	t.Parallel()
	r := preflightOf(startStandin(t, conditions{}), "PROFILE=purchase-spike", "BASE_RATE=0", "SPIKE_RATE=10", "RAMP_UP=10s", "SPIKE_HOLD=20s",
		"RAMP_DOWN=10s", "REPLAY_RATE=0.5").run(t)
	requireRow(t, r.stdout, "✓", "stripe_webhook", "no X-RateLimit-Limit, so no limit; 450 a minute planned "+
		"(the busiest minute of up to 10 a second, 50 % sent again)")
}

// A connection idle for 4.5 s is closed by its user, before the service closes it at 5 s, and keeps its port in use for a minute:
// here one of twenty.
func TestPreflightCountsClosedConnections(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	r := preflightOf(target, "PROFILE=queue-dry", "THINK_TIME_MIN=3", "THINK_TIME_MAX=13").run(t)
	require.Regexp(t, `✓ +ports +[\d,]+ there, 1,375 needed \(1,000 connections and 375 that were closed within a minute\)`, r.stdout)
	r = preflightOf(target, "PROFILE=sessions-dry").run(t)
	require.Regexp(t, `✓ +ports +[\d,]+ there, 1,000 needed \(1,000 connections and 0 that were closed within a minute\)`, r.stdout,
		"the connection of who holds a session is closed by the service")
}

// Ctrl-C during a preflight that waits for the service ends the run as Ctrl-C at any other time does.
func TestPreflightInterrupted(t *testing.T) {
	t.Parallel()
	run := k6Run(queueConcurrency, startMute(t, time.Minute), "TARGET_VUS=5").start(t)
	require.Eventually(t, func() bool { return strings.Contains(run.stdout.String(), "VERITY queue-concurrency") }, 15*time.Second,
		50*time.Millisecond)
	r, took := run.interrupt(t)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	require.Less(t, took, 5*time.Second)
	require.NotContains(t, r.stdout, "Preflight")
	require.NotContains(t, r.stderr, "the preflight stops")

	run = preflightOf(startMute(t, time.Minute), "PROFILE=queue-dry").start(t)
	require.Eventually(t, func() bool { return strings.Contains(run.stdout.String(), "VERITY queue-concurrency") }, 15*time.Second,
		50*time.Millisecond)
	r, took = run.interrupt(t)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	require.Less(t, took, 5*time.Second)
	r.requireOneError(t, "the preflight was interrupted")
}

// A run shaped by k6's flags is planned too, and the preflight's own requests count towards the limits.
func TestPreflightOfSimpleRuns(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target).simple("10", "30s").run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		requireRow(t, r.stdout, "✗", "auth_signup", "10 a minute allowed, of which this look leaves 9 for 60 s, 10 planned (10 users at once)")
		requireRow(t, r.stdout, "✗", "queue_join", "120 a minute allowed, of which this look leaves 119 for 60 s, 120 planned "+
			"(10 users × 30 s / 2.5 s a cycle)")
		requireUntouched(t, target)
	})
	target := startStandin(t, conditions{})
	r := k6Run(queueConcurrency, target).flags("--vus", "2", "--iterations", "6").run(t)
	requireRow(t, r.stdout, "✓", "auth_signup", "no X-RateLimit-Limit, so no limit; 6 a minute planned (6 users, one turn each)")
	require.Len(t, target.state(t).Users, 6)
	r = k6Run(tokenPurchaseSpike, target, "SEED_USER_COUNT=3").flags("--vus", "2", "--iterations", "4").run(t)
	requireRow(t, r.stdout, "✓", "stripe_webhook", "no X-RateLimit-Limit, so no limit; 4 a minute planned (2 VUs × 60 s / 0.13 s an event)")
	r = k6Run(queueConcurrency, target, "USERS_PER_VU=5").flags("--stage", "1s:2,1s:2").run(t)
	requireRow(t, r.stdout, "✓", "auth_signup", "no X-RateLimit-Limit, so no limit; 10 a minute planned (of up to 10 users)")
}

// A run within the limits is allowed, with and without a throttle.
func TestPreflightLetsASmallRunThrough(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
		r := k6Run(queueConcurrency, target, "THINK_TIME_MIN=0.4", "THINK_TIME_MAX=0.6").simple("5", "4s").run(t)
		r.requirePassed(t)
		requireRow(t, r.stdout, "✓", "auth_signup", "10 a minute allowed, 5 planned (5 users at once)")
		requireRow(t, r.stdout, "✓", "queue_join", "120 a minute allowed, 20 planned (5 users × 4 s / 1 s a cycle)")
		s := target.state(t)
		s.requireSettled(t, r)
		s.requireStatuses(t)
	})
}

// Each runner makes its own preflight, and counts its part of the load.
func TestPreflightOfASegment(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	segment := []string{"--execution-segment", "1/4:1/2", "--execution-segment-sequence", "0,1/4,1/2,1"}
	run := preflightOf(target, "PROFILE=queue-full")
	run.args = append(run.args, segment...)
	r := run.run(t)
	requireRow(t, r.stdout, "✓", "queue_join", "no X-RateLimit-Limit, so no limit; 60,000 a minute planned (2,500 users × 60 s / 2.5 s a cycle); "+
		"240,000 by all 3 runners")
	requireRow(t, r.stdout, "✓", "auth_signup", "no X-RateLimit-Limit, so no limit; 250 a minute planned (2,500 users within 10m); "+
		"1,000 by all 3 runners")
	requireRow(t, r.stdout, "✓", "runners", "this is runner 2 of 3: what is planned below is its own part, and counts where each runner has an address of its own; "+
		"behind one shared address (a NAT gateway, a proxy, one machine) the service counts what all 3 ask together")

	run.args = append(run.args[:3], segment[:2]...)
	r = run.run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "--execution-segment needs --execution-segment-sequence")
}

// Each of four runners is within the limits, but all together exceed them: a warning only, because each may have its own address.
func TestPreflightOfRunnersBehindOneAddress(t *testing.T) {
	t.Parallel()
	run := preflightOf(startStandin(t, conditions{throttle: true}), "TARGET_VUS=32", "RAMP_UP=1m", "USERS_PER_VU=1", "THINK_TIME_MIN=5", "THINK_TIME_MAX=6")
	run.args = append(run.args, "--scenario", "queue-concurrency", "--execution-segment", "0:1/4", "--execution-segment-sequence", "0,1/4,2/4,3/4,1")
	r := run.run(t)
	require.Zero(t, r.exit)
	requireRow(t, r.stdout, "!", "auth_signup", "10 a minute allowed, 8 planned (8 users within 1m); 32 by all 4 runners, too many behind one shared address")
	requireRow(t, r.stdout, "✓", "runners", "this is runner 1 of 4: what is planned below is its own part, and counts where each runner has an address of its own; "+
		"behind one shared address (a NAT gateway, a proxy, one machine) the service counts what all 4 ask together")
}

func TestPreflightTakesTheSecretFromASource(t *testing.T) {
	t.Parallel()
	run := preflightOf(startStandin(t, conditions{}), "PROFILE=queue-dry", "STRIPE_WEBHOOK_SECRET=")
	run.args = append(run.args, "--secret-source", "mock=STRIPE_WEBHOOK_SECRET="+secret)
	r := run.run(t)
	require.Zero(t, r.exit)
	requireRow(t, r.stdout, "✓", "webhook secret", "accepted, with an event that credits nothing")
}

func TestPreflightOfABlockedRunner(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
		for range 11 {
			exchange(t, http.MethodPost, target.url+"/auth/signup-anonymous", http.Header{"Content-Type": {"application/json"}}, `{"foo":1}`)
		}
		r := preflightOf(target, "PROFILE=queue-dry").run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		require.Regexp(t, `✗ +auth_signup +this runner is blocked already \(429\), for another (60|5\d) s\n`, r.stdout)
	})
}

func TestPreflightOfAWrongSecret(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		run := spike(target, "STRIPE_WEBHOOK_SECRET=whsec_NotTheRightOne")
		run.secrets = append(run.secrets, "whsec_NotTheRightOne")
		run.target = nil // its event is refused
		r := run.run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		r.requireOneError(t, "webhook secret: a signed event that credits nothing was answered 500: STRIPE_WEBHOOK_SECRET is not the service's")
		require.Empty(t, target.state(t).Users)
	})
}

// The preflight reads the service's clock from its answers.
func TestPreflightOfClocksThatDiffer(t *testing.T) {
	t.Parallel()
	origin := startStandin(t, conditions{})
	address, err := url.Parse(origin.url)
	require.NoError(t, err)
	for _, c := range []struct {
		ahead time.Duration // the service
		row   string
		exit  exitcodes.ExitCode
	}{
		{400 * time.Second, `✗ +clock +(399|400|401) s behind the target's, and webhooks are refused`, exitcodes.ScriptException},
		{120 * time.Second, `! +clock +(119|120|121) s behind the target's; webhooks are refused from 301 s on`, 0},
		{-120 * time.Second, `! +clock +(119|120|121) s ahead of the target's`, 0},
	} {
		proxy := httputil.NewSingleHostReverseProxy(address)
		proxy.ModifyResponse = func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
			return nil
		}
		server := httptest.NewServer(proxy)
		r := preflightOf(&target{url: server.URL, secret: secret}, "PROFILE=queue-dry").run(t)
		require.Equal(t, c.exit, r.exit)
		require.Regexp(t, c.row, r.stdout)
		server.Close()
	}
}

// A process with few file descriptors can have few connections.
func TestPreflightOfFewFileDescriptors(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	cmd := exec.CommandContext(suite, "sh", "-c", `ulimit -n 128 && exec "$0" x verity preflight`, k6Binary(t)) //nolint:gosec // the binary under test
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "BASE_URL=" + target.url, "STRIPE_WEBHOOK_SECRET=" + secret,
		"PROFILE=sessions-dry", "SESSION_VUS=60", "COLUMNS=1000",
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, int(exitcodes.ScriptException), exit.ExitCode())
	requireRow(t, string(out), "✗", "file descriptors", "128 allowed, 184 needed (120 connections and 64 for k6 itself): raise the limit "+
		"with `ulimit -n 184`")
}

// With SKIP_PREFLIGHT=1 a ✗ is printed, the run goes on, and its summary says so.
func TestPreflightOverridden(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{throttle: true})
	r := k6Run(queueConcurrency, target, "SKIP_PREFLIGHT=1").simple("12", "3s").run(t)
	require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
	requireRow(t, r.stdout, "✗", "auth_signup", "10 a minute allowed, 12 planned (12 users at once)")
	require.Contains(t, r.stdout, "SKIP_PREFLIGHT=1: the run goes on all the same")
	require.Regexp(t, `! warning +preflight, auth_signup: 10 a minute allowed, 12 planned`, r.stdout)
}

func TestPreflightCommandAsJSON(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{throttle: true})
	run := preflightOf(target, "PROFILE=queue-full", "SKIP_PREFLIGHT=1") // which is of runs
	run.args = append(run.args, "--json")
	r := run.run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	var found struct {
		Passed bool
		Checks []struct{ Check, Verdict, Found string }
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &found))
	require.False(t, found.Passed)
	require.Equal(t, "target", found.Checks[0].Check)
	require.Len(t, found.Checks, 11)
}

// No variable of k6 makes a preflight generate load.
func TestPreflightCommandSendsNoLoad(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	r := preflightOf(target, "PROFILE=purchase-spike", "K6_VUS=3", "K6_DURATION=2s", "K6_ITERATIONS=5").run(t)
	require.Zero(t, r.exit)
	requireUntouched(t, target)
	run := k6Run(queueConcurrency, target, "PREFLIGHT_ONLY=table").flags("--vus", "3", "--duration", "2s")
	r = run.run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "PREFLIGHT_ONLY and flags such as --vus, --duration, --iterations and --stage exclude each other")
	requireUntouched(t, target)
}

func TestPreflightCommandRefuses(t *testing.T) {
	t.Parallel()
	here := &target{url: "http://127.0.0.1:1", secret: secret}
	named := preflightOf(here, "PROFILE=queue-dry")
	named.args = append(named.args, "--scenario", "video-session-sustain")
	unknown := preflightOf(here)
	unknown.args = append(unknown.args, "--scenario", "spike")
	for name, c := range map[string]struct {
		run  command
		exit exitcodes.ExitCode
		says string
	}{
		"nothing to look at": {preflightOf(here), exitcodes.ScriptException, "set PROFILE (queue-dry, match-dry, sessions-dry, "},
		"unknown profile":    {preflightOf(here, "PROFILE=x"), exitcodes.ScriptException, `PROFILE must be queue-dry or match-dry or sessions-dry or `},
		"unknown scenario":   {unknown, exitcodes.ScriptException, `--scenario must be queue-concurrency or video-session-sustain or `},
		"another scenario":   {named, exitcodes.ScriptException, "PROFILE=queue-dry is of queue-concurrency.js, and this is video-session-sustain.js"},
		"a bad variable":     {preflightOf(here, "PROFILE=queue-dry", "TARGET_VUS=x"), exitcodes.ScriptException, "TARGET_VUS must be a whole number"},
		"simple":             {preflightOf(here, "PROFILE=", "USE_SIMPLE=1"), exitcodes.ScriptException, "set PROFILE"},
		"no secret":          {preflightOf(here, "PROFILE=queue-dry", "STRIPE_WEBHOOK_SECRET="), exitcodes.ScriptException, "STRIPE_WEBHOOK_SECRET is not set"},
		"no service":         {preflightOf(here, "PROFILE=queue-dry"), exitcodes.ScriptAborted, "http://127.0.0.1:1 cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.run.run(t)
			require.Equal(t, c.exit, r.exit)
			r.requireOneError(t, c.says)
		})
	}
}
