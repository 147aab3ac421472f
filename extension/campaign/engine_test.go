package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// fewErrors is a claim that 10,000 operations prove and 100 do not.
var fewErrors = []evidence.Claim{{Kind: verdict.KindErrors, Below: 0.001}} //nolint:gochecknoglobals // constant

// outcome is how a step of the fake runner ends: k6's exit code and the evidence it writes.
type outcome struct {
	exit       int
	operations int64 // 0: no evidence
	errors     int64
	noClaims   string
	thresholds int
	crossed    []string
	cut        bool   // the evidence has no end
	ending     string // in the JUnit report
	err        error
	await      bool // it goes on until it is interrupted
	during     func()
}

var (
	passes   = outcome{operations: 10_000, thresholds: 3}                                                                    //nolint:gochecknoglobals // constant
	fails    = outcome{exit: 99, operations: 10_000, errors: 500, thresholds: 3, crossed: []string{"error_rate rate<0.001"}} //nolint:gochecknoglobals // constant
	unproven = outcome{exit: 110, operations: 100, thresholds: 3}                                                            //nolint:gochecknoglobals // constant
)

// fakeRunner runs nothing. Its steps end with the given outcomes, one after the other.
type fakeRunner struct {
	outcomes  map[string][]outcome
	refusal   map[string]string
	preflight map[string]error
	began     []string
	looked    []string
}

func (f *fakeRunner) Check(_ context.Context, step Step) error {
	if text := f.refusal[step.Name]; text != "" {
		return errors.New(text)
	}
	return nil
}

func (f *fakeRunner) Preflight(_ context.Context, step Step) ([]string, error) {
	f.looked = append(f.looked, step.Name)
	return []string{"✓ target"}, f.preflight[step.Name]
}

func (f *fakeRunner) Command(step Step, _ string) string {
	return "PROFILE=" + step.Profile + " k6 run"
}

func (f *fakeRunner) EvidenceDir(_ Step, dir string) string { return dir }

func (f *fakeRunner) Run(ctx context.Context, step Step, dir string, _ func(Kind, string)) (int, error) {
	f.began = append(f.began, step.Name)
	todo := passes
	if list := f.outcomes[step.Name]; len(list) > 0 {
		todo, f.outcomes[step.Name] = list[0], list[1:]
	}
	if todo.during != nil {
		todo.during()
	}
	if todo.await {
		<-ctx.Done()
		todo.exit = ExitInterrupted
	}
	return todo.exit, errors.Join(todo.leave(step, dir), todo.err)
}

