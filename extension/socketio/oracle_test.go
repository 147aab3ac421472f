package socketio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// The tests in this file compare the package with the reference implementation, socket.io and socket.io-client 4.8 from npm.

const oracle = "testdata/oracle"

// node is a running script of the oracle.
type node struct {
	t     testing.TB
	input io.WriteCloser
	lines *bufio.Scanner
	seen  strings.Builder
}

// startNode starts a script and stops it with the test.
func startNode(t testing.TB, script string, args ...string) *node {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("skipped, not tested: Node.js is not installed, so there is no reference Socket.IO to test against")
	}
	if _, err := os.Stat(filepath.Join(oracle, "node_modules")); err != nil {
		t.Skip("skipped, not tested: run `npm ci` in extension/socketio/" + oracle + " to test against the reference Socket.IO")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, "node", append([]string{script}, args...)...) //nolint:gosec // the tests' own scripts
	cmd.Dir = oracle
	var stderr strings.Builder
	cmd.Stderr = &stderr
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	n := &node{t: t, input: input, lines: bufio.NewScanner(output)}
	n.lines.Buffer(nil, 10<<20)
	t.Cleanup(func() {
		_ = input.Close()
		for n.lines.Scan() { // to the end of its output, as Wait wants
			n.seen.WriteString(n.lines.Text() + "\n")
		}
		err := cmd.Wait()
		cancel()
		if err != nil || t.Failed() {
			t.Errorf("node %s %q: %v\n%s%s", script, args, err, n.seen.String(), stderr.String())
		}
	})
	return n
}

// next reads the next line into v.
func (n *node) next(v any) {
	n.t.Helper()
	require.True(n.t, n.lines.Scan(), "the script has ended")
	n.seen.WriteString(n.lines.Text() + "\n")
	require.NoError(n.t, json.Unmarshal(n.lines.Bytes(), v))
}

// expect requires the next lines to be these.
func (n *node) expect(lines ...string) {
	n.t.Helper()
	for _, want := range lines {
		var got json.RawMessage
		n.next(&got)
		require.JSONEq(n.t, want, string(got))
	}
}

// rest returns the remaining lines, up to the script's end.
func (n *node) rest() []string {
	var lines []string
	for n.lines.Scan() {
		lines = append(lines, n.lines.Text())
		n.seen.WriteString(n.lines.Text() + "\n")
	}
	return lines
}

// referenceServer starts socket.io.
func referenceServer(t testing.TB, options string) (n *node, url string) {
	t.Helper()
	n = startNode(t, "server.mjs", options)
	var listening struct{ Port int }
	n.next(&listening)
	return n, "http://127.0.0.1:" + strconv.Itoa(listening.Port)
}

