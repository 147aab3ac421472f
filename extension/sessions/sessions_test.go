package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

// A user a joins, hears these events and holds; a user b listens too. What is due at one moment is in one step.
func TestHold(t *testing.T) {
	tests := map[string]struct {
		steps  []step
		hold   HoldOptions
		want   Held
		broken map[Rule]int
	}{
		"held to the end": {
			steps: []step{{time.Second, "a", "match", match("s", "x")}, {10 * ms, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			want:  Held{Outcome: OutcomeHeld, Reason: ReasonTimeout, Started: true, StartDelay: 10 * ms, Held: 45 * second},
		},
		"session:start before match": {
			steps: []step{{second, "a", "session:start", start("s")}, {20 * ms, "a", "match", match("s", "x")}, {45*second - 20*ms, "a", "session:end", end("s", "timeout")}},
			want:  Held{Outcome: OutcomeHeld, Reason: ReasonTimeout, Started: true, Held: 45 * second},
		},
		"one second early is on time": {
			steps: []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {44 * second, "a", "session:end", end("s", "timeout")}},
			want:  Held{Outcome: OutcomeHeld, Reason: ReasonTimeout, Started: true, Held: 44 * second},
		},
		"more than one second early": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {44*second - ms, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonEarlyEnd, Started: true, Held: 44*second - ms},
			broken: map[Rule]int{ruleLengthWrong: 1},
		},
		"more than one second late": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {46*second + ms, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonLateEnd, Started: true, Held: 46*second + ms},
			broken: map[Rule]int{ruleLengthWrong: 1},
		},
		"ended by somebody": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "ended")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonEnded, Started: true, Held: 45 * second},
			broken: map[Rule]int{ruleEndReason: 1},
		},
		"ended early by somebody": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {9 * second, "a", "session:end", end("s", "ended")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonEnded, Started: true, Held: 9 * second},
			broken: map[Rule]int{ruleEndReason: 1, ruleLengthWrong: 1},
		},
		"ended for a reason that nobody knows": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "bored")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonOther, Started: true, Held: 45 * second},
			broken: map[Rule]int{ruleEndReason: 1},
		},
		"no video": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {5 * ms, "a", "session:end", end("s", "token_error")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonTokenError},
			broken: map[Rule]int{ruleEndReason: 1},
		},
		"no video, told before the match": {
			steps:  []step{{second, "a", "session:end", end("s", "token_error")}, {5 * ms, "a", "match", match("s", "x")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonTokenError},
			broken: map[Rule]int{ruleEndReason: 1},
		},
		"no start, although the end comes": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonNoStart},
			broken: map[Rule]int{ruleStartMissing: 1},
		},
		"an end at once without a start": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonNoStart},
			broken: map[Rule]int{ruleStartMissing: 1},
		},
		"two starts": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(ruleStartRepeated), Started: true, Held: 45 * second},
			broken: map[Rule]int{ruleStartRepeated: 1},
		},
		"match twice": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(ruleMatchRepeated), Started: true, Held: 45 * second},
			broken: map[Rule]int{ruleMatchRepeated: 1},
		},
		"no end": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonNoEnd, Started: true, Held: 50 * second},
			broken: map[Rule]int{ruleEndMissing: 1},
		},
		"no end within a grace of one's own": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}},
			hold:   HoldOptions{Hold: 45 * second, Grace: 2 * second},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonNoEnd, Started: true, Held: 47 * second},
			broken: map[Rule]int{ruleEndMissing: 1},
		},
		"an end that comes after all": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {55 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: ReasonNoEnd, Started: true, Held: 50 * second},
			broken: map[Rule]int{ruleEndMissing: 1},
		},
		"held for as long as asked": {
			steps: []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			hold:  HoldOptions{Hold: 10 * second, Grace: second},
			want:  Held{Outcome: OutcomeHeld, Reason: ReasonHoldOver, Started: true, Held: 11 * second},
		},
		"held for as long as asked, but not well": {
			steps:  []step{{second, "a", "match", match("s", "b")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			hold:   HoldOptions{Hold: 10 * second, Grace: second},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(rulePartnerMissing), Started: true, Held: 11 * second},
			broken: map[Rule]int{rulePartnerMissing: 1},
		},
		"the start of another session": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("z")}, {45 * second, "a", "session:end", end("z", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(ruleSessionMixed)},
			broken: map[Rule]int{ruleSessionMixed: 1},
		},
		"the end of another session": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("z", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(ruleSessionMixed), Started: true, Held: 47 * second},
			broken: map[Rule]int{ruleSessionMixed: 1},
		},
		"an end of a session nobody heard of, in mid-session": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {9 * second, "a", "session:end", end("z", "timeout")}, {36 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeHeld, Reason: ReasonTimeout, Started: true, Held: 45 * second},
			broken: map[Rule]int{ruleEndUnasked: 1},
		},
		"a start that does not say how long": {
			steps:  []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", `{"sessionId":"s","startAt":null}`}, {20 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(rulePayloadWrong), Started: true, Held: 20 * second},
			broken: map[Rule]int{rulePayloadWrong: 1},
		},
		"the partner does not hear the match": {
			steps:  []step{{second, "a", "match", match("s", "b")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(rulePartnerMissing), Started: true, Held: 45 * second},
			broken: map[Rule]int{rulePartnerMissing: 1},
		},
		"oneself as the partner": {
			steps:  []step{{second, "a", "match", match("s", "a")}, {0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
			want:   Held{Outcome: OutcomeDropped, Reason: Reason(rulePartnerWrong), Started: true, Held: 45 * second},
			broken: map[Rule]int{rulePartnerWrong: 1},
		},
		"dropped": {
			steps: []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {9 * second, "a", "drop", ""}},
			want:  Held{Outcome: OutcomeDropped, Reason: ReasonSocketLost, Started: true, Held: 9 * second},
		},
		"closed by the service": {
			steps: []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}, {9 * second, "a", "close", ""}},
			want:  Held{Outcome: OutcomeDropped, Reason: ReasonSocketLost, Started: true, Held: 9 * second},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				a, b := w.open("a"), w.open("b")
				held := later(func() Held {
					m, err := a.Match(t.Context(), w.joins())
					require.NoError(t, err)
					require.Equal(t, OutcomeMatched, m.Outcome)
					return a.Hold(t.Context(), m, tt.hold)
				})
				w.play(tt.steps...)
				got := <-held
				tt.want.SessionID = "s"
				require.Equal(t, tt.want, got)
				time.Sleep(2 * time.Minute) // nothing more is found when everything is forgotten
				a.Close()
				b.Close()
				if tt.broken == nil {
					tt.broken = map[Rule]int{}
				}
				require.Equal(t, tt.broken, rules(w.tracker))
				require.Zero(t, w.tracker.ActiveSessions())
				require.Empty(t, a.sessions)
				require.Empty(t, w.tracker.pairs)
				totals := w.tracker.Totals()
				require.Equal(t, 1, totals.Planned)
				require.Equal(t, 1, totals.Held+totals.Dropped)
				require.Equal(t, got.Outcome == OutcomeHeld, totals.Held == 1)
			})
		})
	}
}