// leave writes the evidence and the JUnit report of a step.
func (o outcome) leave(step Step, dir string) error {
	if o.ending != "" {
		text := `<testsuites><testsuite><testcase name="x"><error message="` + o.ending + `"></error></testcase></testsuite></testsuites>`
		if err := os.WriteFile(filepath.Join(dir, step.Name+".xml"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if o.operations == 0 {
		return nil
	}
	const began = 1_790_000_000
	run := &evidence.Run{Seconds: map[int64]*evidence.Second{}, Runners: []evidence.Runner{{Count: 1, ID: "a", Began: time.Unix(began, 0), Ended: true}}}
	run.Header = evidence.Header{
		Version: evidence.Version, Scenario: step.Scenario, Profile: step.Profile, Began: time.Unix(began, 0), PlannedUsers: 10, Claims: step.Claims,
	}
	if o.noClaims != "" {
		run.Header.Claims, run.Header.NoClaims = nil, o.noClaims
	}
	const seconds = 100
	for at := range int64(seconds) {
		second := &evidence.Second{
			Levels: map[string]float64{evidence.LevelPresent: 10, evidence.LevelPlanned: 10},
			Counts: map[string]int64{evidence.Labelled(evidence.CountOperations, "queue_join"): o.operations / seconds},
		}
		if o.errors > 0 {
			second.Counts[evidence.Labelled(evidence.CountErrors, "queue_join", "HTTPError 500")] = o.errors / seconds
		}
		run.Seconds[began+at] = second
	}
	if !o.cut {
		run.End = &evidence.End{
			At: time.Unix(began+seconds, 0), UptimeBefore: 1, UptimeAfter: seconds, Thresholds: o.thresholds, Crossed: o.crossed,
			Facts: map[string]int64{"x": 1},
		}
	}
	file, err := os.Create(filepath.Join(dir, step.Name+evidence.Extension)) // #nosec G304 -- of this test
	if err != nil {
		return err
	}
	return errors.Join(run.Write(file), file.Close())
}

// plannedService is calm or not, and breaks or not.
type plannedService struct {
	baseline, wait error
	waited         int
	breaks         map[string]Break
	limits         error
}

func (f *plannedService) Check(context.Context, []Step) error { return f.limits }

func (f *plannedService) Baseline(context.Context) (*Baseline, error) {
	return &Baseline{Text: "GET /health takes 2 ms"}, f.baseline
}

func (f *plannedService) Wait(_ context.Context, _ *Baseline, say func(string)) error {
	f.waited++
	say("the service is calm")
	return f.wait
}

func (f *plannedService) Watch(ctx context.Context, step Step, _ string, _ time.Time, _ func(string)) Break {
	if found, isThere := f.breaks[step.Name]; isThere {
		return found
	}
	<-ctx.Done()
	return Break{}
}

func stepNamed(name string) Step {
	return Step{Name: name, Profile: name, Scenario: "queue-concurrency", Dry: true, Users: 10, LengthSeconds: 90, Claims: fewErrors}
}

// trial is a campaign of the steps a, b and c at noon.
type trial struct {
	*Engine

	runner  *fakeRunner
	service *plannedService
	dir     string
	now     time.Time
	err     error
}

var asked = Asked{ //nolint:gochecknoglobals // constant
	Tool: "0.1.0", K6: "2.2.0", Build: "0123456789abcdef", Target: "http://127.0.0.1:3000",
	Plan: Plan{Steps: []Step{stepNamed("a"), stepNamed("b"), stepNamed("c")}},
}

func newTrial(t *testing.T, dir string) *trial {
	t.Helper()
	c := &trial{
		runner: &fakeRunner{outcomes: map[string][]outcome{}, refusal: map[string]string{}, preflight: map[string]error{}}, service: &plannedService{breaks: map[string]Break{}},
		dir: dir, now: at(t, "2026-11-28 12:00"),
	}
	c.Engine = &Engine{
		Runner: c.runner, Calm: c.service, Breaker: c.service, Options: Options{Who: "me@here", Resume: "k6 x verity campaign --resume"},
		Now:   func() time.Time { return c.now },
		Sleep: func(_ context.Context, d time.Duration) bool { c.now = c.now.Add(d); return true },
	}
	return c
}

// create opens the folder of a new campaign for the trial.
func (c *trial) create(t *testing.T) *trial {
	t.Helper()
	var err error
	c.Record = NewRecord(asked, c.now)
	c.Folder, err = Create(c.dir, []string{"whsec_secret"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Folder.Close() }) // a test may have closed it
	return c
}

// reopen opens the folder of a stopped campaign for the trial.
func (c *trial) reopen(t *testing.T) *trial {
	t.Helper()
	var err error
	c.Folder, c.Record, err = Reopen(c.dir, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Folder.Close() }) // likewise
	require.NoError(t, c.Record.Resume(asked))
	return c
}

func (c *trial) run(t *testing.T) *trial {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, c.Check(ctx))
	c.err = c.Run(ctx, "k6 x verity campaign")
	return c
}

// log returns the text of campaign.md, without the times.
func (c *trial) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, LogFile))
	require.NoError(t, err)
	return regexp.MustCompile(`(?m)^- \d\d:\d\d:\d\d `).ReplaceAllString(string(text), "- ")
}

func (c *trial) states() string {
	var states []string
	for _, s := range c.Record.Steps {
		states = append(states, string(s.State))
	}
	return strings.Join(states, "|")
}

// saved returns the record in campaign.json.
func (c *trial) saved(t *testing.T) Record {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, RecordFile))
	require.NoError(t, err)
	var record Record
	require.NoError(t, json.Unmarshal(text, &record))
	return record
}

