package sessions

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// eventOther stands for all events that the contract has not.
const eventOther = "other"

var eventNames = [...]string{eventOther, contract.EventStatus, contract.EventMatch, contract.EventStart, contract.EventEnd, contract.EventMutual, contract.EventNonMutual}

// eventIndex is the place of a name in eventNames; 0, other, for a name that is not there.
var eventIndex = func() map[string]int {
	index := make(map[string]int, len(eventNames))
	for i, name := range eventNames {
		index[name] = i
	}
	return index
}()

// Tracker holds what all sockets of a process share: open sockets, pairs, findings and totals. Its methods are safe for
// concurrent use.
type Tracker struct {
	events [len(eventNames)]atomic.Int64

	mu             sync.Mutex
	sockets        map[string]*Socket   // open ones, by user
	outlived       map[string]time.Time // per user: when sessions of a closed socket are certainly over
	pairs          map[string]*pair     // matched in the last 5 s, by session
	findings       map[Rule]*Finding
	activity       activity
	totals         Totals
	longest        time.Duration // that a session promised to last
	brokenMatches  int64
	brokenSessions int64
	wholeSessions  int64
}

// NewTracker returns an empty Tracker.
func NewTracker() *Tracker {
	return &Tracker{
		sockets:  make(map[string]*Socket),
		outlived: make(map[string]time.Time),
		pairs:    make(map[string]*pair),
		findings: make(map[Rule]*Finding),
		longest:  usualLength,
	}
}

// wants counts an event and reports whether its payload is needed. It is called for every frame of every user.
func (w *Tracker) wants(namespace string, event []byte) bool {
	i := eventIndex[string(event)]
	w.events[i].Add(1)
	return concerns(namespace, eventNames[i])
}

// concerns reports whether an event is about a match or a session.
func concerns(namespace, event string) bool {
	switch event {
	case contract.EventMatch:
		return namespace == contract.QueueNamespace
	case contract.EventStart, contract.EventEnd:
		return namespace == contract.VideoNamespace
	}
	return false
}

// Deltas is what happened since the last call of Take.
type Deltas struct {
	// Events is how many socket events arrived, by name: those of docs/verity-api.md and "other". A name without any is absent.
	Events map[string]int64
	// BrokenMatches and BrokenSessions count violations of a rule that no result of Match or Hold contains: found after the
	// result was returned, or in a session without a Hold. They belong in match_failed and session_dropped.
	BrokenMatches, BrokenSessions int64
	// WholeSessions counts sessions without a Hold that lasted as promised, on a socket that received all their events.
	WholeSessions int64
}

// Take returns the counts since the last Take and resets them.
func (w *Tracker) Take() Deltas {
	d := Deltas{Events: make(map[string]int64)}
	for i, name := range eventNames {
		if n := w.events[i].Swap(0); n > 0 {
			d.Events[name] = n
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d.BrokenMatches, d.BrokenSessions = w.brokenMatches, w.brokenSessions
	d.WholeSessions = w.wholeSessions
	w.brokenMatches, w.brokenSessions, w.wholeSessions = 0, 0, 0
	return d
}

// Totals are the outcomes of all calls of Hold, and how many sessions there were at once.
type Totals struct {
	// Planned = Held + Dropped + Stopped + those being held now. Started is how many of them saw session:start. All count
	// users: a session with both partners in this process counts twice.
	Planned, Started, Held, Dropped, Stopped int

	// Peak and Mean are numbers of sessions at once, with a Hold or without: half the number of users in one. Mean is over Window, the
	// time from the first session:start to the last session:end, or to now where a session is on; weighted by time.
	Peak, Mean float64
	Window     time.Duration
}

// Totals returns the totals so far.
func (w *Tracker) Totals() Totals {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.totals
	t.Peak = float64(w.activity.peak) / 2
	t.Mean, t.Window = w.activity.mean(time.Now())
	return t
}

// ActiveSessions returns the number of sessions now: half the number of users between session:start and session:end. A user
// in two sessions at once counts in both.
func (w *Tracker) ActiveSessions() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return float64(w.activity.users) / 2
}

// activity is the number of users in a session over time.
type activity struct {
	users, peak int
	first, last time.Time     // change
	area        time.Duration // users × time until the last change
}

func (a *activity) change(by int, now time.Time) {
	if a.first.IsZero() {
		a.first, a.last = now, now
	}
	a.area += time.Duration(a.users) * now.Sub(a.last)
	a.last = now
	a.users += by
	a.peak = max(a.peak, a.users)
}

func (a *activity) mean(now time.Time) (sessions float64, window time.Duration) {
	end := a.last
	if a.users > 0 {
		end = now
	}
	window = end.Sub(a.first)
	if window <= 0 {
		return float64(a.users) / 2, 0
	}
	area := a.area + time.Duration(a.users)*end.Sub(a.last)
	return float64(area) / float64(window) / 2, window
}
