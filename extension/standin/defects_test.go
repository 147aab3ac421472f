package standin

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

func TestStartRefusesInvalidDefects(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		options Options
		want    string
	}{
		{Options{Defects: Defects{LoseMatch: 1.1}}, "the share of lost matches must be from 0 to 1, got 1.1"},
		{Options{Defects: Defects{LoseStart: -1}}, "the share of lost starts must be from 0 to 1, got -1"},
		{Options{Defects: Defects{CrossPairs: math.NaN()}}, "the share of crossed pairs must be from 0 to 1, got NaN"},
		{Options{Defects: Defects{TokenError: 2}}, "the share of token errors must be from 0 to 1, got 2"},
		{Options{Defects: Defects{EndEarly: time.Minute}}, "the early end must be from 0s to 45s, got 1m0s"},
		{Options{Defects: Defects{DropSocketsAfter: -1}}, "the drop of sockets must be from 0s to 24h0m0s, got -1ns"},
		{Options{Defects: Defects{MuteAfter: -1}}, "the mute must be from 0s to 24h0m0s, got -1ns"},
		{Options{PingInterval: -1}, "the ping interval must be from 1ms to 1h0m0s, got -1ns"},
		{Options{PingTimeout: 2 * time.Hour}, "the ping timeout must be from 1ms to 1h0m0s, got 2h0m0s"},
	} {
		tc.options.WebhookSecret = secret
		_, err := Start(t.Context(), tc.options)
		require.EqualError(t, err, tc.want)
	}
}

func TestSharesAreKeptEvenly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rate float64
		want string
	}{{0, "......"}, {1, "xxxxxx"}, {0.5, ".x.x.x"}, {0.1, ".........x.........x"}, {2.0 / 3, ".xx.xx"}} {
		s := share{rate: tc.rate}
		got := make([]byte, len(tc.want))
		for i := range got {
			got[i] = '.'
			if s.next() {
				got[i] = 'x'
			}
		}
		require.Equal(t, tc.want, string(got), tc.rate)
	}
}

func TestLostMatch(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Defects: Defects{LoseMatch: 0.5}})
	for pair := range 2 {
		_, _, earA, earB := ts.pair()
		earB.await("session:start")
		ts.matcher.endDue(t.Context(), time.Now().Add(time.Hour).UnixMilli())
		earA.await("match")
		earB.await("session:end")
		if pair == 0 {
			earB.await("match")
			continue
		}
		require.Eventually(t, func() bool { return ts.Stats().Matches.Count == 4 }, 5*time.Second, time.Millisecond)
		require.Equal(t, int64(3), ts.Stats().Sockets.Events["match"])
		require.Zero(t, earB.count("match"))
	}
}

func TestLostStart(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Defects: Defects{LoseStart: 1}})
	_, _, earA, earB := ts.pair()
	time.AfterFunc(2*contract.StartGapMost, func() { ts.matcher.endDue(t.Context(), time.Now().Add(time.Hour).UnixMilli()) })
	for _, e := range []*ear{earA, earB} {
		e.await("match")
		e.await("session:end")
		require.Zero(t, e.count("session:start"))
	}
}

func TestEarlyEnd(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Tick: 5 * time.Millisecond, Session: 10 * time.Second, Defects: Defects{EndEarly: 9800 * time.Millisecond}})
	_, _, e, _ := ts.pair()
	begin, _ := e.only("session:start", startKeys)
	end, _ := e.only("session:end", endKeys)
	require.Equal(t, "timeout", end["reason"])
	startAt, _ := begin["startAt"].(float64)
	endAt, _ := begin["endAt"].(float64)
	endedAt, _ := end["endedAt"].(float64)
	require.InDelta(t, 10_000, endAt-startAt, 0, "promised")
	require.True(t, 200 <= endedAt-startAt && endedAt-startAt < 5000, "%v ms", endedAt-startAt)
}

