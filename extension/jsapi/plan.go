package jsapi

import (
	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/queue"
)

const maxPlanSeconds = 86400

// planQueue is the function planQueue of the module.
func (m *Module) planQueue(load sobek.Value) *sobek.Object {
	l, shards := m.readLoad(load)
	var plan queue.Plan
	var err error
	if shards > 0 {
		plan, err = queue.Predict(l, shards)
	} else {
		plan, err = queue.PlanQueue(l)
	}
	if err != nil {
		m.throw("planQueue: %s", err)
	}
	object := m.vu.Runtime().NewObject()
	set(object, "shards", plan.Shards)
	set(object, "sessions", plan.Sessions)
	set(object, "pairsPerSecond", plan.PairsPerSecond)
	set(object, "medianWaitSeconds", plan.MedianWaitSeconds)
	set(object, "waitSeconds", plan.WaitSeconds)
	set(object, "rampWaitSeconds", plan.RampWaitSeconds)
	set(object, "drainSeconds", plan.DrainSeconds)
	set(object, "limit", plan.Limit)
	set(object, "explanation", plan.Explanation)
	return object
}

// readLoad reads the load of a plan, and the number of shards to predict it for: 0 to have them planned.
func (m *Module) readLoad(load sobek.Value) (l queue.Load, shards int) {
	r := reader{m, "planQueue"}
	r.read(load, map[string]func(string, sobek.Value){
		"users":          r.whole(&l.Users, 2, maxUsers),
		"holdSeconds":    r.number(&l.HoldSeconds, 0, maxPlanSeconds),
		"thinkSeconds":   r.number(&l.ThinkSeconds, 0, maxPlanSeconds),
		"maxWaitSeconds": r.number(&l.MaxWaitSeconds, 0.001, maxPlanSeconds),
		"arriveSeconds":  r.number(&l.ArriveSeconds, 0, maxPlanSeconds),
		"tickMs":         r.whole(&l.TickMs, 1, 60_000),
		"pairsPerTick":   r.whole(&l.PairsPerTick, 1, 10_000),
		"shards":         r.whole(&shards, 1, maxUsers),
	})
	if l.Users == 0 {
		m.throw("planQueue needs users, the number of users of the whole test")
	}
	return l, shards
}
