package standin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

// ear is a client that records its events.
type ear struct {
	*socketio.Client
	t testing.TB

	mu     sync.Mutex
	events []socketio.Event
}

// listen connects the user to both namespaces, or to the named ones.
func (u testUser) listen(namespaces ...string) *ear {
	u.ts.t.Helper()
	if len(namespaces) == 0 {
		namespaces = []string{"/queue", "/video"}
	}
	e := &ear{t: u.ts.t}
	before := u.ts.Stats().Sockets
	client, err := socketio.Dial(context.Background(), socketio.Options{
		URL: u.ts.URL(), Namespaces: namespaces, Auth: map[string]string{"token": u.token()}, OnEvent: e.note,
	})
	require.NoError(u.ts.t, err)
	e.Client = client
	u.ts.t.Cleanup(client.Close)
	require.Eventually(u.ts.t, func() bool { // the server answers before it adds a socket to its lists
		now := u.ts.Stats().Sockets
		return now.Queue+now.Video >= before.Queue+before.Video+int64(len(namespaces))
	}, 5*time.Second, time.Millisecond)
	return e
}

func (u testUser) token() string { return strings.TrimPrefix(u.bearer, "Authorization: Bearer ") }

func (e *ear) note(event socketio.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, event)
}

// heard returns the events so far, as "name payload".
func (e *ear) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines := make([]string, len(e.events))
	for i, event := range e.events {
		lines[i] = event.Name + " " + string(event.Args[0])
	}
	return lines
}

// hears waits for as many events as these, and requires them to be the events so far.
func (e *ear) hears(want ...string) {
	e.t.Helper()
	if !eventually(func() bool { return len(e.heard()) >= len(want) }) {
		require.Equal(e.t, want, e.heard())
	}
	require.Equal(e.t, want, e.heard())
}

func eventually(condition func() bool) bool {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}

// only waits for the first event of a name and returns its payload, which must have these keys in this order.
func (e *ear) only(name, keys string) (payload map[string]any, at time.Time) {
	e.t.Helper()
	event := e.await(name)
	decoder := json.NewDecoder(strings.NewReader(string(event.Args[0])))
	var order []string
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		switch token := token.(type) {
		case json.Delim:
			depth += map[json.Delim]int{'{': 1, '}': -1}[token]
		case string:
			if depth == 1 {
				order = append(order, token)
				var skipped json.RawMessage
				require.NoError(e.t, decoder.Decode(&skipped))
			}
		}
	}
	require.Equal(e.t, keys, strings.Join(order, " "))
	require.NoError(e.t, json.Unmarshal(event.Args[0], &payload))
	require.Equal(e.t, 1, e.count(name))
	return payload, event.At
}

// await waits for the first event of this name.
func (e *ear) await(name string) socketio.Event {
	e.t.Helper()
	require.True(e.t, eventually(func() bool { return e.count(name) > 0 }), "%s is not heard, but %q", name, e.heard())
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.events {
		if event.Name == name {
			return event
		}
	}
	panic("counted and gone")
}

func (e *ear) count(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, event := range e.events {
		if event.Name == name {
			n++
		}
	}
	return n
}

// wire is a websocket without Socket.IO.
type wire struct {
	t testing.TB
	*websocket.Conn
}

func (ts *testServer) wire(t testing.TB, headers ...string) wire {
	t.Helper()
	h := http.Header{}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		h.Set(name, value)
	}
	url := "ws" + strings.TrimPrefix(ts.URL(), "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := websocket.DefaultDialer.DialContext(context.Background(), url, h)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	return wire{t, conn}
}

func (w wire) say(frame string) {
	w.t.Helper()
	require.NoError(w.t, w.WriteMessage(websocket.TextMessage, []byte(frame)))
}

