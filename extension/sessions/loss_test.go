package sessions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/socketio"
)

func TestLossOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want Loss
	}{
		{nil, ""},
		{ErrClosed, ""},
		{&socketio.CloseError{Code: 1001}, "close_1001"},
		{&socketio.CloseError{Code: 1005}, "close_1005"},
		{&socketio.CloseError{Code: 1006}, LossCut},
		{socketio.ErrServerClosed, LossEngineClose},
		{fmt.Errorf("%w: over the read limit", socketio.ErrTooLarge), LossTooLarge},
		{fmt.Errorf("%w for 45s", socketio.ErrPingTimeout), LossPings},
		{fmt.Errorf("%w: no", socketio.ErrProtocol), LossProtocol},
		{fmt.Errorf("%w: %w", socketio.ErrLost, syscall.ECONNRESET), LossReset},
		{fmt.Errorf("%w: %w", socketio.ErrLost, syscall.EPIPE), LossReset},
		{fmt.Errorf("%w: %w", socketio.ErrLost, os.ErrDeadlineExceeded), LossStalled},
		{&socketio.DisconnectError{Namespace: "/queue", After: time.Second}, LossAuthRefused},
		{&socketio.DisconnectError{Namespace: "/queue", After: time.Minute}, LossDisconnect},
		{errors.New("something else"), LossOther},
	} {
		require.Equal(t, tc.want, lossOf(tc.err), "%v", tc.err)
	}
}

// Whatever the user is doing, and if it is nothing.
func TestEachEndOfASocketIsToldOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var told []Loss
		open := func(user string) *Socket {
			o := w.options(user)
			o.OnEnd = func(loss Loss) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, loss)
			}
			l, err := Open(t.Context(), o)
			require.NoError(t, err)
			return l
		}
		idle, closing, closed := open("idle"), open("closing"), open("closed")
		w.play(step{second, "idle", "drop", ""})
		<-idle.lost()
		require.Equal(t, LossCut, idle.Loss())
		idle.Close()
		w.play(step{time.Minute, "closing", "close", ""})
		<-closing.lost()
		require.Empty(t, closed.Loss())
		closed.Close()
		synctest.Wait()
		require.Equal(t, []Loss{LossCut, LossDisconnect, ""}, told)
		require.Empty(t, closed.Loss())

		o := w.options("refused")
		o.Token = "bad"
		o.OnEnd = func(Loss) { t.Error("it never opened") }
		_, err := Open(t.Context(), o)
		require.Error(t, err)
	})
}

func TestWaitForAnEvent(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		early := a.Expect("/video", "match:mutual")
		either := a.Expect("", "match:mutual")
		elsewhere := a.Expect("/queue", "match:mutual")
		w.play(step{second, "a", "match:mutual", `{"matchId":"m1"}`}, step{0, "a", "match:mutual", `{"matchId":"m2"}`})
		for _, waiter := range []*Waiter{early, either} {
			got, err := waiter.Wait(t.Context(), time.Minute)
			require.NoError(t, err)
			require.JSONEq(t, `{"matchId":"m1"}`, string(got), "it came before Wait, and the first of two is the one")
		}
		_, err := elsewhere.Wait(t.Context(), time.Minute)
		require.ErrorIs(t, err, ErrNoEvent)
		require.EqualError(t, err, "the event did not come: no match:mutual within 1m0s")

		status := later(func() string {
			got, err := a.Expect("/queue", "queue:status").Wait(t.Context(), time.Minute)
			return fmt.Sprint(string(got), err)
		})
		synctest.Wait()
		w.play(step{second, "a", "queue:status", `{"usersSearching":3}`})
		require.Equal(t, `{"usersSearching":3}<nil>`, <-status)
		require.Empty(t, a.waiters)
		require.Zero(t, a.waiting.Load())
		a.Close()
	})
}

// Waiting for an event of a session takes nothing away from those who watch it, nor does the wrong namespace make a match.
func TestWhoWaitsForAMatchChangesNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		waiter, wrong := a.Expect("/queue", "match"), a.Expect("/video", "match")
		matched := later(func() Match {
			m, _ := a.Match(t.Context(), w.joins())
			return m
		})
		synctest.Wait()
		w.mu.Lock()
		video := w.sockets["/videoa"]
		w.mu.Unlock()
		emit(t, video, "match", map[string]string{"sessionId": "wrong"})
		w.play(step{second, "a", "match", match("s", "x")})
		require.Equal(t, "s", (<-matched).SessionID)
		_, err := waiter.Wait(t.Context(), second)
		require.NoError(t, err)
		got, err := wrong.Wait(t.Context(), second)
		require.NoError(t, err)
		require.JSONEq(t, `{"sessionId":"wrong"}`, string(got))
		require.Nil(t, a.find("wrong"))
		a.Close()
	})
}

func TestAWaitEndsWithItsContextAndWithTheSocket(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		a := w.open("a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := a.Expect("", "x").Wait(ctx, time.Minute)
		require.ErrorIs(t, err, context.Canceled)
		waiter := a.Expect("", "x")
		w.play(step{second, "a", "drop", ""})
		_, err = waiter.Wait(t.Context(), time.Minute)
		require.ErrorIs(t, err, ErrLost)
		b := w.open("b")
		waiter = b.Expect("", "x")
		b.Close()
		_, err = waiter.Wait(t.Context(), time.Minute)
		require.ErrorIs(t, err, ErrClosed)
	})
}
