package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/campaign"
	"github.com/verity-app/xk6-verity/extension/evidence"
	looked "github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestTheStepsOfTheSafePlan(t *testing.T) {
	t.Parallel()
	plan, _, err := readPlan(os.DirFS("../.."), "", "")
	require.NoError(t, err)
	var out bytes.Buffer
	selected, err := plan.Select(campaign.Selection{From: "sessions-dry", Until: "queue-full"})
	require.NoError(t, err)
	require.NoError(t, listSteps(&out, selected))
	require.Equal(t, `STEP          SCENARIO               USERS  LENGTH  BEGINS       SHOWS THAT
sessions-dry  video-session-sustain  500    5m      by itself    users match in time and hold about 240 sessions at once
queue-full    queue-concurrency      10000  15m     after a yes  the queue holds 10,000 users

20m of load; a window must have room for each step and 3m15s beside it.
`, out.String())
	_, err = plan.Select(campaign.Selection{From: "queue"})
	require.EqualError(t, err, `--from must be one of the steps queue-dry, match-dry, sessions-dry, `+
		`queue-full, match-full, sessions-full, sessions-1000, purchase-spike, got "queue"`)
}

func TestAPlanOfYourOwn(t *testing.T) {
	t.Parallel()
	profiles := write(t, "profiles.json", `[
		{"name": "evening", "scenario": "queue-concurrency", "shows": "x", "dry": true, "claims": [{"claim": "tokens"}],
			"variables": {"TARGET_VUS": "20", "RAMP_UP": "5s", "HOLD": "20s", "RAMP_DOWN": "5s"}},
		{"name": "queue-dry", "scenario": "queue-concurrency", "variables": {"TARGET_VUS": "7", "HOLD": "1s"}}]`)
	path := write(t, "small.yaml", "steps:\n  - profile: evening\n  - { profile: evening, name: more, variables: { TARGET_VUS: 40, HOLD: 1m } }\n  - profile: queue-dry\n")
	plan, known, err := readPlan(os.DirFS("../.."), path, profiles)
	require.NoError(t, err)
	require.Len(t, known, 9, "one stands in place of ours")
	require.Equal(t, "small", plan.Name)
	tokens := []evidence.Claim{{Kind: "tokens"}}
	require.Equal(t, []campaign.Step{
		{Name: "evening", Profile: "evening", Scenario: "queue-concurrency", Shows: "x", Dry: true, Users: 20, LengthSeconds: 30, Claims: tokens},
		{
			Name: "more", Profile: "evening", Scenario: "queue-concurrency", Shows: "x", Users: 40, LengthSeconds: 70, Claims: tokens,
			Variables: map[string]string{"TARGET_VUS": "40", "HOLD": "1m"},
		},
		{Name: "queue-dry", Profile: "queue-dry", Scenario: "queue-concurrency", Users: 7, LengthSeconds: 721}, // ramps of 10m and 2m by default
	}, plan.Steps)
}

func TestRefusedPlansOfYourOwn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ plan, profiles, want string }{
		{"steps:\n  - profile: evening", "", `line 2: the profile must be queue-dry or match-dry or sessions-dry or queue-full or match-full or sessions-full ` +
			`or sessions-1000 or purchase-spike, got "evening"`},
		{"steps:\n  - profile: x", `[{"name": "x", "scenario": "../x", "variables": {}}]`, `line 2: the profile x is of the scenario "../x", and there is no x.js`},
		{"steps:\n  - profile: x", `[{"name": "x", "scenario": "mine", "variables": {}}]`, `line 2: the profile x is of the scenario "mine", and there is no load-test/mine.js`},
		{"steps:\n  - profile: queue-dry\n    variables: { HOLD: long }", "", `line 2: HOLD of profile queue-dry: time: invalid duration "long"`},
		{"steps: [{ profile: queue-dry, varibles: {} }]", "", `line 1: a step takes no key "varibles"; it takes profile, name, variables, dry, accept-not-proven, limits`},
	} {
		path, profiles := write(t, "plan.yaml", tc.plan), ""
		if tc.profiles != "" {
			profiles = write(t, "profiles.json", tc.profiles)
		}
		_, _, err := readPlan(os.DirFS("../.."), path, profiles)
		require.EqualError(t, err, "--plan "+path+": "+tc.want)
	}
	_, _, err := readPlan(os.DirFS("../.."), "nowhere.yaml", "")
	require.EqualError(t, err, "--plan: open nowhere.yaml: no such file or directory")
	path := write(t, "profiles.json", "{}")
	_, _, err = readPlan(os.DirFS("../.."), "", path)
	require.EqualError(t, err, "PROFILES_FILE must be a JSON array of profiles with name, scenario and variables, as in js/profiles.json: "+path+" is not")
}

