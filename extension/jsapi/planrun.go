package jsapi

import (
	"maps"
	"math"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/plan"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/schedule"
)

// planRun is the function planRun of the module.
func (m *Module) planRun(options sobek.Value) *sobek.Object {
	var run plan.Run
	r := reader{m, "planRun"}
	r.read(options, map[string]func(string, sobek.Value){
		"users": func(_ string, value sobek.Value) { run = reader{m, "users of planRun"}.users(value) },
		"purchases": func(_ string, value sobek.Value) {
			run = reader{m, "purchases of planRun"}.purchases(value)
		},
	})
	if run == nil {
		m.throw("planRun needs users or purchases")
	}
	share := m.root.share
	if m.vu.State() != nil {
		share = m.runnerShare()
	}
	asked, err := run.Asks(share)
	if err != nil {
		m.throw("planRun: %s", err)
	}
	course := run.Course()
	stages := make([]any, 0, len(course.Stages))
	for _, stage := range course.Stages {
		stages = append(stages, map[string]any{"seconds": stage.Duration.Seconds(), "target": stage.Target})
	}
	object := m.vu.Runtime().NewObject()
	set(object, "asks", asksOf(asked))
	set(object, "seconds", run.Seconds())
	set(object, "start", course.Start)
	set(object, "stages", stages)
	if purchases, ok := run.(plan.Purchases); ok {
		set(object, "events", purchases.Events())
	}
	return object
}

// asksOf returns a plan as the argument of Verity.preflight.
func asksOf(asked preflight.Plan) map[string]any {
	requests := make(map[string]any, len(asked.Requests))
	for operation, load := range asked.Requests {
		requests[operation] = map[string]any{"perMinute": load.PerMinute, "arithmetic": load.Arithmetic, "ofEach": load.OfEach}
	}
	return map[string]any{"requests": requests, "connections": asked.Connections, "closedPerMinute": asked.ClosedPerMinute}
}

func (r reader) users(value sobek.Value) plan.Users {
	u := plan.Users{AuditedUsers: math.MaxInt32}
	var ramp plan.Ramp
	var isRamp bool
	keys := r.flags(&u.Flags)
	maps.Copy(keys, map[string]func(string, sobek.Value){
		"users":             r.whole(&u.Users, 1, maxUsers*maxUsersPerVU),
		"rampUp":            r.span(&ramp.Up, &isRamp),
		"hold":              r.span(&ramp.Hold, &isRamp),
		"rampDown":          r.span(&ramp.Down, &isRamp),
		"match":             r.yesOrNo(&u.Shared),
		"shards":            r.whole(&u.Shards, 1, maxUsers),
		"thinkSeconds":      r.between(&u.Think),
		"holdSeconds":       r.number(&u.HoldSeconds, 0, maxPlanSeconds),
		"maxWaitSeconds":    r.number(&u.MaxWaitSeconds, 0.001, maxPlanSeconds),
		"arriveSeconds":     r.number(&u.ArriveSeconds, 0, maxPlanSeconds),
		"firstTokens":       r.whole(&u.FirstTokens, 0, math.MaxInt32),
		"topUpTokens":       r.whole(&u.TopUpTokens, 0, math.MaxInt32),
		"balanceCheckEvery": r.whole(&u.BalanceCheckEvery, 0, math.MaxInt32),
		"auditedUsers":      r.whole(&u.AuditedUsers, 0, math.MaxInt32),
	})
	r.read(value, keys)
	if isRamp {
		u.Ramp = &ramp
	}
	return u
}

func (r reader) purchases(value sobek.Value) plan.Purchases {
	var p plan.Purchases
	var spike plan.Spike
	var isSpike bool
	keys := r.flags(&p.Flags)
	maps.Copy(keys, map[string]func(string, sobek.Value){
		"users":        r.whole(&p.Users, 1, maxUsers),
		"vus":          r.whole(&p.VUs, 1, math.MaxInt32),
		"baseRate":     r.number(&spike.Base, 0, maxPerMinute),
		"spikeRate":    r.number(&spike.Top, 0, maxPerMinute),
		"rampUp":       r.span(&spike.Up, &isSpike),
		"spikeHold":    r.span(&spike.Hold, &isSpike),
		"rampDown":     r.span(&spike.Down, &isSpike),
		"thinkSeconds": r.between(&p.Think),
		"replayRate":   r.number(&p.ReplayRate, 0, 1),
	})
	r.read(value, keys)
	if isSpike {
		p.Spike = &spike
	}
	return p
}

// flags reads the effect of k6's flags on a run.
func (r reader) flags(into *plan.Flags) map[string]func(string, sobek.Value) {
	return map[string]func(string, sobek.Value){
		"start":      r.number(&into.Start, 0, maxPerMinute),
		"stages":     r.spans(&into.Stages),
		"iterations": r.number(&into.Iterations, 1, maxPerMinute),
		"duration": func(name string, value sobek.Value) {
			into.Duration = &plan.Span{}
			r.span(into.Duration, nil)(name, value)
		},
	}
}

// span reads a duration, and notes that it was given.
func (r reader) span(into *plan.Span, given *bool) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		text, ok := export(value).(string)
		span, err := plan.ParseSpan(text)
		if !ok || err != nil {
			r.throw(name, "must be a duration such as 90s, 1m30s or 10m, got %s", show(value))
		}
		*into = span
		if given != nil {
			*given = true
		}
	}
}

// spans reads an array of { duration, target }, as k6's stages are.
func (r reader) spans(into *[]schedule.Stage) func(string, sobek.Value) {
	return r.each("{ duration, target }", func(of reader, item sobek.Value) {
		var length plan.Span
		var target float64
		of.read(item, map[string]func(string, sobek.Value){
			"duration": of.span(&length, nil), "target": of.number(&target, 0, maxPerMinute),
		})
		*into = append(*into, schedule.Stage{Duration: length.Duration, Target: target})
	})
}

// between reads { min, max }.
func (r reader) between(into *plan.Range) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		of := reader{r.m, name + " of " + r.what}
		of.read(value, map[string]func(string, sobek.Value){
			"min": of.number(&into.Min, 0, maxPlanSeconds), "max": of.number(&into.Max, 0, maxPlanSeconds),
		})
	}
}
