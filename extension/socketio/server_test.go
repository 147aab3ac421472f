package socketio

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// tokens accepts the tokens "good:<user>".
func tokens(_, token string) (string, error) {
	user, ok := strings.CutPrefix(token, "good:")
	if !ok {
		return "", errors.New("bad token")
	}
	return user, nil
}

func TestServerTranscript(t *testing.T) {
	_, url := serve(t, ServerOptions{
		Authenticate: tokens,
		OnConnect: func(s *Socket) {
			if s.Namespace() == "/queue" {
				noError(t, s.Emit("hello", s.User()))
			}
		},
		OnEvent: func(s *Socket, e Event) { noError(t, s.Ack(e, e.Args[0], len(e.Args))) },
	})
	w := dialWire(t, url, nil)
	w.expect(opening)
	w.send(`40/queue,{"token":"good:ada"}`)
	w.expect(`40/queue,{"sid":"*"}`, `42/queue,["hello","ada"]`)
	w.send(`40/video,{"token":"good:ada"}`)
	w.expect(`40/video,{"sid":"*"}`)
	w.send(`42/queue,5["ask",{"a":1},2]`)
	w.expect(`43/queue,5[{"a":1},2]`)
	w.send(`40/nope,{"token":"good:ada"}`)
	w.expect(`44/nope,{"message":"Invalid namespace"}`)
	w.send(`41/queue,`, `40/queue,{"token":"good:ada"}`)
	w.expect(`40/queue,{"sid":"*"}`, `42/queue,["hello","ada"]`)
}

func TestServerRefusesATokenAsVerityDoes(t *testing.T) {
	connected := 0
	_, url := serve(t, ServerOptions{Authenticate: tokens, OnConnect: func(*Socket) { connected++ }})
	for _, auth := range []string{``, `{}`, `{"token":""}`, `{"token":"bad"}`, `{"token":7}`, `{"token":null}`, `{"other":"good:ada"}`} {
		t.Run(auth, func(t *testing.T) {
			w := dialWire(t, url, nil)
			w.expect(opening)
			w.send(`40/queue,` + auth)
			w.expect(`40/queue,{"sid":"*"}`, `41/queue,`)
			w.expectClose(websocket.CloseNoStatusReceived)
		})
	}
	require.Zero(t, connected)
}

func TestServerDisconnectsWhatWasJoinedBeforeTheBadToken(t *testing.T) {
	_, url := serve(t, ServerOptions{Authenticate: tokens})
	w := dialWire(t, url, nil)
	w.expect(opening)
	w.send(`40/video,{"token":"good:ada"}`)
	w.expect(`40/video,{"sid":"*"}`)
	w.send(`40/queue,{"token":"bad"}`)
	w.expect(`40/queue,{"sid":"*"}`, `41/video,`, `41/queue,`)
	w.expectClose(websocket.CloseNoStatusReceived)
}

