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

// Options says whose socket to open, and how. URL, UserID, Token and Watch are needed.
type Options struct {
	URL    string // origin of the service, such as https://staging.example
	UserID string
	Token  string // access token; it is checked when the socket opens, and only then
	Watch  *Watch

	Dialer    func(ctx context.Context, network, addr string) (net.Conn, error) // nil: a net.Dialer
	TLSConfig *tls.Config                                                       // nil: Go's defaults
	Proxy     func(*http.Request) (*url.URL, error)                             // as http.Transport's; nil: none
	Header    http.Header                                                       // of the opening request
	Timeout   time.Duration                                                     // 0: socketio.DefaultTimeout, 20 s

	// OnEnd is told the end of a socket that had opened, once: the loss, or "" where Close was called. It must be quick.
	OnEnd func(Loss)
}

// Line is the socket of one user, with /queue and /video on it. Its methods are safe for concurrent use.
type Line struct {
	// ConnectTime is from the start of Open until both namespaces were joined.
	ConnectTime time.Duration

	watch  *Watch
	user   string
	client *socketio.Client
	onEnd  func(Loss) // nil: nobody asks

	waiting   atomic.Int32 // in Wait
	waitersMu sync.Mutex
	waiters   []*Waiter

	// Guarded by Watch.mu:
	opened    time.Time // zero: not yet
	closed    bool      // what arrives is nobody's any more
	garbled   bool      // an event named no session
	asked     bool      // joined, and no match yet
	answered  bool      // the match of the last join came
	leftUntil time.Time // the queue was left, but until then a match may be on its way
	inherits  time.Time // until then sessions may be heard of that began on an earlier line of this user
	want      *want     // of Match
	sessions  []*session
}

// Open opens the socket of a user and joins both namespaces. It must come before joining the queue: nothing is made up for.
// Its errors are ErrAuthRefused, ErrTimeout, ErrLost or, when ctx ended first, the context's own.
func Open(ctx context.Context, o Options) (*Line, error) {
	l := &Line{watch: o.Watch, user: o.UserID, onEnd: o.OnEnd}
	l.enlist()
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
		Wants:      l.wants,
		OnEvent:    l.onEvent,
		OnClose:    func(err error) { l.end(); l.tell(err) },
	})
	if err != nil {
		l.end()
		return nil, openError(ctx, err)
	}
	l.ConnectTime = time.Since(begin)
	l.client = client
	o.Watch.mu.Lock()
	defer o.Watch.mu.Unlock()
	l.opened = time.Now()
	return l, nil
}

// tell tells of the end of the socket.
func (l *Line) tell(err error) {
	if l.onEnd != nil {
		l.onEnd(lossOf(err))
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

// Lost is closed when the socket has ended, for whatever reason; see Err.
func (l *Line) Lost() <-chan struct{} { return l.client.Done() }

// Err returns nil while the socket lasts, and then why it ended: ErrClosed, ErrLost, or ErrAuthRefused for a token that was
// refused a moment after Open had returned.
func (l *Line) Err() error {
	err := l.client.Err()
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return socketError(err)
}

// Loss names Err: "" while the socket lasts, and where Close was called.
func (l *Line) Loss() Loss { return lossOf(l.client.Err()) }

// Close closes the socket and returns when that is done, after 2 s at the latest. The service takes the user out of its
// queue. What is under way ends as stopped. On a socket that has ended it returns at once.
func (l *Line) Close() {
	l.end()
	l.client.Close()
}

// Joining tells the line that the user joins the queue without Match, so that the match which follows is not taken for one
// that nobody asked for. Call it before the request.
func (l *Line) Joining() {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.ask(nil)
}

// Left tells the line that the user left the queue without Match. Call it after the answer.
func (l *Line) Left() {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.left()
}

// enlist makes the user known before it can hear anything.
func (l *Line) enlist() {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.watch.lines[l.user] = l
	l.inherits = l.watch.outlived[l.user]
}

// end forgets the user and its sessions. They go on without the socket, and the user's next one hears how they end.
func (l *Line) end() {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	if !l.closed && (l.asked || slices.ContainsFunc(l.sessions, func(s *session) bool { return s.ended.IsZero() })) {
		l.watch.outlived[l.user] = time.Now().Add(l.watch.longest + endPatience)
	}
	l.closed = true
	if l.watch.lines[l.user] == l {
		delete(l.watch.lines, l.user)
	}
	for _, s := range slices.Clone(l.sessions) {
		s.forget()
	}
}

// wants counts an event and tells whether its payload is needed. It is called for every frame.
func (l *Line) wants(namespace string, event []byte) bool {
	needed := l.watch.wants(namespace, event)
	return needed || (l.waiting.Load() > 0 && l.isAwaited(namespace, event))
}

// onEvent takes an event. It runs on the goroutine that reads.
func (l *Line) onEvent(e socketio.Event) {
	switch {
	case !concerns(e.Namespace, e.Name): // somebody waits for it
	case e.Name == contract.EventMatch:
		hear(l, e, l.heardMatch)
	case e.Name == contract.EventStart:
		hear(l, e, l.heardStart)
	case e.Name == contract.EventEnd:
		hear(l, e, l.heardEnd)
	}
	if l.waiting.Load() > 0 {
		l.pass(e)
	}
}

func hear[T interface{ session() string }](l *Line, e socketio.Event, heard func(T, time.Time)) {
	payload, ok := decode[T](e.Args)
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	switch {
	case l.closed:
	case ok:
		heard(payload, e.At)
	default:
		l.garble(e.Name)
	}
}

// garble notes an event that names no session, once.
func (l *Line) garble(event string) {
	if l.garbled {
		return
	}
	l.garbled = true
	l.watch.found(RulePayloadWrong, l.user, "", event+" names no session")
	if event == contract.EventMatch {
		l.watch.brokenMatches++
	} else {
		l.watch.brokenSessions++
	}
}
