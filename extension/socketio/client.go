package socketio

import (
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
	// writeTimeout bounds one write; a server that accepts no bytes for this long counts as lost.
	writeTimeout = 10 * time.Second
	// closeTimeout bounds Close.
	closeTimeout = 2 * time.Second
)

// Client is one connection and the namespaces joined over it. Its methods are safe for concurrent use.
//
// One goroutine reads; writes share a mutex. The reader answers the server's pings. One timer per connection notices missing
// pings: a ping only stores its time and does not reset the timer.
type Client struct {
	ws         *websocket.Conn
	conn       *tcpConn // below ws and TLS: closing it interrupts all reads and writes at once
	handshake  handshake
	namespaces []namespace
	waiting    int // namespaces not yet joined; used by the reader only
	stream     stream
	secrets    secrets

	wants   func(string, []byte) bool
	onEvent func(Event)
	onAck   func(id int64, args []json.RawMessage)
	onClose func(error)

	opened   time.Time
	lastPing atomic.Int64 // when the last ping came, as a time.Duration since opened
	watchdog *time.Timer

	mu sync.Mutex // guards writes to ws

	end  atomic.Pointer[error] // why the connection ends; set once
	done chan struct{}
}

// namespace is one that the client joins. Only the reader writes it; its name never changes.
type namespace struct {
	name   string
	joined bool
	at     time.Time // when it was joined
}

func newClient(o *Options) *Client {
	c := &Client{
		namespaces: make([]namespace, len(o.Namespaces)),
		waiting:    len(o.Namespaces),
		secrets:    o.secrets(),
		wants:      o.Wants,
		onEvent:    o.OnEvent,
		onAck:      o.onAck,
		onClose:    o.OnClose,
		done:       make(chan struct{}),
	}
	for i, name := range o.Namespaces {
		c.namespaces[i].name = name
	}
	return c
}

// start starts the watchdog and the reader.
func (c *Client) start() {
	c.opened = time.Now()
	c.watchdog = time.AfterFunc(maxMillis*time.Millisecond, c.watch) // not yet due: watch reads this field
	c.watchdog.Reset(c.patience())
	go c.read()
}

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

// Close leaves the namespaces (41/queue,) and closes the connection (1, websocket close without a status). It returns when
// the server has closed its side and the last callback has returned, or after 2 s. If the connection has ended, or another
// Close is ending it, Close returns at once.
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

// goodbye sends the packets and the close frame of Close.
func (c *Client) goodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(closeTimeout)
	for i := range c.namespaces {
		p := packet{Type: packetDisconnect, Namespace: []byte(c.namespaces[i].name)}
		if c.writeLocked(message(p), deadline) != nil {
			c.cut()
			return
		}
	}
	if c.writeLocked([]byte{engineClose}, deadline) != nil || c.ws.WriteControl(websocket.CloseMessage, nil, deadline) != nil {
		c.cut()
	}
}

// finish records why the connection ends, and reports whether it is the first to do so.
func (c *Client) finish(reason error) bool { return c.end.CompareAndSwap(nil, &reason) }

func (c *Client) ending() bool { return c.end.Load() != nil }

// cut closes the TCP connection, which ends the reader and any write.
func (c *Client) cut() { _ = c.conn.Close() }

// write writes one text frame. A failed write ends the connection, as part of the frame may have been sent.
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
	_ = c.ws.SetWriteDeadline(deadline) // never fails
	return c.ws.WriteMessage(websocket.TextMessage, frame)
}

// patience returns how long the server may send no ping.
func (c *Client) patience() time.Duration { return c.handshake.PingInterval + c.handshake.PingTimeout }

// watch runs when the watchdog fires. It ends a connection whose pings stopped, or sets the watchdog to when the next ping
// would be overdue.
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

// read is the reader goroutine. It calls NextReader directly, not through next, to keep its stack shallow: besides buffers,
// that stack is the memory of an idle connection.
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

// next reads and handles one message; Dial calls it before the reader starts.
func (c *Client) next() error {
	messageType, r, err := c.ws.NextReader()
	if err != nil {
		return c.readError(err)
	}
	return c.receive(messageType, r)
}

// receive reads and handles the message that NextReader returned.
func (c *Client) receive(messageType int, r io.Reader) error {
	buf := getBuffer()
	defer putBuffer(buf)
	if _, err := buf.ReadFrom(r); err != nil {
		return c.readError(err)
	}
	return c.handle(messageType, buf.Bytes())
}

// ended closes the client after its last message.
func (c *Client) ended(err error) {
	c.finish(err)
	c.watchdog.Stop()
	_ = c.ws.Close()
	if c.onClose != nil {
		c.onClose(c.Err())
	}
	close(c.done)
}

// readError converts gorilla's error of a read to one of this package.
func (c *Client) readError(err error) error {
	if errors.Is(err, websocket.ErrReadLimit) {
		return fmt.Errorf("%w: over the read limit", ErrTooLarge)
	}
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
		return &CloseError{Code: closed.Code}
	}
	return fmt.Errorf("%w: %w", ErrLost, c.conn.cause(err))
}

// handle handles one message. Once the connection is ending, messages are ignored.
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
	case enginePong, engineUpgrade, engineNoop: // harmless; a server does not send them here
		return nil
	}
	return errEngineType
}

var errEngineType = protocolError("unknown Engine.IO packet type")

func (c *Client) pong() error {
	if !c.opened.IsZero() { // else Dial still runs, with its own timeout
		c.lastPing.Store(int64(time.Since(c.opened)))
	}
	return c.write([]byte{enginePong})
}

// handlePacket handles one Socket.IO packet. Like the reference client it ignores packets of other namespaces.
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
	case packetEvent, packetBinaryEvent:
		return c.handleEvent(n, &p)
	case packetAck, packetBinaryAck:
		return c.handleAck(&p)
	case packetConnect:
		return c.joined(n, &p)
	case packetConnectError:
		return c.refused(n, &p)
	default: // packetDisconnect
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

func (c *Client) handleEvent(n *namespace, p *packet) error {
	name, err := p.eventName()
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

// handleAck checks an acknowledgement. Verity sends none, as the client asks for none.
func (c *Client) handleAck(p *packet) error {
	var values []json.RawMessage
	if json.Unmarshal(p.Data, &values) != nil {
		return errJSON
	}
	if c.onAck != nil {
		c.onAck(p.ID, values)
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