func TestACampaignThatPasses(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t).run(t)
	require.NoError(t, c.err)
	require.Equal(t, "passed|passed|passed", c.states())
	require.Equal(t, []string{"a", "b", "c"}, c.runner.began)
	require.Equal(t, []string{"a"}, c.runner.looked, "the largest step of each scenario")
	require.Equal(t, 2, c.service.waited, "between the steps, and not before the first")
	require.Equal(t, `# Campaign on http://127.0.0.1:3000

Campaign `+c.Record.ID+` of xk6-verity 0.1.0 (k6 2.2.0), build 0123456789ab. All times are UTC.

## 2026-11-28

- **campaign** begins, by me@here: `+"`k6 x verity campaign`"+`
- **campaign** target http://127.0.0.1:3000; 3 steps to go: a, b, c
- **a, preflight:** ✓ target
- **campaign** the service before the first step: GET /health takes 2 ms
- **a** begins (10 users, 1m30s): `+"`PROFILE=a k6 run`"+`
- **a, verdict:** PASS, exit code 0, all 3 thresholds passed
- **a, verdict:** PASS: errors 0 to 0.03 % (n 10,000); under 0.1 %
- **a** ends after 0s: passed
- **b, wait:** the service is calm
- **b** begins (10 users, 1m30s): `+"`PROFILE=b k6 run`"+`
- **b, verdict:** PASS, exit code 0, all 3 thresholds passed
- **b, verdict:** PASS: errors 0 to 0.03 % (n 10,000); under 0.1 %
- **b** ends after 0s: passed
- **c, wait:** the service is calm
- **c** begins (10 users, 1m30s): `+"`PROFILE=c k6 run`"+`
- **c, verdict:** PASS, exit code 0, all 3 thresholds passed
- **c, verdict:** PASS: errors 0 to 0.03 % (n 10,000); under 0.1 %
- **c** ends after 0s: passed
- **campaign** ends with exit code 0: 3 steps passed
`, c.log(t))
	saved := c.saved(t)
	require.Equal(t, c.Record.Events, saved.Events)
	require.Equal(t, verdict.Pass, saved.Steps[1].Verdict.Status)
	require.Equal(t, []string{"b/b.evidence.jsonl.gz"}, saved.Steps[1].Files)
	require.Equal(t, map[string]int64{"x": 1}, saved.Steps[1].Facts)
	require.Equal(t, "3 steps passed", saved.Ending)
	require.False(t, saved.Ended.IsZero())
}

// Each way in which the step b can end.
func TestHowStepsEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		b      outcome
		change func(*trial)
		state  State
		code   int
		want   string
	}{
		"a claim is FAIL": {
			b: fails, state: StateFailed, code: 99,
			want: "b is FAIL: errors 4.6 to 5.4 % (n 10,000); under 0.1 %; " +
				"1 of 3 thresholds crossed (error_rate rate<0.001)",
		},
		"a threshold is crossed": {
			b: outcome{exit: 99, operations: 10_000, thresholds: 3, crossed: []string{"x p(95)<1"}}, state: StateFailed, code: 99,
			want: "b is FAIL: 1 of 3 thresholds crossed (x p(95)<1)",
		},
		"not proven": {
			b: unproven, state: StateNotProven, code: 110, want: "b is NOT PROVEN: there are too few samples (100): 2,995 are the least that can show it, if none misses; run longer",
		},
		"the evidence ends early": {
			b: outcome{operations: 10_000, cut: true}, state: StateNotProven, code: 110, want: "b is NOT PROVEN: the evidence ends early, so that nothing is proven",
		},
		"no claim is made": {
			b: outcome{operations: 10_000, thresholds: 3, noClaims: "no claim is made: TARGET_VUS=1 asks less"}, state: StateNotProven, code: 110,
			want: "b is NOT PROVEN: no claim is made: TARGET_VUS=1 asks less",
		},
		"no evidence": {
			b: outcome{}, state: StateRefused, code: 110, want: "b: the run left no evidence in its folder; its output says why",
		},
		"refused": {
			b: outcome{exit: 107, ending: "refused before the load: no such thing"}, state: StateRefused, code: 107,
			want: "b: refused before the load: no such thing",
		},
		"refused, without a report": {
			b: outcome{exit: 107}, state: StateRefused, code: 107, want: "b: k6 ended with exit code 107; its output says why",
		},
		"down from the start": {
			b: outcome{exit: 108, ending: "cannot be reached"}, state: StateRefused, code: 108, want: "b: cannot be reached",
		},
		"a script that failed": {
			b: outcome{exit: 110, operations: 10_000, thresholds: 3, ending: "an exception"}, state: StateRefused, code: 110, want: "b: an exception",
		},
		"k6 cannot be started": {
			b: outcome{err: errors.New("starting k6: no such file")}, state: StateRefused, code: 110, want: "b: starting k6: no such file",
		},
		"stopped from outside": {
			b: outcome{exit: 105, operations: 10_000}, state: StateInterrupted, code: 105, want: "b: k6 was stopped from outside of the campaign",
		},
		"the breaker": {
			b: outcome{await: true, operations: 10_000}, change: func(c *trial) { c.service.breaks["b"] = Break{Reason: "60 % of the operations of 30 s failed"} },
			state: StateBroken, code: 99, want: "b was ended by the breaker: 60 % of the operations of 30 s failed",
		},
		"the breaker of a service that is down": {
			b: outcome{await: true}, change: func(c *trial) { c.service.breaks["b"] = Break{Reason: "no healthy answer for 15 s", Down: true} },
			state: StateBroken, code: 108, want: "b was ended by the breaker: no healthy answer for 15 s",
		},
		"a secret in a reason": {
			b: outcome{exit: 107, ending: "what whsec_secret says"}, state: StateRefused, code: 107, want: "b: what … says",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrial(t, t.TempDir()).create(t)
			c.runner.outcomes["b"] = []outcome{tc.b}
			if tc.change != nil {
				tc.change(c)
			}
			c.run(t)
			require.EqualError(t, c.err, tc.want)
			var stop *StopError
			require.ErrorAs(t, c.err, &stop)
			require.Equal(t, tc.code, stop.Code)
			require.Equal(t, []State{StatePassed, tc.state, StatePending}, []State{c.Record.Steps[0].State, c.Record.Steps[1].State, c.Record.Steps[2].State})
			require.Equal(t, []string{"a", "b"}, c.runner.began, "the campaign ends there")
			saved := c.saved(t)
			require.Equal(t, tc.code, saved.ExitCode)
			require.Equal(t, tc.want, saved.Ending)
			log := c.log(t)
			require.Contains(t, log, fmt.Sprintf("- **campaign** ends with exit code %d: ", tc.code))
			require.Contains(t, log, "k6 x verity campaign --resume", "it says what to do")
			require.NotContains(t, log, "whsec_secret")
		})
	}
}

