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

// Waiter waits for one event. It has waited since Socket.Expect returned it, so that an event which comes before Wait is called
// is not lost.
type Waiter struct {
	socket           *Socket
	namespace, event string // namespace "": any
	heard            chan json.RawMessage
}

// Expect begins to wait for the next event of this name, on one of the namespaces or, with "", on either. Wait must be called.
func (sock *Socket) Expect(namespace, event string) *Waiter {
	w := &Waiter{socket: sock, namespace: namespace, event: event, heard: make(chan json.RawMessage, 1)}
	sock.waitersMu.Lock()
	defer sock.waitersMu.Unlock()
	sock.waiters = append(sock.waiters, w)
	sock.waiting.Add(1)
	return w
}

// Wait returns the payload of the event: its first argument, or null where it has none. The errors are ErrNoEvent, the context's
// own, ErrClosed, and what Err of the socket returns where the socket was lost first.
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
	case <-w.socket.lost():
		err = w.socket.Err()
	}
	select {
	case payload := <-w.heard: // the event came at the same moment
		return payload, nil
	default:
		return nil, err
	}
}

func (w *Waiter) stop() {
	sock := w.socket
	sock.waitersMu.Lock()
	defer sock.waitersMu.Unlock()
	if i := slices.Index(sock.waiters, w); i >= 0 {
		sock.waiters = slices.Delete(sock.waiters, i, i+1)
		sock.waiting.Add(-1)
	}
}

func (w *Waiter) isFor(namespace, event string) bool {
	return w.event == event && (w.namespace == "" || w.namespace == namespace)
}

func (sock *Socket) isAwaited(namespace string, event []byte) bool {
	sock.waitersMu.Lock()
	defer sock.waitersMu.Unlock()
	return slices.ContainsFunc(sock.waiters, func(w *Waiter) bool { return w.isFor(namespace, string(event)) })
}

// pass gives an event to every Waiter for it.
func (sock *Socket) pass(e socketio.Event) {
	payload := json.RawMessage("null")
	if len(e.Args) > 0 {
		payload = e.Args[0]
	}
	sock.waitersMu.Lock()
	defer sock.waitersMu.Unlock()
	sock.waiters = slices.DeleteFunc(sock.waiters, func(w *Waiter) bool {
		if !w.isFor(e.Namespace, e.Name) {
			return false
		}
		w.heard <- payload // never blocks: the buffer holds one, and a Waiter gets one
		sock.waiting.Add(-1)
		return true
	})
}
