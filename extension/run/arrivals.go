package run

import (
	"context"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/schedule"
)

// arrivals are the events of an arrival rate, one per iteration. Run.mu guards it.
type arrivals struct {
	began    time.Time
	schedule *schedule.Arrivals
	open     map[*Event]struct{} // sent, and not answered as asked
	due      int                 // events that have become due since one was sent
}

// Event is an event that is being sent.
type Event struct {
	Due      time.Time
	IsLast   bool // whether it is the last event of the plan
	PlanEnds time.Time
}

// SendEvent notes that an event is sent now, of a scenario that began at the time began, and returns the event. The first call
// gets the numbers of this runner's events from numbers.
func (r *Run) SendEvent(
	ctx context.Context, emit Emitter, began, now time.Time, numbers func() (next func() int, err error),
) (*Event, error) {
	event, due, err := r.sendEvent(began, now, numbers)
	if err != nil {
		return nil, err
	}
	if due > 0 {
		emit.Emit(ctx, EventsDue, float64(due), "", "")
	}
	emit.Emit(ctx, EventsSent, 1, "", "")
	return event, nil
}

// sendEvent returns the event, and how many events have become due since the one before was sent.
func (r *Run) sendEvent(began, now time.Time, numbers func() (next func() int, err error)) (event *Event, due int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.arrivals
	if a.schedule == nil {
		index, err := numbers()
		if err != nil {
			return nil, 0, err
		}
		a.began, a.open = began, make(map[*Event]struct{})
		a.schedule = schedule.NewArrivals(r.plan.Rate, index, func(due time.Duration) {
			a.due++
			r.Evidence.Count(evidence.CountDue, began.Add(due), 1)
		})
	}
	event = &Event{Due: a.began.Add(a.schedule.Send(now.Sub(a.began)))}
	length := r.plan.Rate.Length()
	event.IsLast, event.PlanEnds = length > 0 && a.schedule.IsOver(), a.began.Add(length)
	due, a.due = a.due, 0
	a.open[event] = struct{}{}
	r.Evidence.Count(evidence.CountSent, event.Due, 1)
	r.Evidence.Time(evidence.Series{Metric: evidence.MetricSend}, event.Due, now.Sub(event.Due), evidence.OK, "")
	return event, due, nil
}

// EndEvent records how long an event took from the time when it was due; failure is the kind of its error, or "".
func (r *Run) EndEvent(event *Event, failure string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, isOpen := r.arrivals.open[event]; !isOpen {
		return
	}
	delete(r.arrivals.open, event)
	outcome := evidence.OK
	if failure != "" {
		outcome = evidence.Failed
	}
	r.Evidence.Time(evidence.Series{Metric: evidence.MetricEvent}, event.Due, time.Since(event.Due), outcome, failure)
}

// closeEvents counts the events that were due by now, and records those that are still open as cut.
func (r *Run) closeEvents(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arrivals.schedule == nil {
		return
	}
	r.arrivals.schedule.End(now.Sub(r.arrivals.began))
	for event := range r.arrivals.open {
		r.Evidence.Time(evidence.Series{Metric: evidence.MetricEvent}, event.Due, now.Sub(event.Due), evidence.Cut, "")
	}
	clear(r.arrivals.open)
}