func TestVariablesThatWouldMakeOtherSteps(t *testing.T) {
	t.Parallel()
	plan, known, err := readPlan(os.DirFS("../.."), "", "")
	require.NoError(t, err)
	for name, tc := range map[string]struct{ value, want string }{
		"REDIS_URL":   {"redis://localhost", ""},
		"USE_SIMPLE":  {"0", ""},
		"TARGET_VUS":  {"100", "TARGET_VUS=100 is set, and would make another step of queue-dry, which has 1000; unset it, or make a step of your own in a plan file (--plan)"},
		"SESSION_VUS": {"500", "SESSION_VUS=500 is set, and would make another step of sessions-full, which has 2000; unset it, or make a step of your own in a plan file (--plan)"},
		"PROFILE":     {"queue-dry", "PROFILE is set, and a campaign takes none: each step has its own; name steps with --only; unset it"},
		"K6_VUS":      {"3", "K6_VUS is set, and a campaign takes none: the profile of a step says how many users there are; unset it"},
	} {
		err := checkEnvironment(func(asked string) string { return map[string]string{name: tc.value}[asked] }, plan.Steps, known)
		if tc.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, tc.want)
	}
}

func TestTheCommandOfAStep(t *testing.T) {
	t.Parallel()
	s := &steps{started: "./k6", flags: []string{"--out", "influxdb=http://me:secret@host"}}
	step := campaign.Step{Name: "more", Profile: "evening", Scenario: "queue-concurrency", Variables: map[string]string{"QUEUE_REGION": "a b", "HOLD": "1m"}}
	require.Equal(t, "HOLD=1m PROFILE=evening QUEUE_REGION='a b' REPORT_DIR=reports/more ./k6 run --out … load-test/queue-concurrency.js",
		s.Command(step, "reports/more"))
	s.profilesFile = "/my files/profiles.json"
	require.Equal(t, "HOLD=1m PROFILE=evening PROFILES_FILE='/my files/profiles.json' QUEUE_REGION='a b' REPORT_DIR=reports/more ./k6 run --out … "+
		"load-test/queue-concurrency.js", s.Command(step, "reports/more"), "without the file there is no such profile")
}

// The commands of runners elsewhere can be pasted as they are.
func TestTheCommandsOfRunners(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := &remoteSteps{
		steps: &steps{started: "./k6", profilesFile: "/p.json", flags: []string{"--out", "csv=a b"}}, dir: "/in", count: 2,
		target: "http://127.0.0.1:1", out: &out, startAt: map[string]string{"more": "2026-11-28T22:04:00Z"},
	}
	step := campaign.Step{Name: "more", Profile: "evening", Scenario: "queue-concurrency"}
	const variables = "PROFILE=evening PROFILES_FILE=/p.json REPORT_DIR=/in/more START_AT=2026-11-28T22:04:00Z "
	require.Equal(t, variables+"./k6 run --execution-segment 0:1/2 --execution-segment-sequence 0,1/2,1 --out … load-test/queue-concurrency.js",
		r.Command(step, ""), "the log has no value that may be secret")
	require.NoError(t, r.tell(step))
	require.Contains(t, out.String(), "\n  "+variables+"./k6 run --execution-segment 0:1/2 --execution-segment-sequence 0,1/2,1 --out 'csv=a b' load-test/queue-concurrency.js\n"+
		"  "+variables+"./k6 run --execution-segment 1/2:1 --execution-segment-sequence 0,1/2,1 --out 'csv=a b' load-test/queue-concurrency.js\n")
	out.Reset()
	r.count = 100
	require.NoError(t, r.tell(step))
	require.Contains(t, out.String(), "\n  segment=$(./k6 x verity segment INDEX 100) && "+variables+"./k6 run $segment --out 'csv=a b' load-test/queue-concurrency.js\n"+
		"\nINDEX is the number of the runner, from 0 to 99.\n")

	other := campaign.Step{Name: "other"}
	at, err := time.Parse(time.RFC3339, r.begins(other))
	require.NoError(t, err)
	require.WithinRange(t, at, time.Now().Add(leadTime-time.Minute), time.Now().Add(leadTime+time.Minute+time.Second))
	require.Equal(t, at.Format(time.RFC3339), r.begins(other), "the log and the terminal say the same")
}

// The command that goes on has all that the campaign was started with, and can be pasted.
func TestTheCommandThatGoesOn(t *testing.T) {
	t.Parallel()
	gs := &state.GlobalState{CmdArgs: []string{"./k6"}}
	require.Equal(t, "./k6 x verity campaign --resume --report-dir reports", resumeCommand(gs, campaignOptions{reportDir: "reports"}))
	require.Equal(t, "./k6 x verity campaign --resume --report-dir 'my reports' --plan plan.yaml --profiles-file /p.json --scripts . --window 22:00-02:00 "+
		"--tz Australia/Sydney --runners in --runner-count 2 --runner-wait 1h0m0s --wait --yes --no-breaker --cleanup --accept-not-proven a",
		resumeCommand(gs, campaignOptions{
			reportDir: "my reports", plan: "plan.yaml", profilesFile: "/p.json", scripts: ".", window: "22:00-02:00", tz: "Australia/Sydney", runners: "in",
			runnerCount: 2, runnerWait: time.Hour, wait: true, yes: true, noBreaker: true, cleanup: true, acceptNotProven: []string{"a"},
		}))
	require.Empty(t, resumeEnd(nil))
	require.Equal(t, " -- --tag 'name=a b' --no-thresholds", resumeEnd([]string{"--tag", "name=a b", "--no-thresholds"}))
	require.Equal(t, ", with -- and k6's flags behind it as before", resumeEnd([]string{"--out", "influxdb=http://me:secret@host"}), "no secret")
}

