package jsapi

import (
	"context"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/users"
)

// arrival is the function arrival of the module: the event that this iteration sends.
func (m *Module) arrival() *sobek.Object {
	state := m.vuState("arrival")
	scenario := lib.GetScenarioState(m.vu.Context())
	if scenario == nil {
		m.throw("arrival can be called in a scenario only, not in setup or teardown")
	}
	now := time.Now()
	m.root.run.Begin(scenario.StartTime, k6.RunnerFor(state.Options), state.Logger)
	event, err := m.root.run.SendEvent(m.lifetime().Work, state, scenario.StartTime, now, func() (func() int, error) {
		return k6.EventNumbers(state.Options)
	})
	if err != nil {
		common.Throw(m.vu.Runtime(), err)
	}
	// The runner's delay is measured through the whole iteration: requests of a millisecond with pauses between them are too short.
	context.AfterFunc(m.vu.Context(), m.root.run.Runner.Hold())
	m.holdLast(event)
	object := m.vu.Runtime().NewObject()
	set(object, "lateSeconds", now.Sub(event.Due).Seconds())
	set(object, "answered", func(reason sobek.Value) {
		failure := ""
		if !common.IsNullish(reason) {
			failure = run.KindName(errorKind("", reason))
		}
		m.root.run.EndEvent(event, failure)
	})
	return object
}

// holdLast makes the iteration of the plan's last event go on until the plan ends. Otherwise k6 shows the scenario as interrupted at
// about 95 %, since a rate that falls to 0 sends its last event some time before the end.
func (m *Module) holdLast(event *run.Event) {
	if event.IsLast {
		m.after(time.Until(event.PlanEnds)+users.EndGuard, true, users.DoNothing)
	}
}