// A ping that does not come ends a session 45 s after the last one.
func TestHoldOnADeadServer(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		held := later(func() Held {
			m, _ := a.Match(t.Context(), w.joins())
			return a.Hold(t.Context(), m, HoldOptions{})
		})
		w.play(step{second, "a", "match", match("s", "x")}, step{0, "a", "session:start", start("s")})
		w.play(step{second, "a", "mute", ""})
		got := <-held
		require.Equal(t, Held{Outcome: OutcomeDropped, Reason: ReasonSocketLost, SessionID: "s", Started: true, Held: 44 * second}, got)
		<-a.lost()
		require.ErrorIs(t, a.Err(), ErrLost)
		require.ErrorContains(t, a.Err(), "no ping from the server for 45s")
		a.Close()
	})
}

func TestHoldIsStopped(t *testing.T) {
	for name, stop := range map[string]func(cancel func(), a *Socket){
		"by its context": func(cancel func(), _ *Socket) { cancel() },
		"by Close":       func(_ func(), a *Socket) { a.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				a := w.open("a")
				defer a.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				held := later(func() Held {
					m, _ := a.Match(t.Context(), w.joins())
					return a.Hold(ctx, m, HoldOptions{Hold: 45 * second})
				})
				w.play(step{second, "a", "match", match("s", "x")}, step{4 * ms, "a", "session:start", start("s")})
				time.Sleep(20 * second)
				stop(cancel, a)
				require.Equal(t, Held{
					Outcome: OutcomeStopped, Reason: ReasonStopped, SessionID: "s", Started: true, StartDelay: 4 * ms, Held: 20 * second,
				}, <-held)
				require.Equal(t, 1, w.tracker.Totals().Stopped)
				require.Empty(t, w.tracker.Findings())
			})
		})
	}
}

