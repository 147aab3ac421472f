package jsapi

import (
	"context"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/schedule"
)

// arrivals are the events of an arrival rate, of which iterations send one each. RootModule.mu guards it.
type arrivals struct {
	began    time.Time
	schedule *schedule.Arrivals
	open     map[*openEvent]struct{} // sent, and not answered as asked
	due      int                     // since the last one was sent
}

// openEvent is an event that is being sent.
type openEvent struct {
	due      time.Time
	isLast   bool // of the plan
	planEnds time.Time
}

// arrival is the function arrival of the module: the event that this iteration sends.
func (m *Module) arrival() *sobek.Object {
	state := m.vuState("arrival")
	scenario := lib.GetScenarioState(m.vu.Context())
	if scenario == nil {
		m.throw("arrival can be called in a scenario only, not in setup or teardown")
	}
	now := time.Now()
	m.root.noteLoad(state, scenario.StartTime)
	event, due, err := m.root.sendEvent(scenario.StartTime, now, state.Options)
	if err != nil {
		common.Throw(m.vu.Runtime(), err)
	}
	// The runner's delay is measured through the whole iteration: requests of a millisecond with pauses between them are too short.
	context.AfterFunc(m.vu.Context(), m.root.runner.Hold())
	ctx := m.lifetime().work
	if due > 0 {
		push(ctx, state.State, m.metrics.eventsDue, float64(due), "", "")
	}
	push(ctx, state.State, m.metrics.eventsSent, 1, "", "")
	m.holdLast(event)
	object := m.vu.Runtime().NewObject()
	set(object, "lateSeconds", now.Sub(event.due).Seconds())
	set(object, "answered", func(reason sobek.Value) {
		if !common.IsNullish(reason) {
			m.root.closeEvent(event, evidence.Failed, kindName(m.errorKind("", reason)))
			return
		}
		m.root.closeEvent(event, evidence.OK, "")
	})
	return object
}

// holdLast makes the iteration of the last event of the plan go on until the plan ends. k6 would otherwise show that the scenario was
// interrupted at 95 % or so: a rate that falls to nothing makes its last event some time before.
func (m *Module) holdLast(event *openEvent) {
	if event.isLast {
		m.after(time.Until(event.planEnds)+endGuard, true, doNothing)
	}
}

// sendEvent notes that an event is sent now, and returns it with how many have become due since the one before.
func (r *RootModule) sendEvent(began, now time.Time, options lib.Options) (event *openEvent, due int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.arrivals
	if a.schedule == nil {
		index, err := eventNumbers(options)
		if err != nil {
			return nil, 0, err
		}
		a.began, a.open = began, make(map[*openEvent]struct{})
		a.schedule = schedule.NewArrivals(r.run.rate, index, func(due time.Duration) {
			a.due++
			r.evidence.Count(evidence.CountDue, began.Add(due), 1)
		})
	}
	event = &openEvent{due: a.began.Add(a.schedule.Send(now.Sub(a.began)))}
	length := r.run.rate.Length()
	event.isLast, event.planEnds = length > 0 && a.schedule.IsOver(), a.began.Add(length)
	due, a.due = a.due, 0
	a.open[event] = struct{}{}
	r.evidence.Count(evidence.CountSent, event.due, 1)
	r.evidence.Time(evidence.Series{Metric: evidence.MetricSend}, event.due, now.Sub(event.due), evidence.OK, "")
	return event, due, nil
}

// closeEvent keeps how long an event took from the time when it was due.
func (r *RootModule) closeEvent(event *openEvent, outcome evidence.Outcome, kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, isOpen := r.arrivals.open[event]; !isOpen {
		return
	}
	delete(r.arrivals.open, event)
	r.evidence.Time(evidence.Series{Metric: evidence.MetricEvent}, event.due, time.Since(event.due), outcome, kind)
}

// closeEvents counts what was due by now, and cuts the events that are still open.
func (r *RootModule) closeEvents(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arrivals.schedule == nil {
		return
	}
	r.arrivals.schedule.End(now.Sub(r.arrivals.began))
	for event := range r.arrivals.open {
		r.evidence.Time(evidence.Series{Metric: evidence.MetricEvent}, event.due, now.Sub(event.due), evidence.Cut, "")
	}
	clear(r.arrivals.open)
}

// eventNumbers returns a function that returns the numbers of this runner's events, one after the other, as k6 deals them out.
func eventNumbers(options lib.Options) (func() int, error) {
	tuple, err := lib.NewExecutionTuple(options.ExecutionSegment, options.ExecutionSegmentSequence)
	if err != nil {
		return nil, err
	}
	start, offsets, _ := tuple.GetStripedOffsets()
	next, i := int(start), 0
	return func() int {
		n := next
		next += int(offsets[i%len(offsets)])
		i++
		return n
	}, nil
}
