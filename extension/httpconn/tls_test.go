package httpconn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func serveAnswer(c net.Conn, answer string) error {
	w := &wire{c, bufio.NewReader(c)}
	defer func() { _ = c.Close() }()
	for w.next() {
		if _, err := io.WriteString(c, answer); err != nil {
			return err
		}
	}
	return nil
}

// identity returns the certificate of a server on loopback, and the configuration of a client that trusts it.
var identity = sync.OnceValues(func() (tls.Certificate, *tls.Config) { //nolint:gochecknoglobals // made once
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.TLS.Certificates[0], &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
})

// scriptTLS is script over TLS. What the server writes is sent in one piece, before it reads or closes.
func scriptTLS(t testing.TB, config *tls.Config, say func(n int, w *wire, server *tls.Conn)) (string, *tls.Config) {
	t.Helper()
	certificate, client := identity()
	config.Certificates = []tls.Certificate{certificate}
	address := script(t, func(n int, w *wire) {
		server := tls.Server(w.Conn, config)
		defer func() { _ = server.Close() }()
		say(n, &wire{server, bufio.NewReader(server)}, server)
	})
	return "https://" + address, client
}

func scriptMaybeTLS(t testing.TB, encrypted bool, say func(w *wire)) (string, *Config) {
	t.Helper()
	if !encrypted {
		return "http://" + script(t, func(_ int, w *wire) { say(w) }), &Config{}
	}
	address, client := scriptTLS(t, &tls.Config{MinVersion: tls.VersionTLS12}, func(_ int, w *wire, server *tls.Conn) {
		noError(t, server.HandshakeContext(t.Context()))
		say(w)
	})
	return address, &Config{TLS: client}
}

func TestTLSConnectionsAreReused(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			address, client := scriptTLS(t, &tls.Config{MaxVersion: version}, func(_ int, w *wire, _ *tls.Conn) {
				for w.next() {
					w.send(fine)
				}
			})
			transport, d := newTransport(t, &Config{TLS: client})
			for range 3 {
				response := get(t, transport, address, "fine")
				require.NotNil(t, response.TLS)
				require.Equal(t, version, response.TLS.Version)
				require.Len(t, response.TLS.PeerCertificates, 1)
			}
			require.EqualValues(t, 1, d.all.Load())
			transport.CloseIdleConnections()
		})
	}
}

// gathered is a connection whose writes are sent together.
type gathered struct {
	net.Conn
	held bytes.Buffer
	hold bool
}

func (g *gathered) Write(p []byte) (int, error) {
	if g.hold {
		return g.held.Write(p)
	}
	return g.Conn.Write(p)
}

// SetWriteDeadline is called by TLS, which forbids writes after its close-notify.
func (*gathered) SetWriteDeadline(time.Time) error { return nil }

// TLS reads more from the socket than it returns, so that the socket alone looks empty.
func TestUnsolicitedBytesBufferedByTLSAreNoticed(t *testing.T) {
	t.Parallel()
	certificate, client := identity()
	for name, after := range map[string]func(*tls.Conn){
		"unasked bytes":    func(server *tls.Conn) { _, _ = io.WriteString(server, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") },
		"goodbye":          func(server *tls.Conn) { _ = server.CloseWrite() },
		"an empty goodbye": func(server *tls.Conn) { _, _ = server.Write(nil); _ = server.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := script(t, func(n int, w *wire) {
				below := &gathered{Conn: w.Conn}
				server := tls.Server(below, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}})
				over := &wire{server, bufio.NewReader(server)}
				over.next()
				below.hold = n == 0
				over.send(fine)
				if n == 0 {
					after(server)
					_, _ = w.Write(below.held.Bytes())
				}
				over.untilClosed()
			})
			transport, d := newTransport(t, &Config{TLS: client})
			get(t, transport, "https://"+address, "fine")
			require.Len(t, transport.idle, 1)
			require.Equal(t, "200 fine", outcome(roundTrip(transport, newRequest(t, http.MethodPost, "https://"+address, "body"))))
			require.EqualValues(t, 2, d.all.Load())
		})
	}
}

func TestTheServerNameIsTheHostOfTheURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ host, configured, name, failure string }{
		{"example.com", "", "example.com", ""},
		{"example.com:8443", "", "example.com", ""},
		{"127.0.0.1", "", "", ""},
		{"other.example", "example.com", "example.com", ""},
		{"bücher.example", "", "xn--bcher-kva.example", "tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not xn--bcher-kva.example"},
	} {
		t.Run(tc.host, func(t *testing.T) {
			t.Parallel()
			names := make(chan string, 1)
			address, trusting := scriptTLS(t, &tls.Config{
				MinVersion: tls.VersionTLS12,
				GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					names <- hello.ServerName
					return nil, nil //nolint:nilnil // keeps the configuration
				},
			}, func(_ int, w *wire, _ *tls.Conn) { w.reply(fine) })
			client := trusting.Clone()
			client.ServerName = tc.configured
			transport, d := newTransport(t, &Config{TLS: client})
			d.to = strings.TrimPrefix(address, "https://")
			_, err := roundTrip(transport, newRequest(t, http.MethodGet, "https://"+tc.host, ""))
			if tc.failure == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tc.failure)
			}
			require.Equal(t, tc.name, <-names)
		})
	}
}

