package jsapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

func TestTwoUsersAreMatchedAndHoldTheirSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{Tick: 20 * time.Millisecond, Session: 300 * time.Millisecond})
	h.iterate(rampingVUs())
	got := h.mustExec(`(async () => {
		const users = await Promise.all([1, 2].map(() => client.signUp({ tokens: 1 })));
		await Promise.all(users.map((u) => u.connect()));
		const held = await Promise.all(users.map((u) => u.holdSession({ place: { city: 'Perth' }, matchTimeoutSeconds: 10 })));
		const after = users.map((u) => [u.connected(), u.queued(), u.tokens()]);
		await Promise.all(users.map((u) => u.close()));
		return JSON.stringify([held, after, users.map((u) => u.connected())]);
	})()`).String()
	var result struct {
		held []struct {
			Outcome, SessionID, Reason string
			MatchSeconds, HeldSeconds  float64
		}
	}
	var parts []json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(got), &parts))
	require.NoError(t, json.Unmarshal(parts[0], &result.held))
	require.Len(t, result.held, 2)
	require.Equal(t, result.held[0].SessionID, result.held[1].SessionID)
	for _, held := range result.held {
		require.Equal(t, "held", held.Outcome)
		require.Equal(t, "timeout", held.Reason)
		require.Positive(t, held.MatchSeconds)
		require.InDelta(t, 0.3, held.HeldSeconds, 1, "as exactly as the rule has it")
	}
	require.JSONEq(t, `[[true,false,0],[true,false,0]]`, string(parts[1]))
	require.JSONEq(t, `[false,false]`, string(parts[2]))
	require.EqualValues(t, 1, server.Stats().Sessions.Made)

	for metric, samples := range map[string]int{
		"socket_connect_time": 2, "queue_join_latency": 2, "match_time": 2, "match_attempts": 2, "match_failed": 2,
		"session_start_time": 2, "sessions_started": 2, "session_held": 2, "session_dropped": 2,
	} {
		_, count := h.sum(metric, nil)
		require.Equal(t, samples, count, metric)
	}
	for _, rate := range []string{"match_failed", "session_dropped"} {
		failed, _ := h.sum(rate, nil)
		require.Zero(t, failed, rate)
	}
	require.Empty(t, h.root.run.Sessions.Findings())
}

func TestAUserWithoutAMatchLeavesTheQueue(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(rampingVUs())
	got := h.mustExec(`(async () => {
		const user = await client.signUp({ tokens: 1 });
		await user.connect();
		const match = await user.match({ place: {}, timeoutSeconds: 0.2 });
		const held = await user.holdSession({ place: {}, matchTimeoutSeconds: 0.2 });
		const result = [match.matched, match.reason, match.matchSeconds >= 0.2, held.outcome, held.reason, user.queued(), user.tokens()];
		await user.close();
		return JSON.stringify(result);
	})()`).String()
	require.JSONEq(t, `[false,"no_match",true,"unmatched","no_match",false,1]`, got)
	require.Zero(t, server.Stats().Tokens.Queued)
	total, count := h.sum("match_time", map[string]string{"outcome": "no_match"})
	require.Equal(t, 2, count)
	require.GreaterOrEqual(t, total, 400.0, "who timed out counts with the time waited")
	failed, _ := h.sum("match_failed", nil)
	require.EqualValues(t, 2, failed)
}

func TestMatchWithoutASocketIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(rampingVUs())
	got := h.mustExec(`(async () => {
		const user = await client.signUp({ tokens: 1 });
		try { await user.match({ place: {} }); } catch (e) { return [e.name, e.operation, e.message].join('|'); }
	})()`).String()
	require.Equal(t, "SocketError|socket|the user has no socket: connect() before match() or holdSession(), "+
		"for a match is heard on the socket only", got)
}

func TestRefusedSessionOptions(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(rampingVUs())
	for call, want := range map[string]string{
		`match()`:                                     "match needs a place",
		`match({ place: 5 })`:                         "join takes a place { city?, region?, preferences? }, got 5",
		`match({ place: {}, timeout: 5 })`:            `unknown option "timeout" of match; it takes place, timeoutSeconds`,
		`match({ place: {}, timeoutSeconds: 0})`:      "timeoutSeconds of match must be a number from 0.001 to 3600, got 0",
		`holdSession({})`:                             "holdSession needs a place",
		`holdSession({ place: {}, holdSeconds: -1 })`: "holdSeconds of holdSession must be a number from 0.001 to 3600, got -1",
	} {
		got := h.mustExec(`client.signUp().then((user) => user.` + call + `).catch((e) => e.message)`).String()
		require.Equal(t, want, got, call)
	}
}

