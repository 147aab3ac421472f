package loadtest_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// wire is a connection to a server's sockets, on which these tests write and read raw frames of Socket.IO.
type wire struct{ conn *websocket.Conn }

const socketPath = "/socket.io/?EIO=4&transport=websocket"

func dial(t *testing.T, target *target, header http.Header) *wire {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(target.url, "http")+socketPath, header)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Empty(t, response.Header.Get("Sec-Websocket-Extensions"), "nothing is compressed")
	t.Cleanup(func() { _ = conn.Close() }) // some are closed by then
	return &wire{conn}
}

// open opens the visitor's socket, with both namespaces on it.
func (v *visitor) open(t *testing.T) *wire {
	t.Helper()
	w := dial(t, v.target, nil)
	w.read(t)
	for _, namespace := range []string{"/queue", "/video"} {
		w.connect(t, namespace, v.token)
		require.Regexp(t, "^40"+namespace+`,\{"sid":"[^"]+"\}$`, w.read(t))
	}
	return w
}

func (w *wire) write(t *testing.T, frame string) {
	t.Helper()
	require.NoError(t, w.conn.WriteMessage(websocket.TextMessage, []byte(frame)))
}

func (w *wire) connect(t *testing.T, namespace, token string) {
	t.Helper()
	w.write(t, fmt.Sprintf(`40%s,{"token":%q}`, namespace, token))
}

// read returns the next frame.
func (w *wire) read(t *testing.T) string {
	t.Helper()
	require.NoError(t, w.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, frame, err := w.conn.ReadMessage()
	require.NoError(t, err)
	return string(frame)
}

// event returns the payload of the next event with this name. It skips other frames.
func (w *wire) event(t *testing.T, namespace, name string) map[string]any {
	t.Helper()
	prefix := fmt.Sprintf("42%s,[%q,", namespace, name)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		text, isEvent := strings.CutPrefix(w.read(t), prefix)
		if isEvent {
			var payload map[string]any
			require.NoError(t, json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &payload))
			return payload
		}
	}
	require.Fail(t, "frames came for 30 s, and no "+name)
	return nil
}

