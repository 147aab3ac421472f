package loadtest_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/campaign"
)

// campaignProfiles are small profiles for tests. Their limits of latency are wide, because several runs share two processors.
const campaignProfiles = `[
  {"name": "small-queue", "scenario": "queue-concurrency", "shows": "20 users join and leave", "dry": true,
   "variables": {"TARGET_VUS": "20", "RAMP_UP": "1s", "HOLD": "3s", "RAMP_DOWN": "1s", "QUEUE_MODE": "isolated", "THINK_TIME_MIN": "0.05", "THINK_TIME_MAX": "0.15"},
   "claims": [{"claim": "users", "least": 20}, {"claim": "errors", "below": 0.01}, {"claim": "tokens"}]},
  {"name": "small-spike", "scenario": "token-purchase-spike", "shows": "webhooks go through", "dry": true,
   "variables": {"SEED_USER_COUNT": "10", "BASE_RATE": "5", "SPIKE_RATE": "20", "RAMP_UP": "1s", "SPIKE_HOLD": "4s", "RAMP_DOWN": "1s"},
   "claims": [{"claim": "latency", "operations": ["stripe_webhook"], "withinMs": 1000}, {"claim": "tokens"}]},
  {"name": "long-queue", "scenario": "queue-concurrency", "shows": "20 users stay for long",
   "variables": {"TARGET_VUS": "20", "RAMP_UP": "1s", "HOLD": "90s", "RAMP_DOWN": "1s", "QUEUE_MODE": "isolated", "THINK_TIME_MIN": "1", "THINK_TIME_MAX": "2"},
   "claims": [{"claim": "users", "least": 20}, {"claim": "tokens"}]}
]`

// expedition is a campaign in a test: a command, and the folder that it writes to.
type expedition struct {
	command
	dir string
}

// newExpedition returns a campaign through a plan file with these steps, against a target.
func newExpedition(t *testing.T, target *target, plan string) expedition {
	t.Helper()
	work := t.TempDir()
	profiles, planFile := filepath.Join(work, "profiles.json"), filepath.Join(work, "plan.yaml")
	require.NoError(t, os.WriteFile(profiles, []byte(campaignProfiles), 0o600))
	require.NoError(t, os.WriteFile(planFile, []byte(plan), 0o600))
	c := k6("x", "verity", "campaign", "--plan", planFile, "--report-dir", filepath.Join(work, "reports"), "--", "--no-thresholds")
	c.env = []string{"BASE_URL=" + target.url, "STRIPE_WEBHOOK_SECRET=" + target.secret, "PROFILES_FILE=" + profiles, "TMPDIR=" + work}
	c.secrets = []string{target.secret}
	return expedition{c, filepath.Join(work, "reports")}
}

// with returns the expedition with more flags of the campaign.
func (e expedition) with(flags ...string) expedition {
	e.args = slices.Concat(e.args[:3], flags, e.args[3:])
	return e
}

func (e expedition) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, campaign.LogFile))
	require.NoError(t, err)
	return string(text)
}

// report returns the Markdown report of a step.
func (e expedition) report(t *testing.T, step string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, step, step+".md")) // #nosec G304 -- of this test
	require.NoError(t, err)
	return string(text)
}

// record returns the record in campaign.json; the zero record while there is none.
func (e expedition) record(t *testing.T) campaign.Record {
	t.Helper()
	var record campaign.Record
	if text, err := os.ReadFile(filepath.Join(e.dir, campaign.RecordFile)); err == nil {
		require.NoError(t, json.Unmarshal(text, &record), "it is whole at any time")
	}
	return record
}

func (e expedition) states(t *testing.T) string {
	t.Helper()
	var states []string
	for _, s := range e.record(t).Steps {
		states = append(states, string(s.State))
	}
	return strings.Join(states, "|")
}

