package sessions

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

// serveLoopback serves on a loopback port. Who connects hears a whole session at once.
func serveLoopback(b *testing.B) string {
	var payloads [3]json.RawMessage
	for i, text := range []string{match("s", "x"), shortStart, end("s", "timeout")} {
		payloads[i] = json.RawMessage(text)
	}
	s := socketio.NewServer(socketio.ServerOptions{
		Namespaces: []string{"/queue", "/video"},
		OnConnect: func(socket *socketio.Socket) {
			if socket.Namespace() == "/queue" {
				emit(b, socket, "match", payloads[0])
				return
			}
			emit(b, socket, "session:start", payloads[1])
			emit(b, socket, "session:end", payloads[2])
		},
	})
	h := httptest.NewServer(s)
	b.Cleanup(func() { s.Close(); h.Close() })
	return h.URL
}

// shortStart is a session:start whose session:end may come at once.
const shortStart = `{"sessionId":"s","channelName":"session_s","startAt":1767225600000,"endAt":1767225600500,"expiresAt":1767229200,"durationSeconds":45}`

// BenchmarkMatchAndHold is what a user's whole session costs above the socket: joining, the three events decoded and
// checked, the results. Memory of the socket's own work is not in it.
func BenchmarkMatchAndHold(b *testing.B) {
	url := serveLoopback(b)
	l, err := Open(b.Context(), Options{URL: url, UserID: "a", Token: "t", Tracker: NewTracker()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.Close)
	events := make([]socketio.Event, 0, 3)
	for _, e := range [][2]string{{"match", match("bench", "x")}, {"session:start", strings.Replace(shortStart, `"s"`, `"bench"`, 1)}, {"session:end", end("bench", "timeout")}} {
		events = append(events, socketio.Event{Name: e[0], Args: []json.RawMessage{json.RawMessage(e[1])}})
	}
	options := MatchOptions{Join: func(context.Context) (string, error) {
		for _, e := range events {
			e.At = time.Now()
			l.onEvent(e)
		}
		return "key", nil
	}}
	b.ReportAllocs()
	for b.Loop() {
		m, err := l.Match(b.Context(), options)
		if err != nil || !m.Matched() {
			b.Fatal(m, err)
		}
		if h := l.Hold(b.Context(), m, HoldOptions{}); h.Outcome != OutcomeHeld {
			b.Fatal(h)
		}
		l.tracker.mu.Lock()
		m.session.forget() // else ten seconds' sessions of one user pile up
		delete(l.tracker.pairs, "bench")
		l.tracker.mu.Unlock()
	}
}

// BenchmarkIgnoredEvent is what counting one queue:status costs above the socket.
func BenchmarkIgnoredEvent(b *testing.B) {
	w, name := NewTracker(), []byte(contract.EventStatus)
	b.ReportAllocs()
	for b.Loop() {
		if w.wants(contract.QueueNamespace, name) {
			b.Fatal("queue:status is wanted")
		}
	}
}

// BenchmarkPartnerSearch is the search for a partner that did not hear the match, among 10,000 users.
func BenchmarkPartnerSearch(b *testing.B) {
	w := NewTracker()
	for i := range 10_000 {
		w.sockets[fmt.Sprintf("cm5x0user%016d", i)] = &Socket{}
	}
	for b.Loop() {
		if w.socketOf("cm5x0session000000000000", "anon_ffffffffffff") != nil {
			b.Fatal("found")
		}
	}
}

// BenchmarkIdleSocket is the resident memory of one connected user who has had a session, beside a socketio.Client that has
// received the same events and dropped them; each measured in a process of its own, after a collection.
func BenchmarkIdleSocket(b *testing.B) {
	const users = 1000
	url := serveLoopback(b)
	for _, role := range []string{"client", "socket"} {
		b.Run(role, func(b *testing.B) {
			for b.Loop() {
			}
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this very test binary
			cmd.Env = append(os.Environ(), roleVariable+"="+role, urlVariable+"="+url, fmt.Sprintf("%s=%d", usersVariable, users))
			cmd.Stderr = os.Stderr
			output, err := cmd.Output()
			if err != nil {
				b.Fatal(err)
			}
			var got usage
			if err := json.Unmarshal(output, &got); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(got.RSS/users, "B-RSS/user")
			b.ReportMetric(got.Heap/users, "B-heap/user")
			b.ReportMetric(got.Stack/users, "B-stack/user")
		})
	}
}

// What a measurement in a process of its own is told.
const (
	roleVariable  = "SESSIONS_TEST_ROLE"
	urlVariable   = "SESSIONS_TEST_URL"
	usersVariable = "SESSIONS_TEST_USERS"
)

type usage struct{ RSS, Heap, Stack float64 }

// playRole is main in the process of a measurement.
func playRole(role string) int {
	var users int
	if _, err := fmt.Sscan(os.Getenv(usersVariable), &users); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tracker := NewTracker()
	open := make([]any, 0, users)
	connect := func(i int) (any, error) {
		url := os.Getenv(urlVariable)
		if role == "socket" {
			return Open(context.Background(), Options{URL: url, UserID: fmt.Sprintf("user%d", i), Token: "t", Tracker: tracker})
		}
		return socketio.Dial(context.Background(), socketio.Options{
			URL: url, Namespaces: []string{contract.QueueNamespace, contract.VideoNamespace}, Auth: map[string]string{"token": "t"},
			Wants: func(string, []byte) bool { return true }, OnEvent: func(socketio.Event) {},
		})
	}
	grow := func(n int) error {
		for range n {
			c, err := connect(len(open))
			if err != nil {
				return err
			}
			open = append(open, c)
		}
		return nil
	}
	if err := grow(20); err != nil { // what only the first cost is not a user's
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	before := measure()
	if err := grow(users - 20); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	time.Sleep(lingerTime + settleTime) // until the sessions are forgotten
	after := measure()
	runtime.KeepAlive(open)
	_ = json.NewEncoder(os.Stdout).Encode(usage{after.RSS - before.RSS, after.Heap - before.Heap, after.Stack - before.Stack})
	return 0
}

func measure() usage {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // pools are emptied by the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{Heap: float64(m.HeapAlloc), Stack: float64(m.StackInuse)}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil { // elsewhere there is no RSS to be had
		var size, resident float64
		if _, err := fmt.Sscan(string(statm), &size, &resident); err == nil {
			u.RSS = resident * float64(os.Getpagesize())
		}
	}
	return u
}
