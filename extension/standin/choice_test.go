package standin

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
)

func choose(u testUser, sessionID, choice string) reply {
	return u.ts.do("POST", "/sessions/"+sessionID+"/choice", `{"choice":"`+choice+`"}`, u.bearer)
}

// sessionOf makes a session of two new users.
func sessionOf(t *testing.T, ts *testServer, heard *recorder) (session, testUser, testUser) {
	t.Helper()
	a, b := ts.signUp(1), ts.signUp(1)
	a.join("")
	nextMillisecond()
	b.join("")
	ts.matcher.match(t.Context())
	made := heard.sessions()
	return made[len(made)-1], a, b
}

func TestChoiceRefusals(t *testing.T) {
	t.Parallel()
	var heard recorder
	ts := start(t, Options{observer: &heard})
	s, a, _ := sessionOf(t, ts, &heard)
	stranger := ts.signUp(0)

	r := choose(a, "cnobody", "MATCH")
	require.Equal(t, 404, r.status)
	require.Equal(t, `{"message":"Session not found","error":"Not Found","statusCode":404}`, r.body)
	for range 2 {
		r = choose(stranger, s.ID, "MATCH")
		require.Equal(t, 403, r.status)
		require.Equal(t, `{"message":"Not a participant of this session","error":"Forbidden","statusCode":403}`, r.body)
		r = choose(a, s.ID, "MATCH")
		require.Equal(t, 400, r.status)
		require.Equal(t, `{"message":"Session has not ended","error":"Bad Request","statusCode":400}`, r.body)
	}
	ts.matcher.endDue(t.Context(), s.EndAt)
	require.Equal(t, 403, choose(stranger, s.ID, "MATCH").status)
	require.NoError(t, ts.store.client.Set(t.Context(), "session:lock:"+s.ID, "x", contract.RedisSessionLockLife).Err())
	require.Equal(t, 409, choose(a, s.ID, "MATCH").status)
}

func TestChoices(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		var heard recorder
		ts := start(t, Options{RedisURL: url, observer: &heard})
		for _, tc := range []struct{ first, second, outcome string }{
			{"MATCH", "MATCH", "mutual"},
			{"MATCH", "PASS", "non_mutual"},
			{"PASS", "MATCH", "non_mutual"},
			{"PASS", "PASS", "non_mutual"},
		} {
			s, a, b := sessionOf(t, ts, &heard)
			ts.matcher.endDue(t.Context(), s.EndAt)
			before := time.Now().Add(choiceWindow).UnixMilli()
			for range 2 { // a repeated choice changes nothing
				r := choose(a, s.ID, tc.first)
				require.Equal(t, 201, r.status)
				deadline, found := strings.CutPrefix(r.body, `{"status":"pending","deadline":`)
				require.True(t, found, r.body)
				ms, err := strconv.ParseInt(strings.TrimSuffix(deadline, "}"), 10, 64)
				require.NoError(t, err)
				require.True(t, before <= ms && ms <= time.Now().Add(choiceWindow).UnixMilli())
				require.Equal(t, strconv.FormatInt(ms, 10), ts.store.client.Get(t.Context(), "session:choice:deadline:"+s.ID).Val())
			}
			require.Equal(t, map[string]string{a.id: tc.first}, ts.store.client.HGetAll(t.Context(), "session:choice:"+s.ID).Val())
			requireTTL(t, ts, "session:choice:"+s.ID, choiceWindow)
			requireTTL(t, ts, "session:choice:deadline:"+s.ID, 2*time.Hour)

			for _, u := range []testUser{b, a} {
				r := choose(u, s.ID, tc.second)
				require.Equal(t, 201, r.status)
				require.Equal(t, `{"status":"resolved","outcome":"`+tc.outcome+`"}`, r.body)
			}
			require.Equal(t, tc.outcome, ts.store.client.Get(t.Context(), "session:decision:"+s.ID).Val())
			requireTTL(t, ts, "session:decision:"+s.ID, 2*time.Hour)
			require.Zero(t, ts.store.client.Exists(t.Context(), "session:lock:"+s.ID).Val())
			lines := heard.heard()
			require.Equal(t, "decided "+a.id+" "+b.id+" "+tc.outcome, lines[len(lines)-1])
		}
	})
}

func TestPartnersChooseAtOnce(t *testing.T) {
	t.Parallel()
	var heard recorder
	ts := start(t, Options{observer: &heard, Latency: time.Millisecond})
	for range 10 {
		s, a, b := sessionOf(t, ts, &heard)
		ts.matcher.endDue(t.Context(), s.EndAt)
		users := []testUser{a, b}
		replies := atOnce(2, func(i int) reply { return choose(users[i], s.ID, "MATCH") })
		bodies := replies[0].body + replies[1].body
		require.Equal(t, 1, strings.Count(bodies, "pending"), bodies)
		require.Equal(t, 1, strings.Count(bodies, `"outcome":"mutual"`), bodies)
	}
}

func TestChoiceAfterTheDeadline(t *testing.T) {
	t.Parallel()
	var heard recorder
	ts := start(t, Options{observer: &heard})
	s, a, b := sessionOf(t, ts, &heard)
	ts.matcher.endDue(t.Context(), s.EndAt)
	choose(a, s.ID, "MATCH")
	past := time.Now().Add(-time.Second).UnixMilli()
	require.NoError(t, ts.store.client.Set(t.Context(), "session:choice:deadline:"+s.ID, past, time.Hour).Err())
	ts.store.embedded.FastForward(choiceWindow)
	require.Equal(t, `{"status":"resolved","outcome":"non_mutual"}`, choose(b, s.ID, "MATCH").body)
}