// What the log says to do next can be done.
func TestWhatToDoNext(t *testing.T) {
	t.Parallel()
	const resume = "k6 x verity campaign --resume"
	for name, tc := range map[string]struct {
		b    outcome
		want string
	}{
		"a longer step is another plan": {unproven, "for a longer step write a plan file, and begin a new campaign with it and --from b in a new --report-dir; or decide " +
			"that it need not be proven, with: " + resume + " --accept-not-proven b -- --no-thresholds"},
		"no claim is made": {outcome{operations: 10_000, thresholds: 3, noClaims: "TARGET_VUS=1 asks less"}, "mend what the reason names and go on with: " + resume +
			" -- --no-thresholds; or decide that it need not be proven, with: " + resume + " --accept-not-proven b -- --no-thresholds"},
		"only evidence": {outcome{exit: 105, operations: 10_000, cut: true}, "make the reports with: k6 x verity report DIR/b/b.evidence.jsonl.gz; then go on with: " +
			resume + " -- --no-thresholds"},
		"reports": {outcome{exit: 107, ending: "no"}, "look into the reports in DIR/b; then go on with: " + resume + " -- --no-thresholds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrial(t, t.TempDir()).create(t)
			c.Options.ResumeEnd = " -- --no-thresholds"
			c.runner.outcomes["b"] = []outcome{tc.b}
			var stop *StopError
			require.ErrorAs(t, c.run(t).err, &stop)
			require.Equal(t, tc.want, strings.ReplaceAll(stop.Next, c.dir, "DIR"))
		})
	}
}

// A k6 that is killed judges no threshold and deletes no account.
func TestAStepThatIsCut(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.Record.Steps[1].Variables = map[string]string{"DELETE_ACCOUNTS": "1"}
	c.runner.outcomes["b"] = []outcome{{exit: 105, operations: 10_000, cut: true}}
	require.EqualError(t, c.run(t).err, "b: k6 was stopped from outside of the campaign")
	require.Contains(t, c.log(t), ", exit code 105, the thresholds were not judged, for the run was cut\n")
	require.Contains(t, c.log(t), "- **b** ends after 0s: interrupted; all of its accounts left on the service: the run was cut before it deleted them\n")
	require.Equal(t, "All accounts of b left on the service: the run was cut before it deleted them", c.Record.Accounts())
	c.Record.Steps[0].Facts = map[string]int64{"accounts_deleted": 1200, "accounts_kept": 0}
	require.Equal(t, "1,200 accounts deleted, 0 left on the service. All accounts of b left on the service: the run was cut before it deleted them",
		c.Record.Accounts())
	require.True(t, c.saved(t).Steps[1].Cut)
}