func (w wire) hears(prefixes ...string) {
	w.t.Helper()
	for _, prefix := range prefixes {
		_, frame, err := w.ReadMessage()
		require.NoError(w.t, err)
		require.True(w.t, strings.HasPrefix(string(frame), prefix), "%s instead of %s", frame, prefix)
	}
}

// closes requires the server to close the connection without a status.
func (w wire) closes() {
	w.t.Helper()
	_, _, err := w.ReadMessage()
	require.True(w.t, websocket.IsCloseError(err, websocket.CloseNoStatusReceived), "%v", err)
}

const opened = `0{"sid":"`

func TestRefusedTokensToTheFrame(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{now: clock.now})
	old := ts.signUp(0)
	clock.advance(contract.AccessTokenLife)
	u := ts.signUp(0)
	good := `{"token":"` + u.token() + `"}`
	for _, tc := range []struct{ name, connect, header string }{
		{name: "no auth", connect: `40/queue,`},
		{name: "no token", connect: `40/queue,{}`},
		{name: "bad token", connect: `40/queue,{"token":"bad"}`},
		{name: "not a text", connect: `40/queue,{"token":1}`},
		{name: "expired token", connect: `40/queue,{"token":"` + old.token() + `"}`},
		{name: "bad header before a good token", connect: `40/queue,` + good, header: "Authorization: Bearer bad"},
		{name: "header of another scheme", connect: `40/queue,` + good, header: "Authorization: bearer " + u.token()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := ts.wire(t, nonEmpty(tc.header)...)
			w.hears(opened)
			w.say(tc.connect)
			w.hears(`40/queue,{"sid":"`, `41/queue,`)
			w.closes()
		})
	}
	require.Zero(t, ts.Stats().Sockets.Queue)

	t.Run("good header before a bad token", func(t *testing.T) {
		w := ts.wire(t, u.bearer)
		w.say(`40/queue,{"token":"bad"}`)
		w.say(`40/video,`)
		w.hears(opened, `40/queue,{"sid":"`, `40/video,{"sid":"`)
	})
	t.Run("unknown namespace", func(t *testing.T) {
		w := ts.wire(t)
		w.say(`40/nope,` + good)
		w.say(`40/video,` + good)
		w.hears(opened, `44/nope,{"message":"Invalid namespace"}`, `40/video,{"sid":"`)
	})
	t.Run("twice the same namespace", func(t *testing.T) {
		w := ts.wire(t)
		w.say(`40/queue,` + good)
		w.say(`40/queue,` + good)
		w.hears(opened, `40/queue,{"sid":"`)
		w.closes()
	})
}

func nonEmpty(header string) []string {
	if header == "" {
		return nil
	}
	return []string{header}
}

func TestTokenIsCheckedAtConnectOnly(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{now: clock.now})
	u := ts.signUp(0)
	require.NoError(t, ts.accounts.find(u.id).credit(1))
	e := u.listen()
	require.Equal(t, 201, u.join("").status)
	clock.advance(contract.AccessTokenLife)
	ts.sockets.joined("another", "canberra"+emptyHash)
	e.hears(`queue:status {"usersSearching":1}`, `queue:status {"usersSearching":2}`)
	w := ts.wire(t, u.bearer)
	w.say("40/video,")
	w.hears(opened, `40/video,{"sid":"`, `41/video,`)
	w.closes()
}

func TestSocketsAreMountedWithTheSlash(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Throttle: true})
	const query = "?EIO=4&transport=polling"
	for range contract.RouteHealth.PerMinute + 1 {
		r := ts.do("GET", "/socket.io/"+query, "")
		require.Equal(t, 400, r.status, "not throttled")
		require.Equal(t, `{"code":0,"message":"Transport unknown"}`, r.body)
	}
	r := ts.do("GET", "/socket.io"+query, "")
	require.Equal(t, 404, r.status)
	require.Equal(t, `{"message":"Cannot GET /socket.io?EIO=4&transport=polling","error":"Not Found","statusCode":404}`, r.body)
}

