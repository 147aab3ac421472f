package socketio

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/verity-app/xk6-verity/extension/testkit"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" { // a child of the memory benchmark
		os.Exit(playRole(role))
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits before it fails.
const patience = 10 * time.Second

// serve starts a Server on a loopback port and closes it at the end of the test.
func serve(t testing.TB, o ServerOptions) (*Server, string) {
	t.Helper()
	if o.Namespaces == nil {
		o.Namespaces = []string{"/queue", "/video"}
	}
	s := NewServer(o)
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		h.Close()
	})
	return s, h.URL
}

// script starts a server that calls say for each connection, and closes the connection when say returns.
func script(t testing.TB, say func(*wire)) string {
	t.Helper()
	var open sync.WaitGroup
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Done()
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = ws.Close() }()
		say(&wire{t: t, ws: ws, header: r.Header})
	}))
	t.Cleanup(func() {
		h.Close()
		open.Wait()
	})
	return h.URL
}

// wire is one end of a websocket, used frame by frame.
type wire struct {
	t      testing.TB
	ws     *websocket.Conn
	header http.Header // of the opening request; servers only
}

// dialWire opens a websocket to a Server without the package's client.
func dialWire(t testing.TB, url string, header http.Header) *wire {
	t.Helper()
	return dialWireThrough(t, new(net.Dialer).DialContext, url, header)
}

func dialWireThrough(t testing.TB, dial func(context.Context, string, string) (net.Conn, error), url string, header http.Header) *wire {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: dial}
	url = "ws" + strings.TrimPrefix(url, "http") + Path + "?EIO=4&transport=websocket"
	ws, response, err := dialer.DialContext(t.Context(), url, header)
	require.NoError(t, err)
	_ = response.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &wire{t: t, ws: ws}
}

func (w *wire) send(frames ...string) {
	w.t.Helper()
	for _, frame := range frames {
		if err := w.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			w.t.Errorf("send %s: %v", frame, err)
		}
	}
}

func (w *wire) sendBinary(message string) {
	w.t.Helper()
	if err := w.ws.WriteMessage(websocket.BinaryMessage, []byte(message)); err != nil {
		w.t.Errorf("send %d binary bytes: %v", len(message), err)
	}
}

// next returns the next frame, or the error that ended the connection.
func (w *wire) next() string {
	_, frame, err := w.ws.ReadMessage()
	if err != nil {
		return err.Error()
	}
	return string(frame)
}

// expect requires the next frames to be exactly these; an asterisk stands for a sid.
func (w *wire) expect(frames ...string) {
	w.t.Helper()
	for _, want := range frames {
		got := w.next()
		if before, after, ok := strings.Cut(want, "*"); ok {
			if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) || len(got) != len(before)+20+len(after) {
				w.t.Errorf("got frame %s, want %s with 20 characters for *", got, want)
			}
			continue
		}
		if got != want {
			w.t.Errorf("got frame %s, want %s", got, want)
		}
	}
}

// expectClose requires the connection to be closed next, with a close frame of this code; 1005 means a close frame without a
// status, 1006 no close frame.
func (w *wire) expectClose(code int) {
	w.t.Helper()
	_, frame, err := w.ws.ReadMessage()
	if !websocket.IsCloseError(err, code) {
		w.t.Errorf("got frame %q and error %v, want close code %d", frame, err, code)
	}
}

const opening = `0{"sid":"*","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`

// greet plays the server's part until both namespaces are joined.
func (w *wire) greet() {
	w.t.Helper()
	w.send(strings.Replace(opening, "*", "engine-id", 1))
	w.next()
	w.next()
	w.send(`40/queue,{"sid":"a"}`, `40/video,{"sid":"b"}`)
}

// serveMemory starts a Server on a network in memory, for use in a synctest bubble; stop ends it.
func serveMemory(o ServerOptions) (s *Server, network *testkit.Memory, stop func()) {
	if o.Namespaces == nil {
		o.Namespaces = []string{"/queue", "/video"}
	}
	s, network = NewServer(o), testkit.NewMemory()
	h := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	var done sync.WaitGroup
	done.Go(func() { _ = h.Serve(network) })
	return s, network, func() {
		s.Close()
		_ = h.Close()
		done.Wait()
	}
}

// eventually is require.Eventually with the package's patience.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}

// receive takes one value from a channel.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing received in time")
	}
	panic("unreachable")
}

// noError is require.NoError for other goroutines than the test's.
func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
