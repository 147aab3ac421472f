package users

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// How long what is under way may go on after an iteration was told to end (docs/architecture.md, Lifetime).
const (
	scheduleDrainLimit = 75 * time.Second
	abortDrainLimit    = 10 * time.Second
)

// hungAfter separates two kinds of requests and sockets that the end of a run cuts: one that had waited longer is a TimeoutError, any other
// counts as nothing.
const hungAfter = 5 * time.Second

// Enqueue hands a function to the event loop. It must be called exactly once.
type Enqueue func(func() error)

// Lifetime is the lifetime of one iteration of a VU, or of one call of setup, teardown or handleSummary, as Go code sees it.
//
// k6 cancels an iteration's context at its end, be it planned or not, and runs no JavaScript after that. Timers then let
// the event loop go at once. Requests go on with a context of their own, so that what they do to a user is known, until
// they are done or the limit is reached; k6 waits for them because their callbacks are registered.
type Lifetime struct {
	// Iteration is k6's own context.
	Iteration context.Context //nolint:containedctx // a lifetime is that of a context
	// Work is for requests. It outlives the iteration.
	Work   context.Context //nolint:containedctx // as above
	cancel context.CancelFunc
	// Report is for samples about what was cut. In a scenario it never ends, because k6 waits there until all samples are emitted.
	Report context.Context //nolint:containedctx // as above

	// Staying says that a stay goes on. It is used on the event loop only.
	Staying bool

	// wanting ends when waits for a match must end: when the iteration winds up or ends.
	wanting     context.Context //nolint:containedctx // as above
	stopWanting context.CancelFunc
	// holding ends with an abort at once, and with work after a scheduled end: sessions that started are held to theirs.
	holding     context.Context //nolint:containedctx // as above
	stopHolding context.CancelFunc

	aborted func() bool   // whether the end of the iteration is that of an aborted run
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

// NewLifetime follows the context of an iteration, which may end with an aborted run. Without a scenario (setup, teardown) k6 does not
// wait for callbacks once the context is cancelled, so requests must end with it.
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

// Ended reports whether the iteration was told to end.
func (l *Lifetime) Ended() bool { return l.Iteration.Err() != nil }

// Aborted reports whether the iteration ended with an aborted run.
func (l *Lifetime) Aborted() bool { return l.Ended() && l.aborted() }

type lifetimeKey struct{}

// CutAt is the error of what began then and was cut by the end of its context.
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

// waitedAtEnd returns how long what began then had been under way when the run ended; of what began after that, until now.
func (l *Lifetime) waitedAtEnd(began time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended && began.Before(l.endedAt) {
		return l.endedAt.Sub(began)
	}
	return time.Since(began)
}

// Begin counts work that outlives the iteration's end, for a user too unless that is nil. It returns false once the end has come;
// otherwise Done must be called.
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

// drainFor lets the work under way go on for a while. The lock is held.
func (l *Lifetime) drainFor(aborted bool) {
	l.stopWanting()
	limit := scheduleDrainLimit
	if aborted {
		l.stopHolding()
		limit = abortDrainLimit
	}
	l.cutTimer = time.AfterFunc(limit, l.cancel)
}

// DoNothing is what a callback runs that is only released.
func DoNothing() error { return nil }

// After calls f on the event loop in d. It calls it early if the iteration winds up first and early is set, and not at all
// if the iteration ends first.
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

// ErrStopped is what work gets that begins after the end.
var ErrStopped = &platform.Error{Name: platform.StoppedError, Message: platform.ErrStopped.Error(), Err: platform.ErrStopped}
