package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// writeTimeout bounds one write: a server that takes nothing for so long is gone.
	writeTimeout = 10 * time.Second
	// closeTimeout bounds Close.
	closeTimeout = 2 * time.Second
)

// Client is one connection and the namespaces joined over it. Its methods are safe for concurrent use.
//
// One goroutine reads; writes share a mutex. The server's pings are answered as they come, and one timer per connection
// looks for those that do not come: a ping only leaves its time behind, it does not reset the timer.
type Client struct {
	ws         *websocket.Conn
	conn       *tcpConn // under ws, and under TLS: closing it interrupts everything at once
	handshake  Handshake
	namespaces []namespace
	waiting    int // namespaces not yet joined; the reader's
	stream     stream
	secrets    secrets

	wants   func(string, []byte) bool
	onEvent func(Event)
	onClose func(error)

	opened   time.Time
	lastPing atomic.Int64 // time.Duration since opened
	watchdog *time.Timer

	mu       sync.Mutex // guards writes to ws, calls and lastCall
	calls    map[int64]chan<- []json.RawMessage
	lastCall int64

	end  atomic.Pointer[error] // why the connection ends; set once
	done chan struct{}
}

// namespace is written by the reader only. Its name never changes.
type namespace struct {
	name   string
	joined bool
	at     time.Time
}

func newClient(o *Options) *Client {
	c := &Client{
		namespaces: make([]namespace, len(o.Namespaces)),
		waiting:    len(o.Namespaces),
		secrets:    o.secrets(),
		wants:      o.Wants,
		onEvent:    o.OnEvent,
		onClose:    o.OnClose,
		done:       make(chan struct{}),
	}
	for i, name := range o.Namespaces {
		c.namespaces[i].name = name
	}
	return c
}

// start sets the watchdog and the reader to work.
func (c *Client) start() {
	c.opened = time.Now()
	c.watchdog = time.AfterFunc(maxMillis*time.Millisecond, c.watch) // set again once the field is written
	c.watchdog.Reset(c.patience())
	go c.read()
}

// Handshake returns what the server said when the connection opened.
func (c *Client) Handshake() Handshake { return c.handshake }

// Done is closed when the connection has ended and the last callback has returned.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection lasts, and then why it ended: ErrClosed, ErrServerClosed, ErrLost (both perhaps
// as a *CloseError), ErrPingTimeout, ErrTooLarge, ErrProtocol, a *DisconnectError or a *ConnectError.
func (c *Client) Err() error {
	if end := c.end.Load(); end != nil {
		return *end
	}
	return nil
}

// Emit sends an event. Each argument is anything that encoding/json marshals; it does not wait for the server.
func (c *Client) Emit(namespace, event string, args ...any) error {
	return c.emit(namespace, -1, event, args)
}

// Call sends an event that asks for an acknowledgement, and returns the acknowledgement's arguments.
func (c *Client) Call(ctx context.Context, namespace, event string, args ...any) ([]json.RawMessage, error) {
	answer := make(chan []json.RawMessage, 1)
	id := c.expect(answer)
	defer c.forget(id)
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

func (c *Client) expect(answer chan<- []json.RawMessage) (id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = make(map[int64]chan<- []json.RawMessage)
	}
	c.lastCall++
	c.calls[c.lastCall] = answer
	return c.lastCall
}

func (c *Client) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
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

// Close leaves the namespaces (41/queue,), closes the connection (1, websocket close without a status) and returns when
// the server has closed its side too and the last callback has returned, or after 2 s. On a connection that has ended, or
// that another Close is ending, it returns at once.
func (c *Client) Close() {
	if !c.finish(ErrClosed) {
		return
	}
	defer time.AfterFunc(closeTimeout, c.cut).Stop()
	c.goodbye()
	select {
	case <-c.done:
	case <-time.After(closeTimeout + closeTimeout/10):
	}
}

func (c *Client) goodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(closeTimeout)
	for i := range c.namespaces {
		p := Packet{Type: PacketDisconnect, Namespace: []byte(c.namespaces[i].name)}
		if c.writeLocked(message(p), deadline) != nil {
			c.cut()
			return
		}
	}
	if c.writeLocked([]byte{engineClose}, deadline) != nil || c.ws.WriteControl(websocket.CloseMessage, nil, deadline) != nil {
		c.cut()
	}
}

// finish records why the connection ends; false when that is known already.
func (c *Client) finish(reason error) bool { return c.end.CompareAndSwap(nil, &reason) }

func (c *Client) ending() bool { return c.end.Load() != nil }

// cut closes the TCP connection, which ends the reader and any write.
func (c *Client) cut() { _ = c.conn.Close() }

func (c *Client) emit(namespace string, id int64, event string, args []any) error {
	if c.find([]byte(namespace)) == nil {
		return fmt.Errorf("event %q cannot be sent: %w: %q", event, ErrNotJoined, namespace)
	}
	frame, err := eventMessage(namespace, id, event, args)
	if err != nil {
		return err
	}
	return c.send(frame)
}

// send writes a frame that a caller wants sent.
func (c *Client) send(frame []byte) error {
	if limit := c.handshake.MaxPayload; limit > 0 && int64(len(frame)) > limit {
		return fmt.Errorf("%w: %d bytes, the server takes %d", ErrTooLarge, len(frame), limit)
	}
	if err := c.Err(); err != nil {
		return err
	}
	return c.write(frame)
}