func TestStepsThatMakeNoClaim(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.Record.Steps[0].Claims = nil
	c.Record.Steps[1].Variables = map[string]string{"TARGET_VUS": "10"} // set by a plan file
	c.Record.Steps[2].Claims = nil
	c.runner.outcomes["b"] = []outcome{{operations: 10_000, thresholds: 3, noClaims: "TARGET_VUS=10 asks less"}}
	c.runner.outcomes["c"] = []outcome{{operations: 10_000}}
	c.run(t)
	require.EqualError(t, c.err, "c is NOT PROVEN: no claim is made and no threshold was judged")
	require.Equal(t, "passed|passed|not proven", c.states())
	require.Contains(t, c.log(t), "**b, verdict:** NO CLAIM, exit code 0, all 3 thresholds passed; TARGET_VUS=10 asks less")
}

func TestAStepThatDeletesItsAccountsStillHasToProve(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.Record.Steps[1].Variables = map[string]string{"DELETE_ACCOUNTS": "1"}
	c.runner.outcomes["b"] = []outcome{{operations: 10_000, thresholds: 3, noClaims: "THINK_TIME_MAX=60 asks less"}}
	c.run(t)
	require.EqualError(t, c.err, "b is NOT PROVEN: THINK_TIME_MAX=60 asks less")
}

func TestNotProvenIsAccepted(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.runner.outcomes["a"], c.runner.outcomes["b"], c.runner.outcomes["c"] = []outcome{unproven}, []outcome{unproven}, []outcome{fails}
	c.Options.AcceptNotProven = []string{"a", "c"}
	c.Record.Steps[1].AcceptNotProven = true
	c.run(t)
	require.ErrorContains(t, c.err, "c is FAIL: ", "which nobody can accept")
	require.Equal(t, "accepted|accepted|failed", c.states())
	require.Contains(t, c.log(t), "- **a, decision:** me@here decided with --accept-not-proven a that the campaign goes on although this is NOT PROVEN\n")
	require.Contains(t, c.log(t), "- **b, decision:** me@here decided with accept-not-proven in the plan file that the campaign goes on although this is NOT PROVEN\n")
}

func TestACampaignGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newTrial(t, dir).create(t)
	first.runner.outcomes["b"] = []outcome{unproven}
	require.ErrorContains(t, first.run(t).err, "b is NOT PROVEN")
	require.NoError(t, first.Folder.Close())

	again := newTrial(t, dir).reopen(t).run(t)
	require.NoError(t, again.err)
	require.Equal(t, []string{"b", "c"}, again.runner.began, "after the last passed step")
	require.Equal(t, 2, again.service.waited, "the service must be as calm as before the first step")
	log := again.log(t)
	require.Equal(t, 1, strings.Count(log, "## 2026-11-28"))
	require.Contains(t, log, "- **campaign** goes on after a, by me@here: ")
	require.FileExists(t, filepath.Join(dir, "b-attempt-1", "b"+evidence.Extension), "what the first attempt left is kept")
	require.Contains(t, log, "- **b** the folder "+filepath.Join(dir, "b")+" was not empty; its files are now in "+filepath.Join(dir, "b-attempt-1")+"\n")
	require.Empty(t, again.saved(t).Steps[1].Reason)
	require.NoError(t, again.Folder.Close())

	after := newTrial(t, dir).reopen(t).run(t)
	require.NoError(t, after.err)
	require.Contains(t, after.log(t), "- **campaign** target http://127.0.0.1:3000; no step is left to do\n")
	require.Empty(t, after.runner.began)
	require.Empty(t, after.runner.looked)
}

func TestAStepThatWasNotProvenIsAcceptedLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newTrial(t, dir).create(t)
	first.runner.outcomes["b"] = []outcome{unproven}
	first.run(t)
	require.NoError(t, first.Folder.Close())
	again := newTrial(t, dir).reopen(t)
	again.Options.AcceptNotProven = []string{"b"}
	require.NoError(t, again.run(t).err)
	require.Equal(t, []string{"c"}, again.runner.began)
	require.Equal(t, "passed|accepted|passed", again.states())
}

// After a campaign was killed, its record has a step in the state running.
func TestACampaignThatWasKilledGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newTrial(t, dir).create(t)
	first.runner.outcomes["b"] = []outcome{{during: func() {
		require.Equal(t, "running", string(first.saved(t).Steps[1].State))
		require.True(t, strings.HasSuffix(first.log(t), "- **b** begins (10 users, 1m30s): `PROFILE=b k6 run`\n"), "each line is on the disk")
		panic("killed")
	}}}
	require.PanicsWithValue(t, "killed", func() { _ = first.Run(t.Context(), "x") })
	require.NoError(t, first.Folder.Close())
	again := newTrial(t, dir).reopen(t).run(t)
	require.NoError(t, again.err)
	require.Equal(t, []string{"b", "c"}, again.runner.began)
}

func TestAnotherCampaignCannotGoOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newTrial(t, dir).create(t)
	_, _, err := Reopen(dir, nil)
	require.EqualError(t, err, "--resume: there is no campaign in "+dir+", for it has no campaign.json; name its folder with --report-dir")
	first.run(t)
	_, err = Create(dir, nil)
	require.EqualError(t, err, dir+" belongs to another campaign: campaign.json is in it; go on with that one by --resume, or name another --report-dir")
	_, _, err = Reopen(dir, nil)
	require.EqualError(t, err, "a campaign is running in "+dir+": wait for its end, or name another --report-dir")

	for want, change := range map[string]func(*Asked){
		"--resume: the campaign began with BASE_URL http://127.0.0.1:3000, and this is http://127.0.0.1:4000; go on with the same, or begin another in a " +
			"new --report-dir": func(a *Asked) { a.Target = "http://127.0.0.1:4000" },
		"--resume: the campaign began with the binary 0.1.0 (build 0123456789ab), and this is 0.1.0 (build ffff); go on with the same, or begin another in " +
			"a new --report-dir": func(a *Asked) { a.Build = "ffff" },
		"--resume: the plan of the campaign was another one: its step b is not the same any more; go on with the same plan file and profiles, or begin " +
			"another campaign in a new --report-dir": func(a *Asked) {
			other := stepNamed("b")
			other.Users++
			a.Plan.Steps = []Step{stepNamed("a"), other, stepNamed("c")}
		},
		"--resume: the plan of the campaign was another one: its step c is not the same any more; go on with the same plan file and profiles, or begin " +
			"another campaign in a new --report-dir ": func(a *Asked) { a.Plan.Steps = a.Plan.Steps[:2] },
	} {
		other := asked
		change(&other)
		require.EqualError(t, first.Record.Resume(other), strings.TrimSpace(want))
	}
	longer := asked
	longer.Plan.Steps = append([]Step{stepNamed("before")}, asked.Plan.Steps...)
	longer.Window = "22:00-02:00 UTC"
	require.NoError(t, first.Record.Resume(longer), "a campaign that began with some of the steps")
	require.Equal(t, "22:00-02:00 UTC", first.Record.Window)

	require.NoError(t, os.WriteFile(filepath.Join(dir, RecordFile), []byte("{"), 0o600))
	_, _, err = Reopen(dir, nil)
	require.EqualError(t, err, "--resume: "+filepath.Join(dir, RecordFile)+" cannot be read: unexpected end of JSON input")
}

func TestTheQuestionBeforeAStep(t *testing.T) {
	t.Parallel()
	full := func(c *trial) { c.Record.Steps[1].Dry = false }

	t.Run("nobody is there", func(t *testing.T) {
		t.Parallel()
		c := newTrial(t, t.TempDir()).create(t)
		full(c)
		require.EqualError(t, c.Check(t.Context()), "b is no dry run, so that the campaign asks before it begins, and there is no terminal to ask at: give --yes")
	})
	t.Run("yes and no", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c := newTrial(t, dir).create(t)
		full(c)
		var questions []string
		answers := []bool{false, true}
		c.Options.Ask = func(_ context.Context, question string) (bool, error) {
			questions = append(questions, question)
			yes := answers[0]
			answers = answers[1:]
			return yes, nil
		}
		c.run(t)
		require.EqualError(t, c.err, "b was not to begin")
		require.Equal(t, ExitInterrupted, c.saved(t).ExitCode)
		require.Equal(t, []string{"a"}, c.runner.began)
		require.NoError(t, c.Folder.Close())
		again := newTrial(t, dir).reopen(t)
		again.Options.Ask = c.Options.Ask
		require.NoError(t, again.run(t).err)
		require.Equal(t, []string{"Begin b on http://127.0.0.1:3000: 10 users, 1m30s?", "Begin b on http://127.0.0.1:3000: 10 users, 1m30s?"}, questions)
		require.Contains(t, again.log(t), "- **b, decision:** me@here decided that this step does not begin\n")
		require.Contains(t, again.log(t), "- **b, decision:** me@here decided that this step begins\n")
	})
	t.Run("--yes", func(t *testing.T) {
		t.Parallel()
		c := newTrial(t, t.TempDir()).create(t)
		full(c)
		c.Options.Yes = true
		require.NoError(t, c.run(t).err)
		require.Contains(t, c.log(t), "- **b, decision:** me@here decided with --yes that this step begins\n")
	})
}

func TestWhatIsRefusedBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.runner.refusal["c"] = "TARGET_VUS must be a whole number"
	require.EqualError(t, c.Check(t.Context()), "the step c would be refused: TARGET_VUS must be a whole number")
	c = newTrial(t, t.TempDir()).create(t)
	c.service.limits = errors.New("the limits of the plan cannot be watched: no")
	require.EqualError(t, c.Check(t.Context()), "the limits of the plan cannot be watched: no")
	c.Breaker = nil
	require.NoError(t, c.Check(t.Context()), "without a breaker no limit is watched")
	c = newTrial(t, t.TempDir()).create(t)
	c.Options.AcceptNotProven = []string{"d"}
	require.EqualError(t, c.Check(t.Context()), `--accept-not-proven must be one of the steps a, b, c, got "d"`)
	c = newTrial(t, t.TempDir()).create(t)
	window, err := ParseWindow("22:00-22:04", "")
	require.NoError(t, err)
	c.Options.Window = &window
	require.ErrorContains(t, c.Check(t.Context()), "the window 22:00-22:04 UTC is 4m long, and these steps do not fit into it: a needs 4m45s, b needs 4m45s, c needs 4m45s")
}

func TestThePreflight(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.runner.preflight["a"] = &StopError{Code: 107, Reason: "10 a minute allowed"}
	require.EqualError(t, c.run(t).err, "the preflight of a: 10 a minute allowed")
	require.Equal(t, 107, c.saved(t).ExitCode)
	require.Contains(t, c.log(t), "- **campaign, next:** mend this, then go on with: k6 x verity campaign --resume\n")
	require.Empty(t, c.runner.began)

	c = newTrial(t, t.TempDir()).create(t)
	c.runner.preflight["a"] = &StopError{Code: 107, Reason: "10 a minute allowed"}
	c.Options.WarnOnly = true
	require.NoError(t, c.run(t).err)
	require.Contains(t, c.log(t), "- **a, decision:** me@here decided with SKIP_PREFLIGHT=1 that the campaign goes on: 10 a minute allowed\n")

	c = newTrial(t, t.TempDir()).create(t)
	c.runner.preflight["a"] = &StopError{Code: 108, Reason: "no Verity"}
	c.Options.WarnOnly = true
	require.EqualError(t, c.run(t).err, "the preflight of a: no Verity")
	require.Equal(t, 108, c.saved(t).ExitCode)
}

func TestAServiceThatDoesNotBecomeCalm(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.service.wait = errors.New("12 users are in the queue after 5m")
	require.EqualError(t, c.run(t).err, "before b: 12 users are in the queue after 5m")
	require.Equal(t, ExitNotProven, c.saved(t).ExitCode)
	c = newTrial(t, t.TempDir()).create(t)
	c.service.wait = fmt.Errorf("%w: connection refused", errDown)
	require.EqualError(t, c.run(t).err, "before b: the service is down: connection refused")
	require.Equal(t, ExitDown, c.saved(t).ExitCode)
	c = newTrial(t, t.TempDir()).create(t)
	c.service.baseline = fmt.Errorf("%w: connection refused", errDown)
	require.EqualError(t, c.run(t).err, "before the first step: the service is down: connection refused")
	require.Empty(t, c.runner.began)
	require.Contains(t, c.log(t), "- **campaign, next:** once the service is well again, go on with: k6 x verity campaign --resume\n")
	c = newTrial(t, t.TempDir()).create(t)
	c.service.baseline = errors.New("PROMETHEUS_URL: cannot be reached")
	require.EqualError(t, c.run(t).err, "before the first step: PROMETHEUS_URL: cannot be reached")
	require.Contains(t, c.log(t), "- **campaign, next:** mend this, then go on with: k6 x verity campaign --resume\n", "the service is well")
}

func TestCtrlC(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	ctx, press := context.WithCancel(t.Context())
	c.runner.outcomes["b"] = []outcome{{await: true, operations: 1000, during: press}}
	err := c.Run(ctx, "x")
	require.EqualError(t, err, "interrupted during b")
	require.Equal(t, ExitInterrupted, c.saved(t).ExitCode)
	require.Equal(t, "passed|interrupted|", c.states())
	require.Contains(t, c.log(t), "- **campaign, next:** go on with: k6 x verity campaign --resume\n")
}