func TestAnUnknownAuthorityIsNotTrusted(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	for name, config := range map[string]*tls.Config{"configured": {MinVersion: tls.VersionTLS12}, "by default": nil} {
		t.Run(name, func(t *testing.T) {
			transport, d := newTransport(t, &Config{TLS: config})
			body := &closes{Reader: strings.NewReader("body")}
			request := newRequest(t, http.MethodPost, server.URL, "")
			request.Body = body
			_, err := roundTrip(transport, request)
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown)
			require.True(t, body.closed.Load())
			require.Zero(t, d.open.Load())
		})
	}
}

func TestAServerWithoutTLSIsASchemeMismatch(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) {
		w.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		w.untilClosed()
	})
	transport, _ := newTransport(t, &Config{})
	_, err := roundTrip(transport, newRequest(t, http.MethodGet, "https://"+address, ""))
	require.ErrorIs(t, err, http.ErrSchemeMismatch)
}

func TestAHandshakeEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ends(t, func(t *testing.T, limit time.Duration, ctx context.Context) error {
		gone := make(chan struct{}, 1)
		address := script(t, func(_ int, w *wire) {
			w.untilClosed()
			gone <- struct{}{}
		})
		transport, _ := newTransport(t, &Config{})
		body := &closes{Reader: strings.NewReader("body")}
		request := newRequest(t, http.MethodPost, "https://"+address, "").WithContext(ctx)
		request.Body = body
		began := time.Now()
		_, err := roundTrip(transport, request)
		require.Less(t, time.Since(began), limit)
		require.True(t, body.closed.Load())
		<-gone
		return err
	})
}

// record returns a request that records which hooks of httptrace are called.
func record(request *http.Request) (traced *http.Request, recorded func() []string) {
	var mu sync.Mutex
	var hooks []string
	hook := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		hooks = append(hooks, fmt.Sprintf(format, args...))
	}
	ctx := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		GetConn:           func(address string) { hook("GetConn %s", address) },
		ConnectStart:      func(network, address string) { hook("ConnectStart %s %s", network, address) },
		ConnectDone:       func(network, address string, err error) { hook("ConnectDone %s %s %v", network, address, err) },
		TLSHandshakeStart: func() { hook("TLSHandshakeStart") },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			hook("TLSHandshakeDone %t %v", state.HandshakeComplete, errors.Unwrap(err))
		},
		GotConn: func(info httptrace.GotConnInfo) {
			_, encrypted := info.Conn.(*tls.Conn)
			hook("GotConn %t %t %t %s", info.Reused, info.WasIdle, encrypted, info.Conn.RemoteAddr())
		},
		WroteRequest:         func(info httptrace.WroteRequestInfo) { hook("WroteRequest %v", info.Err) },
		GotFirstResponseByte: func() { hook("GotFirstResponseByte") },
	})
	return request.WithContext(ctx), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return hooks
	}
}

func TestTheHooksAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	_, client := identity()
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"http": httptest.NewServer, "https": httptest.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			t.Cleanup(server.Close)
			transport, d := newTransport(t, &Config{TLS: client})
			other := &http.Transport{DialContext: d.dial, TLSClientConfig: client}
			t.Cleanup(other.CloseIdleConnections)
			for i := range 2 {
				got, gotHooks := record(newRequest(t, http.MethodPost, server.URL, "body"))
				require.Equal(t, "200 ", outcome(roundTrip(transport, got)))
				want, wantHooks := record(newRequest(t, http.MethodPost, server.URL, "body"))
				require.Equal(t, "200 ", outcome(roundTrip(other, want)))
				require.Equal(t, wantHooks(), gotHooks())
				require.Len(t, gotHooks(), map[string][]int{"http": {6, 4}, "https": {8, 4}}[name][i])
			}
			other.CloseIdleConnections()
		})
	}
}

func newHTTP2Server(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proto", r.Proto)
		_, _ = io.Copy(w, r.Body)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestAServerThatSpeaksHTTP2IsLeftToNetHTTP(t *testing.T) {
	t.Parallel()
	server := newHTTP2Server(t)
	_, trusting := identity()
	client := trusting.Clone()
	client.NextProtos = []string{"h2", "http/1.1"}
	var made int
	other := &dialer{}
	config := &Config{TLS: client, HTTP2: func() http.RoundTripper {
		made++
		return &http.Transport{TLSClientConfig: trusting.Clone(), DialContext: other.dial, ForceAttemptHTTP2: true}
	}}
	first, d := newTransport(t, config)
	second := New(config)
	for _, transport := range []*Transport{first, first, second} {
		body := &closes{Reader: strings.NewReader("survives")}
		request := newRequest(t, http.MethodPost, server.URL, "")
		request.Body, request.ContentLength = body, 8
		got, err := roundTrip(transport, request)
		require.NoError(t, err)
		require.Equal(t, "survives", got.body)
		require.Equal(t, 2, got.ProtoMajor)
		require.Equal(t, "HTTP/2.0", got.Header.Get("Proto"))
		require.True(t, body.closed.Load())
	}
	require.EqualValues(t, 1, d.all.Load(), "asked once")
	require.Zero(t, d.open.Load())
	require.Equal(t, 2, made)
	require.EqualValues(t, 2, other.all.Load())
	first.CloseIdleConnections()
	second.CloseIdleConnections()
	eventually(t, "its connections are closed too", func() bool { return other.open.Load() == 0 })
}

func TestAServerMayChooseHTTP1(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	_, trusting := identity()
	client := trusting.Clone()
	client.NextProtos = []string{"h2", "http/1.1"}
	transport, _ := newTransport(t, &Config{TLS: client})
	response := get(t, transport, server.URL, "")
	require.Equal(t, "http/1.1", response.TLS.NegotiatedProtocol)
	require.Equal(t, "HTTP/1.1", response.Proto)
	transport.CloseIdleConnections()
}