// write writes one text frame. A write that fails ends the connection, for part of the frame may have gone.
func (c *Client) write(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writeLocked(frame, time.Now().Add(writeTimeout)); err != nil {
		err = fmt.Errorf("%w: %w", ErrLost, c.conn.cause(err))
		c.finish(err)
		c.cut()
		return c.Err()
	}
	return nil
}

func (c *Client) writeLocked(frame []byte, deadline time.Time) error {
	_ = c.ws.SetWriteDeadline(deadline) // only notes it
	return c.ws.WriteMessage(websocket.TextMessage, frame)
}

// patience is how long the server may be silent.
func (c *Client) patience() time.Duration { return c.handshake.PingInterval + c.handshake.PingTimeout }

// watch runs when the watchdog fires: it ends a connection without pings and otherwise goes back to sleep for as long as
// the last ping allows.
func (c *Client) watch() {
	if c.ending() {
		return
	}
	silent := time.Since(c.opened) - time.Duration(c.lastPing.Load())
	if silent < c.patience() {
		c.watchdog.Reset(c.patience() - silent)
		return
	}
	if c.finish(fmt.Errorf("%w for %s", ErrPingTimeout, c.patience())) {
		c.cut()
	}
}

// read is the reader goroutine. It calls NextReader itself, not next: besides buffers, what an idle connection occupies is
// this goroutine's stack, and each call between here and the network makes it deeper.
func (c *Client) read() {
	for {
		messageType, r, err := c.ws.NextReader()
		if err == nil {
			err = c.receive(messageType, r)
		} else {
			err = c.readError(err)
		}
		if err != nil {
			c.ended(err)
			return
		}
	}
}

// next takes one message; it is for Dial, before there is a reader.
func (c *Client) next() error {
	messageType, r, err := c.ws.NextReader()
	if err != nil {
		return c.readError(err)
	}
	return c.receive(messageType, r)
}

// receive takes the message that NextReader has found.
func (c *Client) receive(messageType int, r io.Reader) error {
	buf := getBuffer()
	defer putBuffer(buf)
	if _, err := buf.ReadFrom(r); err != nil {
		return c.readError(err)
	}
	return c.handle(messageType, buf.Bytes())
}

// ended cleans up after the last message.
func (c *Client) ended(err error) {
	c.finish(err)
	c.watchdog.Stop()
	_ = c.ws.Close()
	if c.onClose != nil {
		c.onClose(c.Err())
	}
	close(c.done)
}

// readError names the end of a connection that gorilla reports.
func (c *Client) readError(err error) error {
	if errors.Is(err, websocket.ErrReadLimit) {
		return fmt.Errorf("%w: over the read limit", ErrTooLarge)
	}
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
		return &CloseError{Code: closed.Code}
	}
	return fmt.Errorf("%w: %w", ErrLost, c.conn.cause(err))
}

// handle takes one message. What still arrives once the end is decided is nobody's any more.
func (c *Client) handle(messageType int, frame []byte) error {
	if c.ending() {
		return nil
	}
	if c.handshake.SID == "" {
		return c.greet(messageType, frame)
	}
	if messageType == websocket.BinaryMessage {
		return c.stream.attachment()
	}
	if len(frame) == 0 {
		return errEmpty
	}
	switch frame[0] {
	case engineMessage:
		return c.handlePacket(frame[1:])
	case enginePing:
		return c.pong()
	case engineBase64:
		return c.stream.attachment()
	case engineClose:
		return ErrServerClosed
	case enginePong, engineUpgrade, engineNoop: // nothing that a server sends here, and nothing that harms
		return nil
	}
	return errEngineType
}

var errEngineType = protocolError("unknown Engine.IO packet type")

func (c *Client) pong() error {
	if !c.opened.IsZero() { // else Dial is at work, and its own time limit holds
		c.lastPing.Store(int64(time.Since(c.opened)))
	}
	return c.write([]byte{enginePong})
}

// handlePacket takes one Socket.IO packet. Packets of other namespaces are ignored, as the reference client ignores them.
func (c *Client) handlePacket(b []byte) error {
	p, err := c.stream.packet(b)
	if err != nil {
		return err
	}
	n := c.find(p.Namespace)
	if n == nil {
		return nil
	}
	switch p.Type {
	case PacketEvent, PacketBinaryEvent:
		return c.handleEvent(n, &p)
	case PacketAck, PacketBinaryAck:
		return c.handleAck(&p)
	case PacketConnect:
		return c.joined(n, &p)
	case PacketConnectError:
		return c.refused(n, &p)
	default: // PacketDisconnect
		return c.disconnected(n)
	}
}

func (c *Client) find(name []byte) *namespace {
	for i := range c.namespaces {
		if c.namespaces[i].name == string(name) {
			return &c.namespaces[i]
		}
	}
	return nil
}

func (c *Client) handleEvent(n *namespace, p *Packet) error {
	name, err := p.EventName()
	if err != nil {
		return err
	}
	if c.wants != nil && !c.wants(n.name, name) || c.onEvent == nil {
		return nil
	}
	e, err := decodeEvent(p, n.name, name)
	if err != nil {
		return err
	}
	c.onEvent(e)
	return nil
}

// handleAck passes an acknowledgement on; one that nobody waits for any more is dropped.
func (c *Client) handleAck(p *Packet) error {
	var values []json.RawMessage
	if json.Unmarshal(p.Data, &values) != nil {
		return errJSON
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer, ok := c.calls[p.ID]; ok {
		answer <- values
		delete(c.calls, p.ID)
	}
	return nil
}

func (c *Client) disconnected(n *namespace) error {
	e := &DisconnectError{Namespace: n.name}
	if n.joined {
		e.After = time.Since(n.at)
	}
	return e
}
