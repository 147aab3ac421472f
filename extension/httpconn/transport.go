// Package httpconn is an HTTP/1.1 transport for one user.
//
// net/http runs two goroutines per connection and passes every request between them. With thousands of users, each with its
// own connection, waking these goroutines costs more than writing the request and reading the answer. A Transport does both
// on the caller's goroutine. The bytes are still written by net/http's Request.Write and read by its ReadResponse.
package httpconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	// closeMargin is how long before its Keep-Alive timeout an idle connection is no longer used. A request that crosses the
	// server's close on the wire would fail although nothing is wrong.
	closeMargin = 500 * time.Millisecond
	// closeGrace is how long after that timeout the transport closes the connection, if the server has not: the side that
	// closes first keeps the port in TIME_WAIT. Node waits for a second longer than it says.
	closeGrace = 1500 * time.Millisecond
	// unknownIdle is how long an idle connection is kept if the server sends no Keep-Alive timeout.
	unknownIdle = 90 * time.Second
)

// Config configures the transports of many users.
type Config struct {
	// Dial opens a TCP connection. If it implements syscall.Conn, it is checked for a close by the server before it is reused.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for https. If the server chooses "h2" from its NextProtos, HTTP2 is used.
	TLS *tls.Config
	// HTTP2 returns the transport of one user for a server that speaks HTTP/2.
	HTTP2 func() http.RoundTripper
	// Once makes each request close its connection.
	Once bool
	// MaxIdle is how many idle connections of one user are kept after requests that overlapped; below 1: 1.
	MaxIdle int

	speaksHTTP2 atomic.Bool // the server chose "h2"
}

// Transport is the http.RoundTripper of one user. It has one connection for each request under way: mostly one. It writes the
// whole request before it reads the answer, and reads the whole body before it returns. When the request's context ends, it
// returns the context's error.
//
// Like net/http it repeats an idempotent request if a reused connection turns out to be closed.
type Transport struct {
	config *Config

	mu      sync.Mutex
	idle    []*conn // the most recently used is the last
	closing bool    // also closes connections that become idle before the next request
	http2   *wholeTransport
}

// New returns a transport without a connection.
func New(config *Config) *Transport { return &Transport{config: config} }

// errHTTP2 makes RoundTrip use Config.HTTP2.
var errHTTP2 = errors.New("the server chose HTTP/2")

// RoundTrip sends the request and returns the answer with its whole body. The error of an answer that is too large, or that
// cannot be unpacked, is an ErrAnswer.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	if err := check(request); err != nil {
		closeBody(request)
		return nil, err
	}
	for !t.config.speaksHTTP2.Load() {
		c, err := t.connection(request)
		if errors.Is(err, errHTTP2) {
			t.config.speaksHTTP2.Store(true)
			break
		}
		if err != nil {
			closeBody(request)
			return nil, reason(ctx, err)
		}
		response, err := c.exchange(request)
		if err == nil {
			t.release(c, response)
			return response, nil
		}
		c.abort()
		err = reason(ctx, err)
		if !c.used || c.answered || ctx.Err() != nil || !repeatable(request) {
			return nil, err
		}
	}
	return t.overHTTP2().RoundTrip(request)
}

// reason returns why a request failed: the context's error if it ended, as the error of the connection then only follows from
// that. The connection may see the deadline a moment before the context does.
func reason(ctx context.Context, err error) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (t *Transport) overHTTP2() http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.http2 == nil {
		t.http2 = whole(t.config.HTTP2())
	}
	return t.http2
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	idle, http2 := t.idle, t.http2
	t.idle, t.closing = nil, true
	t.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	if http2 != nil {
		http2.CloseIdleConnections()
	}
}

// connection returns an idle connection that is still open, or a new one.
func (t *Transport) connection(request *http.Request) (*conn, error) {
	trace := httptrace.ContextClientTrace(request.Context())
	to := address(request.URL)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(to)
	}
	c := t.takeIdle(to, request.URL.Scheme == "https")
	if c == nil {
		var err error
		if c, err = t.dial(request, to, trace); err != nil {
			return nil, err
		}
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.Conn, Reused: c.used, WasIdle: c.used})
	}
	return c, nil
}