func TestHandshakeAndPings(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	require.Equal(t, 25*time.Second, ts.options.PingInterval)
	require.Equal(t, 20*time.Second, ts.options.PingTimeout)

	ts = start(t, Options{PingInterval: 20 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	w := ts.wire(t, ts.signUp(0).bearer)
	_, frame, err := w.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(frame), `"upgrades":[],"pingInterval":20,"pingTimeout":50,"maxPayload":1000000}`)
	w.hears("2")
	w.say("3")
	w.hears("2")
	w.closes() // as no pong comes
}

func TestStatusGoesToAllUsersOfTheKey(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	a, b, c, deaf, other := ts.signUp(2), ts.signUp(1), ts.signUp(1), ts.signUp(1), ts.signUp(1)
	ear1, ear2, ear3, ear4 := a.listen(), b.listen(), c.listen(), other.listen()
	idle := ts.signUp(0).listen()
	a.join("")
	b.join("")
	deaf.join("")
	other.join(`{"city":"other"}`)
	c.join("")
	a.leave()
	deaf.leave()
	ear2.hears(
		`queue:status {"usersSearching":2}`, `queue:status {"usersSearching":3}`, `queue:status {"usersSearching":4}`,
		`queue:status {"usersSearching":3}`, `queue:status {"usersSearching":2}`)
	ear2.Close()
	require.Eventually(t, func() bool { return b.account().Queued == 0 }, 5*time.Second, time.Millisecond)
	a.join("")

	ear1.hears(
		`queue:status {"usersSearching":1}`, `queue:status {"usersSearching":2}`, `queue:status {"usersSearching":3}`,
		`queue:status {"usersSearching":4}`, // not of its own leave, nor of later changes
		`queue:status {"usersSearching":2}`)
	ear3.hears(
		`queue:status {"usersSearching":4}`, `queue:status {"usersSearching":3}`, `queue:status {"usersSearching":2}`,
		`queue:status {"usersSearching":1}`, // after the disconnect
		`queue:status {"usersSearching":2}`)
	ear4.hears(`queue:status {"usersSearching":1}`)
	require.Empty(t, idle.heard())
	require.Equal(t, int64(16), ts.Stats().Sockets.Events["queue:status"], "and nothing is under way")
	require.Equal(t, Account{ID: b.id, Bought: 1, Balance: 1}, b.account(), "refunded")
}

func TestStatusFramesOfManyJoins(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	const users = 40
	ears := make([]*ear, users)
	for i := range ears {
		u := ts.signUp(1)
		ears[i] = u.listen("/queue")
		u.join("")
	}
	require.Equal(t, int64(users*(users+1)/2), ts.Stats().Sockets.Events["queue:status"], "not one is left out")
	for i, e := range ears {
		require.True(t, eventually(func() bool { return e.count("queue:status") == users-i }))
	}
}

// pair makes two users listen, join and be matched.
func (ts *testServer) pair() (a, b testUser, earA, earB *ear) {
	ts.t.Helper()
	a, b = ts.signUp(5), ts.signUp(5)
	earA, earB = a.listen(), b.listen()
	a.join("")
	nextMillisecond()
	b.join("")
	ts.matcher.match(ts.t.Context())
	return a, b, earA, earB
}

const (
	matchKeys = "sessionId partnerAnonymousId queueKey matchedAt"
	startKeys = "sessionId channelName startAt endAt expiresAt durationSeconds rtc rtm"
	endKeys   = "sessionId reason endedAt"
)

func TestMatchStartAndEnd(t *testing.T) {
	t.Parallel()
	var seen recorder
	ts := start(t, Options{observer: &seen, Session: 1500 * time.Millisecond})
	a, b, earA, earB := ts.pair()
	s := seen.sessions()[0]
	for i, side := range []struct {
		me, partner testUser
		ear         *ear
	}{{a, b, earA}, {b, a, earB}} {
		match, _ := side.ear.only("match", matchKeys)
		matchedAt, _ := match["matchedAt"].(float64)
		require.Equal(t, map[string]any{
			"sessionId": s.ID, "partnerAnonymousId": contract.AnonymousID(s.ID, side.partner.id),
			"queueKey": "canberra" + emptyHash, "matchedAt": matchedAt,
		}, match)
		require.InDelta(t, s.StartAt, matchedAt, 1000)
		begin, _ := side.ear.only("session:start", startKeys)
		require.Equal(t, map[string]any{
			"sessionId": s.ID, "channelName": "session_" + s.ID,
			"startAt": float64(s.StartAt), "endAt": float64(s.EndAt), "expiresAt": float64(s.EndAt), "durationSeconds": 1.5,
			"rtc": map[string]any{"token": "standin-rtc-" + s.ID, "uid": float64(i + 1)},
			"rtm": map[string]any{"token": "standin-rtm-" + s.ID, "userId": side.me.id},
		}, begin)
	}
	require.Zero(t, earA.count("session:end"))
	ts.matcher.endDue(t.Context(), s.EndAt)
	for _, e := range []*ear{earA, earB} {
		end, _ := e.only("session:end", endKeys)
		endedAt, _ := end["endedAt"].(float64)
		require.Equal(t, map[string]any{"sessionId": s.ID, "reason": "timeout", "endedAt": endedAt}, end)
		require.InDelta(t, time.Now().UnixMilli(), endedAt, 1000)
	}
	require.Equal(t, map[string]int64{"queue:status": 3, "match": 2, "session:start": 2, "session:end": 2},
		ts.Stats().Sockets.Events, "no status when users are matched")
}

func TestStartHasTheLengthOfTheSession(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	_, _, e, _ := ts.pair()
	require.Contains(t, string(e.await("session:start").Args[0]), `"durationSeconds":45,`)
}

func TestMatchAndStartComeInEitherOrder(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	first := make(map[string]bool)
	for range 2 {
		_, _, e, other := ts.pair()
		for _, e := range []*ear{e, other} {
			match, matched := e.only("match", matchKeys)
			begin, begun := e.only("session:start", startKeys)
			if matched.Before(begun) {
				first["match"] = true
				continue
			}
			first["start"] = true
			startAt, _ := begin["startAt"].(float64)
			matchedAt, _ := match["matchedAt"].(float64)
			require.GreaterOrEqual(t, matchedAt-startAt, 4.0, "ms apart")
		}
	}
	require.Equal(t, map[string]bool{"match": true, "start": true}, first)

	s := &sockets{}
	gaps := make(map[string]bool)
	for range 30 {
		gap, startFirst := s.gap()
		require.True(t, 4*time.Millisecond <= gap && gap <= 18*time.Millisecond, gap)
		gaps[gap.String()+map[bool]string{true: " before", false: " after"}[startFirst]] = true
	}
	require.Len(t, gaps, 30)
}

func TestAllSocketsOfAUserGetItsEvents(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	a, b := ts.signUp(1), ts.signUp(1)
	ears := []*ear{a.listen(), a.listen(), b.listen()}
	a.join("")
	b.join("")
	ts.matcher.match(t.Context())
	ts.matcher.endDue(t.Context(), time.Now().Add(time.Hour).UnixMilli())
	for _, e := range ears {
		e.await("queue:status")
		e.await("match")
		e.await("session:start")
		e.await("session:end")
	}
}

func TestNoCatchUpAndNoEndWithoutSockets(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	a, b, earA, earB := ts.pair()
	earA.await("session:start")
	earA.await("match")
	earA.Close()
	earB.Close()
	require.Eventually(t, func() bool { return ts.sockets.server.Connections() == 0 }, 5*time.Second, time.Millisecond)
	require.Equal(t, Account{ID: a.id, Bought: 5, Balance: 4, Spent: 1}, a.account(), "matched: there is nothing to leave")
	late := a.listen()
	ts.matcher.endDue(t.Context(), time.Now().Add(time.Hour).UnixMilli())
	end, _ := late.only("session:end", endKeys)
	require.Equal(t, "timeout", end["reason"])
	require.Len(t, late.heard(), 1, "neither match nor start")
	require.Equal(t, Sessions{Made: 1, Ended: 1}, ts.Stats().Sessions)
	require.Equal(t, 4, int(b.account().Balance))
}

func TestDecisionsAreSent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ choice, event, keys, outcome string }{
		{"MATCH", "match:mutual", "sessionId matchId", ""},
		{"PASS", "match:non_mutual", "sessionId outcome", "pass"},
	} {
		t.Run(tc.choice, func(t *testing.T) {
			t.Parallel()
			var seen recorder
			ts := start(t, Options{observer: &seen})
			a, b, earA, earB := ts.pair()
			s := seen.sessions()[0]
			ts.matcher.endDue(t.Context(), s.EndAt)
			require.Equal(t, 201, ts.do("POST", "/sessions/"+s.ID+"/choice", `{"choice":"MATCH"}`, a.bearer).status)
			require.Equal(t, 201, ts.do("POST", "/sessions/"+s.ID+"/choice", `{"choice":"`+tc.choice+`"}`, b.bearer).status)
			for _, e := range []*ear{earA, earB} {
				payload, _ := e.only(tc.event, tc.keys)
				require.Equal(t, s.ID, payload["sessionId"])
				if tc.outcome != "" {
					require.Equal(t, tc.outcome, payload["outcome"])
				} else {
					require.NotEmpty(t, payload["matchId"])
				}
			}
		})
	}
}

