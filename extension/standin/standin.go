// Package standin is a local Verity for laptops and tests: the HTTP API, the sockets, the queue in Redis and the matcher
// of docs/verity-api.md, as strict as the real service. It keeps the users in memory and accounts for every token, so that a
// test can check a run afterwards.
package standin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

// defaultAddr is a free port on loopback.
const defaultAddr = "127.0.0.1:0"

const (
	// maxLatency lets a queue operation finish before its lock expires.
	maxLatency = 2 * time.Second
	// maxSession is well below the hour for which Redis keeps a session.
	maxSession      = 30 * time.Minute
	maxPairsPerTick = 10_000
	maxTick         = time.Minute
	maxLoneKey      = 100 * time.Millisecond
	maxPing         = time.Hour
	// maxHeaderWait is how long a new connection may take to send its first request.
	maxHeaderWait = time.Minute
)

// Options configures a stand-in. Zero values mean the defaults; only WebhookSecret is required.
type Options struct {
	// Addr is the address to listen on, host:port; port 0 means a free one. Default: a free port on loopback.
	Addr string
	// WebhookSecret is the secret that signs the Stripe events.
	WebhookSecret string
	// RedisURL is the Redis that keeps the queue, redis://[user:password@]host:port/database; default: an embedded
	// miniredis. The database must hold no queue, as the matcher would pair the users in it.
	RedisURL string

	// Tick is the matcher's interval, 1 ms to 1 min. Default: contract.Tick.
	Tick time.Duration
	// PairsPerTick is how many pairs the matcher makes in one key and tick, 1 to 10,000. Default: contract.PairsPerTick.
	PairsPerTick int
	// LoneKey is the matcher's time for a key with one user, 0 to 100 ms, such as contract.LoneKey. It delays all others.
	LoneKey time.Duration
	// Session is the length of a session, 1 ms to 30 min. Default: contract.Session.
	Session time.Duration
	// TokenTTL is the life of access tokens in whole seconds, 1 s to 24 h. Default: contract.AccessTokenLife.
	TokenTTL time.Duration
	// KeepAlive is how long an idle connection stays open, 1 ms to 10 min. Default: contract.KeepAlive.
	KeepAlive time.Duration
	// Throttle enables the service's request limits.
	Throttle bool

	// Latency is the time that every operation takes inside the service, 0 to 2 s. It is spent where the real service
	// waits for its database: while the user's lock, the refresh token or the event is held, so that concurrent requests
	// overlap.
	Latency time.Duration
	// WebhookLatency is the additional latency of webhooks, 0 to 2 s.
	WebhookLatency time.Duration

	// PingInterval is the time between two pings to a socket, 1 ms to 1 h. Default: socketio.DefaultPingInterval.
	PingInterval time.Duration
	// PingTimeout is how long a socket's pong may take, 1 ms to 1 h. Default: socketio.DefaultPingTimeout.
	PingTimeout time.Duration

	// Defects are deliberate defects of the sockets. Default: none.
	Defects Defects

	// Log gets the stand-in's few warnings and errors, none with a secret. Default: nothing is logged.
	Log *slog.Logger

	now      func() time.Time // the clock of throttle, tokens and signatures; tests set it
	observer observer         // default: none
}

func (o *Options) setDefaults() {
	setDefault(&o.Addr, defaultAddr)
	setDefault(&o.Tick, contract.Tick)
	setDefault(&o.PairsPerTick, contract.PairsPerTick)
	setDefault(&o.Session, contract.Session)
	setDefault(&o.TokenTTL, contract.AccessTokenLife)
	setDefault(&o.KeepAlive, contract.KeepAlive)
	setDefault(&o.PingInterval, socketio.DefaultPingInterval)
	setDefault(&o.PingTimeout, socketio.DefaultPingTimeout)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.observer == nil {
		o.observer = nobody{}
	}
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

func (o *Options) validate() error {
	return errors.Join(
		o.validateSecret(),
		o.validateAddr(),
		inRange("tick", "tick", o.Tick, time.Millisecond, maxTick),
		o.validatePairs(),
		inRange("lone-key", "time of a lone key", o.LoneKey, 0, maxLoneKey),
		inRange("session", "session", o.Session, time.Millisecond, maxSession),
		inRange("token-ttl", "token TTL", o.TokenTTL, time.Second, 24*time.Hour),
		o.validateTokenTTL(),
		inRange("keep-alive", "keep-alive", o.KeepAlive, time.Millisecond, 10*time.Minute),
		inRange("latency", "latency", o.Latency, 0, maxLatency),
		inRange("webhook-latency", "webhook latency", o.WebhookLatency, 0, maxLatency),
		inRange("ping-interval", "ping interval", o.PingInterval, time.Millisecond, maxPing),
		inRange("ping-timeout", "ping timeout", o.PingTimeout, time.Millisecond, maxPing),
		o.Defects.validate(o.Session),
	)
}

func (o *Options) validateSecret() error {
	if _, err := payments.NewSigner(o.WebhookSecret); err != nil {
		return fmt.Errorf("%w: give the stand-in the secret that signs the webhooks", err)
	}
	return nil
}

func (o *Options) validateAddr() error {
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return &OptionError{"addr", "address", fmt.Sprintf("must be host:port, got %q", o.Addr)}
	}
	return nil
}

