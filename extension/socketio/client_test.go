package socketio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/testkit"
)

// both returns options that join both of Verity's namespaces.
func both(url string) Options {
	return Options{URL: url, Namespaces: []string{"/queue", "/video"}, Auth: map[string]string{"token": "good:ada"}}
}

// connect dials and closes with the test.
func connect(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := connectCaller(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		callsOf.Delete(c)
	})
	return c
}

func TestDialJoinsEveryNamespaceOverOneConnection(t *testing.T) {
	joined := make(chan *Socket, 2)
	s, url := serve(t, ServerOptions{Authenticate: tokens, OnConnect: func(s *Socket) { joined <- s }})
	c := connect(t, both(url))
	require.Equal(t, 1, s.Connections())
	for _, want := range []string{"/queue", "/video"} {
		socket := receive(t, joined)
		require.Equal(t, want, socket.Namespace())
		require.Equal(t, "ada", socket.User())
	}
	h := c.Handshake()
	require.Len(t, h.SID, 20)
	h.SID = ""
	require.Equal(t, handshake{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 1_000_000}, h)
	require.NoError(t, c.Err())
}

func TestClientTranscript(t *testing.T) {
	after := make(chan struct{})
	url := script(t, func(w *wire) {
		defer close(after)
		w.send(`0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`)
		w.expect(`40/queue,{"token":"good:ada"}`, `40/video,{"token":"good:ada"}`)
		w.send(`40/video,{"sid":"b"}`, `2`, `40/queue,{"sid":"a"}`)
		w.expect(`3`, `42/queue,["hello",{"n":1}]`)
		w.send(`2`)
		w.expect(`3`, `41/queue,`, `41/video,`, `1`)
		w.expectClose(websocket.CloseNoStatusReceived)
	})
	c, err := Dial(t.Context(), both(url))
	require.NoError(t, err)
	require.NoError(t, c.Emit("/queue", "hello", map[string]int{"n": 1}))
	eventually(t, "the second ping is answered", func() bool { return c.lastPing.Load() > 0 })
	c.Close()
	<-after
	require.ErrorIs(t, c.Err(), ErrClosed)
}

func TestOpeningRequest(t *testing.T) {
	requests := make(chan *http.Request, 1)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		http.Error(w, "", http.StatusServiceUnavailable)
	}))
	defer h.Close()
	o := both(h.URL + "/")
	o.Header = http.Header{"Authorization": {"Bearer secret"}, "X-Test": {"1"}}
	_, err := Dial(t.Context(), o)
	require.EqualError(t, err, "socketio: connect to "+strings.TrimPrefix(h.URL, "http://")+
		": the server answered HTTP 503 instead of opening a websocket")
	r := receive(t, requests)
	require.Equal(t, "/socket.io/?EIO=4&transport=websocket", r.URL.String())
	require.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
	require.Equal(t, "1", r.Header.Get("X-Test"))
	require.Empty(t, r.Header.Get("Sec-WebSocket-Extensions"), "no permessage-deflate")
}

func TestDialRefusesOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"no URL", Options{}, `socketio: the URL has scheme "" and host ""; it takes http://HOST[:PORT] or https://HOST[:PORT]`},
		{"other scheme", Options{URL: "ftp://verity.test"},
			`socketio: the URL has scheme "ftp" and host "verity.test"; it takes http://HOST[:PORT] or https://HOST[:PORT]`},
		{"unparsable", Options{URL: "http://user:secret@verity.test:port"}, `socketio: the URL does not parse`},
		{"credentials", Options{URL: "http://user:secret@verity.test"},
			`socketio: the URL of verity.test has credentials, a query or a fragment; it takes none`},
		{"query", Options{URL: "http://verity.test/?token=secret"},
			`socketio: the URL of verity.test has credentials, a query or a fragment; it takes none`},
		{"path", Options{URL: "http://verity.test/api"},
			`socketio: the URL of verity.test has the path "/api", which would be lost: Socket.IO listens at /socket.io/`},
		{"no namespace", Options{URL: "http://verity.test"}, `socketio: no namespace to join`},
		{"namespace without a slash", Options{URL: "http://verity.test", Namespaces: []string{"queue"}},
			`socketio: namespace "queue" does not start with / or contains a comma`},
		{"namespace with a comma", Options{URL: "http://verity.test", Namespaces: []string{"/a,b"}},
			`socketio: namespace "/a,b" does not start with / or contains a comma`},
		{"namespace twice", Options{URL: "http://verity.test", Namespaces: []string{"/a", "/b", "/a"}},
			`socketio: namespace "/a" is given twice; the server would close the connection`},
		{"negative", Options{URL: "http://verity.test", Namespaces: []string{"/a"}, Timeout: -time.Second},
			`socketio: timeout -1s or read limit 0 is negative`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Dial(t.Context(), tt.o)
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestDialRefusedOverHTTP(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   UpgradeError
	}{
		{"by Engine.IO", 400, `{"code":0,"message":"Transport unknown"}`, UpgradeError{400, `{"code":0,"message":"Transport unknown"}`}},
		{"by something else", 404, "<html>\n <h1>Not\tfound</h1>", UpgradeError{404, "<html> <h1>Not found</h1>"}},
		{"at length", 502, strings.Repeat("é", 500), UpgradeError{502, strings.Repeat("é", 100) + "…"}},
		{"with the token", 401, "no such token: good:ada, header-secret", UpgradeError{401, "no such token: [hidden], [hidden]"}},
		{"by a redirect", 302, "", UpgradeError{302, ""}},
		{"by a success", 200, "ok", UpgradeError{200, "ok"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer h.Close()
			o := both(h.URL)
			o.Header = http.Header{"Authorization": {"Bearer header-secret"}}
			_, err := Dial(t.Context(), o)
			refused, ok := errors.AsType[*UpgradeError](err)
			require.True(t, ok, err)
			require.Equal(t, tt.want, *refused)
		})
	}
}

func TestDialRefusedConnection(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, err = Dial(t.Context(), both("http://"+addr))
	require.EqualError(t, err, "socketio: connect to "+addr+": dial tcp "+addr+": connect: connection refused")
}

func TestNamespaceRefused(t *testing.T) {
	_, url := serve(t, ServerOptions{})
	o := both(url)
	o.Namespaces = []string{"/queue", "/nope"}
	_, err := Dial(t.Context(), o)
	refused, ok := errors.AsType[*ConnectError](err)
	require.True(t, ok, err)
	require.Equal(t, ConnectError{Namespace: "/nope", Message: "Invalid namespace"}, *refused)
	require.EqualError(t, err, "socketio: connect to "+strings.TrimPrefix(url, "http://")+": namespace /nope refused: Invalid namespace")
}

func TestRefusalHidesTheToken(t *testing.T) {
	for _, answer := range []string{`{"message":"jwt of good:ada expired"}`, `"jwt of good:ada expired"`} {
		url := script(t, func(w *wire) {
			w.send(strings.Replace(opening, "*", "e", 1))
			w.send(`44/queue,` + answer)
			w.next()
		})
		_, err := Dial(t.Context(), both(url))
		refused, ok := errors.AsType[*ConnectError](err)
		require.True(t, ok, err)
		require.Equal(t, "jwt of [hidden] expired", refused.Message)
	}
}

// Verity accepts a bad token and then disconnects; that may come before or after Dial has all its answers.
func TestBadTokenWhileDialing(t *testing.T) {
	_, url := serve(t, ServerOptions{Authenticate: tokens})
	o := both(url)
	o.Auth = map[string]string{"token": "very-secret"}
	_, err := Dial(t.Context(), o)
	disconnected, ok := errors.AsType[*DisconnectError](err)
	require.True(t, ok, err)
	require.Equal(t, "/queue", disconnected.Namespace)
	require.NotContains(t, err.Error(), "very-secret")
	require.NotErrorIs(t, err, ErrServerClosed)
}