func TestAuthorizationHeaderWins(t *testing.T) {
	_, url := serve(t, ServerOptions{
		Authenticate: tokens,
		OnConnect:    func(s *Socket) { noError(t, s.Emit("user", s.User())) },
	})
	for _, tt := range []struct {
		name, header, auth string
		want               string // user, or "" for refused
	}{
		{"no header", "", `{"token":"good:auth"}`, "auth"},
		{"good header, no auth", "Bearer good:header", ``, "header"},
		{"good header, bad auth", "Bearer good:header", `{"token":"bad"}`, "header"},
		{"good header, good auth", "Bearer good:header", `{"token":"good:auth"}`, "header"},
		{"bad header, good auth", "Bearer bad", `{"token":"good:auth"}`, ""},
		{"lower-case bearer, good auth", "bearer good:header", `{"token":"good:auth"}`, ""},
		{"no bearer, good auth", "good:header", `{"token":"good:auth"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			if tt.header != "" {
				header.Set("Authorization", tt.header)
			}
			w := dialWire(t, url, header)
			w.expect(opening)
			w.send(`40/queue,` + tt.auth)
			w.expect(`40/queue,{"sid":"*"}`)
			if tt.want != "" {
				w.expect(`42/queue,["user","` + tt.want + `"]`)
				return
			}
			w.expect(`41/queue,`)
			w.expectClose(websocket.CloseNoStatusReceived)
		})
	}
}

func TestServerClosesWhatBreaksTheProtocol(t *testing.T) {
	_, url := serve(t, ServerOptions{})
	for _, tt := range breaches {
		t.Run(tt.name, func(t *testing.T) {
			w := dialWire(t, url, nil)
			w.expect(opening)
			w.send(`40/queue,`)
			w.expect(`40/queue,{"sid":"*"}`)
			w.send(tt.frames...)
			w.expectClose(websocket.CloseNoStatusReceived)
		})
	}
	t.Run("binary that nothing announced", func(t *testing.T) {
		w := dialWire(t, url, nil)
		w.expect(opening)
		w.sendBinary("\x01\x02")
		w.expectClose(websocket.CloseNoStatusReceived)
	})
}

// breaches are frames for which a server closes a connection that has joined /queue; the reference server is tested with the
// same table.
var breaches = []struct {
	name   string
	frames []string
}{
	{"joined twice", []string{`40/queue,`}},
	{"event to a namespace never joined", []string{`42/video,["a"]`}},
	{"leaving a namespace never joined", []string{`41/video,`}},
	{"acknowledgement in a namespace never joined", []string{`43/video,1[]`}},
	{"CONNECT_ERROR from a client", []string{`44/queue,{"message":"no"}`}},
	{"packet cut short", []string{`42/queue,["a"`}},
	{"event name cut short", []string{`42/queue,["a]`}},
	{"inside is not JSON", []string{`42/queue,["a",{]`}},
	{"auth is not JSON", []string{`40/video,{"token":}`}},
	{"auth is no object", []string{`40/video,["token"]`}},
	{"DISCONNECT with data", []string{`41/queue,{}`}},
	{"reserved event", []string{`42/queue,["disconnect"]`}},
	{"event without a name", []string{`42/queue,[]`}},
	{"unknown packet type", []string{`49`}},
	{"no packet", []string{`4`}},
	{"unknown Engine.IO type", []string{`9`}},
	{"empty frame", []string{``}},
	{"ping from a client", []string{`2`}},
	{"base64 that nothing announced", []string{`bAQID`}},
	{"no attachments", []string{`450-/queue,["a"]`}},
	{"text where an attachment is due", []string{`451-/queue,["a",{"_placeholder":true,"num":0}]`, `42/queue,["b"]`}},
}

func TestServerIgnoresHarmlessFrames(t *testing.T) {
	_, url := serve(t, ServerOptions{})
	w := dialWire(t, url, nil)
	w.expect(opening)
	w.send(`3`, `5`, `6`, `1`, `40/queue,`)
	w.expect(`40/queue,{"sid":"*"}`)
	w.send(`43/queue,1[]`, `40/video,`)
	w.expect(`40/video,{"sid":"*"}`)
}

func TestServerSkipsAttachments(t *testing.T) {
	events := make(chan Event, 2)
	_, url := serve(t, ServerOptions{OnEvent: func(_ *Socket, e Event) { events <- e }})
	w := dialWire(t, url, nil)
	w.expect(opening)
	w.send(`40/queue,`, `452-/queue,["photo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
	w.sendBinary(`2/queue,["not an event"]`)
	w.send(`bNDIvcXVldWUsWyJub3IgdGhpcyJd`, `42/queue,["after"]`)
	photo := receive(t, events)
	require.Equal(t, "photo", photo.Name)
	require.Equal(t, 2, photo.Attachments)
	require.Equal(t, "after", receive(t, events).Name)
}

func TestServerMaxPayload(t *testing.T) {
	events := make(chan Event, 1)
	_, url := serve(t, ServerOptions{MaxPayload: 5000, OnEvent: func(_ *Socket, e Event) { events <- e }})
	w := dialWire(t, url, nil)
	w.next()
	w.send(`40/queue,`)
	w.expect(`40/queue,{"sid":"*"}`)
	exact := `42/queue,["a","` + strings.Repeat("x", 5000-len(`42/queue,["a",""]`)) + `"]`
	w.send(exact)
	require.Equal(t, "a", receive(t, events).Name)
	w.send(exact[:len(exact)-2] + `x"]`)
	w.expectClose(websocket.CloseMessageTooBig)
}

func TestServerRefusesRequests(t *testing.T) {
	_, url := serve(t, ServerOptions{})
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			got := rawRequest(t, url, tt.method, tt.target, tt.header)
			require.Equal(t, rawAnswer{tt.status, tt.contentType, tt.body}, got)
		})
	}
	// The reference answers 101 first and then writes its refusal into the websocket, where clients do not look for it.
	for _, version := range []string{"", "EIO=3&", "EIO=5&"} {
		t.Run("version "+version, func(t *testing.T) {
			got := rawRequest(t, url, "GET", "/socket.io/?"+version+"transport=websocket", upgradeHeader)
			require.Equal(t, rawAnswer{400, "text/html", "Unsupported protocol version"}, got)
		})
	}
	t.Run("without the trailing slash it is not Socket.IO", func(t *testing.T) {
		got := rawRequest(t, url, "GET", "/socket.io?EIO=4&transport=websocket", upgradeHeader)
		require.Equal(t, 404, got.status)
	})
}

const upgradeHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// refusals are requests that open no connection; the reference server is tested with the same table.
var refusals = []struct {
	name, method, target, header string
	status                       int
	contentType, body            string
}{
	{"polling", "GET", "/socket.io/?EIO=4&transport=polling", "", 400, "application/json", `{"code":0,"message":"Transport unknown"}`},
	{"no transport", "GET", "/socket.io/?EIO=4", "", 400, "application/json", `{"code":0,"message":"Transport unknown"}`},
	{"no query", "GET", "/socket.io/", "", 400, "application/json", `{"code":0,"message":"Transport unknown"}`},
	{"polling with an id", "POST", "/socket.io/?EIO=4&transport=polling&sid=x", "", 400, "application/json", `{"code":0,"message":"Transport unknown"}`},
	{"unknown session", "GET", "/socket.io/?EIO=4&transport=websocket&sid=x", "", 400, "application/json", `{"code":1,"message":"Session ID unknown"}`},
	{"POST", "POST", "/socket.io/?EIO=4&transport=websocket", "", 400, "application/json", `{"code":2,"message":"Bad handshake method"}`},
	{"no upgrade", "GET", "/socket.io/?EIO=4&transport=websocket", "", 400, "application/json", `{"code":3,"message":"Bad request"}`},
	{"upgrade to polling", "GET", "/socket.io/?EIO=4&transport=polling", upgradeHeader, 400, "text/html", `Transport unknown`},
	{"upgrade of an unknown session", "GET", "/socket.io/?EIO=4&transport=websocket&sid=x", upgradeHeader, 400, "text/html", `Session ID unknown`},
}

type rawAnswer struct {
	status            int
	contentType, body string
}

// rawRequest sends a request as raw bytes, since net/http does not send all of these requests.
func rawRequest(t testing.TB, url, method, target, header string) rawAnswer {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, method+" "+target+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"+header+"\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	contentType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	return rawAnswer{response.StatusCode, contentType, string(body)}
}

// The times are Verity's, 25 s, 20 s and 45 s; synctest's clock skips them.
func TestServerPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan time.Duration, 1)
		begin := time.Now()
		_, network, stop := serveMemory(ServerOptions{OnDisconnect: func(*Socket) { left <- time.Since(begin) }})
		defer stop()
		w := dialWireThrough(t, network.Dial, "http://verity", nil)
		w.expect(opening)
		w.send(`40/queue,`)
		w.expect(`40/queue,{"sid":"*"}`)
		for turn := range 3 {
			w.expect(`2`)
			require.Equal(t, time.Duration(turn+1)*25*time.Second+time.Duration(turn)*19*time.Second, time.Since(begin))
			time.Sleep(19 * time.Second)
			w.send(`3`)
		}
		begin = time.Now()
		w.expect(`2`)
		w.expectClose(websocket.CloseNoStatusReceived)
		require.Equal(t, 45*time.Second, time.Since(begin), "no pong: closed after pingInterval + pingTimeout")
		require.Equal(t, 45*time.Second, <-left, "and the socket has left by then")
	})
}

