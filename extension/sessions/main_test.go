package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/socketio"
	"github.com/verity-app/xk6-verity/extension/testkit"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" { // a child of the memory benchmark
		os.Exit(playRole(role))
	}
	goleak.VerifyTestMain(m)
}

// world is a service that says what a test wants, and the users who listen to it.
type world struct {
	t       testing.TB
	server  *socketio.Server
	network *testkit.Memory
	tracker *Tracker

	mu      sync.Mutex
	sockets map[string]*socketio.Socket // by namespace and user
	leaves  int
}

// goodToken of a user is its id after this.
const goodToken = "token-of-"

// run runs a test in a bubble where time passes when everybody waits.
func run(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, tracker: NewTracker(), sockets: make(map[string]*socketio.Socket),
			network: testkit.NewMemory(),
		}
		w.server = socketio.NewServer(socketio.ServerOptions{
			Namespaces: []string{"/queue", "/video"},
			Authenticate: func(_, token string) (string, error) {
				user, ok := strings.CutPrefix(token, goodToken)
				if !ok {
					return "", errors.New("bad token")
				}
				return user, nil
			},
			OnConnect: func(s *socketio.Socket) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.sockets[s.Namespace()+s.User()] = s
			},
		})
		h := &http.Server{Handler: w.server, ReadHeaderTimeout: time.Minute}
		var serving sync.WaitGroup
		serving.Go(func() { _ = h.Serve(w.network) })
		defer func() {
			w.server.Close()
			_ = h.Close()
			serving.Wait()
		}()
		test(t, w)
	})
}

func (w *world) options(user string) Options {
	return Options{URL: "http://verity.test", UserID: user, Token: goodToken + user, Tracker: w.tracker, Dialer: w.network.Dial}
}

func (w *world) open(user string) *Socket {
	w.t.Helper()
	l, err := Open(w.t.Context(), w.options(user))
	require.NoError(w.t, err)
	return l
}

// step is one event that the service sends, or one thing that it does.
type step struct {
	after   time.Duration // since the step before
	user    string
	event   string // of docs/verity-api.md, or drop, mute or close
	payload string
}

func (w *world) play(steps ...step) {
	for _, s := range steps {
		time.Sleep(s.after)
		namespace := "/video"
		if s.event == contract.EventMatch || s.event == contract.EventStatus {
			namespace = "/queue"
		}
		w.mu.Lock()
		socket := w.sockets[namespace+s.user]
		w.mu.Unlock()
		switch s.event {
		case "drop":
			socket.Drop()
		case "close":
			socket.Close()
		case "mute":
			w.server.Mute(true)
		default:
			emit(w.t, socket, s.event, json.RawMessage(s.payload))
		}
	}
	synctest.Wait()
}

// joins is a join that is answered at once, and a leave that is counted.
func (w *world) joins() MatchOptions {
	return MatchOptions{
		Join:  func(context.Context) (string, error) { return "canberra:44136fa355b3", nil },
		Leave: func(context.Context) error { w.leaves++; return nil },
	}
}

// later runs a function that waits and returns where its result will be.
func later[T any](f func() T) <-chan T {
	result := make(chan T, 1)
	go func() { result <- f() }()
	return result
}

// rules returns the rules that were broken, and how often.
func rules(w *Tracker) map[Rule]int {
	counts := make(map[Rule]int)
	for _, f := range w.Findings() {
		counts[f.Rule] = f.Count
	}
	return counts
}

// The payloads of docs/verity-api.md.

func match(session, partner string) string {
	return `{"sessionId":"` + session + `","partnerAnonymousId":"` + contract.AnonymousID(session, partner) +
		`","queueKey":"canberra:44136fa355b3","matchedAt":1767225600000}`
}

func start(session string) string {
	return `{"sessionId":"` + session + `","channelName":"session_` + session + `","startAt":1767225600000,` +
		`"endAt":1767225645000,"expiresAt":1767229200,"durationSeconds":45,"rtc":{"token":"t","uid":1},"rtm":{"token":"t","userId":"u"}}`
}

func end(session, reason string) string {
	return `{"sessionId":"` + session + `","reason":"` + reason + `","endedAt":1767225645000}`
}

const (
	ms     = time.Millisecond
	second = time.Second
)

// emit sends an event to one socket.
func emit(t testing.TB, socket *socketio.Socket, event string, payload any) {
	t.Helper()
	frame, err := socketio.NewFrame(socket.Namespace(), event, payload)
	if err != nil {
		t.Error(err)
		return
	}
	socket.Send(frame)
}
