package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/verity-app/xk6-verity/extension/socketio"
)

// ErrNoEvent is the error of a Wait for an event that did not come in time.
var ErrNoEvent = errors.New("the event did not come")

// Waiter waits for one event. It has waited since Line.Expect returned it, so that an event which comes before Wait is called
// is not lost.
type Waiter struct {
	line             *Line
	namespace, event string // namespace "": any
	heard            chan json.RawMessage
}

// Expect begins to wait for the next event of this name, on one of the namespaces or, with "", on either. Wait must be called.
func (l *Line) Expect(namespace, event string) *Waiter {
	w := &Waiter{line: l, namespace: namespace, event: event, heard: make(chan json.RawMessage, 1)}
	l.waitersMu.Lock()
	defer l.waitersMu.Unlock()
	l.waiters = append(l.waiters, w)
	l.waiting.Add(1)
	return w
}

// Wait returns the payload of the event: its first argument, or null where it has none. The errors are ErrNoEvent, the context's
// own, ErrClosed, and what Err of the line returns where the socket was lost first.
func (w *Waiter) Wait(ctx context.Context, patience time.Duration) (json.RawMessage, error) {
	defer w.stop()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case payload := <-w.heard:
		return payload, nil
	case <-timer.C:
		err = fmt.Errorf("%w: no %s within %s", ErrNoEvent, w.event, patience)
	case <-ctx.Done():
		err = ctx.Err()
	case <-w.line.Lost():
		err = w.line.Err()
	}
	select {
	case payload := <-w.heard: // it came at the same time
		return payload, nil
	default:
		return nil, err
	}
}

func (w *Waiter) stop() {
	l := w.line
	l.waitersMu.Lock()
	defer l.waitersMu.Unlock()
	if i := slices.Index(l.waiters, w); i >= 0 {
		l.waiters = slices.Delete(l.waiters, i, i+1)
		l.waiting.Add(-1)
	}
}

func (w *Waiter) isFor(namespace, event string) bool {
	return w.event == event && (w.namespace == "" || w.namespace == namespace)
}

func (l *Line) isAwaited(namespace string, event []byte) bool {
	l.waitersMu.Lock()
	defer l.waitersMu.Unlock()
	return slices.ContainsFunc(l.waiters, func(w *Waiter) bool { return w.isFor(namespace, string(event)) })
}

// pass gives an event to all who wait for it.
func (l *Line) pass(e socketio.Event) {
	payload := json.RawMessage("null")
	if len(e.Args) > 0 {
		payload = e.Args[0]
	}
	l.waitersMu.Lock()
	defer l.waitersMu.Unlock()
	l.waiters = slices.DeleteFunc(l.waiters, func(w *Waiter) bool {
		if !w.isFor(e.Namespace, e.Name) {
			return false
		}
		w.heard <- payload // it has room for one, and is given one
		l.waiting.Add(-1)
		return true
	})
}