func TestHoldWithoutAMatch(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		defer a.Close()
		require.Equal(t, Held{Outcome: OutcomeDropped, Reason: ReasonNoMatch}, a.Hold(t.Context(), Match{}, HoldOptions{}))
		require.Zero(t, w.tracker.Totals())
	})
}

// The match time is from the call, through the join, to the arrival of the event.
func TestMatch(t *testing.T) {
	refused := errors.New("400 Insufficient token balance")
	tests := map[string]struct {
		join    time.Duration // until the join is answered
		joinErr error
		leave   time.Duration
		steps   []step
		want    Match
		wantErr string
		leaves  int
	}{
		"after the join": {
			join:  300 * ms,
			steps: []step{{1500 * ms, "a", "match", match("s", "x")}},
			want:  Match{Outcome: OutcomeMatched, Wait: 1500 * ms, SessionID: "s", QueueKey: "key"},
		},
		"before the join is answered": {
			join:  300 * ms,
			steps: []step{{100 * ms, "a", "match", match("s", "x")}},
			want:  Match{Outcome: OutcomeMatched, Wait: 100 * ms, SessionID: "s", QueueKey: "key"},
		},
		"in time, although the join took longer": {
			join:  12 * second,
			steps: []step{{9 * second, "a", "match", match("s", "x")}},
			want:  Match{Outcome: OutcomeMatched, Wait: 9 * second, SessionID: "s", QueueKey: "key"},
		},
		"not in time": {
			join: 300 * ms, leave: second, leaves: 1,
			want: Match{Outcome: OutcomeNoMatch, Wait: 10 * second, QueueKey: "key"},
		},
		"too late, while the join was not answered": {
			join:  12 * second,
			steps: []step{{11 * second, "a", "match", match("s", "x")}},
			want:  Match{Outcome: OutcomeNoMatch, Wait: 11 * second, SessionID: "s", QueueKey: "key"},
		},
		"too late, while the user leaves": {
			leave: second, leaves: 1,
			steps: []step{{10*second + 500*ms, "a", "match", match("s", "x")}},
			want:  Match{Outcome: OutcomeNoMatch, Wait: 10 * second, SessionID: "s", QueueKey: "key"},
		},
		"too late, when the user has just left": {
			leave: second, leaves: 1,
			steps: []step{{12 * second, "a", "match", match("s", "x")}},
			want:  Match{Outcome: OutcomeNoMatch, Wait: 10 * second, QueueKey: "key"},
		},
		"join refused": {
			join: 300 * ms, joinErr: refused, wantErr: "400 Insufficient token balance",
			want: Match{Outcome: OutcomeJoinFailed, Wait: 300 * ms, QueueKey: "key"},
		},
		"join failed, and matched all the same": {
			join: 300 * ms, joinErr: refused, wantErr: "400 Insufficient token balance",
			steps: []step{{200 * ms, "a", "match", match("s", "x")}},
			want:  Match{Outcome: OutcomeJoinFailed, Wait: 300 * ms, SessionID: "s", QueueKey: "key"},
		},
		"socket lost": {
			steps:   []step{{2 * second, "a", "drop", ""}},
			wantErr: "no socket: connection lost: ended without a close frame (close code 1006)",
			want:    Match{Outcome: OutcomeSocketLost, Wait: 2 * second, QueueKey: "key"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				a := w.open("a")
				leaves := 0
				type result struct {
					Match
					err error
				}
				got := later(func() result {
					m, err := a.Match(t.Context(), MatchOptions{
						Timeout: 10 * second,
						Join:    func(context.Context) (string, error) { time.Sleep(tt.join); return "key", tt.joinErr },
						Leave:   func(context.Context) error { leaves++; time.Sleep(tt.leave); return nil },
					})
					return result{m, err}
				})
				w.play(tt.steps...)
				r := <-got
				r.session = nil
				require.Equal(t, tt.want, r.Match)
				require.Equal(t, tt.want.Outcome == OutcomeMatched, r.Matched())
				if tt.wantErr == "" {
					require.NoError(t, r.err)
				} else {
					require.EqualError(t, r.err, tt.wantErr)
				}
				require.Equal(t, tt.leaves, leaves)
				a.Close()
				require.Empty(t, w.tracker.Findings())
			})
		})
	}
}

