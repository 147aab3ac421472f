package sessions

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

const (
	// refusalTime is how soon after it was joined a namespace is disconnected when the token is refused.
	refusalTime = 5 * time.Second
)

// Why there is no socket. What they wrap says more; no token is in it.
var (
	// ErrAuthRefused: the service let the user in and put it out at once, which is how it refuses an access token.
	ErrAuthRefused = errors.New("the access token was refused")
	// ErrTimeout: the service did not answer within Options.Timeout.
	ErrTimeout = errors.New("the socket did not open in time")
	// ErrLost: the connection could not be opened, or it broke, the service closed it, or its pings stopped.
	ErrLost = errors.New("no socket")
	// ErrClosed: Close was called.
	ErrClosed = socketio.ErrClosed
)

// Options says whose socket to open, and how. URL, UserID, Token and Tracker are needed.
type Options struct {
	URL     string // origin of the service, such as https://staging.example
	UserID  string
	Token   string // access token; it is checked when the socket opens, and only then
	Tracker *Tracker

	Dialer    func(ctx context.Context, network, addr string) (net.Conn, error) // nil: a net.Dialer
	TLSConfig *tls.Config                                                       // nil: Go's defaults
	Proxy     func(*http.Request) (*url.URL, error)                             // as http.Transport's; nil: none
	Header    http.Header                                                       // of the opening request
	Timeout   time.Duration                                                     // 0: socketio.DefaultTimeout, 20 s

	// OnEnd is told the end of a socket that had opened, once: the loss, or "" where Close was called. It must be quick.
	OnEnd func(Loss)
}

// Socket is the socket of one user, with /queue and /video on it. Its methods are safe for concurrent use.
type Socket struct {
	// ConnectTime is from the start of Open until both namespaces were joined.
	ConnectTime time.Duration

	tracker *Tracker
	user    string
	client  *socketio.Client
	onEnd   func(Loss) // may be nil

	waiting   atomic.Int32 // in Wait
	waitersMu sync.Mutex
	waiters   []*Waiter

	// Guarded by Tracker.mu:
	opened    time.Time // zero: not yet
	closed    bool      // events that still arrive are ignored
	garbled   bool      // an event named no session
	asked     bool      // joined, and no match yet
	answered  bool      // the match of the last join came
	leftUntil time.Time // the queue was left; until this time a match may still be on its way
	inherits  time.Time // until this time, events of sessions begun on the user's previous socket are accepted
	want      *want     // of Match
	sessions  []*session
}

// Open opens the socket of a user and joins both namespaces. Call it before joining the queue: the service does not send events
// again that it sent before the socket was open.
// Its errors are ErrAuthRefused, ErrTimeout, ErrLost or, when ctx ended first, the context's own.
func Open(ctx context.Context, o Options) (*Socket, error) {
	sock := &Socket{tracker: o.Tracker, user: o.UserID, onEnd: o.OnEnd}
	sock.enlist()
	begin := time.Now()
	client, err := socketio.Dial(ctx, socketio.Options{
		URL:        o.URL,
		Namespaces: []string{contract.QueueNamespace, contract.VideoNamespace},
		Auth:       map[string]string{"token": o.Token},
		Header:     o.Header,
		Dialer:     o.Dialer,
		TLSConfig:  o.TLSConfig,
		Proxy:      o.Proxy,
		Timeout:    o.Timeout,
		Wants:      sock.wants,
		OnEvent:    sock.onEvent,
		OnClose:    func(err error) { sock.end(); sock.reportEnd(err) },
	})
	if err != nil {
		sock.end()
		return nil, openError(ctx, err)
	}
	sock.ConnectTime = time.Since(begin)
	sock.client = client
	o.Tracker.mu.Lock()
	defer o.Tracker.mu.Unlock()
	sock.opened = time.Now()
	return sock, nil
}

// reportEnd calls OnEnd.
func (sock *Socket) reportEnd(err error) {
	if sock.onEnd != nil {
		sock.onEnd(lossOf(err))
	}
}

