package jsapi

import (
	"context"
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/queue"
)

// watchDepth is the function watchDepth of the module.
func (m *Module) watchDepth(redisURL string) {
	if m.vu.State() == nil || lib.GetScenarioState(m.vu.Context()) != nil {
		m.throw("watchDepth can be called in setup only")
	}
	probe, err := queue.NewProbe(redisURL)
	if err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("watchDepth: %w", err))
	}
	m.root.run.WatchDepth(probe)
}

// endDepthWatch is the function endDepthWatch of the module.
func (m *Module) endDepthWatch() *sobek.Promise {
	state := m.vuState("endDepthWatch")
	return m.promise(nil, func(ctx context.Context) (js, error) {
		m.root.run.EndDepthWatch(ctx, state, state.Logger)
		return resolved(sobek.Undefined()), nil
	})
}
