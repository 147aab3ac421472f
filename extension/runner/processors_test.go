package runner

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcessorsFollowTheLoad(t *testing.T) {
	t.Parallel()
	const small, large = 50 << 20, 200 << 20
	type step struct {
		busy float64
		live uint64
		over time.Duration
		want int
	}
	for name, tc := range map[string]struct {
		most  int
		steps []step
	}{
		"a light load gets one, after a while": {2, []step{
			{0.4, small, 200 * time.Millisecond, 2}, {0.4, small, 2700 * time.Millisecond, 2}, {0.4, small, 200 * time.Millisecond, 1},
		}},
		"a moment of more load restarts the wait": {2, []step{
			{0.4, small, 2 * time.Second, 2}, {0.8, small, time.Second, 2}, {0.4, small, 2 * time.Second, 2}, {0.4, small, time.Second, 1},
		}},
		"a load that fills one gets two at once": {2, []step{
			{0.4, small, 3 * time.Second, 1}, {0.84, small, time.Second, 2},
		}},
		"a load that fills many doubles them": {16, []step{
			{2.9, small, 3 * time.Second, 4}, {3.5, small, time.Second, 8}, {7.9, small, time.Second, 16}, {16, small, time.Second, 16},
		}},
		"a large heap keeps two": {2, []step{
			{0.2, large, time.Minute, 2}, {0.2, small, time.Minute, 1}, {0.2, large, time.Second, 2},
		}},
		"nothing at all needs one": {8, []step{{0, 0, time.Minute, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := processors{most: tc.most, now: tc.most}
			for i, s := range tc.steps {
				require.Equal(t, s.want, p.next(s.busy, s.live, s.over), "step %d", i)
			}
		})
	}
}

func TestPaceProcessorsHeedsTheUser(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	require.False(t, PaceProcessors(t.Context()))
}

func TestPaceProcessorsLetsGoOfIdleProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	ctx, cancel := context.WithCancel(t.Context())
	require.True(t, PaceProcessors(ctx))
	require.Eventually(t, func() bool { return processorsNow.working() == 1 }, 20*time.Second, 50*time.Millisecond)
	cancel()
	require.Eventually(t, func() bool { return processorsNow.working() == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 2, runtime.GOMAXPROCS(0))
}

func TestAllProcessorsWorkAndAreGivenBack(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(0)
	s := setting{}
	defer s.free(before)
	s.set(1)
	s.all(func() { require.Equal(t, before, runtime.GOMAXPROCS(0)) })
	require.Equal(t, 1, s.working())
	s.free(1)
	s.all(func() { require.Equal(t, 1, runtime.GOMAXPROCS(0), "without pacing the number stays") })
}

func TestAnAdditionalProcessorRests(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	s := setting{}
	s.set(1)
	defer s.free(before)
	if !rests {
		require.Equal(t, 1, runtime.GOMAXPROCS(0))
		return
	}
	require.Equal(t, 2, runtime.GOMAXPROCS(0))
	cpu, since := cpuTime(), time.Now()
	time.Sleep(500 * time.Millisecond)
	require.Less(t, cpuTime()-cpu, time.Since(since)/2, "resting uses no processor time")
}

func TestGoCanStopTheWorldDuringARest(t *testing.T) {
	t.Parallel()
	var stop atomic.Bool
	ended, collected := make(chan struct{}), make(chan struct{})
	go func() {
		rest(&stop, time.Hour)
		close(ended)
	}()
	go func() {
		for range 5 {
			runtime.GC()
		}
		stop.Store(true)
		runtime.GC()
		close(collected)
	}()
	for what, done := range map[string]chan struct{}{"collecting": collected, "resting": ended} {
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			require.Fail(t, what+" goes on")
		}
	}
}

func TestGarbageIsCollectedBeforeGoWould(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	set := debug.SetGCPercent(100)
	defer debug.SetGCPercent(set)
	ctx, cancel := context.WithCancel(t.Context())
	require.True(t, PaceGC(ctx))
	percent := func() int { now := debug.SetGCPercent(300); debug.SetGCPercent(now); return now }
	require.Eventually(t, func() bool { return percent() > 100 }, 5*time.Second, 10*time.Millisecond)
	runtime.GC()
	var before, after debug.GCStats
	debug.ReadGCStats(&before)
	goal := pacingFor(AvailableMemory()).full(liveHeap())
	var garbage []byte
	for made := uint64(0); made < goal+goal/10; made += 1 << 20 {
		garbage = make([]byte, 1<<20)
		time.Sleep(time.Millisecond)
	}
	runtime.KeepAlive(garbage)
	require.Eventually(t, func() bool { debug.ReadGCStats(&after); return after.NumGC > before.NumGC }, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.Eventually(t, func() bool { return percent() == 100 }, 5*time.Second, 10*time.Millisecond)
}

func TestUsageSkipsReadingsDuringACollection(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	use := usage{}
	use.take()
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
	}
	busy, elapsed, usable := use.take()
	require.True(t, usable)
	require.Greater(t, busy, 0.3)
	require.GreaterOrEqual(t, elapsed, 300*time.Millisecond)
	for i := range 2 * (mostSkipped + 1) {
		runtime.GC()
		_, _, usable = use.take()
		require.Equal(t, i%(mostSkipped+1) == mostSkipped, usable, i)
	}
}
