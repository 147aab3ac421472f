// Package run keeps the account of the current run, which all VUs of this process share: its plan, the numbers of users, sockets and
// sessions, the outcomes of operations and, at the end, its verdict and reports. Samples go to k6 through an Emitter.
package run

import (
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/runner"
	"github.com/verity-app/xk6-verity/extension/schedule"
	"github.com/verity-app/xk6-verity/extension/sessions"
	"github.com/verity-app/xk6-verity/extension/verdict"
	"github.com/verity-app/xk6-verity/extension/version"
)

// Run is the account of one run. It is safe for concurrent use.
type Run struct {
	Record   report.Record      // for the report
	Evidence *evidence.Recorder // for the verdict
	Sessions *sessions.Tracker
	Runner   runner.Monitor

	unanswered *evidence.Unanswered // requests under way

	presence presence
	sockets  sockets
	depth    depth
	held     holdTimes
	logged   loggedErrors
	progress progress
	readings readings
	duty     chan struct{} // holds a value while no stay carries out the duties

	mu       sync.Mutex
	plan     Plan
	state    state
	arrivals arrivals
	accounts accounts
	prepared Prepared
	out      io.Writer
	width    int // of the terminal, in columns; 0: lines are not wrapped
}

// Plan describes a run before its load.
type Plan struct {
	Header    evidence.Header
	ReportDir string        // "": no reports
	Rate      schedule.Rate // events a second, of the whole test; empty for a load of users
	Ramp      schedule.Rate // users over time, of this runner
	Users     int           // of this runner; 0: unknown
}

// Drawn returns the plan with the course of its load: events a second if the header has a rate, otherwise users. This runner makes a
// share of the load.
func (p Plan) Drawn(load schedule.Rate, share float64) Plan {
	p.Header.Start = load.Start
	for _, stage := range load.Stages {
		p.Header.Stages = append(p.Header.Stages, evidence.Stage{Seconds: stage.Duration.Seconds(), Target: stage.Target})
	}
	if p.Header.PlannedRate > 0 {
		p.Rate = load
		return p
	}
	p.Ramp = load.Scaled(share)
	p.Users = max(1, int(float64(p.Header.PlannedUsers)*share+0.5))
	return p
}

// state is the progress of the run.
type state struct {
	loadBegan time.Time
	described bool
	health    platform.Health       // found by the preflight
	clock     platform.ClockReading // measured if there are several runners
	uptime    time.Duration         // of the service, at the end; negative: unknown
	ended     time.Time             // when uptime was read
	ledger    *evidence.Ledger
	judged    verdict.Status
	isPart    bool   // of the load of several runners
	closed    bool   // the evidence is closed, and the run judged
	file      string // of the evidence; "" for none
}

// New returns the account of a run that has not begun. Its output goes to out.
func New(out io.Writer) *Run {
	r := &Run{
		Evidence: evidence.New(nil), unanswered: evidence.NewUnanswered(), Sessions: sessions.NewTracker(), accounts: newAccounts(), out: out,
		duty: make(chan struct{}, 1), state: state{uptime: -1},
	}
	r.Runner.Late, r.Runner.Used = r.recordLag, r.recordLevels
	r.duty <- struct{}{}
	return r
}

// SetOutput sets the output, and its width in columns; 0: lines are not wrapped.
func (r *Run) SetOutput(out io.Writer, width int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out, r.width = out, width
}

// Write writes a text to the output.
func (r *Run) Write(text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := io.WriteString(r.out, text)
	return err
}

// Describe keeps the plan of the run.
func (r *Run) Describe(plan Plan) {
	r.Record.SetPlan(plan.Header.Plan)
	if plan.Users > 0 {
		r.presence.plan(plan.Users)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan, r.state = plan, state{uptime: -1}
}

// Preflighted keeps the results of the preflight that the verdict needs.
func (r *Run) Preflighted(health platform.Health, clock platform.ClockReading, overridden []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.health, r.state.clock = health, clock
	r.plan.Header.Overridden = overridden
}

// Begin notes that a stay or an event begins. The first one begins the load, its evidence and, if there are reports, the file of the
// evidence.
func (r *Run) Begin(began time.Time, here evidence.Runner, log Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.state.loadBegan.IsZero() {
		return
	}
	r.state.loadBegan, r.plan.Header.Began = began, began
	r.progress.begin(r)
	if err := r.beginEvidence(here, log); err != nil {
		log.Warnf("the run goes on without a file of its evidence: %s", err)
		r.Record.Warn("no file of the evidence: " + err.Error())
	}
}

// beginEvidence describes the run to the recorder. The lock is held.
func (r *Run) beginEvidence(here evidence.Runner, log Logger) error {
	r.state.described = true
	r.plan.Header.Tool, r.plan.Header.K6 = version.Version(), version.K6()
	here.ClockOffset, here.ClockError = r.state.clock.Offset, r.state.clock.Error
	if here.ClockError == 0 {
		here.ClockOffset = r.state.health.ClockOffset()
	}
	here.Began = r.state.loadBegan
	if err := r.Evidence.Describe(r.plan.Header, here); err != nil {
		return err
	}
	if r.plan.ReportDir == "" {
		return nil
	}
	path := filepath.Join(r.plan.ReportDir, r.evidenceName())
	err := r.Evidence.Open(path, func(err error) {
		log.Warnf("the evidence could not be written to its file, the run goes on: %s", err)
		r.Record.Warn("the file of the evidence is not whole: " + err.Error())
	})
	if err == nil {
		r.state.file = path
	}
	return err
}

// evidenceName returns the name of the evidence file, which is beside the reports of the same name.
func (r *Run) evidenceName() string {
	name := r.plan.Header.Scenario
	if r.plan.Header.Profile != "" {
		name = r.plan.Header.Profile
	}
	return name + report.RunnerSuffix(r.Record.Runner()) + evidence.Extension
}

func (r *Run) isDescribed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.described
}

// plannedUsers returns the number of users that are planned for this runner at a time.
func (r *Run) plannedUsers(at time.Time) (users float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.loadBegan.IsZero() || len(r.plan.Ramp.Stages) == 0 {
		return 0, false
	}
	return r.plan.Ramp.At(at.Sub(r.state.loadBegan)), true
}
