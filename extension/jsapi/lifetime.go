package jsapi

import (
	"context"
	"math"
	"sync"
	"time"

	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// How long what is under way may go on after an iteration was told to end (docs/architecture.md, Lifetime).
const (
	scheduleDrainLimit = 75 * time.Second
	abortDrainLimit    = 10 * time.Second
)

// hungAfter is from when on the end of a run is not what a request or a socket failed of: what had no answer for longer than
// that when the end cut it is a TimeoutError, and what was cut earlier counts as nothing.
const hungAfter = 5 * time.Second

// enqueue hands a function to the event loop. It must be called exactly once.
type enqueue func(func() error)

// lifetime is one iteration of a VU, or one run of setup, teardown or handleSummary, from the side of Go.
//
// k6 cancels an iteration's context at its end, be it planned or not, and runs no JavaScript after that. Timers then let
// the event loop go at once. Requests go on with a context of their own, so that what they do to a user is known, until
// they are done or the limit is reached; k6 waits for them because their callbacks are registered.
type lifetime struct {
	run    context.Context //nolint:containedctx // k6's: the iteration itself
	work   context.Context //nolint:containedctx // of requests: outlives run
	cancel context.CancelFunc
	// report is for samples about what was cut. In a scenario it never ends, for there k6 waits until all is told.
	report context.Context //nolint:containedctx // as above

	// wanting ends as soon as nobody is to wait for a match any more: when the iteration winds up or ends.
	wanting     context.Context //nolint:containedctx // as above
	stopWanting context.CancelFunc
	// holding ends with an abort at once, and with work after a scheduled end: sessions that started are held to theirs.
	holding     context.Context //nolint:containedctx // as above
	stopHolding context.CancelFunc

	over chan struct{} // closed once nothing can begin any more, a moment after run ended

	staying bool // a stay goes on; on the event loop only

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
	callback enqueue
	f        func() error
	early    bool // may fire early when the iteration winds up
}

// newLifetime follows the context of an iteration. Without a scenario (setup, teardown) k6 does not wait for callbacks
// once the context is cancelled, so requests must end with it.
func newLifetime(run context.Context) *lifetime {
	l := &lifetime{run: run, over: make(chan struct{}), waits: make(map[*wait]struct{})}
	parent := run
	if lib.GetScenarioState(run) != nil {
		parent = context.WithoutCancel(run)
	}
	l.report = parent
	l.work, l.cancel = context.WithCancel(context.WithValue(parent, lifetimeKey{}, l))
	l.wanting, l.stopWanting = context.WithCancel(l.work)
	l.holding, l.stopHolding = context.WithCancel(l.work)
	context.AfterFunc(run, l.end)
	return l
}

type lifetimeKey struct{}

// cutAt is the error of what began then and was cut by the end of its context.
func cutAt(ctx context.Context, began time.Time) error {
	l, ok := ctx.Value(lifetimeKey{}).(*lifetime)
	if !ok {
		return platform.ErrStopped
	}
	if waited := l.waitedAtEnd(began); waited > hungAfter {
		return &platform.UnansweredError{Waited: waited}
	}
	return platform.ErrStopped
}

// waitedAtEnd returns how long what began then had been under way when the run ended; of what began after that, until now.
func (l *lifetime) waitedAtEnd(began time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended && began.Before(l.endedAt) {
		return l.endedAt.Sub(began)
	}
	return time.Since(began)
}

// begin counts work that outlives the iteration's end. It returns false once the end has come.
func (l *lifetime) begin(also *operations) bool {
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

func (l *lifetime) done(also *operations) {
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
func (l *lifetime) cut() {
	if l.cutTimer != nil {
		l.cutTimer.Stop()
	}
	l.cancel()
}

func (l *lifetime) end() {
	l.mu.Lock()
	l.ended, l.endedAt = true, time.Now()
	close(l.over)
	waits := l.waits
	l.waits = nil
	if l.inFlight == 0 {
		l.cut()
	} else {
		l.drainFor(aborted(l.run))
	}
	l.mu.Unlock()
	for w := range waits {
		if w.timer.Stop() {
			w.callback(doNothing)
		}
	}
}

// drainFor lets the work under way go on for a while. The lock is held.
func (l *lifetime) drainFor(aborted bool) {
	l.stopWanting()
	limit := scheduleDrainLimit
	if aborted {
		l.stopHolding()
		limit = abortDrainLimit
	}
	l.cutTimer = time.AfterFunc(limit, l.cancel)
}

func doNothing() error { return nil }

// after calls f on the event loop in d. It calls it early if the iteration winds up first and early is set, and not at all
// if the iteration ends first.
func (l *lifetime) after(d time.Duration, callback enqueue, early bool, f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		callback(doNothing)
	case d <= 0 || (early && l.windingUp):
		callback(f)
	default:
		w := &wait{callback: callback, f: f, early: early}
		w.timer = time.AfterFunc(d, func() { l.fire(w) })
		l.waits[w] = struct{}{}
	}
}

func (l *lifetime) fire(w *wait) {
	l.mu.Lock()
	delete(l.waits, w)
	l.mu.Unlock()
	w.callback(w.f)
}

// windUp ends all timers that may end early, now and from now on.
func (l *lifetime) windUp() {
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

func (l *lifetime) isWindingUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.windingUp || l.ended
}

// seconds turns a number of seconds into a duration, rounded to the nanosecond.
func seconds(s float64) time.Duration { return time.Duration(math.Round(s * float64(time.Second))) }

// errStopped is what work gets that begins after the end.
var errStopped = &platform.Error{Name: platform.StoppedError, Message: platform.ErrStopped.Error(), Err: platform.ErrStopped}