// A session whose match came too late can be held like any other.
func TestHoldALateMatch(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		defer a.Close()
		held := later(func() Held {
			o := w.joins()
			o.Leave = func(context.Context) error { time.Sleep(second); return nil }
			m, err := a.Match(t.Context(), o)
			require.NoError(t, err)
			require.False(t, m.Matched())
			return a.Hold(t.Context(), m, HoldOptions{})
		})
		w.play(step{defaultMatchTimeout + 500*ms, "a", "match", match("s", "x")}, step{0, "a", "session:start", start("s")},
			step{45 * second, "a", "session:end", end("s", "timeout")})
		require.Equal(t, OutcomeHeld, (<-held).Outcome)
	})
}

func TestMatchErrors(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		ctx, cancel := context.WithCancel(t.Context())
		first := later(func() Match {
			m, err := a.Match(ctx, w.joins())
			require.NoError(t, err)
			return m
		})
		time.Sleep(5 * second)
		m, err := a.Match(ctx, w.joins())
		require.EqualError(t, err, "this user waits for a match already")
		require.Zero(t, m)

		cancel()
		require.Equal(t, Match{Outcome: OutcomeStopped, Wait: 5 * second, QueueKey: "canberra:44136fa355b3"}, <-first)

		o := w.joins()
		o.Join = func(ctx context.Context) (string, error) { return "", ctx.Err() }
		m, err = a.Match(ctx, o)
		require.NoError(t, err)
		require.Equal(t, Match{Outcome: OutcomeStopped}, m)

		noLeave := errors.New("409")
		o = w.joins()
		o.Leave = func(context.Context) error { return noLeave }
		m, err = a.Match(t.Context(), o)
		require.ErrorIs(t, err, noLeave)
		require.Equal(t, OutcomeNoMatch, m.Outcome)
		require.Zero(t, w.leaves)

		a.Close()
		o.Join = func(context.Context) (string, error) { t.Error("joined without a socket"); return "", nil }
		m, err = a.Match(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, Match{Outcome: OutcomeStopped}, m)
	})
}

