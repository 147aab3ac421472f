package jsapi

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/schedule"
	"github.com/verity-app/xk6-verity/extension/verdict"
	"github.com/verity-app/xk6-verity/extension/version"
)

// runState is what is known of the run as a whole. RootModule.mu guards it.
type runState struct {
	header    evidence.Header
	reportDir string
	rate      schedule.Rate // events a second, of the whole test; none where there are users
	ramp      schedule.Rate // users over time, of this runner
	loadBegan time.Time
	described bool
	health    platform.Health       // that the preflight found
	clock     platform.ClockReading // measured where there are several runners
	uptime    time.Duration         // at the end; negative: unknown
	ended     time.Time             // when uptime was read
	ledger    *evidence.Ledger
	options   lib.Options
	judged    verdict.Status
	closed    bool // the evidence is, and the run judged
}

// describeRun is the function describeRun of the module.
func (m *Module) describeRun(options sobek.Value) {
	state := m.vuState("describeRun")
	if lib.GetScenarioState(m.vu.Context()) != nil {
		m.throw("describeRun can be called in setup only")
	}
	run := runState{uptime: -1, options: state.Options}
	users, start := 0, 0.0
	var stages []schedule.Stage
	r := reader{m, "describeRun"}
	r.read(options, map[string]func(string, sobek.Value){
		"scenario":  r.text(&run.header.Scenario),
		"profile":   r.text(&run.header.Profile),
		"target":    r.text(&run.header.Target),
		"plan":      r.text(&run.header.Plan),
		"users":     r.whole(&users, 0, maxUsers*maxUsersPerVU),
		"rate":      r.number(&run.header.PlannedRate, 0, maxPerMinute),
		"start":     r.number(&start, 0, maxPerMinute),
		"stages":    r.stages(&stages),
		"claims":    r.json(&run.header.Claims),
		"noClaims":  r.text(&run.header.NoClaims),
		"variables": r.json(&run.header.Variables),
		"reportDir": r.text(&run.reportDir),
	})
	if err := verdict.Check(run.header.Claims); err != nil {
		m.throw("claims of describeRun: %s", err)
	}
	share := m.runnerShare()
	run.header.PlannedUsers = users
	drawn := schedule.Rate{Start: start, Stages: stages}
	run.header.Start = start
	for _, stage := range stages {
		run.header.Stages = append(run.header.Stages, evidence.Stage{Seconds: stage.Duration.Seconds(), Target: stage.Target})
	}
	if run.header.PlannedRate > 0 {
		run.rate = drawn
	} else {
		run.ramp = drawn.Scaled(share)
		m.root.presence.plan(max(1, int(float64(users)*share+0.5)))
	}
	m.root.record.SetPlan(run.header.Plan)
	m.root.mu.Lock()
	defer m.root.mu.Unlock()
	m.root.run = run
}

// stages reads an array of { seconds, target }.
func (r reader) stages(into *[]schedule.Stage) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		var list []sobek.Value
		if err := r.m.vu.Runtime().ExportTo(value, &list); err != nil {
			r.m.throw("%s of %s must be an array of { seconds, target }, got %s", name, r.what, show(value))
		}
		for _, item := range list {
			var length, target float64
			of := reader{r.m, "a stage of " + r.what}
			of.read(item, map[string]func(string, sobek.Value){
				"seconds": of.number(&length, 0, maxPlanSeconds), "target": of.number(&target, 0, maxPerMinute),
			})
			*into = append(*into, schedule.Stage{Duration: seconds(length), Target: target})
		}
	}
}

// preflighted keeps what the preflight found and the verdict needs.
func (r *RootModule) preflighted(health platform.Health, clock platform.ClockReading, overridden []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.health, r.run.clock = health, clock
	r.run.header.Overridden = overridden
}

// noteLoad notes that a stay or an event begins. With the first, the evidence begins, and its file, if there is to be one.
func (r *RootModule) noteLoad(state *vuState, began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.run.loadBegan.IsZero() {
		return
	}
	r.run.loadBegan, r.run.header.Began, r.run.options = began, began, state.Options
	r.progress.begin(r)
	if err := r.beginEvidence(state); err != nil {
		state.Logger.Warnf("the run goes on without a file of its evidence: %s", err)
		r.record.Warn("no file of the evidence: " + err.Error())
	}
}

// beginEvidence describes the run to the recorder. The lock is held.
func (r *RootModule) beginEvidence(state *vuState) error {
	r.run.described = true
	r.run.header.Tool, r.run.header.K6 = version.Version(), version.K6()
	runner := runnerFor(state.Options)
	runner.ClockOffset, runner.ClockError = r.run.clock.Offset, r.run.clock.Error
	if runner.ClockError == 0 {
		runner.ClockOffset = clockOffset(r.run.health)
	}
	runner.Began = r.run.loadBegan
	if err := r.evidence.Describe(r.run.header, runner); err != nil {
		return err
	}
	if r.run.reportDir == "" {
		return nil
	}
	path := filepath.Join(r.run.reportDir, r.evidenceName())
	return r.evidence.Open(path, func(err error) {
		state.Logger.Warnf("the evidence could not be written to its file, the run goes on: %s", err)
		r.record.Warn("the file of the evidence is not whole: " + err.Error())
	})
}