func (o *Options) validatePairs() error {
	if o.PairsPerTick < 1 || o.PairsPerTick > maxPairsPerTick {
		return &OptionError{"pairs-per-tick", "pairs per tick", fmt.Sprintf("must be from 1 to %d, got %d", maxPairsPerTick, o.PairsPerTick)}
	}
	return nil
}

func (o *Options) validateTokenTTL() error {
	if o.TokenTTL%time.Second != 0 {
		return &OptionError{"token-ttl", "token TTL", fmt.Sprintf("must be in whole seconds, got %s", o.TokenTTL)}
	}
	return nil
}

// OptionError is what is wrong with an option.
type OptionError struct {
	Option string // its name in small letters with hyphens, such as token-ttl
	called string // what its error calls it
	Fault  string // what it must be, and what it got
}

func (e *OptionError) Error() string { return "the " + e.called + " " + e.Fault }

func inRange(option, called string, d, low, high time.Duration) error {
	if d < low || d > high {
		return &OptionError{option, called, fmt.Sprintf("must be from %s to %s, got %s", low, high, d)}
	}
	return nil
}

// Server is a running stand-in.
type Server struct {
	options Options
	started time.Time
	url     string

	routes    routes
	keepAlive []string // value of the Keep-Alive header
	accounts  *accounts
	tokens    *tokens
	till      *till
	store     *store
	queues    *queues
	matcher   *matcher
	sockets   *sockets

	choosing sync.Mutex // held while a choice is handled

	http   *http.Server
	ctx    context.Context //nolint:containedctx // the life of the server: a request is carried out even if its client hangs up
	cancel context.CancelFunc
	work   sync.WaitGroup // the matcher and the HTTP server

	closing  sync.Once
	closeErr error
}

// Start starts a stand-in, which serves until Close. The context bounds only the start, not the life of the server.
//
// It refuses options out of range, an address that it cannot listen on, and a Redis that does not answer or holds a queue.
func Start(ctx context.Context, o Options) (*Server, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	store, err := openStore(ctx, o.RedisURL)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the stand-in cannot listen: %w", err), store.close())
	}
	s := newServer(o, store, listener.Addr())
	s.work.Go(func() { s.matcher.run(s.ctx) })
	s.work.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the stand-in stopped serving", "error", err)
		}
	})
	return s, nil
}

func newServer(o Options, store *store, addr net.Addr) *Server {
	s := &Server{
		started:   time.Now(),
		url:       "http://" + reachable(addr),
		keepAlive: []string{"timeout=" + strconv.Itoa(int(o.KeepAlive.Seconds()))},
		accounts:  newAccounts(),
		tokens:    newTokens(o.TokenTTL, o.now),
		till:      newTill(),
		store:     store,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sockets = newSockets(&o, s.tokens.user, s.vacate)
	o.observer = observers{s.sockets, o.observer}
	s.options = o
	s.queues = newQueues(store.client, o.observer, s.wait)
	s.matcher = newMatcher(s.queues, s.accounts, store, o)
	s.routes = s.newRoutes()
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: maxHeaderWait,
		IdleTimeout:       o.KeepAlive,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	return s
}

// reachable returns the host:port at which a client on this machine reaches the listener.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}

// URL returns the base URL of the stand-in, for BASE_URL.
func (s *Server) URL() string { return s.url }

// RedisURL returns the URL of the embedded Redis, for REDIS_URL; "" if Options.RedisURL named another one.
func (s *Server) RedisURL() string { return s.store.embeddedURL() }

// Close stops accepting, lets the requests under way finish, stops the matcher, closes the sockets and removes the queues from
// Redis. If the context ends before the requests do, it closes their connections and returns the context's error. A second call
// returns the first result.
func (s *Server) Close(ctx context.Context) error {
	s.closing.Do(func() { s.closeErr = s.close(ctx) })
	return s.closeErr
}

func (s *Server) close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were still under way: %w", err), s.http.Close())
	}
	s.cancel()
	s.work.Wait()
	s.sockets.close()
	return errors.Join(err, s.queues.clear(context.WithoutCancel(ctx)), s.store.close())
}

// wait waits for the latency of an operation.
func (s *Server) wait() { s.pause(s.options.Latency) }

// pause waits for a time, or until the server closes.
func (s *Server) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}