// Rules that hold whether or not anybody waits.
func TestRules(t *testing.T) {
	pair := []step{{second, "a", "match", match("s", "b")}, {0, "b", "match", match("s", "a")}}
	both := slices.Concat(pair, []step{{0, "a", "session:start", start("s")}, {0, "b", "session:start", start("s")},
		{45 * second, "a", "session:end", end("s", "timeout")}, {0, "b", "session:end", end("s", "timeout")}})
	tests := map[string]struct {
		steps  []step
		broken map[Rule]int
		deltas [2]int64 // matches and sessions of which no result told
		how    string
	}{
		"a session as promised": {steps: both},
		"the partner four seconds later": {steps: []step{
			{second, "a", "match", match("s", "b")}, {4 * second, "b", "match", match("s", "a")},
			{0, "a", "session:end", end("s", "token_error")}, {0, "b", "session:end", end("s", "token_error")},
		}, broken: map[Rule]int{ruleEndReason: 2}, deltas: [2]int64{0, 2}, how: `user a, session "s": it ended with reason "token_error" instead of "timeout"`},
		"the partner six seconds later": {
			steps: []step{
				{second, "b", "match", match("s", "a")}, {0, "b", "session:start", start("s")}, {0, "a", "session:start", start("s")},
				{6 * second, "a", "match", match("s", "b")}, {39 * second, "a", "session:end", end("s", "timeout")}, {0, "b", "session:end", end("s", "timeout")},
			},
			broken: map[Rule]int{rulePartnerMissing: 1, ruleMatchMissing: 1}, deltas: [2]int64{2, 0},
			how: `user b, session "s": its partner, user a, heard no match within 5s`,
		},
		"the partner's match lost": {
			steps:  []step{{second, "a", "match", match("s", "b")}, {0, "a", "session:start", start("s")}, {0, "b", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}, {0, "b", "session:end", end("s", "timeout")}},
			broken: map[Rule]int{rulePartnerMissing: 1, ruleMatchMissing: 1}, deltas: [2]int64{2, 0},
			how: `user b, session "s": session:start came, and no match within 2s`,
		},
		"the partner matched into another session": {
			steps:  []step{{second, "a", "match", match("s", "b")}, {0, "b", "match", match("z", "a")}},
			broken: map[Rule]int{rulePartnerMissing: 2, ruleStartMissing: 2}, deltas: [2]int64{2, 0},
			how: `heard no match within 5s`,
		},
		"the partner named wrongly": {
			steps:  slices.Concat([]step{{second, "a", "match", match("s", "c")}, {0, "b", "match", match("s", "a")}}, both[2:]),
			broken: map[Rule]int{rulePartnerWrong: 1}, deltas: [2]int64{1, 0},
			how: `user a, session "s": partnerAnonymousId is "` + contract.AnonymousID("s", "c") + `"; the partner, user b, is ` + contract.AnonymousID("s", "b"),
		},
		"a third user in the session": {
			steps:  slices.Concat(both[:4], []step{{0, "c", "match", match("s", "a")}, {0, "c", "session:start", start("s")}, {45 * second, "c", "session:end", end("s", "timeout")}, {0, "a", "session:end", end("s", "timeout")}, {0, "b", "session:end", end("s", "timeout")}}),
			broken: map[Rule]int{rulePartnerWrong: 1}, deltas: [2]int64{1, 0},
			how: `user c, session "s": it is the session of users a and b`,
		},
		"matched again after one join": {
			steps:  slices.Concat(both, []step{{0, "a", "match", match("z", "x")}, {0, "a", "session:start", start("z")}, {45 * second, "a", "session:end", end("z", "timeout")}}),
			broken: map[Rule]int{ruleMatchRepeated: 1}, deltas: [2]int64{1, 0},
			how: `user a, session "z": it is the second match for one join`,
		},
		"matched without a join": {
			steps:  []step{{second, "d", "match", match("s", "x")}, {0, "d", "session:start", start("s")}, {45 * second, "d", "session:end", end("s", "timeout")}},
			broken: map[Rule]int{ruleMatchUnasked: 1}, deltas: [2]int64{1, 0},
			how: `user d, session "s": match came without a join`,
		},
		"a second end": {
			steps:  slices.Concat(both, []step{{second, "a", "session:end", end("s", "timeout")}}),
			broken: map[Rule]int{ruleEndRepeated: 1}, deltas: [2]int64{0, 1},
			how: `user a, session "s": session:end came twice`,
		},
		"an end of a session that nobody heard of": {
			steps:  []step{{second, "a", "session:end", end("s", "timeout")}},
			broken: map[Rule]int{ruleEndUnasked: 1}, deltas: [2]int64{0, 1},
			how: `user a, session "s": session:end came without match and session:start`,
		},
		"no start for either": {
			steps: pair, broken: map[Rule]int{ruleStartMissing: 2}, deltas: [2]int64{0, 2},
			how: `session "s": no session:start within 5s of match`,
		},
		"no end": {
			steps: both[:4], broken: map[Rule]int{ruleEndMissing: 2}, deltas: [2]int64{0, 2},
			how: `session "s": no session:end within 50.0 s of a session:start that promised 45.0 s`,
		},
		"two sessions at once": {
			steps: []step{
				{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")},
				{9 * second, "a", "joining", ""}, {0, "a", "match", match("z", "x")}, {0, "a", "session:start", start("z")},
				{36 * second, "a", "session:end", end("s", "timeout")}, {9 * second, "a", "session:end", end("z", "timeout")},
			},
		},
		"payloads that say nothing": {
			steps:  []step{{second, "a", "match", `{}`}, {0, "a", "match", `7`}, {0, "b", "session:end", `{"sessionId":5}`}},
			broken: map[Rule]int{rulePayloadWrong: 2}, deltas: [2]int64{1, 1},
			how: `user a, session (0 bytes): match names no session`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				sockets := map[string]*Socket{}
				for _, user := range []string{"a", "b", "c", "d"} {
					sockets[user] = w.open(user)
				}
				for _, user := range []string{"a", "b", "c"} {
					sockets[user].Joining()
				}
				for _, s := range tt.steps {
					if s.event == "joining" {
						time.Sleep(s.after)
						sockets[s.user].Joining()
						continue
					}
					w.play(s)
				}
				time.Sleep(3 * time.Minute)
				if tt.broken == nil {
					tt.broken = map[Rule]int{}
				}
				require.Equal(t, tt.broken, rules(w.tracker))
				deltas := w.tracker.Take()
				require.Equal(t, tt.deltas[0], deltas.BrokenMatches)
				require.Equal(t, tt.deltas[1], deltas.BrokenSessions)
				if tt.how != "" {
					var examples []string
					for _, f := range w.tracker.Findings() {
						examples = append(examples, f.Example)
					}
					require.Contains(t, strings.Join(examples, "\n"), tt.how)
				}
				for _, l := range sockets {
					l.Close()
				}
			})
		})
	}
}