// evidenceName is that of the file, beside the reports of the same name.
func (r *RootModule) evidenceName() string {
	name := r.run.header.Scenario
	if r.run.header.Profile != "" {
		name = r.run.header.Profile
	}
	return name + report.RunnerSuffix(r.record.Runner()) + evidence.Extension
}

// runnerFor says which of the runners of a test this is.
func runnerFor(options lib.Options) evidence.Runner {
	segment, sequence := options.ExecutionSegment, options.ExecutionSegmentSequence
	if segment == nil || sequence == nil {
		return evidence.Runner{Count: 1}
	}
	index, err := indexOf(*sequence, segment)
	if err != nil {
		return evidence.Runner{Count: 1}
	}
	return evidence.Runner{Index: index, Count: len(*sequence), Segment: segment.String()}
}

// clockOffset is what this machine's clock shows less what the service's shows, from a Date in whole seconds. Less than a second is
// not told apart from none.
func clockOffset(health platform.Health) time.Duration {
	date, ok := health.Clock()
	if !ok {
		return 0
	}
	middle := health.Asked.Add(health.Answered.Sub(health.Asked) / 2)
	offset := middle.Sub(date.Add(time.Second / 2))
	if offset.Abs() < time.Second {
		return 0
	}
	return offset
}

func (r *RootModule) isDescribed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.described
}

// endEvidence closes the evidence with what the report says, and judges it.
func (r *RootModule) endEvidence(found *report.Report) (*evidence.Run, verdict.Verdict, []evidence.Waiting) {
	now := time.Now()
	r.closeEvents(now)
	end := evidence.End{
		At: now, Interrupted: found.Ending, UptimeBefore: -1, UptimeAfter: -1, Facts: r.record.Facts(),
		Waiting: stillWaiting(r.evidence.Run()),
	}
	found.Enter(&end)
	r.mu.Lock()
	defer r.mu.Unlock()
	end.Ledger = r.run.ledger
	if r.run.uptime >= 0 && !r.run.health.Asked.IsZero() {
		end.UptimeBefore = (r.run.health.Uptime + r.run.loadBegan.Sub(r.run.health.Asked)).Seconds()
		end.UptimeAfter = (r.run.uptime + now.Sub(r.run.ended)).Seconds()
	}
	if err := r.evidence.Close(end); err != nil {
		found.Warnings = append(found.Warnings, "the file of the evidence is not whole: "+err.Error())
	}
	run := r.evidence.Run()
	judged := verdict.Judge(run, r.run.header.Claims)
	r.run.judged, r.run.closed = judged.Status, true
	return run, judged, end.Waiting
}

// ExitCode is k6's, unless k6 found nothing wrong and the verdict did: then a FAIL counts as a crossed threshold, and NOT PROVEN as a run
// that was marked as failed. k6 decides its own before the verdict can be known.
func (r *RootModule) ExitCode(code int) int {
	r.judgeUnsummarized(code)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case code != 0:
		return code
	case r.run.judged == verdict.Fail:
		return int(exitcodes.ThresholdsHaveFailed)
	case r.run.judged == verdict.NotProven:
		return int(exitcodes.MarkedAsFailed)
	}
	return 0
}

// judgeUnsummarized ends the evidence of a run of which k6 made no summary, as with --no-summary, and prints its verdict.
func (r *RootModule) judgeUnsummarized(code int) {
	r.mu.Lock()
	run := r.run
	r.mu.Unlock()
	if !run.described || run.closed {
		return
	}
	found := &report.Report{
		Scenario: run.header.Scenario, Profile: run.header.Profile, Target: run.header.Target, Plan: run.header.Plan,
		Ending: r.ending.text(time.Since(run.loadBegan)),
	}
	if code == int(exitcodes.ThresholdsHaveFailed) {
		found.Thresholds = []report.Threshold{{Metric: "one or more,", Condition: "which k6 names in its summary only"}}
	}
	r.judge(found)
	if len(run.header.Claims) > 0 {
		_ = r.write(found.Heading(r.width)) // the exit code says it too
	}
}

const (
	maxAudited = 1_000_000
	// auditedAtOnce is how many balances are read at the same time.
	auditedAtOnce = 10
	// auditTimeout is how long each may take, and auditLimit all of them: k6 gives teardown() ten minutes.
	auditTimeout = 4 * time.Second
	auditLimit   = 4 * time.Minute
	// abortedAuditLimit is how long it may go on for somebody who stopped the run.
	abortedAuditLimit = 3 * time.Second
	// silentReads is after how many readings without an answer the service is taken to hang.
	silentReads = 10
)