func TestClientAgainstTheReferenceServer(t *testing.T) {
	n, url := referenceServer(t, `{}`)
	events := make(chan Event, 100)
	var statuses atomic.Int32
	o := both(url)
	o.OnEvent = func(e Event) { events <- e }
	o.Wants = func(_ string, name []byte) bool {
		if string(name) == "queue:status" {
			statuses.Add(1)
			return false
		}
		return true
	}
	c := connect(t, o)
	n.expect(`{"connected":"/queue","user":"ada"}`, `{"connected":"/video","user":"ada"}`)
	require.Equal(t, handshake{SID: c.Handshake().SID, PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 1_000_000},
		c.Handshake())

	t.Run("acknowledgements", func(t *testing.T) {
		values, err := c.Call(t.Context(), "/queue", "echo", map[string]string{"a": "<&>\u2028"}, "größe", nil)
		require.NoError(t, err)
		require.Equal(t, `{"a":"<&>`+"\u2028"+`"} "größe" null`, join(values))
		n.expect(`{"event":"echo","args":[{"a":"<&>\u2028"},"größe",null]}`)
		require.NoError(t, c.Emit("/video", "ask"))
		question := receive(t, events)
		require.Equal(t, "question 41", question.Name+" "+join(question.Args))
		require.NoError(t, c.Ack(question, 42))
		answered := receive(t, events)
		require.Equal(t, "/video answered 42", answered.Namespace+" "+answered.Name+" "+join(answered.Args))
		n.expect(`{"event":"ask","args":[]}`)
	})
	t.Run("binary events", func(t *testing.T) {
		require.NoError(t, c.Emit("/queue", "photo"))
		photo := receive(t, events)
		require.Equal(t, 2, photo.Attachments)
		require.Equal(t, `{"_placeholder":true,"num":0} {"thumbnail":{"_placeholder":true,"num":1}}`, join(photo.Args))
		after := receive(t, events)
		require.Equal(t, "after 1", after.Name+" "+join(after.Args))
		values, err := c.Call(t.Context(), "/queue", "photo:ack")
		require.NoError(t, err)
		require.Equal(t, `"here" {"_placeholder":true,"num":0}`, join(values))
		n.expect(`{"event":"photo","args":[]}`, `{"event":"photo:ack","args":[]}`)
	})
	t.Run("big payloads", func(t *testing.T) {
		require.NoError(t, c.Emit("/queue", "big", 900_000))
		require.Len(t, receive(t, events).Args[0], 900_002)
		text := strings.Repeat("x", 1_000_000-len(`42/queue,9["echo",""]`)-1)
		values, err := c.Call(t.Context(), "/queue", "echo", text)
		require.NoError(t, err)
		require.Len(t, values[0], len(text)+2)
		require.ErrorIs(t, c.Emit("/queue", "echo", text+"too much!"), ErrTooLarge)
		n.expect(`{"event":"big","args":[900000]}`, `{"event":"echo","args":[`+strconv.Itoa(len(text))+`]}`)
	})
	t.Run("odd names and values", func(t *testing.T) {
		require.NoError(t, c.Emit("/queue", "odd"))
		odd := receive(t, events)
		require.Equal(t, "größe \"<&>\"\u2028", odd.Name)
		require.Equal(t, `{"\u0000":"</script>"} null [] 0 1e+21`, join(odd.Args))
		n.expect(`{"event":"odd","args":[]}`)
	})
	t.Run("a burst of what nobody wants", func(t *testing.T) {
		require.NoError(t, c.Emit("/queue", "burst", 10_000))
		require.Equal(t, "burst:end", receive(t, events).Name)
		require.EqualValues(t, 10_000, statuses.Load())
		n.expect(`{"event":"burst","args":[10000]}`)
	})
	t.Run("closing", func(t *testing.T) {
		begin := time.Now()
		c.Close()
		require.Less(t, time.Since(begin), closeTimeout, "the server answers")
		require.ErrorIs(t, c.Err(), ErrClosed)
		n.expect(`{"disconnected":"/queue","reason":"client namespace disconnect"}`,
			`{"disconnected":"/video","reason":"client namespace disconnect"}`)
	})
}

// join puts JSON values on one line.
func join(values []json.RawMessage) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, " ")
}

func TestClientRefusedByTheReferenceServer(t *testing.T) {
	_, url := referenceServer(t, `{}`)
	t.Run("unknown namespace", func(t *testing.T) {
		o := both(url)
		o.Namespaces = []string{"/queue", "/nope"}
		_, err := Dial(t.Context(), o)
		refused, ok := errors.AsType[*ConnectError](err)
		require.True(t, ok, err)
		require.Equal(t, ConnectError{"/nope", "Invalid namespace"}, *refused)
	})
	t.Run("by middleware, with the token in its words", func(t *testing.T) {
		o := both(url)
		o.Namespaces = []string{"/refusing"}
		_, err := Dial(t.Context(), o)
		refused, ok := errors.AsType[*ConnectError](err)
		require.True(t, ok, err)
		require.Equal(t, ConnectError{"/refusing", "not with [hidden]"}, *refused)
	})
	for _, token := range []string{"bad", ""} {
		t.Run("token "+token, func(t *testing.T) {
			ended := make(chan error, 1)
			o := both(url)
			o.Auth = map[string]string{"token": token}
			o.OnClose = func(err error) { ended <- err }
			_, err := Dial(t.Context(), o)
			if err == nil {
				err = receive(t, ended)
			}
			disconnected, ok := errors.AsType[*DisconnectError](err)
			require.True(t, ok, err)
			require.Equal(t, "/queue", disconnected.Namespace)
		})
	}
	t.Run("the header wins", func(t *testing.T) {
		o := both(url)
		o.Auth = map[string]string{"token": "bad"}
		o.Header = map[string][]string{"Authorization": {"Bearer good:header"}}
		require.NoError(t, connect(t, o).Emit("/queue", "silent"))
	})
}