// A session goes on without its sockets: who opens a new one hears how a session ends that it heard of on the old one, or
// that was made while the old one broke. That is no finding.
func TestASessionOutlivesItsSocket(t *testing.T) {
	whole := []step{{second, "a", "match", match("s", "x")}, {0, "a", "session:start", start("s")}}
	for name, tc := range map[string]struct {
		before, after []step
		broken        map[Rule]int
	}{
		"ends on the next": {before: whole, after: []step{{30 * second, "a", "session:end", end("s", "timeout")}}},
		"starts and ends on the next": {
			before: whole[:1], after: []step{{0, "a", "session:start", start("s")}, {45 * second, "a", "session:end", end("s", "timeout")}},
		},
		"matched while it broke": {after: []step{{45 * second, "a", "session:end", end("s", "timeout")}}},
		"long ago": {
			before: whole, after: []step{{2 * time.Minute, "a", "session:end", end("s", "timeout")}}, broken: map[Rule]int{ruleEndUnasked: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				a := w.open("a")
				a.Joining()
				w.play(tc.before...)
				w.play(step{second, "a", "drop", ""})
				<-a.lost()
				a = w.open("a")
				w.play(tc.after...)
				time.Sleep(time.Minute)
				if tc.broken == nil {
					tc.broken = map[Rule]int{}
				}
				require.Equal(t, tc.broken, rules(w.tracker))
				deltas := w.tracker.Take()
				require.EqualValues(t, len(tc.broken), deltas.BrokenSessions)
				require.Zero(t, deltas.WholeSessions, "no socket heard all of it")
				a.Close()
			})
		})
	}
}

// Sessions that nobody holds count too, or one that broke would be all there is.
func TestWholeSessionsThatNobodyHolds(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a, b := w.open("a"), w.open("b")
		a.Joining()
		held := later(func() Held {
			m, err := b.Match(t.Context(), w.joins())
			if err != nil {
				t.Error(err)
			}
			return b.Hold(t.Context(), m, HoldOptions{})
		})
		w.play(step{second, "a", "match", match("s", "b")}, step{0, "b", "match", match("s", "a")},
			step{0, "a", "session:start", start("s")}, step{0, "b", "session:start", start("s")},
			step{45 * second, "a", "session:end", end("s", "timeout")}, step{0, "b", "session:end", end("s", "timeout")})
		require.Equal(t, OutcomeHeld, (<-held).Outcome)
		a.Close()
		require.EqualValues(t, 1, w.tracker.Take().WholeSessions, "b's is in the result of Hold")
		b.Close()
		require.Zero(t, w.tracker.Take().WholeSessions)
	})
}