func TestBadTokenAfterDialing(t *testing.T) {
	url := script(t, func(w *wire) {
		w.send(strings.Replace(opening, "*", "e", 1))
		w.next()
		w.next()
		w.send(`40/queue,{"sid":"a"}`, `40/video,{"sid":"b"}`, `41/queue,`)
		_ = w.ws.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience))
	})
	ended := make(chan error, 1)
	o := both(url)
	o.OnClose = func(err error) { ended <- err }
	_, err := Dial(t.Context(), o)
	require.NoError(t, err)
	disconnected, ok := errors.AsType[*DisconnectError](receive(t, ended))
	require.True(t, ok)
	require.Equal(t, "/queue", disconnected.Namespace)
	require.Less(t, disconnected.After, patience)
	require.Regexp(t, `^namespace /queue disconnected by the server \d+(\.\d+)?(ms|s) after it was joined \(a refused token looks like this\)$`,
		strings.Replace(disconnected.Error(), " 0s ", " 0ms ", 1))
}

func TestDialNotAnswered(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sends []string
		want  string
	}{
		{"no handshake", nil, "not answered in time: the Engine.IO handshake: context deadline exceeded"},
		{"no namespace", []string{strings.Replace(opening, "*", "e", 1)},
			"not answered in time: namespace /queue, /video: context deadline exceeded"},
		{"one namespace", []string{strings.Replace(opening, "*", "e", 1), `40/queue,{"sid":"a"}`},
			"not answered in time: namespace /video: context deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := script(t, func(w *wire) {
				w.send(tt.sends...)
				for !strings.Contains(w.next(), "close") { // until the client closes
				}
			})
			o := both(url)
			o.Timeout = 100 * time.Millisecond
			_, err := Dial(t.Context(), o)
			require.ErrorIs(t, err, ErrNotAnswered)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.EqualError(t, err, "socketio: connect to "+strings.TrimPrefix(url, "http://")+": "+tt.want)
		})
	}
}

func TestDialGivesUpAfter20Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network, stop := serveMemory(ServerOptions{})
		defer stop()
		s.Mute(true)
		o := both("http://verity")
		o.Dialer = network.Dial
		begin := time.Now()
		_, err := Dial(t.Context(), o)
		require.EqualError(t, err, "socketio: connect to verity: not answered in time: the Engine.IO handshake: context deadline exceeded")
		require.Equal(t, defaultTimeout, time.Since(begin))
	})
}

// Ctrl-C must not wait for a server that hangs, in whatever phase of Dial.
func TestDialCanceled(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts connections, sends nothing
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	muted, url := serve(t, ServerOptions{})
	muted.Mute(true)
	for _, tt := range []struct{ name, url string }{
		{"in the opening request", "http://" + listener.Addr().String()},
		{"in the TLS handshake", "https://" + listener.Addr().String()},
		{"in the Engine.IO handshake", url},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			o := both(tt.url)
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				defer time.AfterFunc(50*time.Millisecond, cancel)
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			begin := time.Now()
			_, err := Dial(ctx, o)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, ErrNotAnswered)
			require.Less(t, time.Since(begin), patience)
		})
	}
}

func TestDialOverTLS(t *testing.T) {
	s := NewServer(ServerOptions{Namespaces: []string{"/queue", "/video"}})
	h := httptest.NewUnstartedServer(s)
	h.EnableHTTP2 = true
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	defer h.Close()
	defer s.Close()

	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	o := both(h.URL)
	o.TLSConfig = &tls.Config{RootCAs: pool, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	c := connect(t, o)
	require.NoError(t, c.Emit("/queue", "hello"))
	require.Equal(t, []string{"h2", "http/1.1"}, o.TLSConfig.NextProtos, "the caller's settings are not changed")

	o.TLSConfig = nil
	_, err := Dial(t.Context(), o)
	require.ErrorContains(t, err, "certificate")
}

func TestDialThroughProxy(t *testing.T) {
	_, url := serve(t, ServerOptions{})
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		http.Error(w, "", http.StatusForbidden)
	}))
	defer proxy.Close()
	o := both(url)
	o.Proxy = func(*http.Request) (*neturl.URL, error) { return neturl.Parse(proxy.URL) }
	_, err := Dial(t.Context(), o)
	require.ErrorContains(t, err, "Forbidden")
	require.Equal(t, "CONNECT "+strings.TrimPrefix(url, "http://"), receive(t, asked))
}

