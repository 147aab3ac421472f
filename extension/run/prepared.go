package run

import (
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/report"
)

// Prepared is the directory of a run's reports, and what they report on.
type Prepared struct {
	Dir, Scenario, Profile, Target string
	Runner                         string // which of several runners this is, such as 1 of 2; "": not known yet
}

// name returns the name of the files; "" if nothing was prepared.
func (p Prepared) name() string {
	name := p.Scenario
	if p.Profile != "" {
		name = p.Profile
	}
	if name == "" {
		return ""
	}
	return name + report.RunnerSuffix(p.Runner)
}

// Prepare removes the files of an earlier run with this name from Dir, if that is set, and keeps p for ReportRefusal. k6 runs the
// init context again for teardown() and the summary: the files are then this run's, and are kept.
func (r *Run) Prepare(p Prepared) error {
	if r.isDescribed() {
		return nil
	}
	if p.Dir != "" {
		if err := report.Remove(p.Dir, p.name()); err != nil {
			return fmt.Errorf("the report of an earlier run: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prepared = p
	return nil
}

// takePrepared returns what was prepared, once.
func (r *Run) takePrepared() Prepared {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.prepared
	r.prepared = Prepared{}
	return p
}

// ReportRefusal writes the report of a run that is refused in the init context, which has no summary, and appends it to stepSummary,
// the file that GitHub Actions shows for a step; "": none.
func (r *Run) ReportRefusal(why, stepSummary string) {
	p := r.takePrepared()
	if p.name() == "" {
		return
	}
	found := &report.Report{
		Name: p.name(), Runner: p.Runner, Scenario: p.Scenario, Profile: p.Profile, Target: p.Target, Ended: time.Now(), Refused: true,
		Ending: "refused before the load: " + why,
	}
	_ = r.writeStepSummary(found, stepSummary) // here and below, the refusal is the error that is shown
	if p.Dir != "" {
		_, _ = found.Write(p.Dir, nil)
	}
}

// SetRunner keeps which of several runners this is, such as 1 of 2, for the names of its reports. If that was not known to Prepare,
// the first call removes the files of an earlier run of this runner.
func (r *Run) SetRunner(here string) {
	r.Record.SetRunner(here)
	p := r.takePrepared()
	if p.Dir == "" || p.Runner != "" {
		return
	}
	p.Runner = here
	if err := report.Remove(p.Dir, p.name()); err != nil {
		r.Record.Warn("the report of an earlier run: " + err.Error())
	}
}