// A socket goes through the proxy that the user's requests go through.
func TestASocketAsksForTheProxy(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	var asked sync.Map
	h.state.Transport.(*http.Transport).Proxy = func(r *http.Request) (*url.URL, error) { //nolint:forcetypeassert // see run
		asked.Store(r.URL.Path, true)
		return nil, nil //nolint:nilnil // no proxy
	}
	h.mustExec(`client.signUp().then((user) => user.connect().then(() => user.close()))`)
	_, ok := asked.Load("/socket.io/")
	require.True(t, ok)
}

// Hundreds of sessions in one VU are normal use.
func TestManySessionsInOneVU(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{Tick: 20 * time.Millisecond, Session: time.Second})
	h.iterate(rampingVUs())
	outcomes := h.mustExec(`(async () => {
		const shards = new verity.QueueShards({ mode: 'shared', users: 200, usersPerVu: 200, shards: 4 });
		const users = await Promise.all(Array.from({ length: 200 }, () => client.signUp({ tokens: 1 })));
		await Promise.all(users.map((u) => u.connect()));
		const held = await Promise.all(users.map((u, i) => u.holdSession({ place: shards.place(i) })));
		await Promise.all(users.map((u) => u.close()));
		return held.map((h) => h.outcome).join();
	})()`).String()
	require.Equal(t, 200, strings.Count(outcomes, "held"))
	require.EqualValues(t, 100, server.Stats().Sessions.Made)
	require.Empty(t, h.root.run.Sessions.Findings())
	require.Greater(t, h.root.run.Sessions.Totals().Peak, 50.0, "they are held at once, not one after the other")
}

// After a scheduled end, sessions are held to their end, and waiting users leave.
func TestAScheduledEndHoldsSessionsToTheirEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{Tick: 20 * time.Millisecond, Session: 1500 * time.Millisecond})
	cancel := h.iterate(rampingVUs())
	go func() {
		h.until(func() bool { return server.Stats().Sessions.Made >= 1 })
		time.Sleep(200 * time.Millisecond)
		cancel()
	}()
	h.execUntilCut(`verity.stay({ users: 3, signUp: () => client.signUp({ tokens: 1 }) }, async (user) => {
		await user.connect();
		await user.holdSession({ place: {} });
	})`)
	totals := h.root.run.Sessions.Totals()
	require.Equal(t, 2, totals.Held)
	require.Zero(t, totals.Dropped)
	require.Zero(t, server.Stats().Tokens.Queued)
	dropped, count := h.sum("session_dropped", nil)
	require.Equal(t, 2, count)
	require.Zero(t, dropped)
	_, attempts := h.sum("match_attempts", nil)
	require.Equal(t, 2, attempts, "who was stopped counts as nothing")
	_, events := h.sum("socket_events", map[string]string{"event": "session:end"})
	require.Positive(t, events)
}

func TestTheSummaryTellsOfSessionsAndBrokenRules(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Tick: 20 * time.Millisecond, Session: 2 * time.Second}) // both hear it begin before it ends
	h.iterate(rampingVUs())
	h.mustExec(`(async () => {
		const users = await Promise.all([1, 2].map(() => client.signUp({ tokens: 1 })));
		await Promise.all(users.map((u) => u.connect()));
		await Promise.all(users.map((u) => u.holdSession({ place: {} })));
		await Promise.all(users.map((u) => u.close()));
	})()`)
	text := h.summary()
	require.Contains(t, text, "✓ sessions     2 planned, 2 started, 2 held to the end, 0 dropped, 0 stopped by the end of the run")
	// How much of the time both were in it depends on when this machine heard the events.
	require.Regexp(t, `at once      1 sessions at the peak, [01]\.\d on average; arrivals × hold makes [012]\.\d, \d+ % off`, text)
	require.NotContains(t, text, "rule broken")
}