func TestServerClosesAConnectionWithoutANamespace(t *testing.T) {
	for _, joins := range []string{"", `40/nope,`} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			_, network, stop := serveMemory(ServerOptions{PingTimeout: time.Hour})
			defer stop()
			w := dialWireThrough(t, network.Dial, "http://verity", nil)
			w.expect(opening[:len(opening)-len(`20000,"maxPayload":1000000}`)] + `3600000,"maxPayload":1000000}`)
			if joins != "" {
				w.send(joins)
				w.expect(`44/nope,{"message":"Invalid namespace"}`)
			}
			w.expect(`2`)
			w.expectClose(websocket.CloseNoStatusReceived)
			require.Equal(t, 45*time.Second, time.Since(begin))
		})
	}
}

func TestServerKeepsAConnectionWithANamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network, stop := serveMemory(ServerOptions{})
		defer stop()
		w := dialWireThrough(t, network.Dial, "http://verity", nil)
		w.expect(opening)
		w.send(`40/queue,`)
		w.expect(`40/queue,{"sid":"*"}`)
		for range 10 {
			w.expect(`2`)
			w.send(`3`)
		}
		require.Equal(t, 1, s.Connections())
	})
}

func TestServerReportsEachDisconnectOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *Server, socket *Socket, w *wire)
	}{
		{"the client leaves", func(_ *Server, _ *Socket, w *wire) { w.send(`41/queue,`, `41/video,`) }},
		{"the client closes", func(_ *Server, _ *Socket, w *wire) {
			_ = w.ws.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience))
			w.expectClose(websocket.CloseNoStatusReceived)
		}},
		{"the client is gone", func(_ *Server, _ *Socket, w *wire) { _ = w.ws.Close() }},
		{"the socket is closed", func(_ *Server, socket *Socket, w *wire) {
			socket.Close()
			w.expect(`41/queue,`, `41/video,`)
			w.expectClose(websocket.CloseNoStatusReceived)
		}},
		{"the socket is dropped", func(_ *Server, socket *Socket, w *wire) {
			socket.Drop()
			w.expectClose(websocket.CloseAbnormalClosure)
		}},
		{"the server is closed", func(s *Server, _ *Socket, w *wire) {
			go s.Close()
			w.expectClose(websocket.CloseNoStatusReceived)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			joined, left := make(chan *Socket, 2), make(chan *Socket, 4)
			s, url := serve(t, ServerOptions{
				OnConnect:    func(s *Socket) { joined <- s },
				OnDisconnect: func(s *Socket) { left <- s },
			})
			w := dialWire(t, url, nil)
			w.expect(opening)
			w.send(`40/queue,`, `40/video,`)
			w.expect(`40/queue,{"sid":"*"}`, `40/video,{"sid":"*"}`)
			queue, video := receive(t, joined), receive(t, joined)
			require.NotEqual(t, queue.ID(), video.ID())
			tt.end(s, queue, w)
			require.Equal(t, queue, receive(t, left))
			require.Equal(t, video, receive(t, left))
			_ = w.ws.Close()
			s.Close()
			require.Empty(t, left)
			require.Zero(t, s.Connections())
			queue.Close() // harmless by now
			require.NoError(t, queue.Emit("late"))
		})
	}
}

