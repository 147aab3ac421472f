package run

import (
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/report"
)

// Prepared is where the reports of a run will be, and what they are of.
type Prepared struct{ Dir, Scenario, Profile, Target string }

func (p Prepared) name() string {
	if p.Profile != "" {
		return p.Profile
	}
	return p.Scenario
}

// Prepare removes the files of an earlier run of that name from Dir, if there is one, and has a run that is refused from here on make a report that says why. k6
// runs the init context again for teardown() and the summary: the files are of this run then, and stay.
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

// ReportRefusal writes the report of a run that is refused in the init context, which has no summary, and appends it to the file that
// GitHub Actions shows for a step; "": none.
func (r *Run) ReportRefusal(why, stepSummary string) {
	p := r.takePrepared()
	if p.name() == "" {
		return
	}
	found := &report.Report{
		Name: p.name(), Scenario: p.Scenario, Profile: p.Profile, Target: p.Target, Ended: time.Now(), Refused: true,
		Ending: "refused before the load: " + why,
	}
	_ = r.writeStepSummary(found, stepSummary) // the refusal itself is what is told, here and below
	if p.Dir != "" {
		_, _ = found.Write(p.Dir, nil)
	}
}

// SetRunner keeps which of several runners this is, from 1, for the name of its reports, and removes those of an earlier run of it, once.
func (r *Run) SetRunner(number, count int) {
	r.Record.SetRunner(fmt.Sprintf("%d of %d", number, count))
	p := r.takePrepared()
	if p.Dir == "" {
		return
	}
	if err := report.Remove(p.Dir, fmt.Sprintf("%s-runner-%d-of-%d", p.name(), number, count)); err != nil {
		r.Record.Warn("the report of an earlier run: " + err.Error())
	}
}