func TestClosingAnyQueueSocketLeavesTheQueue(t *testing.T) {
	t.Parallel()
	queuedNow := func(u testUser) func() bool { return func() bool { return u.account().Queued == 1 } }
	for _, tc := range []struct {
		name  string
		close func(*ear)
	}{
		{"connection", func(e *ear) { e.Close() }},
		{"namespace", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ts := start(t, Options{})
			u := ts.signUp(1)
			u.listen()
			var leave func()
			if tc.close != nil {
				second := u.listen()
				leave = func() { tc.close(second) }
			} else {
				w := ts.wire(t, u.bearer)
				w.say("40/queue,")
				w.say("40/video,")
				w.hears(opened, `40/queue,`, `40/video,`)
				leave = func() { w.say("41/queue,") }
			}
			require.Equal(t, 201, u.join("").status)
			leave()
			require.Eventually(t, func() bool { return !queuedNow(u)() }, 5*time.Second, time.Millisecond)
			require.Equal(t, Account{ID: u.id, Bought: 1, Balance: 1}, u.account())
			require.Equal(t, notQueuedBody, u.leave().body)
			checkQueues(t, ts)
		})
	}
	t.Run("/video changes nothing", func(t *testing.T) {
		t.Parallel()
		ts := start(t, Options{})
		u, v := ts.signUp(1), ts.signUp(1)
		stays, video := u.listen("/queue"), u.listen("/video")
		u.join("")
		video.Close()
		require.Eventually(t, func() bool { return ts.sockets.server.Connections() == 1 }, 5*time.Second, time.Millisecond)
		v.join("")
		stays.hears(`queue:status {"usersSearching":1}`, `queue:status {"usersSearching":2}`)
		require.True(t, queuedNow(u)())
	})
	t.Run("after a match within the hour", func(t *testing.T) {
		t.Parallel()
		ts := start(t, Options{})
		u, _, e, _ := ts.pair()
		u.join("")
		e.Close()
		require.Eventually(t, func() bool { return !queuedNow(u)() }, 5*time.Second, time.Millisecond)
		require.Equal(t, Account{ID: u.id, Bought: 5, Balance: 4, Spent: 1}, u.account(), "DELETE /queue/leave would lose the token")
	})
	t.Run("as soon as another operation of the user is done", func(t *testing.T) {
		t.Parallel()
		ts := start(t, Options{})
		u := ts.signUp(1)
		e := u.listen()
		u.join("")
		busy := ts.accounts.find(u.id)
		busy.operating.Lock()
		e.Close()
		require.Eventually(t, func() bool { return len(ts.sockets.of(u.id)) == 0 }, 5*time.Second, time.Millisecond)
		require.True(t, queuedNow(u)())
		busy.operating.Unlock()
		require.Eventually(t, func() bool { return !queuedNow(u)() }, 5*time.Second, time.Millisecond)
	})
}

