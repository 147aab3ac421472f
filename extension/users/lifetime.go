package users

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// How long operations under way may go on after the end of an iteration (docs/architecture.md, Lifetime).
const (
	scheduleDrainLimit = 75 * time.Second
	abortDrainLimit    = 10 * time.Second
)

// hungAfter separates a hung operation from one that the end of the run cut: a request or socket that had waited longer than this
// when it was cut is a TimeoutError; one that had waited less is not counted.
const hungAfter = 5 * time.Second

// Enqueue hands a function to the event loop. It must be called exactly once.
type Enqueue func(func() error)

// Lifetime is one iteration of a VU, or one run of setup, teardown or handleSummary, as Go sees it.
//
// k6 cancels an iteration's context at its end, planned or not, and runs no JavaScript after that. Timers then release the
// event loop at once. Requests go on with a context of their own, so that their effect on a user is known, until they are
// done or the limit is reached; k6 waits for them because their callbacks are registered.
type Lifetime struct {
	// Iteration is k6's own context.
	Iteration context.Context //nolint:containedctx // a lifetime belongs to a context
	// Work is for requests. It outlives the iteration.
	Work   context.Context //nolint:containedctx // as above
	cancel context.CancelFunc
	// Report is for samples about operations that were cut. In a scenario it never ends, since k6 waits for the samples there.
	Report context.Context //nolint:containedctx // as above

	// Staying is true during a stay. It is used on the event loop only.
	Staying bool

	// wanting ends when users stop waiting for matches: when the iteration winds up or ends.
	wanting     context.Context //nolint:containedctx // as above
	stopWanting context.CancelFunc
	// holding ends at once with an abort, and with Work after a scheduled end: sessions that started are held to their end.
	holding     context.Context //nolint:containedctx // as above
	stopHolding context.CancelFunc

	aborted func() bool   // reports whether the iteration ended because the run was aborted
	over    chan struct{} // closed once nothing can begin any more, a moment after the iteration ended

	mu        sync.Mutex
	ended     bool
	endedAt   time.Time
	windingUp bool
	inFlight  int
	waits     map[*wait]struct{}
	cutTimer  *time.Timer
}

// wait is a timer that holds the event loop until it fires.
type wait struct {
	timer    *time.Timer
	callback Enqueue
	f        func() error
	early    bool // may fire early when the iteration winds up
}

// NewLifetime returns the lifetime of an iteration with this context; aborted reports whether the context ended because the run was
// aborted. Outside a scenario (setup, teardown) k6 does not wait for callbacks once the context is cancelled, so requests end with it.
func NewLifetime(iteration context.Context, inScenario bool, aborted func(context.Context) bool) *Lifetime {
	l := &Lifetime{
		Iteration: iteration, over: make(chan struct{}), waits: make(map[*wait]struct{}), aborted: func() bool { return aborted(iteration) },
	}
	parent := iteration
	if inScenario {
		parent = context.WithoutCancel(iteration)
	}
	l.Report = parent
	l.Work, l.cancel = context.WithCancel(context.WithValue(parent, lifetimeKey{}, l))
	l.wanting, l.stopWanting = context.WithCancel(l.Work)
	l.holding, l.stopHolding = context.WithCancel(l.Work)
	context.AfterFunc(iteration, l.end)
	return l
}

// Ended reports whether k6 has ended the iteration.
func (l *Lifetime) Ended() bool { return l.Iteration.Err() != nil }

// Aborted reports whether the iteration ended because the run was aborted.
func (l *Lifetime) Aborted() bool { return l.Ended() && l.aborted() }

type lifetimeKey struct{}

// CutAt returns the error of an operation that began at a time and was cut by the end of its context.
func CutAt(ctx context.Context, began time.Time) error {
	l, ok := ctx.Value(lifetimeKey{}).(*Lifetime)
	if !ok {
		return platform.ErrStopped
	}
	if waited := l.waitedAtEnd(began); waited > hungAfter {
		return &platform.UnansweredError{Waited: waited}
	}
	return platform.ErrStopped
}

// waitedAtEnd returns how long an operation had been under way when the iteration ended; until now if it began later.
func (l *Lifetime) waitedAtEnd(began time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended && began.Before(l.endedAt) {
		return l.endedAt.Sub(began)
	}
	return time.Since(began)
}

// Begin counts work that outlives the iteration's end, also among a user's operations unless that is nil. It returns false once the
// iteration has ended; otherwise Done must be called.
func (l *Lifetime) Begin(also *Operations) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.inFlight++
	if also != nil {
		also.begin()
	}
	return true
}

// Done ends what Begin began.
func (l *Lifetime) Done(also *Operations) {
	if also != nil {
		also.done()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	if l.ended && l.inFlight == 0 {
		l.cut()
	}
}

// cut ends the work context. The lock is held.
func (l *Lifetime) cut() {
	if l.cutTimer != nil {
		l.cutTimer.Stop()
	}
	l.cancel()
}

func (l *Lifetime) end() {
	l.mu.Lock()
	l.ended, l.endedAt = true, time.Now()
	close(l.over)
	waits := l.waits
	l.waits = nil
	if l.inFlight == 0 {
		l.cut()
	} else {
		l.drainFor(l.aborted())
	}
	l.mu.Unlock()
	for w := range waits {
		if w.timer.Stop() {
			w.callback(DoNothing)
		}
	}
}

// drainFor limits how long the work under way may go on. The lock is held.
func (l *Lifetime) drainFor(aborted bool) {
	l.stopWanting()
	limit := scheduleDrainLimit
	if aborted {
		l.stopHolding()
		limit = abortDrainLimit
	}
	l.cutTimer = time.AfterFunc(limit, l.cancel)
}

// DoNothing is for a callback that is released and has nothing to run.
func DoNothing() error { return nil }

// After calls f on the event loop in d: earlier if early is set and the iteration winds up first, and never if the iteration
// ends first.
func (l *Lifetime) After(d time.Duration, callback Enqueue, early bool, f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		callback(DoNothing)
	case d <= 0 || (early && l.windingUp):
		callback(f)
	default:
		w := &wait{callback: callback, f: f, early: early}
		w.timer = time.AfterFunc(d, func() { l.fire(w) })
		l.waits[w] = struct{}{}
	}
}

func (l *Lifetime) fire(w *wait) {
	l.mu.Lock()
	delete(l.waits, w)
	l.mu.Unlock()
	w.callback(w.f)
}

// WindUp ends all timers that may end early, now and from now on.
func (l *Lifetime) WindUp() {
	l.stopWanting()
	l.mu.Lock()
	l.windingUp = true
	var early []*wait
	for w := range l.waits {
		if w.early && w.timer.Stop() {
			early = append(early, w)
			delete(l.waits, w)
		}
	}
	l.mu.Unlock()
	for _, w := range early {
		w.callback(w.f)
	}
}

func (l *Lifetime) isWindingUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.windingUp || l.ended
}

// Seconds turns a number of seconds into a duration, rounded to the nanosecond.
func Seconds(s float64) time.Duration { return time.Duration(math.Round(s * float64(time.Second))) }

// ErrStopped is the error of work that begins after the end.
var ErrStopped = &platform.Error{Name: platform.StoppedError, Message: platform.ErrStopped.Error(), Err: platform.ErrStopped}
