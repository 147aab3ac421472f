// Package schedule computes when the events of an arrival rate are due, and which of them were sent.
package schedule

import (
	"math"
	"sync"
	"time"
)

// Stage is a stage as k6 has it: a linear ramp from the rate before it to Target.
type Stage struct {
	Duration time.Duration
	Target   float64 // events a second
}

// Rate is an arrival rate over time, as in k6's ramping-arrival-rate executor.
type Rate struct {
	Start  float64 // events a second
	Stages []Stage
}

// Scaled returns the rate multiplied by share.
func (r Rate) Scaled(share float64) Rate {
	part := Rate{Start: r.Start * share, Stages: make([]Stage, len(r.Stages))}
	for i, stage := range r.Stages {
		part.Stages[i] = Stage{stage.Duration, stage.Target * share}
	}
	return part
}

// At returns the rate at a time after the start; or the number of users, for stages of users.
func (r Rate) At(t time.Duration) float64 {
	from := r.Start
	for _, stage := range r.Stages {
		if t < stage.Duration {
			return from + (stage.Target-from)*max(0, t.Seconds())/stage.Duration.Seconds()
		}
		t -= stage.Duration
		from = stage.Target
	}
	return from
}

// Length returns the duration of all stages together.
func (r Rate) Length() time.Duration {
	var length time.Duration
	for _, stage := range r.Stages {
		length += stage.Duration
	}
	return length
}

// due returns when event n, counted from 0, is due after the start; ok is false if the schedule has fewer events. As in k6,
// event n is due when the integral of the rate reaches n+1.
func (r Rate) due(n int) (due time.Duration, ok bool) {
	wanted, from := float64(n+1), r.Start
	var begin time.Duration
	for _, stage := range r.Stages {
		length := stage.Duration.Seconds()
		events := length * (from + stage.Target) / 2
		if wanted <= events {
			return begin + time.Duration(within(wanted, from, stage.Target, length)*float64(time.Second)), true
		}
		wanted -= events
		begin += stage.Duration
		from = stage.Target
	}
	return 0, false
}

// within returns after how many seconds t of a stage this many events are due: from·t + (to−from)/(2·length)·t² = events.
func within(events, from, to, length float64) float64 {
	if from == to {
		return events / from
	}
	slope := (to - from) / length
	// This form of the solution does not subtract large numbers.
	return 2 * events / (from + math.Sqrt(max(0, from*from+2*slope*events)))
}

// Arrivals matches iterations of k6 with the events of a Rate. k6 starts an iteration when its event is due, or drops the event,
// and does not report which event that was. An iteration is therefore matched with the latest event that is due and not sent.
// Arrivals is safe for concurrent use.
type Arrivals struct {
	mu     sync.Mutex
	rate   Rate
	index  func() int      // returns the numbers of this runner's events, in order
	next   time.Duration   // when the next event is due
	more   bool            // there is a next event
	unsent []time.Duration // events that are due and not sent; the latest is last
	onDue  func(due time.Duration)
}

// NewArrivals returns the arrivals of one runner; index returns the numbers of its events, one a call. onDue is called for each
// event once it is due, sent or not.
func NewArrivals(rate Rate, index func() int, onDue func(due time.Duration)) *Arrivals {
	a := &Arrivals{rate: rate, index: index, onDue: onDue}
	a.next, a.more = rate.due(index())
	return a
}

// Send returns when the event that is sent at this time was due; both are times after the start.
func (a *Arrivals) Send(at time.Duration) (due time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pass(at)
	last := len(a.unsent) - 1
	if last < 0 {
		return at // the clock's rounding made it earlier than due
	}
	due = a.unsent[last]
	a.unsent = a.unsent[:last]
	return due
}

// IsOver reports whether all events of this runner were due by the time of the last call.
func (a *Arrivals) IsOver() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.more
}

// End calls onDue for the events that were due by this time, and returns how many events were due and not sent.
func (a *Arrivals) End(at time.Duration) (unsent int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pass(at)
	return len(a.unsent)
}

// pass makes the events up to this time due.
func (a *Arrivals) pass(at time.Duration) {
	for a.more && a.next <= at {
		a.unsent = append(a.unsent, a.next)
		a.onDue(a.next)
		a.next, a.more = a.rate.due(a.index())
	}
}