// of returns a user's /queue sockets.
func (s *sockets) of(userID string) []*socketio.Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listeners[userID]; l != nil {
		return l.sockets[contract.QueueNamespace]
	}
	return nil
}

func TestDisconnectWithoutRedisIsLogged(t *testing.T) {
	t.Parallel()
	lines := make(logLines, 100)
	ts := start(t, Options{Log: textLog(lines)})
	u := ts.signUp(1)
	e := u.listen()
	u.join("")
	ts.store.embedded.SetError("LOADING made up")
	e.Close()
	require.Contains(t, <-lines, `msg="a disconnect could not leave the queue" error="locking a queue: LOADING made up"`)
	ts.store.embedded.SetError("")
}

func TestCloseLeavesTheAccountAsItIs(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u := ts.signUp(1)
	e := u.listen()
	u.join("")
	ts.pair()
	require.NoError(t, ts.Close(context.Background()))
	<-e.Done()
	require.ErrorIs(t, e.Err(), socketio.ErrServerClosed)
	require.Equal(t, int64(1), ts.Stats().Tokens.Queued)
}

func TestUsersWithoutSocketsAreForgotten(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Defects: Defects{CrossPairs: 1}})
	_, _, earA, earB := ts.pair()
	earA.Close()
	earB.Close()
	ts.matcher.endDue(t.Context(), time.Now().Add(time.Hour).UnixMilli())
	empty := func() bool {
		ts.sockets.mu.Lock()
		defer ts.sockets.mu.Unlock()
		return len(ts.sockets.listeners)+len(ts.sockets.crowds)+len(ts.sockets.crossed) == 0
	}
	require.Eventually(t, empty, 5*time.Second, time.Millisecond)
}

