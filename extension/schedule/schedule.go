// Package schedule computes when the events of an arrival rate are due, and which of them were sent.
package schedule

import (
	"math"
	"sync"
	"time"
)

// Stage is one of k6's: from the rate before it, evenly to Target.
type Stage struct {
	Duration time.Duration
	Target   float64 // events a second
}

// Rate is how many events a second are due over time, as k6's ramping-arrival-rate has it.
type Rate struct {
	Start  float64 // events a second
	Stages []Stage
}

// Top is the highest rate, in events a second.
func (r Rate) Top() float64 {
	top := r.Start
	for _, stage := range r.Stages {
		top = max(top, stage.Target)
	}
	return top
}

// Scaled is a part of the rate.
func (r Rate) Scaled(share float64) Rate {
	part := Rate{Start: r.Start * share, Stages: make([]Stage, len(r.Stages))}
	for i, stage := range r.Stages {
		part.Stages[i] = Stage{stage.Duration, stage.Target * share}
	}
	return part
}

// At is the rate at a time after the start. It is also a number of users that comes and goes in stages.
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

// Length is how long the stages take together.
func (r Rate) Length() time.Duration {
	var length time.Duration
	for _, stage := range r.Stages {
		length += stage.Duration
	}
	return length
}

// Due returns when event n is due after the start, from 0; ok is false where the schedule has fewer. The first is due when the
// rate has made one whole event, as with k6.
func (r Rate) Due(n int) (due time.Duration, ok bool) {
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

// within returns after how many seconds of a stage so many events have been due: from·t + (to−from)/(2·length)·t² = events.
func within(events, from, to, length float64) float64 {
	if from == to {
		return events / from
	}
	slope := (to - from) / length
	// The form without a difference of large numbers.
	return 2 * events / (from + math.Sqrt(max(0, from*from+2*slope*events)))
}

// Arrivals says which event of a Rate an iteration of k6 sends. k6 starts an iteration at the time of its event or drops the
// event, and says of neither which one it was. So an iteration is taken for the latest event that is due and not sent. It is
// safe for concurrent use.
type Arrivals struct {
	mu     sync.Mutex
	rate   Rate
	index  func() int // the numbers of this runner's events, in order
	next   time.Duration
	more   bool
	unsent []time.Duration // due, and not sent; the latest is last
	onDue  func(due time.Duration)
}

// NewArrivals returns the arrivals of one runner, whose events have the numbers that index returns one after the other. onDue
// is called for each event once it is due, sent or not.
func NewArrivals(rate Rate, index func() int, onDue func(due time.Duration)) *Arrivals {
	a := &Arrivals{rate: rate, index: index, onDue: onDue}
	a.next, a.more = rate.Due(index())
	return a
}

// Send returns when the event was due that is sent at this time after the start.
func (a *Arrivals) Send(at time.Duration) (due time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pass(at)
	last := len(a.unsent) - 1
	if last < 0 {
		return at // sooner than due by the rounding of a clock
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

// End passes on to onDue what was due by this time, and returns how many events were due and not sent.
func (a *Arrivals) End(at time.Duration) (unsent int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pass(at)
	return len(a.unsent)
}

func (a *Arrivals) pass(at time.Duration) {
	for a.more && a.next <= at {
		a.unsent = append(a.unsent, a.next)
		a.onDue(a.next)
		a.next, a.more = a.rate.Due(a.index())
	}
}