func openError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("open the socket: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrTimeout, plain.Error(err))
	}
	return socketError(err)
}

func socketError(err error) error {
	if e, ok := errors.AsType[*socketio.DisconnectError](err); ok && e.After < refusalTime {
		return fmt.Errorf("%w: %w", ErrAuthRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrLost, plain.Error(err))
}

// lost is closed when the socket has ended, for whatever reason; see Err.
func (sock *Socket) lost() <-chan struct{} { return sock.client.Done() }

// Err returns nil while the socket lasts, and then why it ended: ErrClosed, ErrLost, or ErrAuthRefused for a token that was
// refused a moment after Open had returned.
func (sock *Socket) Err() error {
	err := sock.client.Err()
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return socketError(err)
}

// Loss names Err: "" while the socket lasts, and where Close was called.
func (sock *Socket) Loss() Loss { return lossOf(sock.client.Err()) }

// Close closes the socket and returns when that is done, after 2 s at the latest. The service takes the user out of its
// queue. What is under way ends as stopped. On a socket that has ended it returns at once.
func (sock *Socket) Close() {
	sock.end()
	sock.client.Close()
}

// Joining notes that the user joins the queue without Match, so that the match which follows is expected. Call it before the
// request.
func (sock *Socket) Joining() {
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	sock.ask(nil)
}

// Left notes that the user left the queue without Match. Call it after the answer.
func (sock *Socket) Left() {
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	sock.left()
}

// enlist adds the socket to the Tracker, before any event can arrive.
func (sock *Socket) enlist() {
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	sock.tracker.sockets[sock.user] = sock
	sock.inherits = sock.tracker.outlived[sock.user]
}

// end removes the socket and its sessions from the Tracker. The sessions go on in the service: their ends arrive on the user's
// next socket.
func (sock *Socket) end() {
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	if !sock.closed && (sock.asked || slices.ContainsFunc(sock.sessions, func(s *session) bool { return s.ended.IsZero() })) {
		sock.tracker.outlived[sock.user] = time.Now().Add(sock.tracker.longest + endPatience)
	}
	sock.closed = true
	if sock.tracker.sockets[sock.user] == sock {
		delete(sock.tracker.sockets, sock.user)
	}
	for _, s := range slices.Clone(sock.sessions) {
		s.forget()
	}
}

// wants counts an event and reports whether its payload is needed. It is called for every frame.
func (sock *Socket) wants(namespace string, event []byte) bool {
	needed := sock.tracker.wants(namespace, event)
	return needed || (sock.waiting.Load() > 0 && sock.isAwaited(namespace, event))
}

// onEvent takes an event. It runs on the goroutine that reads.
func (sock *Socket) onEvent(e socketio.Event) {
	switch {
	case !concerns(e.Namespace, e.Name): // only a Waiter wants it
	case e.Name == contract.EventMatch:
		hear(sock, e, sock.heardMatch)
	case e.Name == contract.EventStart:
		hear(sock, e, sock.heardStart)
	case e.Name == contract.EventEnd:
		hear(sock, e, sock.heardEnd)
	}
	if sock.waiting.Load() > 0 {
		sock.pass(e)
	}
}

func hear[T interface{ session() string }](sock *Socket, e socketio.Event, heard func(T, time.Time)) {
	payload, ok := decode[T](e.Args)
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	switch {
	case sock.closed:
	case ok:
		heard(payload, e.At)
	default:
		sock.garble(e.Name)
	}
}

// garble counts an event that names no session, once per socket.
func (sock *Socket) garble(event string) {
	if sock.garbled {
		return
	}
	sock.garbled = true
	sock.tracker.found(rulePayloadWrong, sock.user, "", event+" names no session")
	if event == contract.EventMatch {
		sock.tracker.brokenMatches++
	} else {
		sock.tracker.brokenSessions++
	}
}
