package socketio

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// The defaults of ServerOptions are those of Verity and of the reference server.
const (
	DefaultPingInterval   = 25 * time.Second
	DefaultPingTimeout    = 20 * time.Second
	defaultConnectTimeout = 45 * time.Second
	defaultMaxPayload     = 1_000_000
	// defaultQueueLimit is far more than the backlog of a client that reads.
	defaultQueueLimit = 16384
)

// ServerOptions configures a Server.
type ServerOptions struct {
	// Namespaces can be joined; a CONNECT to another is answered 44/nope,{"message":"Invalid namespace"}.
	Namespaces []string
	// Authenticate returns the user of this token; the token is "" if there is none. On an error the server does as Verity:
	// it accepts the namespace, disconnects it, and closes the connection. nil accepts every client.
	//
	// The token is auth.token of the CONNECT packet. An Authorization header of the opening request takes precedence, and
	// counts as an empty token if it does not start with "Bearer ".
	Authenticate func(namespace, token string) (user string, err error)

	// OnConnect gets each socket that joined, after the answer to its CONNECT was queued: emitted events follow that answer.
	OnConnect func(*Socket)
	// OnDisconnect gets each socket of OnConnect once, when it left or its connection ended.
	OnDisconnect func(*Socket)
	// OnEvent gets the events that clients emit; nil ignores them.
	OnEvent func(*Socket, Event)

	// Callbacks of one connection run one at a time on the goroutine that reads from it; those of different connections run
	// concurrently.

	PingInterval   time.Duration // between a pong and the next ping; 0 means DefaultPingInterval
	PingTimeout    time.Duration // for the pong, else the connection is closed; 0 means DefaultPingTimeout
	ConnectTimeout time.Duration // for joining a namespace, else the connection is closed; 0 means 45 s
	MaxPayload     int64         // largest message from a client in bytes, else the connection is closed; 0 means 1 MB
	// QueueLimit is how many frames may wait for a slow client; one more closes its connection. 0 means 16,384.
	QueueLimit int
}

// Server serves Socket.IO over websockets. It is an http.Handler for everything under Path.
type Server struct {
	o        ServerOptions
	upgrader websocket.Upgrader
	muted    atomic.Bool

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	group  sync.WaitGroup // the goroutines of all connections
}

// NewServer returns a Server. Close it to end its connections: they outlive the http.Server that accepted them.
func NewServer(o ServerOptions) *Server {
	o.PingInterval = positive(o.PingInterval, DefaultPingInterval)
	o.PingTimeout = positive(o.PingTimeout, DefaultPingTimeout)
	o.ConnectTimeout = positive(o.ConnectTimeout, defaultConnectTimeout)
	o.MaxPayload = positive(o.MaxPayload, defaultMaxPayload)
	o.QueueLimit = positive(o.QueueLimit, defaultQueueLimit)
	return &Server{
		o: o,
		upgrader: websocket.Upgrader{
			ReadBufferSize:  bufferSize,
			WriteBufferSize: bufferSize,
			WriteBufferPool: &writeBuffers,
			CheckOrigin:     func(*http.Request) bool { return true }, // the reference does not check it for websockets
		},
		conns: make(map[*conn]struct{}),
	}
}

// ServeHTTP opens a connection, or refuses the request with the status and the body of the reference server. Unlike the
// reference, it refuses another version of Engine.IO before it opens the websocket. A path outside Path, such as /socket.io
// without the slash, is answered 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, Path) {
		http.NotFound(w, r)
		return
	}
	if refused := refusal(r); refused != nil {
		refused.write(w, websocket.IsWebSocketUpgrade(r))
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := newConn(s, ws, r.Header.Values("Authorization"))
	if !s.add(c) {
		_ = ws.Close()
	}
}

// engineError is the answer to a request that Engine.IO refuses.
type engineError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// refusal returns why a request opens no connection, checked in the reference's order; nil if it opens one.
func refusal(r *http.Request) *engineError {
	query := r.URL.Query()
	switch {
	case query.Get("transport") != "websocket":
		return &engineError{0, "Transport unknown"}
	case query.Get("sid") != "":
		return &engineError{1, "Session ID unknown"}
	case r.Method != http.MethodGet:
		return &engineError{2, "Bad handshake method"}
	case !websocket.IsWebSocketUpgrade(r):
		return &engineError{3, "Bad request"}
	case query.Get("EIO") != "4":
		return &engineError{5, "Unsupported protocol version"}
	}
	return nil
}

// write answers with status 400: a plain request as JSON, an upgrade as text.
func (e *engineError) write(w http.ResponseWriter, upgrade bool) {
	body, _ := json.Marshal(e) // a number and a string always marshal
	contentType := "application/json"
	if upgrade {
		body, contentType = []byte(e.Message), "text/html"
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(body)
}

// add starts a connection; it returns false if the server is closed.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	c.open()
	s.group.Go(c.serve)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Connections returns the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Mute makes the server behave like a process that hangs, for tests of clients: connections stay open, messages are ignored,
// and no answers, pings or events are sent. Unmuting does not send what was left out.
func (s *Server) Mute(muted bool) { s.muted.Store(muted) }

// Close closes all connections, refuses new ones, and returns when the last callback has returned. A client that does not
// answer the close frame is cut off after 2 s. Callbacks must not call Close.
func (s *Server) Close() {
	s.Mute(false)
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.shutdown()
	}
	s.mu.Unlock()
	s.group.Wait()
}

// Socket is one namespace of one connection. Its methods are safe for concurrent use, and do nothing once the connection has
// ended.
type Socket struct {
	conn      *conn
	namespace string
	id        string
	user      string
}

// Namespace returns the namespace, such as /queue.
func (s *Socket) Namespace() string { return s.namespace }

// User returns what Authenticate returned.
func (s *Socket) User() string { return s.user }

// Send queues a frame that was encoded once for many sockets. It never blocks: a connection whose queue is full is cut off.
// The frame's namespace must be the socket's.
func (s *Socket) Send(frame *Frame) { s.conn.enqueue(frame) }

// Close disconnects every namespace of the socket's connection (41/queue,) and closes it without a status.
func (s *Socket) Close() { s.conn.dismiss() }

// Drop closes the TCP connection without a close frame, as a broken network does.
func (s *Socket) Drop() { s.conn.cut() }
