package jsapi

import (
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/report"
)

// prepareReports is the function prepareReports of the module.
func (m *Module) prepareReports(dir string) {
	if err := report.Prepare(dir); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("the folder for reports %w", err))
	}
}

// notePlan is the function notePlan of the module.
func (m *Module) notePlan(plan string, options sobek.Value) {
	users := 0
	r := reader{m, "notePlan"}
	r.read(options, map[string]func(string, sobek.Value){"users": r.whole(&users, 1, maxUsers*maxUsersPerVU)})
	if users > 0 {
		m.root.presence.plan(users)
	}
	m.root.record.SetPlan(plan)
}

// noteRunner keeps which of several runners this is, from 1, for the name of its reports.
func (r *RootModule) noteRunner(options lib.Options) {
	segment, sequence := options.ExecutionSegment, options.ExecutionSegmentSequence
	if segment == nil || sequence == nil {
		return
	}
	index, err := indexOf(*sequence, segment)
	if err != nil {
		return // a run with such a segment is refused elsewhere
	}
	r.record.SetRunner(fmt.Sprintf("%d of %d", index+1, len(*sequence)))
}
