package httpconn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http, the reference, logs unsolicited answers
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits before it fails.
const patience = 10 * time.Second

// dialer opens connections and counts them.
type dialer struct {
	to   string // address to dial; "": the request's
	open atomic.Int64
	all  atomic.Int64 // connections opened, closed ones included

	mu    sync.Mutex
	asked []string
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.asked = append(d.asked, address)
	d.mu.Unlock()
	if d.to != "" {
		address = d.to
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	d.all.Add(1)
	return &counted{TCPConn: c.(*net.TCPConn), dialer: d}, nil //nolint:forcetypeassert // of network tcp
}

type counted struct {
	*net.TCPConn
	dialer *dialer
	once   sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.dialer.open.Add(-1) })
	return c.TCPConn.Close()
}

// newTransport returns a transport, and fails the test if a connection is open at its end.
func newTransport(t testing.TB, config *Config) (*Transport, *dialer) {
	t.Helper()
	d := &dialer{}
	if config.Dial == nil {
		config.Dial = d.dial
	}
	transport := New(config)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.Eventually(t, func() bool { return d.open.Load() == 0 }, patience, time.Millisecond, "connections are left open")
	})
	return transport, d
}

// subject is a transport under test: this package's or net/http's.
type subject interface {
	http.RoundTripper
	CloseIdleConnections()
}

// both runs a test with this package's transport and with net/http's.
func both(t *testing.T, test func(t *testing.T, transport subject, d *dialer)) {
	t.Helper()
	t.Run("httpconn", func(t *testing.T) {
		t.Parallel()
		transport, d := newTransport(t, &Config{MaxIdle: 2})
		test(t, transport, d)
	})
	t.Run("net/http", func(t *testing.T) {
		t.Parallel()
		d := &dialer{}
		transport := &http.Transport{DialContext: d.dial, DisableCompression: true}
		t.Cleanup(transport.CloseIdleConnections)
		test(t, transport, d)
	})
}

// wire is the server's end of a connection, used byte by byte.
type wire struct {
	net.Conn
	in *bufio.Reader
}

// next reads a request, and reports whether there was one.
func (w *wire) next() bool {
	request, err := http.ReadRequest(w.in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, request.Body)
	return err == nil
}

func (w *wire) send(text string) { _, _ = io.WriteString(w, text) }

// reply reads a request and sends what follows.
func (w *wire) reply(text string) {
	if w.next() {
		w.send(text)
	}
}

// untilClosed reads on until the client closes the connection.
func (w *wire) untilClosed() { _, _ = io.Copy(io.Discard, w.in) }

// reset closes the connection with a RST.
func (w *wire) reset() {
	if c, ok := w.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
}

// script starts a server that calls say for its nth connection, and closes the connection when say returns.
func script(t testing.TB, say func(n int, w *wire)) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	open.Go(func() {
		for n := 0; ; n++ {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				defer func() { _ = c.Close() }()
				say(n, &wire{c, bufio.NewReader(c)})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		stop()
		open.Wait()
	})
	return listener.Addr().String()
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

// newRequest returns a request whose context ends with the test.
func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, from)
	require.NoError(t, err)
	request.GetBody = nil // else net/http repeats requests that have a body
	return request
}

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
}

// roundTrip sends a request and reads the answer.
func roundTrip(transport http.RoundTripper, request *http.Request) (answer, error) {
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response, string(body)}, err
}

// get sends a GET and requires an answer with this body.
func get(t testing.TB, transport http.RoundTripper, url, body string) answer {
	t.Helper()
	got, err := roundTrip(transport, newRequest(t, http.MethodGet, url, ""))
	require.NoError(t, err)
	require.Equal(t, body, got.body)
	return got
}

// outcome renders an answer or an error in short.
func outcome(got answer, err error) string {
	var operation *net.OpError
	switch {
	case err == nil:
		return fmt.Sprint(got.StatusCode, " ", got.body)
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case errors.As(err, &operation):
		return operation.Op + " " + errors.Unwrap(operation.Err).Error()
	default:
		return strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ")
	}
}

// closes is a body that reports whether it was closed.
type closes struct {
	io.Reader
	closed atomic.Bool
}

func (c *closes) Close() error {
	c.closed.Store(true)
	return nil
}

// eventually is require.Eventually with the package's patience.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}

// noError is require.NoError for other goroutines than the test's.
func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