func TestEvents(t *testing.T) {
	url := script(t, func(w *wire) {
		w.greet()
		w.send(
			`42/queue,["queue:status",{"usersSearching":1}]`,
			`42/queue,["match",{"sessionId":"s1"}]`,
			`42["match",{"sessionId":"of no namespace of ours"}]`,
			`42/chat,["match",{"sessionId":"of no namespace of ours"}]`,
			`42/queue,["queue:status",not even JSON]`, // ignored, so not decoded
			`451-/video,["photo",{"_placeholder":true,"num":0}]`,
		)
		w.sendBinary(`42/queue,["match",{"sessionId":"inside an attachment"}]`)
		w.send(`42/video,["session:start",{"sessionId":"s1"},2]`)
		w.next()
	})
	counts := map[string]int{}
	events := make(chan Event, 10)
	o := both(url)
	o.Wants = func(namespace string, event []byte) bool {
		counts[namespace+" "+string(event)]++
		return string(event) != "queue:status"
	}
	o.OnEvent = func(e Event) { events <- e }
	begin := time.Now()
	connect(t, o)

	match := receive(t, events)
	require.Equal(t, "/queue", match.Namespace)
	require.Equal(t, "match", match.Name)
	require.Equal(t, []json.RawMessage{json.RawMessage(`{"sessionId":"s1"}`)}, match.Args)
	require.WithinRange(t, match.At, begin, time.Now())
	photo := receive(t, events)
	require.Equal(t, "photo", photo.Name)
	require.Equal(t, 1, photo.Attachments)
	start := receive(t, events)
	require.Equal(t, "session:start", start.Name)
	require.Equal(t, []json.RawMessage{json.RawMessage(`{"sessionId":"s1"}`), json.RawMessage(`2`)}, start.Args)
	require.Equal(t, map[string]int{"/queue queue:status": 2, "/queue match": 1, "/video photo": 1, "/video session:start": 1}, counts)
}

// Events of a namespace may arrive before the next namespace is accepted; none may be lost.
func TestEventsWhileDialing(t *testing.T) {
	url := script(t, func(w *wire) {
		w.send(strings.Replace(opening, "*", "e", 1))
		w.send(`40/queue,{"sid":"a"}`, `42/queue,["early"]`, `40/queue,{"sid":"a"}`, `40/video,{"sid":"b"}`)
		for range 3 {
			w.next()
		}
	})
	var early []string
	o := both(url)
	o.OnEvent = func(e Event) { early = append(early, e.Name) }
	connect(t, o)
	require.Equal(t, []string{"early"}, early)
}