func TestStatsOfARunWithSockets(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	for range 2 {
		ts.pair()
	}
	require.Eventually(t, func() bool { return ts.Stats().Matches.Count == 4 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return ts.Stats().Sockets.Events["session:start"] == 4 }, 5*time.Second, time.Millisecond)
	st := ts.Stats()
	require.Equal(t, int64(2), st.Peak)
	require.True(t, 0 < st.Matches.P50 && st.Matches.P50 <= st.Matches.P95 && st.Matches.P95 < 5000, "%+v", st.Matches)
	ts.matcher.endDue(t.Context(), time.Now().Add(time.Hour).UnixMilli())
	ts.pair()
	require.Equal(t, int64(2), ts.Stats().Peak, "at once, not in all")

	st.Matches = Matches{Count: 4, P50: 1200.4, P95: 2800.6}
	var text strings.Builder
	require.NoError(t, st.Write(&text))
	require.Contains(t, text.String(), `
sessions  2 made, 0 ended
at once   2 sessions, at most
matches   4 users matched after 1200 ms (p50), 2801 ms (p95)
sockets   4 on /queue, 4 on /video
frames    4 match
frames    6 queue:status
frames    4 session:start
events    `)
}

func TestPercentilesAreNearestRanks(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	require.Zero(t, percentile(waits, 50))
	for i := range 20 {
		waits = append(waits, time.Duration(i+1)*time.Millisecond)
	}
	require.InDelta(t, 10, percentile(waits, 50), 0)
	require.InDelta(t, 19, percentile(waits, 95), 0)
	require.InDelta(t, 1.5, percentile([]time.Duration{1500 * time.Microsecond}, 95), 0)
}

