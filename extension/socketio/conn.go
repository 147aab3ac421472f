package socketio

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// closeGrace is how long a connection that this side closes may take to empty its queue and to answer the close frame.
	closeGrace = 2 * time.Second
	// batchSize is how many bytes of a queue go into one write.
	batchSize = 16 << 10
	// maxSpare is the largest capacity of an emptied queue that is reused; a longer one is freed.
	maxSpare = 256
)

// conn is one connection of a Server.
//
// One goroutine reads. Frames to be written wait in a queue. The goroutine that empties the queue runs only while it holds
// frames, and joins small frames into one write. Each write to net is one or more whole frames and net.Conn does not mix
// concurrent writes, so that gorilla can answer control frames between them.
type conn struct {
	server     *Server
	ws         *websocket.Conn
	net        net.Conn
	authorized bool   // the opening request had an Authorization header
	bearer     string // the token of that header
	stream     stream // used by the reader only

	mu       sync.Mutex
	sockets  []*Socket
	queue    []*Frame
	flushing bool
	closing  bool        // no more frames are queued, and arriving ones are ignored
	awaiting bool        // a pong is due
	timer    *time.Timer // when to ping, when the pong is overdue or, when closing, when to cut the connection
	joining  *time.Timer // closes a connection that has joined no namespace
}

func newConn(s *Server, ws *websocket.Conn, authorization []string) *conn {
	c := &conn{server: s, ws: ws, net: ws.NetConn()}
	c.bearer, c.authorized = bearer(authorization)
	ws.SetReadLimit(s.o.MaxPayload)
	ws.SetCloseHandler(c.echoClose)
	return c
}

// echoClose answers a client's close frame unless that frame is itself an answer.
func (c *conn) echoClose(code int, _ string) error {
	if c.listening() {
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeGrace))
	}
	return nil
}

// open sends the handshake and starts the timers.
func (c *conn) open() {
	o := &c.server.o
	c.mu.Lock()
	defer c.mu.Unlock()
	h := handshake{SID: newSID(), PingInterval: o.PingInterval, PingTimeout: o.PingTimeout, MaxPayload: o.MaxPayload}
	c.enqueueLocked(textFrame(h.append(nil)))
	c.timer = time.AfterFunc(o.PingInterval, c.tick)
	c.joining = time.AfterFunc(o.ConnectTimeout, c.shutdown)
}

// serve reads until the connection ends, then cleans up.
func (c *conn) serve() {
	err := c.next()
	for err == nil {
		err = c.next()
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		c.drain()
	}
	c.finish()
}

// next reads and handles one message.
func (c *conn) next() error {
	messageType, buf, err := readMessage(c.ws)
	if err != nil {
		return err
	}
	defer putBuffer(buf)
	if c.listening() && c.handle(messageType, buf.Bytes()) != nil {
		c.shutdown() // serve reads on, up to the client's close frame
	}
	return nil
}

// drain reads the rest of a message that was too large. Closing with unread bytes would reset the connection, and the client
// would not see the close code 1009 that gorilla has sent.
func (c *conn) drain() {
	c.mu.Lock()
	c.closing = true
	c.timer.Reset(closeGrace)
	c.mu.Unlock()
	_, _ = io.Copy(io.Discard, c.net)
}

// listening reports whether arriving frames are handled.
func (c *conn) listening() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closing && !c.server.muted.Load()
}

// finish closes the connection and calls OnDisconnect for each of its sockets.
func (c *conn) finish() {
	c.mu.Lock()
	sockets := c.sockets
	c.sockets, c.queue, c.closing = nil, nil, true
	c.timer.Stop()
	c.joining.Stop()
	c.mu.Unlock()
	c.cut()
	for _, s := range sockets {
		c.disconnected(s)
	}
	c.server.remove(c)
}

func (c *conn) disconnected(s *Socket) {
	if c.server.o.OnDisconnect != nil {
		c.server.o.OnDisconnect(s)
	}
}

// cut closes the TCP connection, which ends the reader and any write.
func (c *conn) cut() { _ = c.net.Close() }

// tick pings, or ends the connection: it runs when the timer fires.
func (c *conn) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		c.cut()
	case c.server.muted.Load():
		c.timer.Reset(c.server.o.PingInterval)
	case c.awaiting:
		c.shutdownLocked()
	default:
		c.awaiting = true
		c.enqueueLocked(pingFrame)
		c.timer.Reset(c.server.o.PingTimeout)
	}
}

func (c *conn) pong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaiting && !c.closing {
		c.awaiting = false
		c.timer.Reset(c.server.o.PingInterval)
	}
}

// shutdown closes the connection with a close frame without a status, as the reference server does for any reason.
func (c *conn) shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shutdownLocked()
}

func (c *conn) shutdownLocked() {
	if c.closing || c.server.muted.Load() {
		return
	}
	c.enqueueLocked(closeFrame)
	c.closing = true
	c.timer.Reset(closeGrace)
}

// dismiss disconnects every joined namespace and the extra ones, and closes the connection.
func (c *conn) dismiss(extra ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		c.enqueueLocked(disconnectFrame(s.namespace))
	}
	for _, namespace := range extra {
		c.enqueueLocked(disconnectFrame(namespace))
	}
	c.shutdownLocked()
}

func disconnectFrame(namespace string) *Frame {
	return textFrame(message(packet{Type: packetDisconnect, Namespace: []byte(namespace)}))
}