func TestTokenError(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Tick: 5 * time.Millisecond, Defects: Defects{TokenError: 1}})
	a, b, earA, earB := ts.pair()
	for _, e := range []*ear{earA, earB} {
		match, _ := e.only("match", matchKeys)
		end, _ := e.only("session:end", endKeys)
		require.Equal(t, "token_error", end["reason"])
		require.Equal(t, match["sessionId"], end["sessionId"])
		require.Zero(t, e.count("session:start"))
	}
	require.Equal(t, Sessions{Made: 1, Ended: 1}, ts.Stats().Sessions)
	require.Zero(t, ts.store.client.Exists(t.Context(), contract.RedisActive+a.id, contract.RedisActive+b.id).Val())

	// Longer sessions do not delay the end of a shorter one.
	mixed := start(t, Options{Tick: 5 * time.Millisecond, Defects: Defects{TokenError: 0.5}})
	_, _, lasting, _ := mixed.pair()
	lasting.await("session:start")
	_, _, refused, _ := mixed.pair()
	refused.await("session:end")
	require.Zero(t, lasting.count("session:end"))
}

func TestCrossedPairs(t *testing.T) {
	t.Parallel()
	var seen recorder
	ts := start(t, Options{observer: &seen, Defects: Defects{CrossPairs: 1}})
	_, _, earA, earB := ts.pair()
	_, _, earC, earD := ts.pair()
	first, second := seen.sessions()[0], seen.sessions()[1]
	ts.matcher.endDue(t.Context(), second.EndAt)

	right, _ := earA.only("match", matchKeys)
	require.Equal(t, first.ID, right["sessionId"])
	require.Equal(t, contract.AnonymousID(first.ID, first.UserB), right["partnerAnonymousId"])
	wrong, _ := earB.only("match", matchKeys)
	require.NotContains(t, []any{first.ID, second.ID}, wrong["sessionId"], "nobody's: there is no pair before")

	right, _ = earC.only("match", matchKeys)
	require.Equal(t, second.ID, right["sessionId"])
	wrong, _ = earD.only("match", matchKeys)
	require.Equal(t, first.ID, wrong["sessionId"])
	require.Equal(t, contract.AnonymousID(first.ID, first.UserA), wrong["partnerAnonymousId"])
	begin, _ := earD.only("session:start", startKeys)
	require.Equal(t, []any{first.ID, first.Channel}, []any{begin["sessionId"], begin["channelName"]}, "true to the mistake")
	end, _ := earD.only("session:end", endKeys)
	require.Equal(t, first.ID, end["sessionId"])
}

func TestDroppedSockets(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Defects: Defects{DropSocketsAfter: time.Second}})
	u := ts.signUp(1)
	e := u.listen()
	require.Equal(t, 201, u.join("").status)
	<-e.Done()
	require.ErrorIs(t, e.Err(), socketio.ErrLost)
	require.Eventually(t, func() bool { return u.account().Balance == 1 }, 5*time.Second, time.Millisecond, "as with any disconnect")
}

func TestMutedSockets(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{
		PingInterval: 100 * time.Millisecond, PingTimeout: 100 * time.Millisecond,
		Defects: Defects{MuteAfter: time.Second},
	})
	u := ts.signUp(1)
	e := u.listen()
	<-e.Done()
	require.ErrorIs(t, e.Err(), socketio.ErrPingTimeout)
	require.Equal(t, 201, u.join("").status, "HTTP goes on")
}

func TestMuteDoesNotSurviveClose(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Defects: Defects{MuteAfter: time.Hour}})
	e := ts.signUp(0).listen()
	ts.sockets.close()
	ts.sockets.whileOpen(func() { t.Error("done to closed sockets") })()
	<-e.Done()
	require.ErrorIs(t, e.Err(), socketio.ErrServerClosed)
}

func TestASeparateMatcherMakesSessionsWithoutEvents(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Tick: 5 * time.Millisecond, Defects: Defects{SeparateMatcher: true}})
	a, b, earA, earB := ts.pair()
	require.Eventually(t, func() bool {
		return ts.store.client.Exists(t.Context(), contract.RedisMatched+a.id, contract.RedisMatched+b.id, contract.RedisActive+a.id, contract.RedisActive+b.id).Val() == 4
	}, 5*time.Second, 5*time.Millisecond)
	for _, u := range []testUser{a, b} {
		left := ts.do("DELETE", "/queue/leave", "", "Authorization: Bearer "+u.token())
		require.JSONEq(t, `{"status":"not_queued","refunded":false}`, left.body)
	}
	ts.matcher.endDue(t.Context(), time.Now().Add(time.Hour).UnixMilli())
	for _, e := range []*ear{earA, earB} {
		require.Zero(t, e.count("match")+e.count("session:start")+e.count("session:end"))
	}
	require.Equal(t, Sessions{Made: 1, Ended: 1}, ts.Stats().Sessions)
}