func TestEndsByTheReferenceServer(t *testing.T) {
	t.Parallel() // it mostly waits
	_, url := referenceServer(t, `{"pingInterval":300,"pingTimeout":700}`)
	for _, tt := range []struct {
		event string
		is    error // nil for a DisconnectError
	}{
		{"leave", nil},
		{"leave:all", nil},
		{"cut", ErrLost},
	} {
		t.Run(tt.event, func(t *testing.T) {
			c := connect(t, both(url))
			require.NoError(t, c.Emit("/queue", tt.event))
			receive(t, c.Done())
			if tt.is != nil {
				require.ErrorIs(t, c.Err(), tt.is)
				return
			}
			disconnected, ok := errors.AsType[*DisconnectError](c.Err())
			require.True(t, ok, c.Err())
			require.Equal(t, "/queue", disconnected.Namespace)
		})
	}
	t.Run("pings are answered", func(t *testing.T) {
		c := connect(t, both(url))
		select {
		case <-c.Done():
			require.NoError(t, c.Err())
		case <-time.After(2 * time.Second): // twice pingInterval + pingTimeout
		}
		require.Positive(t, c.lastPing.Load())
	})
	t.Run("a server that hangs", func(t *testing.T) {
		c := connect(t, both(url))
		require.NoError(t, c.Emit("/queue", "hang", 3000))
		begin := time.Now()
		receive(t, c.Done())
		require.ErrorIs(t, c.Err(), ErrPingTimeout)
		require.Less(t, time.Since(begin), 2900*time.Millisecond, "noticed while it hangs")
	})
	t.Run("a server that stops", func(t *testing.T) {
		c := connect(t, both(url))
		require.NoError(t, c.Emit("/queue", "stop"))
		receive(t, c.Done())
		require.ErrorIs(t, c.Err(), ErrServerClosed)
	})
}

// The reference treats broken input and bad requests as this package's server does.
func TestReferenceServerRefusesTheSame(t *testing.T) {
	_, url := referenceServer(t, `{"maxHttpBufferSize":5000}`)
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			got := rawRequest(t, url, tt.method, tt.target, tt.header)
			require.Equal(t, rawAnswer{tt.status, tt.contentType, tt.body}, got)
		})
	}
	for _, tt := range breaches {
		t.Run(tt.name, func(t *testing.T) {
			w := dialWire(t, url, nil)
			w.next()
			w.send(`40/queue,{"token":"good:ada"}`)
			w.expect(`40/queue,{"sid":"*"}`)
			w.send(tt.frames...)
			w.expectClose(websocket.CloseNoStatusReceived)
		})
	}
	t.Run("bad token", func(t *testing.T) {
		w := dialWire(t, url, nil)
		w.next()
		w.send(`40/video,{"token":"good:ada"}`)
		w.expect(`40/video,{"sid":"*"}`)
		w.send(`40/queue,{"token":"bad"}`)
		w.expect(`40/queue,{"sid":"*"}`)
		w.expect(`41/video,`, `41/queue,`)
		w.expectClose(websocket.CloseNoStatusReceived)
	})
	t.Run("over maxPayload", func(t *testing.T) {
		w := dialWire(t, url, nil)
		w.next()
		w.send(`40/queue,{"token":"good:ada"}`)
		w.expect(`40/queue,{"sid":"*"}`)
		w.send(`42/queue,["silent","` + strings.Repeat("x", 5000) + `"]`)
		w.expectClose(websocket.CloseMessageTooBig)
	})
}

func TestReferenceServerTimesOutTheSame(t *testing.T) {
	t.Parallel() // it mostly waits
	_, url := referenceServer(t, `{"pingInterval":300,"pingTimeout":200,"connectTimeout":400}`)
	t.Run("no namespace", func(t *testing.T) {
		begin := time.Now()
		w := dialWire(t, url, nil)
		w.next()
		w.expect(`2`)
		w.expectClose(websocket.CloseNoStatusReceived)
		require.WithinRange(t, time.Now(), begin.Add(390*time.Millisecond), begin.Add(patience))
	})
	t.Run("no pong", func(t *testing.T) {
		begin := time.Now()
		w := dialWire(t, url, nil)
		w.next()
		w.send(`40/queue,{"token":"good:ada"}`)
		w.expect(`40/queue,{"sid":"*"}`, `2`)
		w.expectClose(websocket.CloseNoStatusReceived)
		require.WithinRange(t, time.Now(), begin.Add(490*time.Millisecond), begin.Add(patience))
	})
}

