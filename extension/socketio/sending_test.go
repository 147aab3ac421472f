package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// The parts of the protocol that only the tests use: events that a client sends, and acknowledgements in both directions.

// errNotJoined refuses an event for a namespace that the connection has not joined.
var errNotJoined = errors.New("namespace not joined")

// Handshake returns the server's handshake.
func (c *Client) Handshake() handshake { return c.handshake }

// Emit sends an event and does not wait for the server. Each argument is anything that encoding/json marshals.
func (c *Client) Emit(namespace, event string, args ...any) error {
	return c.emit(namespace, -1, event, args)
}

// Call sends an event that asks for an acknowledgement, and returns the acknowledgement's arguments.
func (c *Client) Call(ctx context.Context, namespace, event string, args ...any) ([]json.RawMessage, error) {
	found, _ := callsOf.Load(c)
	calls, ok := found.(*calls)
	if !ok {
		return nil, errors.New("connect makes clients that can call")
	}
	answer := make(chan []json.RawMessage, 1)
	id := calls.expect(answer)
	defer calls.forget(id)
	if err := c.emit(namespace, id, event, args); err != nil {
		return nil, err
	}
	select {
	case values := <-answer:
		return values, nil
	case <-c.done:
		return nil, fmt.Errorf("event %q not acknowledged: %w", event, c.Err())
	case <-ctx.Done():
		return nil, fmt.Errorf("event %q not acknowledged: %w", event, ctx.Err())
	}
}

// calls are the events of one client whose acknowledgement is awaited.
type calls struct {
	mu      sync.Mutex
	waiting map[int64]chan<- []json.RawMessage
	last    int64
}

// callsOf has the calls of each client that connect made.
var callsOf sync.Map // *Client → *calls

// connectCaller dials a client that can call.
func connectCaller(ctx context.Context, o Options) (*Client, error) {
	calls := &calls{waiting: map[int64]chan<- []json.RawMessage{}}
	o.onAck = calls.answer
	c, err := Dial(ctx, o)
	if err == nil {
		callsOf.Store(c, calls)
	}
	return c, err
}

func (c *calls) expect(answer chan<- []json.RawMessage) (id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.waiting[c.last] = answer
	return c.last
}

func (c *calls) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// answer passes an acknowledgement to its Call, and drops it if that has returned.
func (c *calls) answer(id int64, values []json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer, ok := c.waiting[id]; ok {
		answer <- values
		delete(c.waiting, id)
	}
}

// Ack acknowledges an event whose WantsAck is true.
func (c *Client) Ack(e Event, args ...any) error {
	if !e.wants {
		return fmt.Errorf("event %q asks for no acknowledgement", e.Name)
	}
	frame, err := ackMessage(e.Namespace, e.id, args)
	if err != nil {
		return err
	}
	return c.send(frame)
}

func (c *Client) emit(namespace string, id int64, event string, args []any) error {
	if c.find([]byte(namespace)) == nil {
		return fmt.Errorf("event %q cannot be sent: %w: %q", event, errNotJoined, namespace)
	}
	frame, err := eventMessage(namespace, id, event, args)
	if err != nil {
		return err
	}
	return c.send(frame)
}

// send writes the frame of an event or acknowledgement, unless it is too large or the connection has ended.
func (c *Client) send(frame []byte) error {
	if limit := c.handshake.MaxPayload; limit > 0 && int64(len(frame)) > limit {
		return fmt.Errorf("%w: %d bytes, the server takes %d", ErrTooLarge, len(frame), limit)
	}
	if err := c.Err(); err != nil {
		return err
	}
	return c.write(frame)
}

// WantsAck reports whether the sender asked for an acknowledgement.
func (e *Event) WantsAck() bool { return e.wants }

// ID returns the socket's unique id, the sid of the answer to CONNECT.
func (s *Socket) ID() string { return s.id }

// Emit sends an event and does not wait for the client. Its error says why the event cannot be encoded.
func (s *Socket) Emit(event string, args ...any) error {
	frame, err := NewFrame(s.namespace, event, args...)
	if err != nil {
		return err
	}
	s.Send(frame)
	return nil
}

// Ack acknowledges an event whose WantsAck is true.
func (s *Socket) Ack(e Event, args ...any) error {
	message, err := ackMessage(s.namespace, e.id, args)
	if err != nil {
		return err
	}
	s.conn.enqueue(textFrame(message))
	return nil
}

// ackMessage returns the text frame that acknowledges the event with this id.
func ackMessage(namespace string, id int64, args []any) ([]byte, error) {
	data, err := appendArray(nil, args)
	if err != nil {
		return nil, fmt.Errorf("acknowledgement cannot be sent: %w", err)
	}
	return message(packet{Type: packetAck, Namespace: []byte(namespace), ID: id, HasID: true, Data: data}), nil
}
