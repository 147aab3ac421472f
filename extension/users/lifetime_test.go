package users

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/verity-app/xk6-verity/extension/platform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func neverAborted(context.Context) bool { return false }

func TestErrorOfAnOperationThatTheEndCuts(t *testing.T) {
	t.Parallel()
	iteration, end := context.WithCancel(t.Context())
	l := NewLifetime(iteration, false, neverAborted)
	require.True(t, l.Begin(nil))
	end()
	<-l.over
	now := time.Now()
	l.mu.Lock()
	l.endedAt = now
	l.mu.Unlock()
	l.cancel()
	for _, tc := range []struct {
		began time.Time
		want  string
	}{
		{now.Add(-time.Second), platform.ErrStopped.Error()},
		{now.Add(-hungAfter), platform.ErrStopped.Error()},
		{now.Add(-hungAfter - 300*time.Millisecond), "no answer for 5.3 s when the run ended"},
		{now, platform.ErrStopped.Error()},
		{time.Now(), platform.ErrStopped.Error()},
	} {
		require.EqualError(t, CutAt(l.Work, tc.began), tc.want)
	}
	require.Equal(t, platform.ErrStopped, CutAt(t.Context(), now.Add(-time.Hour)), "no iteration")
}

// WindUp fires the early timers at once, each of them once, and no other timer before its time.
func TestATimerThatIsCutFiresNoOtherEarly(t *testing.T) {
	t.Parallel()
	iteration, end := context.WithCancel(t.Context())
	defer end()
	life := NewLifetime(iteration, true, neverAborted)
	fired := make(chan time.Time, 2000)
	begin := time.Now()
	callback := func(f func() error) { _ = f() }
	for range 500 {
		life.After(20*time.Millisecond, callback, true, func() error { fired <- time.Now(); return nil })
	}
	late := make(chan time.Time, 500)
	for range 500 {
		life.After(200*time.Millisecond, callback, false, func() error { late <- time.Now(); return nil })
	}
	time.Sleep(20 * time.Millisecond) // the early timers expire during WindUp
	life.WindUp()
	require.Eventually(t, func() bool { return len(fired) == 500 && len(late) == 500 }, 10*time.Second, time.Millisecond)
	for range 500 {
		require.GreaterOrEqual(t, (<-late).Sub(begin), 200*time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	require.Len(t, fired, 500, "none fires twice")
	require.Empty(t, late)
}
