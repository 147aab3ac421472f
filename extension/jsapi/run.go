package jsapi

import (
	"context"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/schedule"
	"github.com/verity-app/xk6-verity/extension/users"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// describeRun is the function describeRun of the module.
func (m *Module) describeRun(options sobek.Value) {
	m.vuState("describeRun")
	if lib.GetScenarioState(m.vu.Context()) != nil {
		m.throw("describeRun can be called in setup only")
	}
	var plan run.Plan
	var drawn schedule.Rate
	header := &plan.Header
	r := reader{m, "describeRun"}
	r.read(options, map[string]func(string, sobek.Value){
		"scenario":  r.text(&header.Scenario),
		"profile":   r.text(&header.Profile),
		"target":    r.text(&header.Target),
		"plan":      r.text(&header.Plan),
		"users":     r.whole(&header.PlannedUsers, 0, maxUsers*maxUsersPerVU),
		"rate":      r.number(&header.PlannedRate, 0, maxPerMinute),
		"start":     r.number(&drawn.Start, 0, maxPerMinute),
		"stages":    r.stages(&drawn.Stages),
		"claims":    r.json(&header.Claims),
		"noClaims":  r.text(&header.NoClaims),
		"variables": r.json(&header.Variables),
		"reportDir": r.text(&plan.ReportDir),
	})
	if err := verdict.Check(header.Claims); err != nil {
		m.throwOption("claims", "claims of describeRun", ": "+err.Error())
	}
	m.root.run.Describe(plan.Drawn(drawn, m.runnerShare()))
}

// stages reads an array of { seconds, target }.
func (r reader) stages(into *[]schedule.Stage) func(string, sobek.Value) {
	return r.each("{ seconds, target }", func(of reader, item sobek.Value) {
		var length, target float64
		of.read(item, map[string]func(string, sobek.Value){
			"seconds": of.number(&length, 0, maxPlanSeconds), "target": of.number(&target, 0, maxPerMinute),
		})
		*into = append(*into, schedule.Stage{Duration: users.Seconds(length), Target: target})
	})
}

// each reads an array of stages, which have this form.
func (r reader) each(form string, read func(of reader, item sobek.Value)) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		var list []sobek.Value
		if err := r.m.vu.Runtime().ExportTo(value, &list); err != nil {
			r.throw(name, "must be an array of %s, got %s", form, show(value))
		}
		for _, item := range list {
			read(reader{r.m, "a stage of " + r.what}, item)
		}
	}
}

// ExitCode returns k6's exit code or, if that is 0, the one for the verdict: FAIL counts as a crossed threshold, and NOT PROVEN as a
// run that was marked as failed. One runner of several proves nothing alone, and does not fail for that: the merge decides. k6 decides
// its exit code before there is a verdict.
func (r *RootModule) ExitCode(code int) int {
	found := r.run.Verdict(code == int(exitcodes.ThresholdsHaveFailed), r.ending.Text)
	switch {
	case code != 0:
		return code
	case found == verdict.Fail:
		return int(exitcodes.ThresholdsHaveFailed)
	case found == verdict.NotProven && !r.run.IsOneOfSeveral():
		return int(exitcodes.MarkedAsFailed)
	}
	return 0
}

// Audit is Verity.audit.
func (v *Verity) Audit(options sobek.Value) *sobek.Promise {
	state := v.ready("audit")
	if lib.GetScenarioState(v.m.vu.Context()) != nil {
		v.m.throw("audit can be called in teardown only")
	}
	life := v.m.lifetime()
	audit := run.Audit{
		AtMost: run.MaxAudited, IsAborted: v.m.root.ending.Aborted(), Client: state.Client(v.service.Timeout), BaseURL: v.service.BaseURL,
		Open: func(timeout time.Duration) (platform.HTTP, func()) {
			opened := state.Connect(v.service.BaseURL, min(v.service.Timeout, timeout))
			return opened, opened.Close
		},
		Count: func(err error) { v.service.Count(state, life, platform.OpBalance, err) },
	}
	r := reader{v.m, "audit"}
	r.read(options, map[string]func(string, sobek.Value){"atMost": r.whole(&audit.AtMost, 1, run.MaxAudited)})
	return v.m.promise(nil, func(ctx context.Context) (js, error) {
		ledger := v.m.root.run.Audit(ctx, audit)
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "users", ledger.Users)
			set(object, "unread", ledger.Unread)
			set(object, "wrong", ledger.Wrong)
			return object
		}, nil
	})
}

// prepareReports is the function prepareReports of the module. With a scenario, it removes the files of an earlier run of that name,
// and a run that is refused later gets a report that says why; without a folder, only GitHub Actions shows that report.
func (m *Module) prepareReports(dir string, of sobek.Value) {
	if dir != "" {
		if err := report.Prepare(dir); err != nil {
			m.throwOption("dir", "the folder for reports", " "+err.Error())
		}
	}
	if common.IsNullish(of) {
		return
	}
	p := run.Prepared{Dir: dir, Runner: m.root.part}
	r := reader{m, "prepareReports"}
	r.read(of, map[string]func(string, sobek.Value){
		"scenario": r.text(&p.Scenario), "profile": r.text(&p.Profile), "target": r.text(&p.Target),
	})
	if err := m.root.run.Prepare(p); err != nil {
		common.Throw(m.vu.Runtime(), err)
	}
}