// What a rule found after Hold returned is in no result of Hold, so Take tells it.
func TestBrokenAfterHold(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		defer a.Close()
		held := later(func() Held {
			m, _ := a.Match(t.Context(), w.joins())
			return a.Hold(t.Context(), m, HoldOptions{})
		})
		w.play(step{second, "a", "match", match("s", "x")}, step{0, "a", "session:start", start("s")},
			step{45 * second, "a", "session:end", end("s", "timeout")})
		require.Equal(t, OutcomeHeld, (<-held).Outcome)
		require.Zero(t, w.tracker.Take().BrokenSessions)
		w.play(step{second, "a", "session:end", end("s", "timeout")})
		require.EqualValues(t, 1, w.tracker.Take().BrokenSessions)
		require.Zero(t, w.tracker.Take().BrokenSessions)
	})
}

// A partner who is not there cannot hear: no rule is broken.
func TestPartnerGone(t *testing.T) {
	tests := map[string]func(w *world, b *Socket) *Socket{
		"closed":                 func(_ *world, b *Socket) *Socket { b.Close(); return b },
		"lost":                   func(w *world, b *Socket) *Socket { w.play(step{0, "b", "drop", ""}); return b },
		"opened after the match": func(w *world, b *Socket) *Socket { b.Close(); time.Sleep(ms); return w.open("b") },
	}
	for name, leave := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				a, b := w.open("a"), w.open("b")
				a.Joining()
				w.play(step{second, "a", "match", match("s", "b")}, step{0, "a", "session:start", start("s")})
				b = leave(w, b)
				time.Sleep(10 * second)
				require.Empty(t, w.tracker.Findings())
				a.Close()
				b.Close()
			})
		})
	}
}

// After leaving, a match may still be on its way; 2 s later it may not.
func TestLeft(t *testing.T) {
	for after, broken := range map[time.Duration]map[Rule]int{
		time.Second:     {},
		3 * time.Second: {ruleMatchUnasked: 1},
	} {
		run(t, func(t *testing.T, w *world) {
			a := w.open("a")
			defer a.Close()
			a.Joining()
			a.Left()
			w.play(step{after, "a", "match", match("s", "x")})
			require.Equal(t, broken, rules(w.tracker))
		})
	}
}

func TestOpenErrors(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		o := w.options("a")
		o.Token = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"
		_, err := Open(t.Context(), o)
		require.ErrorIs(t, err, ErrAuthRefused)
		require.NotContains(t, err.Error(), "eyJ")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = Open(ctx, w.options("a"))
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrLost)

		w.server.Mute(true)
		o = w.options("a")
		o.Timeout = 3 * second
		begin := time.Now()
		_, err = Open(t.Context(), o)
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, 3*second, time.Since(begin))
		w.server.Mute(false)

		_ = w.network.Close()
		_, err = Open(t.Context(), w.options("a"))
		require.ErrorIs(t, err, ErrLost)
		require.Empty(t, w.tracker.sockets)
	})
}

// A service that checks the token after it has let the user in everywhere refuses it a moment after Open.
func TestTokenRefusedAfterOpen(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		w.play(step{second, "a", "close", ""})
		<-a.lost()
		require.ErrorIs(t, a.Err(), ErrAuthRefused)
		b := w.open("b")
		w.play(step{refusalTime, "b", "close", ""})
		<-b.lost()
		require.ErrorIs(t, b.Err(), ErrLost)
		b.Close()
		require.ErrorIs(t, b.Err(), ErrLost)
	})
}