// requireClosed requires that the server closes the connection without another frame, and without a status.
func (w *wire) requireClosed(t *testing.T) {
	t.Helper()
	require.NoError(t, w.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, frame, err := w.conn.ReadMessage()
	var closed *websocket.CloseError
	require.ErrorAs(t, err, &closed, "got %q", frame)
	require.Equal(t, websocket.CloseNoStatusReceived, closed.Code)
}

func TestServersGreetSocketsAndLookAtTheirTokens(t *testing.T) {
	t.Parallel()
	onBoth(t, whole, func(t *testing.T, target *target) {
		user := signUp(t, target)
		bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
		w := dial(t, target, nil)
		require.Regexp(t, `^0\{"sid":"[^"]+","upgrades":\[\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$`, w.read(t))
		w.connect(t, "/nope", user.token)
		require.Equal(t, `44/nope,{"message":"Invalid namespace"}`, w.read(t))

		for name, refused := range map[string]struct {
			header http.Header
			frame  string
		}{
			"bad token":              {nil, `{"token":"a.b.c"}`},
			"no token":               {nil, `{}`},
			"nothing":                {nil, ``},
			"the header's is no use": {bearer("a.b.c"), fmt.Sprintf(`{"token":%q}`, user.token)},
		} {
			w := dial(t, target, refused.header)
			w.read(t)
			w.write(t, "40/queue,"+refused.frame)
			require.Regexp(t, `^40/queue,\{"sid":"[^"]+"\}$`, w.read(t), name)
			require.Equal(t, "41/queue,", w.read(t), name)
			w.requireClosed(t)
		}

		w = dial(t, target, bearer(user.token))
		w.read(t)
		w.connect(t, "/video", "a.b.c")
		require.Regexp(t, `^40/video,\{"sid":"[^"]+"\}$`, w.read(t), "the header wins")
		w.connect(t, "/video", user.token)
		w.requireClosed(t)
	})
}

func TestServersTellBothUsersOfASession(t *testing.T) {
	t.Parallel()
	c := whole
	c.session = time.Second
	onBoth(t, c, func(t *testing.T, target *target) {
		users := []*visitor{signUp(t, target), signUp(t, target)}
		wires := []*wire{users[0].open(t), users[1].open(t)}
		late := users[1].open(t) // a second socket of the same user hears the same
		for i, user := range users {
			user.buy(t, 1)
			status, _ := user.do(t, http.MethodPost, "/queue/join", `{"city":"Hobart"}`)
			require.Equal(t, http.StatusCreated, status)
			if i == 0 {
				require.Equal(t, map[string]any{"usersSearching": 1.0}, wires[0].event(t, "/queue", "queue:status"))
			}
		}
		sessions := map[any]bool{}
		for i, w := range append(wires, late) {
			user, partner := min(i, 1), 1-min(i, 1)
			var match, start map[string]any
			for match == nil || start == nil {
				frame := w.read(t)
				if text, ok := strings.CutPrefix(frame, `42/queue,["match",`); ok {
					require.NoError(t, json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &match))
				}
				if text, ok := strings.CutPrefix(frame, `42/video,["session:start",`); ok {
					require.NoError(t, json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &start))
				}
			}
			id := match["sessionId"]
			sessions[id] = true
			sum := sha256.Sum256(fmt.Appendf(nil, "%s:%s", id, users[partner].id))
			require.Equal(t, fmt.Sprintf("anon_%x", sum[:6]), match["partnerAnonymousId"])
			require.Equal(t, "hobart:44136fa355b3", match["queueKey"])
			require.Contains(t, match, "matchedAt")
			require.Equal(t, id, start["sessionId"])
			require.InDelta(t, 1, start["durationSeconds"], 0)
			require.Subset(t, sortedKeys(start), []string{"channelName", "startAt", "endAt", "expiresAt", "rtc", "rtm"})
			require.Equal(t, users[user].id, start["rtm"].(map[string]any)["userId"]) //nolint:forcetypeassert // fails the test
			end := w.event(t, "/video", "session:end")
			require.Equal(t, id, end["sessionId"])
			require.Equal(t, "timeout", end["reason"])
			require.Contains(t, end, "endedAt")
		}
		require.Len(t, sessions, 1)
	})
}

func TestServersTakeUsersWhoseSocketClosesOutOfTheQueue(t *testing.T) {
	t.Parallel()
	onBoth(t, whole, func(t *testing.T, target *target) {
		leaver, lone := signUp(t, target), signUp(t, target)
		first, second := leaver.open(t), leaver.open(t)
		for key, user := range map[string]*visitor{"Perth": leaver, "Darwin": lone} {
			user.buy(t, 1)
			status, _ := user.do(t, http.MethodPost, "/queue/join", fmt.Sprintf(`{"city":%q}`, key))
			require.Equal(t, http.StatusCreated, status)
		}
		require.InDelta(t, 1, first.event(t, "/queue", "queue:status")["usersSearching"], 0)
		require.Equal(t, 2, target.state(t).queued())
		require.NoError(t, second.conn.Close())
		require.Eventually(t, func() bool { return target.state(t).queued() == 1 }, 5*time.Second, 20*time.Millisecond,
			"any of the user's sockets will do")
		leaver.requireBalance(t, 1)
		lone.requireBalance(t, 0)

		status, _ := leaver.do(t, http.MethodPost, "/queue/join", `{"city":"Perth"}`)
		require.Equal(t, http.StatusCreated, status)
		first.write(t, "41/video,")
		require.InDelta(t, 1, first.event(t, "/queue", "queue:status")["usersSearching"], 0)
		first.write(t, "40/nope,")
		require.Equal(t, `44/nope,{"message":"Invalid namespace"}`, first.read(t), "the frame before has been dealt with")
		require.Equal(t, 2, target.state(t).queued(), "closing /video changes nothing")
		first.write(t, "41/queue,")
		require.Eventually(t, func() bool { return target.state(t).queued() == 1 }, 5*time.Second, 20*time.Millisecond)
	})
}