// requireDiscreet requires that no file of the campaign contains the secret or a token.
func (e expedition) requireDiscreet(t *testing.T) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(e.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path) //nolint:gosec // a file of this test
		e.command.requireDiscreet(t, string(text))
		return err
	}))
	require.Greater(t, files, 3)
}

func TestACampaignTakesAHealthyServiceThroughItsPlan(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{secret: "whsec_OfNoOtherTest"})
	e := newExpedition(t, target, "steps:\n  - profile: small-queue\n  - profile: small-spike\n")
	e.env = append(e.env, "REDIS_URL="+target.redis)
	run := e.start(t)
	seen := lookAtCommands(t, target.secret, run.cmd.Process.Pid)
	r := run.wait(t)
	require.Positive(t, seen(), "k6 was seen at work")
	require.Equal(t, exitcodes.ExitCode(0), r.exit)
	require.Empty(t, r.stderr)
	require.Equal(t, "passed|passed", e.states(t))
	for _, line := range []string{
		"# Campaign on " + target.url + "\n", "** begins, by ", "** target " + target.url + "; 2 steps to go: small-queue, small-spike\n",
		"**small-queue, preflight:** ✓ target, clock, webhook secret", "** the service before the first step: GET /health takes ",
		"**small-queue** begins (20 users, 5s): `PROFILE=small-queue PROFILES_FILE=/", "**small-queue, verdict:** PASS, exit code 0, ",
		"**small-queue, verdict:** PASS: 20 users present at once, ", "**small-spike, wait:** ",
		"**small-spike, verdict:** PASS: ", "** ends with exit code 0: 2 steps passed\n",
	} {
		require.Contains(t, e.log(t), line)
	}
	require.Contains(t, r.stdout, "█ VERITY small-queue on "+target.url, "what the steps print")
	require.Regexp(t, `(?m)^small-spike +`+target.url+` +✓ PASS +0 of 0 passed$`, r.stdout)
	for _, step := range []string{"small-queue", "small-spike"} {
		for _, extension := range []string{".md", ".xml", ".html", ".evidence.jsonl.gz"} {
			require.FileExists(t, filepath.Join(e.dir, step, step+extension))
		}
	}
	page, err := os.ReadFile(filepath.Join(e.dir, campaign.PageFile))
	require.NoError(t, err)
	require.Contains(t, string(page), `href="small-spike/small-spike.html"`)
	e.requireDiscreet(t)
	require.Zero(t, target.state(t).queued())
}

// lookAtCommands checks, until the function that it returns is called, that no command line of a process on this machine contains the secret.
// That function returns how often k6 run was seen.
func lookAtCommands(t *testing.T, secret string, parent int) func() int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return func() int { return 1 }
	}
	seen, stop, stopped := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for _, pid := range processes() {
				text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may be gone
				if strings.Contains(string(text), secret) {
					t.Errorf("the secret is in the command of a process: %q", text)
				}
				if strings.Contains(string(text), "\x00run\x00") && strings.Contains(string(text), "small-") || parentOf(pid) == parent {
					seen++
				}
			}
			select {
			case <-stop:
				return
			case <-suite.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(stop)
		<-stopped
		return seen
	}
}