func TestWatchCounts(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a, b := w.open("a"), w.open("b")
		a.Joining()
		b.Joining()
		w.play(step{0, "a", "queue:status", `{"usersSearching":1}`}, step{0, "b", "queue:status", `{"usersSearching":2}`},
			step{0, "a", "match:mutual", `{}`}, step{0, "a", "surprise", `{}`},
			step{0, "a", "match", match("s", "b")}, step{0, "b", "match", match("s", "a")}, step{0, "a", "session:start", start("s")})
		require.Equal(t, map[string]int64{"queue:status": 2, "match:mutual": 1, "other": 1, "match": 2, "session:start": 1}, w.tracker.Take().Events)
		require.Empty(t, w.tracker.Take().Events)
		require.Equal(t, 0.5, w.tracker.ActiveSessions())
		w.play(step{10 * second, "b", "session:start", start("s")})
		require.Equal(t, 1.0, w.tracker.ActiveSessions())
		w.play(step{30 * second, "a", "session:end", end("s", "timeout")}, step{10 * second, "b", "session:end", end("s", "timeout")})
		time.Sleep(time.Hour)
		totals := w.tracker.Totals()
		require.Equal(t, Totals{Peak: 1, Mean: 0.8, Window: 50 * second}, totals) // (10×0.5 + 30×1 + 10×0.5) / 50
		a.Close()
		b.Close()
		synctest.Wait()
	})
}

// Many users of one process hold their sessions at once, each with its partner.
func TestManyPairs(t *testing.T) {
	const pairs = 50
	run(t, func(t *testing.T, w *world) {
		var users []string
		var results []<-chan Held
		for i := range 2 * pairs {
			user := fmt.Sprintf("u%d", i)
			users = append(users, user)
			l := w.open(user)
			results = append(results, later(func() Held {
				m, err := l.Match(t.Context(), w.joins())
				if err != nil {
					t.Error(err)
				}
				return l.Hold(t.Context(), m, HoldOptions{Hold: 45 * second})
			}))
		}
		time.Sleep(second)
		for _, event := range []string{contract.EventMatch, contract.EventStart, contract.EventEnd} {
			var steps []step
			for i, user := range users {
				session := fmt.Sprintf("s%d", i/2)
				payload := map[string]string{contract.EventMatch: match(session, users[i^1]), contract.EventStart: start(session), contract.EventEnd: end(session, "timeout")}
				steps = append(steps, step{0, user, event, payload[event]})
			}
			w.play(steps...)
			if event == contract.EventStart {
				require.EqualValues(t, pairs, w.tracker.ActiveSessions())
				time.Sleep(45 * second)
			}
		}
		for i, result := range results {
			got := <-result
			require.Equal(t, Held{Outcome: OutcomeHeld, Reason: ReasonTimeout, SessionID: fmt.Sprintf("s%d", i/2), Started: true, Held: 45 * second}, got)
		}
		require.Empty(t, w.tracker.Findings())
		require.Equal(t, Totals{Planned: 2 * pairs, Started: 2 * pairs, Held: 2 * pairs, Peak: pairs, Mean: pairs, Window: 45 * second}, w.tracker.Totals())
	})
}

// Whatever arrives in whatever order, nothing panics, and a user who is gone is in no session.
func FuzzEvents(f *testing.F) {
	f.Add("mse")
	f.Add("smejmse")
	f.Add("MmSsEemlMSEjm")
	f.Fuzz(func(t *testing.T, script string) {
		w := NewTracker()
		a, b := &Socket{tracker: w, user: "a"}, &Socket{tracker: w, user: "b"}
		a.enlist()
		b.enlist()
		begin := time.Now()
		for i, what := range script[:min(len(script), 100)] {
			session := string(rune('s' + i%2))
			socket := []*Socket{a, b}[i%3%2]
			e := socketio.Event{At: begin.Add(time.Duration(i) * time.Second)}
			switch what {
			case 'm', 'M':
				e.Name, e.Args = contract.EventMatch, []json.RawMessage{json.RawMessage(match(session, "b"))}
			case 's', 'S':
				e.Name, e.Args = contract.EventStart, []json.RawMessage{json.RawMessage(start(session))}
			case 'e', 'E':
				e.Name, e.Args = contract.EventEnd, []json.RawMessage{json.RawMessage(end(session, "timeout"))}
			case 'j':
				socket.Joining()
			case 'l':
				socket.Left()
			default:
				e.Name = contract.EventMatch
			}
			socket.onEvent(e)
			if n := w.ActiveSessions(); n < 0 || n > 2 {
				t.Fatalf("%v sessions at once", n)
			}
		}
		a.end()
		b.end()
		if n := w.ActiveSessions(); n != 0 {
			t.Fatalf("%v sessions of nobody", n)
		}
	})
}