func TestThousandClientsAgainstTheReferenceServer(t *testing.T) {
	_, url := referenceServer(t, `{}`)
	const users, broadcasts = 1000, 10
	var heard atomic.Int32
	clients := make([]*Client, users)
	var each sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range clients {
		slots <- struct{}{}
		each.Go(func() {
			defer func() { <-slots }()
			o := both(url)
			o.Wants = func(string, []byte) bool { heard.Add(1); return false }
			c, err := Dial(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			clients[i] = c
		})
	}
	each.Wait()
	require.False(t, t.Failed())
	require.NoError(t, clients[0].Emit("/queue", "broadcast", broadcasts))
	eventually(t, "everybody hears every broadcast", func() bool { return heard.Load() == users*broadcasts })
	begin := time.Now()
	for _, c := range clients {
		each.Go(c.Close)
	}
	each.Wait()
	require.Less(t, time.Since(begin), 2*closeTimeout)
	for _, c := range clients {
		require.ErrorIs(t, c.Err(), ErrClosed)
	}
}

// referenceClient runs a scenario of socket.io-client against a Server.
func referenceClient(t testing.TB, url, scenario string) *node {
	t.Helper()
	return startNode(t, "client.mjs", url, scenario)
}

func TestServerAgainstTheReferenceClient(t *testing.T) {
	t.Parallel() // it mostly waits
	left := make(chan string, 10)
	attachments := make(chan int, 10)
	s, url := serve(t, ServerOptions{
		Authenticate: tokens,
		OnConnect: func(s *Socket) {
			if s.User() == "header" {
				noError(t, s.Emit("user", s.User()))
			}
		},
		OnDisconnect: func(s *Socket) { left <- s.Namespace() },
		OnEvent: func(s *Socket, e Event) {
			if e.Attachments > 0 {
				attachments <- e.Attachments
				noError(t, s.Ack(e, "skipped"))
				return
			}
			args := make([]any, len(e.Args))
			for i, arg := range e.Args {
				args[i] = arg
			}
			noError(t, s.Emit("heard", e.Name))
			noError(t, s.Ack(e, args...))
		},
	})
	t.Run("talk", func(t *testing.T) {
		n := referenceClient(t, url, "talk")
		n.expect(
			`{"connected":"/queue","id":20}`, `{"connected":"/video","id":20}`,
			`{"event":"heard","args":["echo"]}`,
			`{"answer":{"a":"<&>\u2028"}}`,
			`{"event":"heard","args":["echo"]}`,
			`{"answer":900000}`,
			`{"answer":"skipped"}`,
			`{"event":"heard","args":["echo"]}`,
			`{"answer":"after the binary one"}`,
			`{"disconnected":"/video","reason":"io client disconnect"}`,
			`{"event":"heard","args":["echo"]}`,
			`{"answer":"after /video left"}`,
			`{"disconnected":"/queue","reason":"io client disconnect"}`,
		)
		require.Empty(t, n.rest())
		require.Equal(t, 2, receive(t, attachments))
		require.Equal(t, "/video", receive(t, left))
		require.Equal(t, "/queue", receive(t, left))
	})
	t.Run("bad token", func(t *testing.T) {
		lines := referenceClient(t, url, "badToken").rest()
		require.JSONEq(t, `{"connected":"/queue","id":20}`, lines[0])
		require.JSONEq(t, `{"disconnected":"/queue","reason":"io server disconnect"}`, lines[1])
		require.Empty(t, left)
	})
	t.Run("the header wins", func(t *testing.T) {
		n := referenceClient(t, url, "header")
		n.expect(`{"connected":"/queue","id":20}`, `{"event":"user","args":["header"]}`)
		n.rest()
		require.Equal(t, "/queue", receive(t, left))
	})
	t.Run("unknown namespace", func(t *testing.T) {
		referenceClient(t, url, "unknownNamespace").expect(`{"refused":"/nope","message":"Invalid namespace"}`)
	})
	t.Run("polling", func(t *testing.T) {
		referenceClient(t, url, "polling").expect(
			`{"refused":"/queue","message":"xhr poll error","answer":"{\"code\":0,\"message\":\"Transport unknown\"}"}`)
	})
	t.Run("too large", func(t *testing.T) {
		referenceClient(t, url, "tooLarge").expect(`{"disconnected":"/queue","reason":"transport close"}`)
		require.Equal(t, "/queue", receive(t, left))
	})
	eventually(t, "nobody is left", func() bool { return s.Connections() == 0 })
}

func TestPingsAgainstTheReferenceClient(t *testing.T) {
	t.Parallel() // it mostly waits
	const interval, timeout = 300 * time.Millisecond, time.Second
	joined, left := make(chan time.Time, 1), make(chan time.Time, 1)
	s, url := serve(t, ServerOptions{
		PingInterval: interval, PingTimeout: timeout,
		OnConnect:    func(*Socket) { joined <- time.Now() },
		OnDisconnect: func(*Socket) { left <- time.Now() },
	})
	t.Run("a client that never answers", func(t *testing.T) {
		n := referenceClient(t, url, "neverPong")
		n.expect(`{"connected":"/queue","id":20}`, `{"disconnected":"/queue","reason":"transport close"}`)
		require.Greater(t, receive(t, left).Sub(receive(t, joined)), timeout)
	})
	t.Run("a server that falls silent", func(t *testing.T) {
		n := referenceClient(t, url, "stay")
		n.expect(`{"connected":"/queue","id":20}`)
		receive(t, joined)
		select {
		case <-left:
			require.Fail(t, "the client answers pings, and was thrown out")
		case <-time.After(2 * (interval + timeout)):
		}
		s.Mute(true)
		n.expect(`{"disconnected":"/queue","reason":"ping timeout"}`)
		receive(t, left)
		s.Mute(false)
	})
}

func TestThousandReferenceClients(t *testing.T) {
	var mu sync.Mutex
	sockets := map[*Socket]bool{}
	all := func(take func(*Socket)) {
		mu.Lock()
		defer mu.Unlock()
		for s := range sockets {
			take(s)
		}
	}
	s, url := serve(t, ServerOptions{
		Authenticate: tokens,
		OnConnect: func(s *Socket) {
			mu.Lock()
			defer mu.Unlock()
			sockets[s] = true
		},
		OnDisconnect: func(s *Socket) {
			mu.Lock()
			defer mu.Unlock()
			delete(sockets, s)
		},
		OnEvent: func(s *Socket, e Event) {
			if e.WantsAck() {
				noError(t, s.Ack(e, e.Args[0]))
				return
			}
			mu.Lock()
			searching := len(sockets)
			mu.Unlock()
			for range 10 {
				frame, err := NewFrame("/queue", "queue:status", map[string]int{"usersSearching": searching})
				noError(t, err)
				all(func(s *Socket) {
					if s.Namespace() == "/queue" {
						s.Send(frame)
					}
				})
			}
		},
	})
	n := referenceClient(t, url, "thousand")
	n.expect(`{"connected":1000}`)
	require.Equal(t, 1000, s.Connections())
	n.expect(`{"heard":1000}`, `{"answered":1000}`)
	require.Empty(t, n.rest())
	eventually(t, "everybody has left", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(sockets) == 0 && s.Connections() == 0
	})
}