func TestTheWindow(t *testing.T) {
	t.Parallel()
	within := func(t *testing.T, now string) *trial {
		t.Helper()
		c := newTrial(t, t.TempDir()).create(t)
		window, err := ParseWindow("22:00-02:00", "")
		require.NoError(t, err)
		c.Options.Window, c.now = &window, at(t, now)
		return c
	}
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		c := within(t, "2026-11-28 12:00")
		require.EqualError(t, c.Check(t.Context()), "before a: the window 22:00-02:00 UTC opens at 2026-11-28 22:00 UTC; give --wait to wait for it")
		c = within(t, "2026-11-29 01:58")
		require.EqualError(t, c.Check(t.Context()), "before a: the window 22:00-02:00 UTC closes at 2026-11-29 02:00 UTC, and the step needs 4m45s, "+
			"setup and end included; give --wait to wait for it")
	})
	t.Run("wait", func(t *testing.T) {
		t.Parallel()
		c := within(t, "2026-11-28 12:00")
		c.Options.Wait = true
		require.NoError(t, c.run(t).err)
		require.Equal(t, at(t, "2026-11-28 22:00"), c.saved(t).Steps[0].Began)
	})
	t.Run("closes in mid-plan", func(t *testing.T) {
		t.Parallel()
		c := within(t, "2026-11-29 01:50")
		c.runner.outcomes["a"] = []outcome{{operations: 10_000, thresholds: 3, during: func() { c.now = c.now.Add(6 * time.Minute) }}}
		c.run(t)
		require.EqualError(t, c.err, "before b: the window 22:00-02:00 UTC closes at 2026-11-29 02:00 UTC, and the step needs 4m45s, setup and end included")
		require.Equal(t, ExitNotProven, c.saved(t).ExitCode)
		require.Equal(t, "passed||", c.states())
		require.Contains(t, c.log(t), "- **campaign, next:** from 2026-11-29 22:00 UTC on, go on with: k6 x verity campaign --resume\n")
	})
	t.Run("closes in mid-plan, wait", func(t *testing.T) {
		t.Parallel()
		c := within(t, "2026-11-29 01:50")
		c.Options.Wait = true
		c.runner.outcomes["a"] = []outcome{{operations: 10_000, thresholds: 3, during: func() { c.now = c.now.Add(6 * time.Minute) }}}
		require.NoError(t, c.run(t).err)
		require.Equal(t, at(t, "2026-11-29 22:00"), c.saved(t).Steps[1].Began)
		require.Contains(t, c.log(t), "\n\n## 2026-11-29\n\n")
	})
	t.Run("closes during a step", func(t *testing.T) {
		t.Parallel()
		c := within(t, "2026-11-28 22:00")
		c.runner.outcomes["a"] = []outcome{{await: true, operations: 10_000}}
		c.Now = func() time.Time { // it is almost over as the step begins
			if len(c.runner.looked) > 0 && c.Record.Steps[0].State == StateRunning {
				return at(t, "2026-11-29 01:59").Add(59*time.Second + 950*time.Millisecond)
			}
			return c.now
		}
		c.run(t)
		require.EqualError(t, c.err, "a: the window closed")
		require.Equal(t, ExitNotProven, c.saved(t).ExitCode)
	})
}

func TestACampaignThatKeepsGoing(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.Options.KeepGoing = true
	c.runner.outcomes["a"] = []outcome{fails}
	require.ErrorContains(t, c.run(t).err, "a is FAIL: ")
	require.Equal(t, "failed|passed|passed", c.states())
}

func TestALogThatCannotBeWrittenEndsTheCampaign(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.runner.outcomes["a"] = []outcome{{operations: 10_000, thresholds: 3, during: func() { require.NoError(t, c.Folder.log.Close()) }}}
	c.run(t)
	require.ErrorContains(t, c.err, "before b: writing the log: ")
	require.Equal(t, []string{"a"}, c.runner.began)
}

func TestThePageIsWritten(t *testing.T) {
	t.Parallel()
	c := newTrial(t, t.TempDir()).create(t)
	c.Page = func(r *Record) ([]byte, error) { return []byte(r.Ending), nil }
	require.NoError(t, c.run(t).err)
	text, err := os.ReadFile(c.Folder.Path(PageFile))
	require.NoError(t, err)
	require.Equal(t, "3 steps passed", string(text))
}

func TestWhatBecomesOfMarkdown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a <b> [c](d) e|f":     `a &lt;b> \[c\](d) e\|f`,
		"run `a[1] <b>` [now]": "run `a[1] <b>` \\[now\\]",
		"a ` lone":             "a ` lone",
	} {
		require.Equal(t, want, escaped(text))
	}
}