// enqueue queues a frame for writing; it never blocks.
func (c *conn) enqueue(f *Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enqueueLocked(f)
}

func (c *conn) enqueueLocked(f *Frame) {
	if c.closing || c.server.muted.Load() {
		return
	}
	if len(c.queue) >= c.server.o.QueueLimit {
		c.closing = true
		c.cut()
		return
	}
	c.queue = append(c.queue, f)
	if !c.flushing {
		c.flushing = true
		c.server.group.Go(c.flush)
	}
}

// flush writes the queue. After a failed write, flushing stays set: nothing may be written after half a frame.
func (c *conn) flush() {
	var batch []*Frame
	for {
		batch = c.takeQueue(batch)
		if len(batch) == 0 {
			return
		}
		if c.write(batch) != nil {
			c.cut()
			return
		}
	}
}

// takeQueue returns the queued frames, and makes spare, the batch written last, the new empty queue.
func (c *conn) takeQueue(spare []*Frame) []*Frame {
	clear(spare)
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.queue
	if cap(spare) > maxSpare {
		spare = nil
	}
	c.queue = spare[:0]
	if len(batch) == 0 {
		c.flushing = false
		if c.closing && c.awaiting { // the pong is overdue: do not wait for the close frame
			c.cut()
		}
	}
	return batch
}

// write writes frames, joining small ones.
func (c *conn) write(batch []*Frame) error {
	if len(batch) == 1 {
		_, err := c.net.Write(batch[0].wire)
		return err
	}
	buf := getBuffer()
	defer putBuffer(buf)
	for _, f := range batch {
		if buf.Len() > 0 && buf.Len()+len(f.wire) > batchSize {
			if _, err := buf.WriteTo(c.net); err != nil {
				return err
			}
		}
		buf.Write(f.wire)
	}
	_, err := buf.WriteTo(c.net)
	return err
}

// handle handles one message; an error closes the connection.
func (c *conn) handle(messageType int, frame []byte) error {
	if messageType == websocket.BinaryMessage {
		return c.stream.attachment()
	}
	if len(frame) == 0 {
		return errEmpty
	}
	switch frame[0] {
	case engineMessage:
		return c.handlePacket(frame[1:])
	case enginePong:
		c.pong()
		return nil
	case engineBase64:
		return c.stream.attachment()
	case enginePing:
		return errHeartbeat
	case engineOpen, engineClose, engineUpgrade, engineNoop: // as the reference; a close frame follows an engineClose
		return nil
	}
	return errEngineType
}

var (
	errHeartbeat  = protocolError("ping from a client: in Engine.IO 4 the server pings")
	errUnexpected = protocolError("packet that does not fit: namespace joined twice or never")
)

func (c *conn) handlePacket(b []byte) error {
	p, err := c.stream.packet(b)
	if err != nil {
		return err
	}
	s := c.find(p.Namespace)
	switch {
	case p.Type == packetConnect && s == nil:
		return c.join(&p)
	case p.Type == packetConnect || p.Type == packetConnectError || s == nil:
		return errUnexpected
	case p.Type == packetEvent || p.Type == packetBinaryEvent:
		return c.event(s, &p)
	case p.Type == packetDisconnect:
		c.leave(s)
	}
	return nil // an acknowledgement: this server asks for none
}

func (c *conn) find(namespace []byte) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		if s.namespace == string(namespace) {
			return s
		}
	}
	return nil
}

// join answers a CONNECT packet.
func (c *conn) join(p *packet) error {
	if len(p.Data) > 0 && !json.Valid(p.Data) {
		return errJSON
	}
	s := &Socket{conn: c, namespace: string(p.Namespace), id: newSID()}
	answer := packet{Type: packetConnect, Namespace: p.Namespace, Data: []byte(`{"sid":"` + s.id + `"}`)}
	if !slices.Contains(c.server.o.Namespaces, s.namespace) {
		answer.Type, answer.Data = packetConnectError, []byte(`{"message":"Invalid namespace"}`)
		c.enqueue(textFrame(message(answer)))
		return nil
	}
	if !c.authenticate(s, p.Data) {
		c.enqueue(textFrame(message(answer)))
		c.dismiss(s.namespace)
		return nil
	}
	c.welcome(s, textFrame(message(answer)))
	return nil
}

// authenticate sets the socket's user, and reports whether the token was accepted.
func (c *conn) authenticate(s *Socket, auth json.RawMessage) bool {
	if c.server.o.Authenticate == nil {
		return true
	}
	user, err := c.server.o.Authenticate(s.namespace, c.token(auth))
	s.user = user
	return err == nil
}

func (c *conn) welcome(s *Socket, answer *Frame) {
	c.mu.Lock()
	c.joining.Stop()
	c.sockets = append(c.sockets, s)
	c.enqueueLocked(answer)
	c.mu.Unlock()
	if c.server.o.OnConnect != nil {
		c.server.o.OnConnect(s)
	}
}

func (c *conn) leave(s *Socket) {
	c.mu.Lock()
	c.sockets = slices.DeleteFunc(c.sockets, func(other *Socket) bool { return other == s })
	c.mu.Unlock()
	c.disconnected(s)
}

func (c *conn) event(s *Socket, p *packet) error {
	name, err := p.eventName()
	if err != nil {
		return err
	}
	e, err := decodeEvent(p, s.namespace, name)
	if err != nil {
		return err
	}
	if c.server.o.OnEvent != nil {
		c.server.o.OnEvent(s, e)
	}
	return nil
}
