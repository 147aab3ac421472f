package jsapi

import (
	"fmt"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/report"
)

// prepareReports is the function prepareReports of the module. With a scenario, files of an earlier run of that name are removed, and a run that is
// refused from here on has a report that says why.
func (m *Module) prepareReports(dir string, of sobek.Value) {
	if err := report.Prepare(dir); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("the folder for reports %w", err))
	}
	if common.IsNullish(of) || m.root.isDescribed() {
		return // k6 runs the init context again for teardown() and the summary: the files are of this run then
	}
	p := preparedReports{dir: dir, runner: m.root.part}
	r := reader{m, "prepareReports"}
	r.read(of, map[string]func(string, sobek.Value){
		"scenario": r.text(&p.scenario), "profile": r.text(&p.profile), "target": r.text(&p.target),
	})
	if err := report.Remove(dir, p.name()); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("the report of an earlier run: %w", err))
	}
	m.root.mu.Lock()
	defer m.root.mu.Unlock()
	m.root.prepared = p
}

// preparedReports is where the reports of a run will be, and what they are of.
type preparedReports struct{ dir, scenario, profile, target, runner string }

func (p preparedReports) name() string {
	name := p.scenario
	if p.profile != "" {
		name = p.profile
	}
	return name + report.RunnerSuffix(p.runner)
}

// reportRefusal writes the report of a run that is refused in the init context, which has no summary.
func (r *RootModule) reportRefusal(why string) {
	r.mu.Lock()
	p := r.prepared
	r.mu.Unlock()
	if p.dir == "" {
		return
	}
	found := &report.Report{
		Name: p.name(), Runner: p.runner, Scenario: p.scenario, Profile: p.profile, Target: p.target, Ended: time.Now(), Refused: true,
		Ending: "refused before the load: " + why,
	}
	_, _ = found.Write(p.dir, nil) // the refusal itself is what is told
}

// noteRunner keeps which of several runners this is, from 1, for the name of its reports.
func (r *RootModule) noteRunner(options lib.Options) {
	if part := partOf(options.ExecutionSegment, options.ExecutionSegmentSequence); part != "" {
		r.record.SetRunner(part)
		r.removeOfRunner(part)
	}
}

// partOf is which of the runners of a test this is, such as 1 of 2; "" for the only one, and for a segment that is refused elsewhere.
func partOf(segment *lib.ExecutionSegment, sequence *lib.ExecutionSegmentSequence) string {
	if segment == nil || sequence == nil {
		return ""
	}
	index, err := indexOf(*sequence, segment)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d of %d", index+1, len(*sequence))
}

// removeOfRunner removes the files of an earlier run of this one of several runners, once, where that was not known in the init context.
func (r *RootModule) removeOfRunner(part string) {
	r.mu.Lock()
	p := r.prepared
	r.prepared = preparedReports{}
	r.mu.Unlock()
	if p.dir == "" || p.runner != "" {
		return
	}
	p.runner = part
	if err := report.Remove(p.dir, p.name()); err != nil {
		r.record.Warn("the report of an earlier run: " + err.Error())
	}
}