// frameCases are messages as a connection would get them, one packet and its attachments each.
var frameCases = [][]any{
	{`0`}, {`0/queue,`}, {`0/queue`}, {`0{"token":"x"}`}, {`0/queue,{"token":"a,b"}`}, {`0/queue,[1]`}, {`0/queue,"x"`}, {`0/queue,{`},
	{`0/a/b?c=d,{}`}, {`0/größe,{}`}, {`1`}, {`1/queue,`}, {`1/queue,{}`},
	{`2["a"]`}, {`2/queue,["a",{"b":[1,2,"]"]}]`}, {`2/queue,7["a"]`}, {`20["a"]`}, {`2["a\"b\u00e9\n",1]`}, {`2["größe 🎈"]`},
	{`2["connect"]`}, {`2["disconnecting"]`}, {`2[]`}, {`2{}`}, {`2["a"`}, {`2["a]`}, {`2["a",]`}, {`2/queue,["a"] `}, {`2["",null]`},
	{`2[{"a":1}]`}, {`2[null]`}, {`2[true]`}, {`2"a"`}, {`2["a"]]`}, {`2["a"],"b"]`},
	{`30[]`}, {`3/queue,12["x",null]`}, {`3/queue,12{}`}, {`3/queue,12[`},
	{`4{"message":"x"}`}, {`4/nope,{"message":"Invalid namespace"}`}, {`4"x"`}, {`4/nope,[1]`}, {`4/nope`},
	{`51-["a",{"_placeholder":true,"num":0}]`, attached}, {`52-/queue,3["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`, attached, attached},
	{`61-/queue,9[{"_placeholder":true,"num":0}]`, attached}, {`50-["a"]`}, {`5["a"]`}, {`5-["a"]`}, {`5x-["a"]`}, {`51["a"]`},
	{`51-["a",{"_placeholder":true,"num":0}]`, `2["b"]`}, {`2["a"]`, attached}, {attached},
	{`7`}, {`9["a"]`}, {`x`}, {`/queue,`}, {`-1["a"]`},
}

