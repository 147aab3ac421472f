package jsapi

import (
	"fmt"

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