// takeIdle removes and returns the most recently used idle connection to an address that can be reused, or nil.
func (t *Transport) takeIdle(to string, encrypted bool) *conn {
	for {
		t.mu.Lock()
		t.closing = false
		at := len(t.idle) - 1
		for at >= 0 && (t.idle[at].address != to || (t.idle[at].tls != nil) != encrypted) {
			at--
		}
		if at < 0 {
			t.mu.Unlock()
			return nil
		}
		c := t.idle[at]
		t.idle = slices.Delete(t.idle, at, at+1)
		t.mu.Unlock()
		c.forget.Stop()
		if time.Now().Before(c.useBefore) && c.quiet() {
			return c
		}
		c.close()
	}
}

// release keeps the connection for the next request, if the answer allows that.
func (t *Transport) release(c *conn, response *http.Response) {
	usable, lasts := unknownIdle, unknownIdle
	if waits, said := keepAlive(response.Header.Get("Keep-Alive")); said {
		usable, lasts = waits-min(closeMargin, waits/2), waits+closeGrace
	}
	last := c.once || c.spoiled || response.Close || response.Request.Close || response.StatusCode < http.StatusOK
	if last || usable <= 0 || !t.keep(c, usable, lasts) {
		c.close()
	}
}

// keep adds the connection to the idle ones: it may be used for usable and is closed after lasts. It reports whether it did.
func (t *Transport) keep(c *conn, usable, lasts time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || len(t.idle) >= max(1, t.config.MaxIdle) {
		return false
	}
	c.used, c.useBefore = true, time.Now().Add(usable)
	t.idle = append(t.idle, c)
	if c.forget == nil {
		c.forget = time.AfterFunc(lasts, func() { t.forget(c) })
	} else {
		c.forget.Reset(lasts)
	}
	return true
}

// forget removes and closes a connection that was idle for too long.
func (t *Transport) forget(c *conn) {
	t.mu.Lock()
	at := slices.Index(t.idle, c)
	if at >= 0 {
		t.idle = slices.Delete(t.idle, at, at+1)
	}
	t.mu.Unlock()
	if at >= 0 {
		c.close()
	}
}

func (t *Transport) dial(request *http.Request, to string, trace *httptrace.ClientTrace) (*conn, error) {
	ctx := request.Context()
	tcp, err := t.config.Dial(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	over := tcp
	if request.URL.Scheme == "https" {
		host, _, _ := net.SplitHostPort(to) // no error: address joined it
		if over, err = t.handshake(ctx, tcp, host, trace); err != nil {
			_ = tcp.Close()
			return nil, err
		}
	}
	c := newConn(over, tcp)
	c.address, c.once = to, t.config.Once
	return c, nil
}

func (t *Transport) handshake(ctx context.Context, tcp net.Conn, host string, trace *httptrace.ClientTrace) (net.Conn, error) {
	config := t.config.TLS
	if config == nil || config.ServerName == "" {
		config = config.Clone()
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		config.ServerName = host
	}
	over := tls.Client(tcp, config)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := over.HandshakeContext(ctx)
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(over.ConnectionState(), err)
	}
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(record.RecordHeader[:]) == "HTTP/" {
		return nil, http.ErrSchemeMismatch
	}
	if err == nil && over.ConnectionState().NegotiatedProtocol == "h2" {
		err = errHTTP2
	}
	return over, err
}

// address returns the host:port of a URL, for Dial.
func address(target *url.URL) string {
	host, port := target.Hostname(), target.Port()
	if ascii, err := httpguts.PunycodeHostPort(host); err == nil {
		host = ascii
	}
	if port == "" {
		port = "80"
		if target.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(host, port)
}

// check refuses the requests that net/http refuses, with its messages.
func check(request *http.Request) error {
	switch {
	case request.URL == nil:
		return errors.New("http: nil Request.URL")
	case request.Header == nil:
		return errors.New("http: nil Request.Header")
	case request.URL.Scheme != "http" && request.URL.Scheme != "https":
		return fmt.Errorf("unsupported protocol scheme %q", request.URL.Scheme)
	case request.Method != "" && !httpguts.ValidHeaderFieldName(request.Method): // a token too
		return fmt.Errorf("net/http: invalid method %q", request.Method)
	case request.URL.Host == "":
		return errors.New("http: no Host in request URL")
	}
	for name, values := range request.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("net/http: invalid header field name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("net/http: invalid header field value for %q", name)
			}
		}
	}
	return context.Cause(request.Context())
}

// repeatable reports whether the request is idempotent and can be sent again.
func repeatable(request *http.Request) bool {
	switch request.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return request.Body == nil || request.Body == http.NoBody
	default:
		return false
	}
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close()
	}
}