// attached represents one binary message.
var attached = map[string]bool{"binary": true}

// The codec accepts and refuses what the reference does, and decodes the same. On purpose it also refuses what the reference
// accepts by an oversight: an empty message (which the reference reads as a CONNECT), an event or acknowledgement without
// data, an acknowledgement without an id, and an event whose name is a number.
func TestCodecAgainstTheReferenceCodec(t *testing.T) {
	n := startNode(t, "codec.mjs")
	for _, frames := range frameCases {
		line, err := json.Marshal(frames)
		require.NoError(t, err)
		_, err = n.input.Write(append(line, '\n'))
		require.NoError(t, err)
		var want decoded
		n.next(&want)
		got := decode(frames)
		if want.Refused { // ignore what the reference decoded before
			require.True(t, got.Refused, "%s: the reference refuses it", line)
			continue
		}
		require.False(t, got.Refused, "%s: the reference takes it", line)
		require.Equal(t, want.Packets, got.Packets, "%s", line)
	}
}

type decoded struct {
	Refused bool
	Packets []decodedPacket
}

type decodedPacket struct {
	Type        packetType
	Nsp         string
	ID          *int64
	Attachments any // the reference drops it
	Data        any
}

// decode decodes as a connection that wants every event.
func decode(frames []any) decoded {
	var s stream
	var d decoded
	var p packet
	for _, frame := range frames {
		var err error
		text, ok := frame.(string)
		if ok {
			p, err = s.packet([]byte(text))
		} else {
			err = s.attachment()
		}
		if err != nil || !wellFormed(&p) {
			return decoded{Refused: true}
		}
		if s.attachments == 0 {
			d.Packets = append(d.Packets, asReference(&p))
		}
	}
	return d
}

func wellFormed(p *packet) bool {
	if p.Type == packetEvent || p.Type == packetBinaryEvent {
		name, err := p.eventName()
		if err != nil {
			return false
		}
		_, err = decodeEvent(p, "", name)
		return err == nil
	}
	return len(p.Data) == 0 || json.Valid(p.Data)
}

// asReference converts the packet to the reference's form, which turns a complete binary packet into a plain one, with the
// attachments in place of their placeholders.
func asReference(p *packet) decodedPacket {
	d := decodedPacket{Type: p.Type, Nsp: string(p.Namespace)}
	if p.HasID {
		d.ID = &p.ID
	}
	if p.Type.binary() {
		d.Type = p.Type - packetBinaryEvent + packetEvent
	}
	if len(p.Data) > 0 {
		_ = json.Unmarshal(p.Data, &d.Data)
		d.Data = fillIn(d.Data)
	}
	return d
}

func fillIn(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = fillIn(v[i])
		}
	case map[string]any:
		if v["_placeholder"] == true {
			return map[string]any{"type": "Buffer", "data": []any{1.0}}
		}
	}
	return v
}