func TestClosedServerRefusesClients(t *testing.T) {
	s, url := serve(t, ServerOptions{})
	s.Close()
	w := dialWire(t, url, nil)
	w.expectClose(websocket.CloseAbnormalClosure)
}

func TestServerCutsOffAClientThatDoesNotAnswerTheCloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network, stop := serveMemory(ServerOptions{})
		defer stop()
		w := dialWireThrough(t, network.Dial, "http://verity", nil)
		w.expect(opening)
		begin := time.Now()
		s.Close()
		require.Equal(t, closeGrace, time.Since(begin))
	})
}

// One client that does not read must neither delay the others nor fill the memory.
func TestBroadcastDropsTheSlowAndReachesTheRest(t *testing.T) {
	const clients, limit = 5, 20
	var mu sync.Mutex
	sockets := map[*Socket]bool{}
	var left atomic.Int32
	_, url := serve(t, ServerOptions{
		QueueLimit: limit,
		OnConnect: func(s *Socket) {
			mu.Lock()
			defer mu.Unlock()
			sockets[s] = true
		},
		OnDisconnect: func(s *Socket) {
			mu.Lock()
			defer mu.Unlock()
			delete(sockets, s)
			left.Add(1)
		},
	})
	wires := make([]*wire, clients)
	for i := range wires {
		wires[i] = dialWire(t, url, nil)
		wires[i].expect(opening)
		wires[i].send(`40/queue,`)
		wires[i].expect(`40/queue,{"sid":"*"}`)
	}
	slow, quick := wires[0], wires[1:]
	payload := strings.Repeat("x", 100_000)
	var sent atomic.Int32
	var reading sync.WaitGroup
	counts := make([]atomic.Int32, len(quick))
	for i, w := range quick {
		reading.Go(func() {
			for w.next() == `42/queue,["big","`+payload+`"]` {
				counts[i].Add(1)
			}
		})
	}
	frame, err := NewFrame("/queue", "big", payload)
	require.NoError(t, err)
	deadline := time.Now().Add(patience)
	for left.Load() == 0 && time.Now().Before(deadline) {
		mu.Lock()
		for s := range sockets {
			s.Send(frame)
		}
		mu.Unlock()
		n := sent.Add(1)
		for i := range counts { // send no faster than the clients read
			eventually(t, "quick clients get every frame", func() bool { return counts[i].Load() >= n-limit/2 })
		}
	}
	require.EqualValues(t, 1, left.Load(), "the slow client is cut off")
	for i := range counts {
		eventually(t, "quick clients get every frame", func() bool { return counts[i].Load() == sent.Load() })
	}
	for _, w := range quick {
		_ = w.ws.Close()
	}
	reading.Wait()
	_ = slow.ws.Close()
}

func TestFrameLengths(t *testing.T) {
	_, url := serve(t, ServerOptions{
		MaxPayload: 1 << 20,
		OnEvent:    func(s *Socket, e Event) { noError(t, s.Emit("echo", e.Args[0])) },
	})
	w := dialWire(t, url, nil)
	w.next()
	w.send(`40/queue,`)
	w.next()
	empty := len(`42/queue,["echo",""]`)
	for _, n := range []int{empty, 125, 126, 127, 65535, 65536, 65537, 1 << 20} {
		text := strings.Repeat("x", n-empty)
		w.send(`42/queue,["echo","` + text + `"]`)
		w.expect(`42/queue,["echo","` + text + `"]`)
	}
}

func TestMutedServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, network, stop := serveMemory(ServerOptions{})
		defer stop()
		w := dialWireThrough(t, network.Dial, "http://verity", nil)
		w.expect(opening)
		s.Mute(true)
		w.send(`40/queue,`)
		require.NoError(t, w.ws.SetReadDeadline(time.Now().Add(10*time.Minute)))
		require.Contains(t, w.next(), "i/o timeout")
		require.Equal(t, 1, s.Connections())
	})
}