// Audit is Verity.audit.
func (v *Verity) Audit(options sobek.Value) *sobek.Promise {
	state := v.ready("audit")
	if lib.GetScenarioState(v.m.vu.Context()) != nil {
		v.m.throw("audit can be called in teardown only")
	}
	atMost := maxAudited
	r := reader{v.m, "audit"}
	r.read(options, map[string]func(string, sobek.Value){"atMost": r.whole(&atMost, 1, maxAudited)})
	client := v.client(state)
	life := v.m.lifetime()
	limit := auditLimit
	if v.m.root.ending.aborted() {
		limit = abortedAuditLimit
	}
	return v.m.promise(nil, func(ctx context.Context) (js, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ledger := v.auditUsers(ctx, life, sampleOf(v.m.root.known(), atMost))
		uptime := time.Duration(-1)
		if health, err := platform.CheckHealth(ctx, client, v.baseURL); err == nil {
			uptime = health.Uptime
		}
		root := v.m.root
		root.mu.Lock()
		defer root.mu.Unlock()
		root.run.ledger, root.run.uptime, root.run.ended = ledger, uptime, time.Now()
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "users", ledger.Users)
			set(object, "unread", ledger.Unread)
			set(object, "wrong", ledger.Wrong)
			return object
		}, nil
	})
}

// auditUsers reads the balances of users and holds them against their accounts.
func (v *Verity) auditUsers(ctx context.Context, life *lifetime, users []*platform.User) *evidence.Ledger {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var silent atomic.Int64
	read := make([]error, len(users))
	inParallel(len(users), auditedAtOnce, func(i int) {
		if read[i] = errUnread; silent.Load() >= silentReads || ctx.Err() != nil {
			return
		}
		connection := newConnection(v.m, v.m.state, v.baseURL, min(seconds(v.timeout), auditTimeout))
		defer connection.close()
		_, err := users[i].Through(connection).Balance(ctx)
		if e, ok := asPlatformError(err); ok && e.Name == platform.TimeoutError && silent.Add(1) >= silentReads {
			cancel() // the others would hang as long
		}
		if !isStopped(err) {
			read[i] = err
		}
	})
	ledger := &evidence.Ledger{}
	for i, user := range users {
		err := read[i]
		if err == nil {
			err = enter(ledger, user)
		} else {
			ledger.Unread++
		}
		v.count(life, platform.OpBalance, err)
	}
	return ledger
}

var errUnread = &platform.Error{
	Name: platform.TimeoutError, Operation: platform.OpBalance,
	Message: platform.OpBalance + ": the balance was not read after the load: too many readings before it took too long",
}

// enter adds a user's statement to the ledger, and returns an error where it does not add up.
func enter(ledger *evidence.Ledger, user *platform.User) error {
	s := user.Statement()
	ledger.Users++
	ledger.Bought += int64(s.Bought)
	ledger.Spent += int64(s.Spent)
	ledger.Lost += int64(s.Lost)
	ledger.Left += int64(s.Left)
	if s.Missing == 0 {
		return nil
	}
	ledger.Wrong++
	example := fmt.Sprintf("user %s has %d, and bought %d, spent %d, lost %d", user.ID(), s.Left, s.Bought, s.Spent, s.Lost)
	if len(ledger.Examples) < 10 {
		ledger.Examples = append(ledger.Examples, example)
	}
	return unexpected(platform.OpBalance, 200, "the balance after the load does not add up: %s", example)
}

// sampleOf returns at most so many, spread evenly.
func sampleOf[T any](all []T, most int) []T {
	if len(all) <= most {
		return all
	}
	sample := make([]T, most)
	for i := range sample {
		sample[i] = all[i*len(all)/most]
	}
	return sample
}

// inParallel calls f for 0 to n-1, so many at the same time, and waits.
func inParallel(n, atOnce int, f func(i int)) {
	next := make(chan int)
	done := make(chan struct{})
	for range min(n, atOnce) {
		go func() {
			for i := range next {
				f(i)
			}
			done <- struct{}{}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	for range min(n, atOnce) {
		<-done
	}
}

// enroll keeps a user of a stay for the audit at the end; one whose session is lost is let go, for its balance cannot be read.
func (r *RootModule) enroll(user *platform.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enrolled[user.ID()] = user.Through(nil)
}

func (r *RootModule) expel(user *platform.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.enrolled, user.ID())
}

// known returns the users of this process whose balances can be read, those of setup() too, in the order of their ids.
func (r *RootModule) known() []*platform.User {
	r.mu.Lock()
	defer r.mu.Unlock()
	var users []*platform.User
	for _, of := range []map[string]*platform.User{r.seeded, r.enrolled} {
		for _, id := range sortedKeys(of) {
			users = append(users, of[id])
		}
	}
	return users
}