func TestEndOfConnection(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*wire)
		is   error
		want string
	}{
		{"close frame without a status", func(w *wire) { _ = w.ws.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience)) },
			ErrServerClosed, "closed by the server: close code 1005"},
		{"close frame with a status", func(w *wire) {
			_ = w.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "good:ada"), time.Now().Add(patience))
		}, ErrServerClosed, "closed by the server: close code 1001"},
		{"Engine.IO close packet", func(w *wire) { w.send(`1`) }, ErrServerClosed, "closed by the server"},
		{"no close frame", func(*wire) {}, ErrLost, "connection lost: ended without a close frame (close code 1006)"},
		{"in the middle of a frame", func(w *wire) { _, _ = w.ws.NetConn().Write([]byte{0x81, 20, '4', '2'}) },
			ErrLost, "connection lost: ended without a close frame (close code 1006)"},
		{"over the read limit", func(w *wire) { w.send(strings.Repeat("4", 501)) }, ErrTooLarge, "message too large: over the read limit"},
		{"packet cut short", func(w *wire) { w.send(`42/queue,["match",{"sessionId":"s1"`) },
			ErrProtocol, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{"inside of a wanted event is not JSON", func(w *wire) { w.send(`42/queue,["match",{"sessionId":]`) },
			ErrProtocol, "not Socket.IO: data is not JSON"},
		{"event without a name", func(w *wire) { w.send(`42/queue,[]`) },
			ErrProtocol, "not Socket.IO: event without a name, or with one that is not a string"},
		{"acknowledgement is not JSON", func(w *wire) { w.send(`43/queue,1[,]`) }, ErrProtocol, "not Socket.IO: data is not JSON"},
		{"unknown Engine.IO type", func(w *wire) { w.send(`7`) }, ErrProtocol, "not Socket.IO: unknown Engine.IO packet type"},
		{"a second handshake", func(w *wire) { w.send(`0{}`) }, ErrProtocol, "not Socket.IO: unknown Engine.IO packet type"},
		{"empty frame", func(w *wire) { w.send(``) }, ErrProtocol, "not Socket.IO: empty packet"},
		{"binary that nothing announced", func(w *wire) { w.sendBinary(`42/queue,["match"]`) },
			ErrProtocol, "not Socket.IO: binary message that no packet announced"},
		{"base64 that nothing announced", func(w *wire) { w.send(`bAQID`) },
			ErrProtocol, "not Socket.IO: binary message that no packet announced"},
		{"text where an attachment is due", func(w *wire) {
			w.send(`451-/queue,["a",{"_placeholder":true,"num":0}]`, `42/queue,["b"]`)
		}, ErrProtocol, "not Socket.IO: text where a binary attachment was announced"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := script(t, func(w *wire) {
				w.greet()
				tt.end(w)
			})
			ended := make(chan error, 2)
			o := both(url)
			o.ReadLimit = 500
			o.OnEvent = func(Event) {}
			o.OnClose = func(err error) { ended <- err }
			c, err := Dial(t.Context(), o)
			require.NoError(t, err)
			err = receive(t, ended)
			require.ErrorIs(t, err, tt.is)
			require.EqualError(t, err, tt.want)
			receive(t, c.Done())
			require.Equal(t, err, c.Err())
			require.ErrorIs(t, c.Emit("/queue", "late"), tt.is)
			c.Close() // returns at once
			require.Empty(t, ended, "the end is told once")
		})
	}
}

func TestInvalidHandshake(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  func(*wire)
		want string
	}{
		{"another packet", func(w *wire) { w.send(`40`) }, "not Socket.IO: the first packet is not an Engine.IO open packet"},
		{"binary", func(w *wire) { w.sendBinary(opening) }, "not Socket.IO: the first packet is not an Engine.IO open packet"},
		{"cut short", func(w *wire) { w.send(opening[:40]) }, "not Socket.IO: data is not JSON"},
		{"a namespace without a sid, as in Socket.IO 2", func(w *wire) { w.send(opening, `40/queue,`) },
			"not Socket.IO: a namespace was accepted without a sid"},
		{"a namespace with an empty sid", func(w *wire) { w.send(opening, `40/queue,{}`) },
			"not Socket.IO: a namespace was accepted without a sid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := script(t, func(w *wire) {
				tt.say(w)
				for !strings.Contains(w.next(), "close") { // until the client closes
				}
			})
			_, err := Dial(t.Context(), both(url))
			require.ErrorIs(t, err, ErrProtocol)
			require.EqualError(t, err, "socketio: connect to "+strings.TrimPrefix(url, "http://")+": "+tt.want)
		})
	}
}

func TestClientPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network, stop := serveMemory(ServerOptions{})
		defer stop()
		o := both("http://verity")
		o.Dialer = network.Dial
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		time.Sleep(10*time.Minute + time.Second) // pings every 25 s
		require.NoError(t, c.Err())
		require.Equal(t, 1, s.Connections(), "the client's pongs arrive")

		last := time.Duration(c.lastPing.Load())
		s.Mute(true)
		<-c.Done()
		require.EqualError(t, c.Err(), "no ping from the server for 45s")
		require.ErrorIs(t, c.Err(), ErrPingTimeout)
		require.Equal(t, last+45*time.Second, time.Since(c.opened), "pingInterval + pingTimeout after the last ping, to the millisecond")
	})
}

func TestServerThatNeverPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network, stop := serveMemory(ServerOptions{})
		defer stop()
		o := both("http://verity")
		o.Dialer = network.Dial
		begin := time.Now()
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		s.Mute(true)
		<-c.Done()
		require.ErrorIs(t, c.Err(), ErrPingTimeout)
		require.Equal(t, 45*time.Second, time.Since(begin))
	})
}

func TestCloseIsBoundedInTime(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reads bool // the server reads
	}{{"the server reads but does not answer", true}, {"the server does not even read", false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, stop := dialPuppet(t, tt.reads)
				defer stop()
				begin := time.Now()
				c.Close()
				require.Equal(t, closeTimeout, time.Since(begin))
				require.ErrorIs(t, c.Err(), ErrClosed)
				<-c.Done()
			})
		})
	}
}

// In real time, because synctest's clock stops while a goroutine waits for a mutex.
func TestCloseIsNotHeldUpByAWriteThatBlocks(t *testing.T) {
	t.Parallel()
	c, stop := dialPuppet(t, false)
	defer stop()
	begin := time.Now()
	var emitting sync.WaitGroup
	emitting.Go(func() { require.ErrorIs(t, c.Emit("/queue", "stuck"), ErrClosed) })
	eventually(t, "the write holds the mutex", func() bool {
		free := c.mu.TryLock()
		if free {
			c.mu.Unlock()
		}
		return !free
	})
	c.Close()
	require.Less(t, time.Since(begin), closeTimeout+time.Second)
	emitting.Wait()
	receive(t, c.Done())
}

// dialPuppet connects in memory to a server that, after the opening, only reads or does nothing.
func dialPuppet(t *testing.T, reads bool) (c *Client, stop func()) {
	client, server := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { playOpening(t, server, reads) })
	o := both("http://verity")
	o.Dialer = func(context.Context, string, string) (net.Conn, error) { return client, nil }
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	return c, func() {
		_ = server.Close()
		serving.Wait()
	}
}

// playOpening opens a connection as a server does, and then only reads or does nothing.
func playOpening(t *testing.T, conn net.Conn, reads bool) {
	listener := testkit.NewMemory()
	upgraded := make(chan *websocket.Conn, 1)
	h := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		upgraded <- ws
	})}
	go func() { _ = h.Serve(listener) }()
	listener.Deliver(conn)
	w := &wire{t: t, ws: <-upgraded}
	_ = h.Close()
	w.greet()
	w.ws.SetCloseHandler(func(int, string) error { return nil })
	for reads {
		if _, _, err := w.ws.ReadMessage(); err != nil && !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
			return
		} else if err != nil {
			_, _ = conn.Read(make([]byte, 1)) // until the client cuts
			return
		}
	}
}

func TestEventsAfterCloseAreIgnored(t *testing.T) {
	url := script(t, func(w *wire) {
		w.greet()
		w.expect(`41/queue,`, `41/video,`, `1`)
		w.send(`42/queue,["late"]`, `2`)
		w.expectClose(websocket.CloseNoStatusReceived)
	})
	o := both(url)
	o.OnEvent = func(e Event) { t.Errorf("event %s after Close", e.Name) }
	c := connect(t, o)
	c.Close()
	require.EqualError(t, c.Err(), "closed by this side")
	require.ErrorIs(t, c.Emit("/queue", "late"), ErrClosed)
	_, err := c.Call(t.Context(), "/queue", "late")
	require.ErrorIs(t, err, ErrClosed)
}

func TestConcurrentCloses(t *testing.T) {
	_, url := serve(t, ServerOptions{})
	ended := make(chan error, 10)
	o := both(url)
	o.OnClose = func(err error) { ended <- err }
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	var closing sync.WaitGroup
	for range 8 {
		closing.Go(c.Close)
	}
	closing.Wait()
	require.ErrorIs(t, receive(t, ended), ErrClosed)
	receive(t, c.Done())
	require.Empty(t, ended)
}