func processes() []int {
	entries, _ := os.ReadDir("/proc") // other systems have none
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf returns the parent of a process; 0 if the process is gone.
func parentOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // it may be gone
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[0] == "Z" {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// children returns the running processes that a process has started.
func children(parent int) []int {
	return slices.DeleteFunc(processes(), func(pid int) bool { return parentOf(pid) != parent })
}

// failing returns a proxy in front of a target, with a switch that makes it fail some of the joins, except those of a preflight.
func failing(t *testing.T, to *target) (*target, *atomic.Bool) {
	t.Helper()
	backend, err := url.Parse(to.url)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(backend)
	var fails atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails.Load() && r.URL.Path == "/queue/join" && r.Header.Get("Authorization") != "" && rand.IntN(5) == 0 { //nolint:gosec // any one in five
			http.Error(w, `{"statusCode":500,"message":"Internal server error"}`, http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return &target{url: server.URL, secret: to.secret, observe: to.observe}, &fails
}

func TestACampaignEndsWhereTheServiceFails(t *testing.T) {
	t.Parallel()
	target, fails := failing(t, startStandin(t, conditions{}))
	e := newExpedition(t, target, `steps:
  - { profile: small-queue, name: first }
  - { profile: small-queue, name: second }
  - { profile: small-queue, name: third }
  - { profile: small-queue, name: fourth }
`)
	run := e.start(t)
	require.Eventually(t, func() bool { return strings.HasPrefix(e.states(t), "passed|passed|") }, runLimit, 50*time.Millisecond)
	fails.Store(true)
	r := run.wait(t)
	require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
	require.Equal(t, "passed|passed|failed|", e.states(t))
	r.requireOneError(t, "third is FAIL: errors ", "under 1 %", "Next: look into the reports in "+filepath.Join(e.dir, "third"), "--resume --report-dir "+e.dir)
	require.Contains(t, e.log(t), "**third, verdict:** FAIL: errors ")
	require.Regexp(t, `(?m)^fourth +`+target.url+` +– not begun`, r.stdout)
	require.Zero(t, target.state(t).queued(), "nobody is left in the queue")
}

// When a campaign is killed, its k6 ends too and lets its users leave. The campaign can be resumed later.
func TestACampaignThatIsKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: it looks for processes in /proc")
	}
	target := startStandin(t, conditions{})
	e := newExpedition(t, target, "steps:\n  - profile: small-queue\n  - { profile: long-queue, dry: true }\n  - profile: small-spike\n")
	run := e.start(t)
	require.Eventually(t, func() bool { return e.states(t) == "passed|running|" && target.state(t).queued() > 0 }, runLimit, 50*time.Millisecond)
	generators := children(run.cmd.Process.Pid)
	require.Len(t, generators, 1)
	require.NoError(t, run.cmd.Process.Signal(syscall.SIGKILL))
	_ = run.cmd.Wait() // it was killed
	require.Eventually(t, func() bool { return parentOf(generators[0]) == 0 }, 20*time.Second, 50*time.Millisecond, "no k6 is left")
	require.Zero(t, target.state(t).queued(), "nor anybody in the queue")
	require.Equal(t, "passed|running|", e.states(t))
	require.True(t, strings.HasSuffix(e.log(t), "load-test/queue-concurrency.js`\n"), "the log ends with what was begun: %s", e.log(t))

	other := e.with("--resume")
	other.env = append(slices.Clone(e.env), "BASE_URL=http://127.0.0.1:1")
	r := other.run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "--resume: the campaign began with BASE_URL "+target.url+", and this is http://127.0.0.1:1; go on with the same")

	again := e.with("--resume").start(t)
	require.Eventually(t, func() bool { return target.state(t).queued() > 0 }, runLimit, 50*time.Millisecond)
	require.Contains(t, e.log(t), "** goes on after small-queue, by ")
	r, took := again.interrupt(t)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	require.Less(t, took, drainLimit+5*time.Second)
	require.Regexp(t, `level=error msg="interrupted during long-queue\. Next: go on with: [^"]*"\n$`, r.stderr, "the last line says where")
	require.Equal(t, "passed|interrupted|", e.states(t))
	require.Contains(t, e.log(t), "** ends with exit code 105: interrupted during long-queue\n")
	require.Regexp(t, `stopped after [0-9]+ s: Ctrl-C on the campaign`, e.report(t, "long-queue"))
	require.FileExists(t, filepath.Join(e.dir, "long-queue-attempt-1", "long-queue.evidence.jsonl.gz"))
	require.Zero(t, target.state(t).queued())
	e.requireDiscreet(t)
}

// A service that dies during a step is noticed within 20 s, and the load generator ends.
func TestAServiceThatDiesDuringACampaign(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	e := newExpedition(t, target, "steps:\n  - { profile: long-queue, dry: true }\n  - profile: small-spike\n")
	run := e.start(t)
	require.Eventually(t, func() bool { return target.state(t).queued() > 0 }, runLimit, 50*time.Millisecond)
	target.kill()
	killed := time.Now()
	require.Eventually(t, func() bool { return strings.Contains(e.log(t), "**long-queue, break:**") }, 20*time.Second, 50*time.Millisecond)
	r := run.wait(t)
	require.Less(t, time.Since(killed), 20*time.Second+drainLimit)
	require.Equal(t, exitcodes.ScriptAborted, r.exit)
	require.Regexp(t, `level=error msg="long-queue was ended by the breaker: [^"]*Next: [^"]*"\n$`, r.stderr)
	require.Equal(t, "broken|", e.states(t))
	require.Regexp(t, `stopped after [0-9]+ s: the campaign ended the step: the service has had no healthy answer to GET /health`, e.report(t, "long-queue"))
}

// Steps can run on runners elsewhere: the campaign says how to start them, and judges their evidence.
func TestACampaignOfRunnersElsewhere(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	e := newExpedition(t, target, "steps:\n  - profile: small-queue\n")
	runners := filepath.Join(filepath.Dir(e.dir), "runners")
	e = e.with("--runners", runners, "--runner-count", "2")
	run := e.start(t)
	require.Eventually(t, func() bool { return strings.Contains(run.stdout.String(), "On Kubernetes ") }, runLimit, 50*time.Millisecond)
	said := run.stdout.String()
	parts := []string{"0:1/2", "1/2:1"}
	var parallel sync.WaitGroup
	for _, part := range parts {
		flags := []string{"--execution-segment", part, "--execution-segment-sequence", "0,1/2,1"}
		require.Regexp(t, `(?m)^  PROFILE=small-queue PROFILES_FILE=\S+ REPORT_DIR=`+runners+`/small-queue START_AT=\S+Z \S+ run `+strings.Join(flags, " ")+
			` --no-thresholds load-test/queue-concurrency\.js$`, said)
		runner := k6(slices.Concat([]string{"run"}, flags, []string{"--no-thresholds", queueConcurrency})...)
		runner.env = append(slices.Clone(e.env), "PROFILE=small-queue", "REPORT_DIR="+filepath.Join(runners, "small-queue"))
		parallel.Go(func() {
			require.Zero(t, runner.run(t).exit, "a runner alone proves nothing, and does not fail for that")
		})
	}
	parallel.Wait()
	r := run.wait(t)
	require.Zero(t, r.exit)
	require.Contains(t, r.stdout, "█ VERITY small-queue on "+target.url+": PASS")
	require.Equal(t, "passed", e.states(t))
	for _, line := range []string{
		"**small-queue, preflight:** left to the runners", "/profiles.json REPORT_DIR=" + runners + "/small-queue START_AT=",
		" run --execution-segment 0:1/2 --execution-segment-sequence 0,1/2,1 --no-thresholds load-test/", "**small-queue** runner 2 of 2: `PROFILE=small-queue ",
		"**small-queue, wait:** the evidence of 2 of 2 runners is whole\n", "**small-queue, verdict:** PASS: 20 users present at once",
	} {
		require.Contains(t, e.log(t), line)
	}
	require.FileExists(t, filepath.Join(e.dir, "small-queue", "small-queue-merged.html"))
	again := e.with("--report-dir", filepath.Join(filepath.Dir(e.dir), "another"))
	again.run(t).requireOneError(t, "the step small-queue would be refused: there is evidence already in "+filepath.Join(runners, "small-queue")+
		"; move it away, or give another folder as --runners")
}

// A quiet campaign prints its table and where its log is. A step that is stopped at once by a second Ctrl-C says what it leaves.
func TestAQuietCampaignThatIsStoppedAtOnce(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	e := newExpedition(t, target, "steps:\n  - { profile: long-queue, dry: true }\n").with("--quiet", "--cleanup")
	run := e.start(t)
	require.Eventually(t, func() bool { return target.state(t).queued() > 0 }, runLimit, 50*time.Millisecond)
	require.NoError(t, run.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, run.cmd.Process.Signal(syscall.SIGTERM)) // two signals of one kind may arrive as one
	r := run.wait(t)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	require.NotContains(t, r.stdout, "▶")
	require.Regexp(t, `(?m)^long-queue +`+target.url+` +✗ interrupted +not judged$`, r.stdout)
	require.Contains(t, r.stdout, "\nAll accounts of long-queue left on the service: the run was cut before it deleted them.\n")
	require.Contains(t, r.stdout, "\nThe log is "+filepath.Join(e.dir, campaign.LogFile)+", and its page "+filepath.Join(e.dir, campaign.PageFile)+".\n")
	require.Contains(t, e.log(t), "the thresholds were not judged, for the run was cut\n")
}

// A window that closes during the plan ends the campaign before the step that would not end within it.
func TestAWindowThatCloses(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	// It closes at least 15 s after the first step could begin at the latest, and 75 s at most; the second is 85 s longer.
	closes := time.Now().UTC().Add(5*time.Second + campaign.StepMargin + 75*time.Second).Truncate(time.Minute)
	window := fmt.Sprintf("%s-%s", closes.Add(-time.Hour).Format("15:04"), closes.Format("15:04"))
	e := newExpedition(t, target, "steps:\n  - profile: small-queue\n  - { profile: long-queue, dry: true }\n").with("--window", window)
	r := e.run(t)
	require.Equal(t, exitcodes.MarkedAsFailed, r.exit)
	require.Equal(t, "passed|", e.states(t))
	r.requireOneError(t, "before long-queue: the window "+window+" UTC closes at "+closes.Format("2006-01-02 15:04")+
		" UTC, and the step needs 4m47s, setup and end included. Next: from ", "go on with: ")
	require.Contains(t, e.log(t), "** steps run within the window "+window+" UTC only\n")
}

// Invalid input is refused before the first request, and no folder is left behind.
func TestRefusedCampaigns(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	t.Run("before the first request", func(t *testing.T) { refusedCampaigns(t, target) })
	require.Zero(t, target.state(t).allRequests())
}

func refusedCampaigns(t *testing.T, target *target) {
	t.Helper()
	good := "steps:\n  - profile: small-queue\n"
	now := time.Now().UTC()
	for name, tc := range map[string]struct {
		plan  string
		flags []string
		env   []string
		want  string
	}{
		"unknown step":     {good, []string{"--from", "queue"}, nil, `--from must be one of the steps small-queue, got "queue"`},
		"unknown key":      {"steps:\n  - profil: small-queue\n", nil, nil, `plan.yaml: line 2: a step takes no key "profil"; it takes profile, name, variables, dry, accept-not-proven, limits`},
		"unknown variable": {"steps:\n  - profile: small-queue\n    variables: { TARGET_VSU: 3 }\n", nil, nil, "the step small-queue would be refused: TARGET_VSU is no variable of queue-concurrency, but TARGET_VUS is"},
		"a value":          {"steps:\n  - profile: small-queue\n    variables: { QUEUE_MODE: both }\n", nil, nil, `the step small-queue would be refused: QUEUE_MODE must be "isolated" or "shared", got "both"`},
		"window":           {good, []string{"--window", "22:00"}, nil, `--window must be two times of day such as 22:00-02:00, got "22:00"`},
		"zone":             {good, []string{"--window", "22:00-02:00", "--tz", "Sydney"}, nil, `--tz must be a time zone of the IANA database such as Australia/Sydney or UTC, got "Sydney"`},
		"zone alone":       {good, []string{"--tz", "UTC"}, nil, "--tz and --wait go with --window, which is not given"},
		"limits": {"limits: [{ name: pool, query: pool, above: 90 }]\n" + good, nil, nil, "the plan has limits, which are read from Prometheus, and PROMETHEUS_URL is not set; " +
			"set it, or decide with --no-breaker that nothing ends a step before its time"},
		"window too short":   {good, []string{"--window", "22:00-22:03"}, nil, "the window 22:00-22:03 UTC is 3m long, and these steps do not fit into it: small-queue needs 3m20s"},
		"nobody to ask":      {"steps:\n  - profile: long-queue\n", nil, nil, "long-queue is no dry run, so that the campaign asks before it begins, and there is no terminal to ask at: give --yes"},
		"nothing to resume":  {good, []string{"--resume"}, nil, "--resume: there is no campaign in "},
		"no target":          {good, nil, []string{"BASE_URL="}, "BASE_URL is not set; it must be an http or https URL"},
		"no secret":          {good, nil, []string{"STRIPE_WEBHOOK_SECRET="}, "STRIPE_WEBHOOK_SECRET is not set; it must be the webhook secret of the Verity under test"},
		"a profile besides":  {good, nil, []string{"PROFILE=small-queue"}, "PROFILE is set, and a campaign takes none: each step has its own; name steps with --only; unset it"},
		"an argument":        {good, []string{"small-queue"}, nil, "a campaign takes no arguments before --, got "},
		"runners":            {good, []string{"--runners", "x"}, nil, "--runners needs --runner-count, the number of runners, 1 to 10000, got 0"},
		"count of runners":   {good, []string{"--runner-count", "2"}, nil, "--runner-count goes with --runners, which is not given"},
		"accept another one": {good, []string{"--accept-not-proven", "small"}, nil, `--accept-not-proven must be one of the steps small-queue, got "small"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newExpedition(t, target, tc.plan).with(tc.flags...)
			e.env = append(e.env, tc.env...)
			r := e.run(t)
			require.Equal(t, exitcodes.ScriptException, r.exit)
			r.requireOneError(t, strings.ReplaceAll(tc.want, `"`, `\"`))
			require.NoDirExists(t, e.dir)
		})
	}
	t.Run("outside of the window", func(t *testing.T) {
		t.Parallel()
		opens := now.Add(2 * time.Hour)
		e := newExpedition(t, target, good).with("--window", opens.Format("15:04")+"-"+opens.Add(time.Hour).Format("15:04"))
		r := e.run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		r.requireOneError(t, "before small-queue: the window ", " opens at "+opens.Format("2006-01-02 15:04")+" UTC; give --wait to wait for it")
		require.NoDirExists(t, e.dir, "so that the same command with --wait is no other campaign")
	})
	t.Run("list", func(t *testing.T) {
		t.Parallel()
		e := newExpedition(t, target, good+"    variables: { TARGET_USERS: 3 }\n").with("--list")
		r := e.run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		r.requireOneError(t, "the step small-queue would be refused: TARGET_USERS is no variable of queue-concurrency")
		e = newExpedition(t, target, good+"    variables: { HOLD: 4s }\n").with("--list")
		e.env = append(e.env, "BASE_URL=", "STRIPE_WEBHOOK_SECRET=")
		r = e.run(t)
		require.Zero(t, r.exit, r.stderr)
		require.Contains(t, r.stdout, "small-queue")
	})
	t.Run("flags of k6", func(t *testing.T) {
		t.Parallel()
		for _, flags := range [][]string{{"--vus", "3"}, {"--no-such-flag"}} {
			e := newExpedition(t, target, good)
			e.args = append(e.args, flags...)
			r := e.run(t)
			require.Equal(t, exitcodes.ScriptException, r.exit)
			r.requireOneError(t, flags[0][2:])
			require.NoDirExists(t, e.dir)
		}
	})
}