// oracle is the folder of the reference Socket.IO client.
const oracle = "../socketio/testdata/oracle"

func TestReferenceClientsArePaired(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("skipped, not tested: Node.js is not installed, so there is no reference Socket.IO client to test with")
	}
	if _, err := os.Stat(filepath.Join(oracle, "node_modules")); err != nil {
		t.Skip("skipped, not tested: run `npm ci` in extension/socketio/testdata/oracle to test with the reference Socket.IO client")
	}
	folder, err := filepath.Abs(oracle)
	require.NoError(t, err)
	var seen recorder
	ts := start(t, Options{observer: &seen, Tick: 20 * time.Millisecond, Session: 300 * time.Millisecond})
	a, b := ts.signUp(1), ts.signUp(1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "testdata/pair.mjs", folder, ts.URL(), a.token(), b.token()) //nolint:gosec // the test's own script
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(output)
	require.True(t, lines.Scan())
	require.Equal(t, `{"connected":2}`, lines.Text())
	a.join("")
	nextMillisecond()
	b.join("")

	type line struct {
		User    int
		Event   string
		Payload struct{ SessionID, PartnerAnonymousID, Reason string }
	}
	got := make(map[string][2]line)
	for lines.Scan() {
		var l line
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l))
		sides := got[l.Event]
		sides[l.User] = l
		got[l.Event] = sides
	}
	require.NoError(t, errors.Join(lines.Err(), cmd.Wait()))
	s := seen.sessions()[0]
	partners := [2]string{s.UserB, s.UserA}
	if s.UserA != a.id {
		partners = [2]string{s.UserA, s.UserB}
	}
	for i, partner := range partners {
		require.Equal(t, s.ID, got["match"][i].Payload.SessionID)
		require.Equal(t, contract.AnonymousID(s.ID, partner), got["match"][i].Payload.PartnerAnonymousID)
		require.Equal(t, s.ID, got["session:start"][i].Payload.SessionID)
		require.Equal(t, s.ID, got["session:end"][i].Payload.SessionID)
		require.Equal(t, "timeout", got["session:end"][i].Payload.Reason)
	}
}

// BenchmarkStatusStorm lets 600 users with a socket each join one key, and waits until all have received all events: an operation
// is 180,300 frames. The clients are in the same process and share its processors.
func BenchmarkStatusStorm(b *testing.B) {
	const users, frames = 600, 600 * 601 / 2
	var heard atomic.Int64
	ts := start(b, Options{})
	ids := make([]string, users)
	for i := range ids {
		u := ts.accounts.signUp()
		token, err := ts.tokens.issueAccess(u)
		require.NoError(b, err)
		client, err := socketio.Dial(b.Context(), socketio.Options{
			URL: ts.URL(), Namespaces: []string{"/queue"}, Auth: map[string]string{"token": token},
			Wants: func(string, []byte) bool { heard.Add(1); return false },
		})
		require.NoError(b, err)
		b.Cleanup(client.Close)
		ids[i] = u.id
	}
	require.Eventually(b, func() bool { return ts.Stats().Sockets.Queue == users }, 5*time.Second, time.Millisecond)
	var telling time.Duration
	for b.Loop() {
		heard.Store(0)
		begun := time.Now()
		for _, id := range ids {
			ts.sockets.joined(id, "k")
		}
		telling += time.Since(begun)
		require.Eventually(b, func() bool { return heard.Load() == frames }, time.Minute, time.Millisecond)
		b.StopTimer()
		for _, id := range ids {
			ts.sockets.mu.Lock()
			ts.sockets.depart(id)
			ts.sockets.mu.Unlock()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(telling.Microseconds())/float64(b.N)/users, "µs-locked/join")
}