func TestCallAndAck(t *testing.T) {
	asks := make(chan Event, 1)
	answers := make(chan Event, 1)
	_, url := serve(t, ServerOptions{OnEvent: func(s *Socket, e Event) {
		switch e.Name {
		case "echo":
			noError(t, s.Ack(e, e.Args[0], "more"))
		case "silent":
			asks <- e
		case "close":
			s.Close()
		default:
			answers <- e
		}
	}})
	c := connect(t, both(url))
	values, err := c.Call(t.Context(), "/video", "echo", map[string]string{"a": "<b>"})
	require.NoError(t, err)
	require.Equal(t, []json.RawMessage{json.RawMessage(`{"a":"<b>"}`), json.RawMessage(`"more"`)}, values)

	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asks; cancel() }()
	_, err = c.Call(ctx, "/queue", "silent")
	require.EqualError(t, err, `event "silent" not acknowledged: context canceled`)
	found, _ := callsOf.Load(c)
	calls, ok := found.(*calls)
	require.True(t, ok)
	require.Empty(t, calls.waiting)

	require.NoError(t, c.Emit("/queue", "plain"))
	plain := receive(t, answers)
	require.False(t, plain.WantsAck())
	require.EqualError(t, c.Ack(plain), `event "plain" asks for no acknowledgement`)

	_, err = c.Call(t.Context(), "/queue", "close")
	require.ErrorContains(t, err, `event "close" not acknowledged: namespace /queue disconnected by the server`)
}

func TestClientAcknowledges(t *testing.T) {
	url := script(t, func(w *wire) {
		w.greet()
		w.send(`42/queue,17["ask",1]`)
		w.expect(`43/queue,17["yes",1]`)
		w.send(`42/queue,["done"]`)
		w.next()
	})
	events := make(chan Event, 2)
	o := both(url)
	o.OnEvent = func(e Event) { events <- e }
	c := connect(t, o)
	ask := receive(t, events)
	require.True(t, ask.WantsAck())
	require.NoError(t, c.Ack(ask, "yes", ask.Args[0]))
	require.Equal(t, "done", receive(t, events).Name)
}

func TestEmitRefuses(t *testing.T) {
	_, url := serve(t, ServerOptions{MaxPayload: 1000})
	c := connect(t, both(url))
	err := c.Emit("/nope", "a")
	require.ErrorIs(t, err, errNotJoined)
	require.EqualError(t, err, `event "a" cannot be sent: namespace not joined: "/nope"`)
	require.EqualError(t, c.Emit("/queue", "connect"), `event "connect" cannot be sent: the name is empty or reserved by Socket.IO`)
	require.EqualError(t, c.Emit("/queue", "a", make(chan int)), `event "a" cannot be sent: json: unsupported type: chan int`)

	fits := strings.Repeat("x", 1000-len(`42/queue,["a",""]`))
	require.NoError(t, c.Emit("/queue", "a", fits))
	err = c.Emit("/queue", "a", fits+"x")
	require.ErrorIs(t, err, ErrTooLarge)
	require.EqualError(t, err, "message too large: 1001 bytes, the server takes 1000")
	require.NoError(t, c.Err(), "and the connection goes on")
}

func TestConcurrentEmits(t *testing.T) {
	heard := make(chan string, 100)
	_, url := serve(t, ServerOptions{OnEvent: func(_ *Socket, e Event) { heard <- e.Name + string(e.Args[0]) }})
	c := connect(t, both(url))
	var emitting sync.WaitGroup
	for i := range 10 {
		emitting.Go(func() {
			for j := range 10 {
				noError(t, c.Emit("/queue", "n", strconv.Itoa(i*10+j)))
			}
		})
	}
	emitting.Wait()
	seen := map[string]bool{}
	for range 100 {
		seen[receive(t, heard)] = true
	}
	require.Len(t, seen, 100)
}

func TestWriteToAServerThatIsGone(t *testing.T) {
	url := script(t, func(w *wire) { w.greet() })
	c, err := Dial(t.Context(), both(url))
	require.NoError(t, err)
	eventually(t, "the loss is noticed", func() bool { return c.Emit("/queue", "a") != nil })
	require.ErrorIs(t, c.Emit("/queue", "a"), ErrLost)
	receive(t, c.Done())
}