func TestAStepOfADryProfileStaysDryUnlessItAsksMore(t *testing.T) {
	t.Parallel()
	for variables, want := range map[string]bool{
		"": true, "HOLD: 1m": true, "THINK_TIME_MAX: 5, QUEUE_REGION: eu": true, "TARGET_VUS: 2000": false, "USERS_PER_VU: 5": false,
	} {
		path := write(t, "plan.yaml", "steps:\n  - { profile: queue-dry, variables: { "+variables+" } }\n")
		plan, _, err := readPlan(os.DirFS("../.."), path, "")
		require.NoError(t, err)
		require.Equal(t, want, plan.Steps[0].Dry, variables)
	}
}

func TestTheTableOfSteps(t *testing.T) {
	t.Parallel()
	of := func(status verdict.Status) *verdict.Verdict { return &verdict.Verdict{Status: status} }
	record := &campaign.Record{Target: "http://127.0.0.1:1", Steps: []campaign.StepRecord{
		{Step: campaign.Step{Name: "a"}, State: campaign.StatePassed, Thresholds: 3, Verdict: of(verdict.Pass)},
		{Step: campaign.Step{Name: "b"}, State: campaign.StatePassed, Thresholds: 3, Verdict: of(verdict.NoClaim)},
		{Step: campaign.Step{Name: "c"}, State: campaign.StateAccepted, Thresholds: 3, Verdict: of(verdict.NotProven)},
		{Step: campaign.Step{Name: "d"}, State: campaign.StateNotProven, Thresholds: 3, Verdict: of(verdict.NotProven)},
		{Step: campaign.Step{Name: "e"}, State: campaign.StateNotProven, Reason: "no threshold was judged"},
		{Step: campaign.Step{Name: "f"}, State: campaign.StateFailed, Thresholds: 3, Crossed: []string{"x"}, Verdict: of(verdict.Fail)},
		{Step: campaign.Step{Name: "g"}, State: campaign.StateFailed, Thresholds: 3, Crossed: []string{"x"}, Verdict: of(verdict.Pass)},
		{Step: campaign.Step{Name: "h"}, State: campaign.StateBroken},
		{Step: campaign.Step{Name: "i"}, State: campaign.StateInterrupted},
		{Step: campaign.Step{Name: "j"}, State: campaign.StateRefused, ExitCode: 107},
		{Step: campaign.Step{Name: "k"}},
	}}
	var out bytes.Buffer
	writeSteps(&out, "STEP", record)
	require.Equal(t, `
STEP  TARGET              RESULT                          THRESHOLDS
a     http://127.0.0.1:1  ✓ PASS                          3 of 3 passed
b     http://127.0.0.1:1  ✓ passed                        3 of 3 passed
c     http://127.0.0.1:1  ✓ NOT PROVEN, accepted          3 of 3 passed
d     http://127.0.0.1:1  ? NOT PROVEN (exit 110)         3 of 3 passed
e     http://127.0.0.1:1  ? no threshold was judged       not judged
f     http://127.0.0.1:1  ✗ FAIL (exit 99)                2 of 3 passed
g     http://127.0.0.1:1  ✗ thresholds crossed (exit 99)  2 of 3 passed
h     http://127.0.0.1:1  ✗ ended by the breaker          not judged
i     http://127.0.0.1:1  ✗ interrupted                   not judged
j     http://127.0.0.1:1  ✗ failed (exit 107)             not judged
k     http://127.0.0.1:1  – not begun                     
`, out.String())
}

func TestWhatAPreflightFoundInTheLog(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"✓ target, ports", "! clock: 70 s", "✗ auth_signup: 10 a minute allowed"}, preflightLines([]looked.Check{
		{Name: "target", Verdict: looked.Passed}, {Name: "clock", Verdict: looked.Warning, Found: "70 s"},
		{Name: "auth_signup", Verdict: looked.Failed, Found: "10 a minute allowed"}, {Name: "ports", Verdict: looked.Passed},
	}))
	require.Equal(t, `it says "no"`, messageOf("time=x level=error msg=\"it says \\\"no\\\"\"\n"))
	require.Equal(t, "what k6 says", messageOf("what k6 says\n"))
}

// The length announced for a step of a smoke run is the one that its variables add up to.
func TestTheStepsOfTheSmokeRun(t *testing.T) {
	t.Parallel()
	wanted := map[string]struct {
		users  int
		length time.Duration
	}{
		"queue-concurrency":     {50, 15 * time.Second},
		"video-session-sustain": {40, 17 * time.Second},
		"token-purchase-spike":  {10, 14 * time.Second},
	}
	require.Len(t, smokeScenarios, len(wanted))
	for _, scenario := range smokeScenarios {
		step, err := scenario.step()
		require.NoError(t, err)
		require.Equal(t, wanted[scenario.name].users, step.Users)
		require.Equal(t, wanted[scenario.name].length, step.Length())
	}
}
