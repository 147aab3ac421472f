package runner

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMonitorMeasuresWhileItIsHeld(t *testing.T) {
	var w Monitor
	require.Zero(t, w.Usage().LateMax)
	require.Empty(t, w.Take())
	release, another := w.Hold(), w.Hold()
	var lags []time.Duration
	require.Eventually(t, func() bool { lags = w.Take(); return lags != nil }, 10*time.Second, 10*time.Millisecond)
	require.Greater(t, len(lags), 5)
	for _, lag := range lags {
		require.Greater(t, lag, -time.Millisecond)
	}
	release()
	another()
	require.Eventually(t, func() bool { return !w.isRunning() }, 10*time.Second, 10*time.Millisecond)
	u := w.Usage()
	require.True(t, 0 < u.LateP95 && u.LateP95 <= u.LateP99 && u.LateP99 <= u.LateMax, "%+v", u)
	require.Greater(t, u.Watched, 900*time.Millisecond)
	require.Equal(t, runtime.GOMAXPROCS(0), u.Processors)
	before := u.Watched
	w.Hold()()
	require.Eventually(t, func() bool { return !w.isRunning() && w.Usage().Watched > before }, 10*time.Second, 10*time.Millisecond)
}

func (w *Monitor) isRunning() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

// A process whose processors are all busy fires its timers late.
func TestMonitorSeesABusyProcess(t *testing.T) {
	var w Monitor
	defer w.Hold()()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for range 8 * runtime.GOMAXPROCS(0) {
		go func() {
			for ctx.Err() == nil {
				_ = strings.Fields("MemTotal: 1 kB") // no call into the scheduler
			}
		}()
	}
	<-ctx.Done()
	u := w.Usage()
	require.Greater(t, u.LateP95, time.Millisecond)
	require.Greater(t, u.MeanCPU(), 0.3)
	require.GreaterOrEqual(t, u.PeakCPU, u.MeanCPU())
}

func TestEachTimerOfAStallCounts(t *testing.T) {
	w := Monitor{holders: 1, late: hdrhistogram.New(1, 60_000_000, 2)}
	require.Zero(t, w.noteLate(time.Millisecond, 3))
	require.Zero(t, w.noteLate(45*time.Millisecond, 0))
	ms := time.Millisecond
	require.Equal(t, []time.Duration{ms, 45 * ms, 25 * ms, 5 * ms}, w.lags)
	w.holders = 0
	require.Equal(t, 1, w.noteLate(time.Second, 0), "nothing is under way")
	require.Len(t, w.lags, 4)
}

func TestHistograms(t *testing.T) {
	buckets := []float64{0, 0.001, 0.002, 0.004, 0.008}
	before := histogram{[]uint64{1, 0, 0, 5}, buckets}
	after := histogram{[]uint64{91, 5, 4, 5}, buckets}
	got := difference(before, after)
	require.Equal(t, []uint64{90, 5, 4, 0}, got.counts)
	require.Equal(t, time.Duration(0), got.quantile(0.5))
	require.Equal(t, time.Millisecond, got.quantile(0.95))
	require.Equal(t, 2*time.Millisecond, got.quantile(1))
	require.Zero(t, histogram{}.quantile(0.95))
	require.Empty(t, difference(histogram{}, after).counts, "a reading that failed is no reading")
}

func TestPace(t *testing.T) {
	for live, want := range map[uint64]int{
		0: mostPercent, 1: mostPercent, 40: 950, 60: 600, 140: 200, 210: goPercent, 350: goPercent, 4096: goPercent,
	} {
		require.Equal(t, want, fullPacing.percent(live<<20), "%d MB", live)
	}
	for live, want := range map[uint64]uint64{100: 340, 210: 367, 420: 735} {
		require.InDelta(t, want<<20, fullPacing.full(live<<20), 2<<20, "%d MB", live)
	}
	require.False(t, differs(100, 105))
	require.True(t, differs(100, 120))
	require.Equal(t, fullPacing, pacingFor(0))
	require.Equal(t, fullPacing, pacingFor(64<<30))
	require.Equal(t, pacing(192<<20), pacingFor(768<<20))
	require.Positive(t, AvailableMemory())
	require.Positive(t, func() uint64 { runtime.GC(); return liveHeap() }())
}

func TestPaceGCHeedsTheUser(t *testing.T) {
	gogc := debug.SetGCPercent(100)
	defer debug.SetGCPercent(gogc)
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "50")
			require.False(t, PaceGC(t.Context()))
			require.Equal(t, 100, debug.SetGCPercent(100))
		})
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	ctx, cancel := context.WithCancel(t.Context())
	require.True(t, PaceGC(ctx))
	percent := func() int { now := debug.SetGCPercent(300); debug.SetGCPercent(now); return now }
	require.Eventually(t, func() bool { return percent() > 100 }, 5*time.Second, 10*time.Millisecond)
	cancel()
	require.Eventually(t, func() bool { return percent() == 100 }, 5*time.Second, 10*time.Millisecond)
}
