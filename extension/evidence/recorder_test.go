package evidence

import (
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(recordTo); path != "" {
		recordUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// start is the initial time of the tests' clocks: half a second into second at0.
var start = time.Date(2026, 11, 28, 6, 0, 0, 500_000_000, time.UTC)

var at0 = start.Unix()

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// newRecorder returns a recorder whose clock stands still.
func newRecorder() *Recorder { return New(func() time.Time { return start }) }

var join = Series{MetricRequest, "queue_join"}

var match = Series{MetricMatch, ""}

func TestARequestBelongsToTheSecondInWhichItBegan(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.Time(join, at(0.6), 90*time.Second, OK, "")
	r.Time(join, at(0.4), 2*time.Millisecond, OK, "")
	r.Time(join, at(1), time.Millisecond, OK, "")
	run := r.Run()
	require.Len(t, run.Seconds, 2)
	require.Equal(t, &Cell{OK: HistogramOf(2000)}, run.Seconds[at0].Cells[join])
	require.Equal(t, &Cell{OK: HistogramOf(90_000_000, 1000), Over: 1}, run.Seconds[at0+1].Cells[join])
}

func TestOverIsCountedExactlyAgainstTheLimit(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	for _, took := range []time.Duration{99_999 * time.Microsecond, 100 * time.Millisecond, 100*time.Millisecond + 1} {
		r.Time(join, at(0), took, OK, "")
		r.Time(join, at(0), took, Cut, "")
		r.Time(Series{MetricEvent, ""}, at(0), took, OK, "")
		r.Time(match, at(0), 30*took, OK, "")
		r.Time(Series{MetricSession, ""}, at(0), time.Hour, OK, "")
	}
	cells := r.Run().Seconds[at0].Cells
	require.EqualValues(t, 1, cells[join].Over)
	require.EqualValues(t, 1, cells[join].CutOver)
	require.EqualValues(t, 3, cells[join].Cut.Count())
	require.EqualValues(t, 1, cells[Series{MetricEvent, ""}].Over)
	require.EqualValues(t, 1, cells[match].Over)
	require.Zero(t, cells[Series{MetricSession, ""}].Over)
}

func TestFailuresAreCountedByKind(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	for range 3 {
		r.Time(join, at(0), time.Second, Failed, "HTTPError 500")
	}
	r.Time(join, at(0), time.Second, Failed, "TimeoutError")
	r.Run()
	r.Time(join, at(0), time.Second, Failed, "TimeoutError")
	seconds := HistogramOf(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
	require.Equal(t, &Cell{Failed: map[string]int64{"HTTPError 500": 3, "TimeoutError": 2}, FailedAfter: seconds}, r.Run().Seconds[at0].Cells[join])
}

func TestCountsAddUpAndTheLastLevelOfASecondIsKept(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	for i, value := range []float64{5, 7, 0, math.NaN(), math.Inf(1)} {
		r.Level(LevelPresent, at(0), value)
		r.Count(CountSent, at(0), int64(i))
		if i == 1 {
			r.Run() // packs the samples so far
		}
	}
	r.Count(CountSent, at(0), -100)
	second := r.Run().Seconds[at0]
	require.Equal(t, map[string]float64{LevelPresent: 0}, second.Levels)
	require.Equal(t, map[string]int64{CountSent: 10}, second.Counts)
}

func TestLaterSamplesDoNotChangeARun(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.Time(join, at(0), time.Millisecond, OK, "")
	first := r.Run()
	r.Time(join, at(0), time.Millisecond, OK, "")
	require.EqualValues(t, 2, r.Run().Seconds[at0].Cells[join].OK.Count())
	require.EqualValues(t, 1, first.Seconds[at0].Cells[join].OK.Count())
}

func TestRecentHasTheLastSecondsOnly(t *testing.T) {
	t.Parallel()
	now := start
	r := New(func() time.Time { return now })
	for i := range 30 {
		r.Time(join, at(float64(i)), time.Millisecond, OK, "")
	}
	now = at(29.2)
	recent := r.Recent(10)
	require.Len(t, recent.Seconds, 10)
	for i := range int64(10) {
		require.Contains(t, recent.Seconds, at0+20+i)
	}
	require.Len(t, r.Run().Seconds, 30)
}

func TestDescribeSubtractsTheOffsetFromEveryTime(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.Time(join, at(0), time.Millisecond, OK, "") // moved by whole seconds, later
	require.NoError(t, r.Describe(Header{Began: at(1)}, Runner{ClockOffset: 2700 * time.Millisecond}))
	r.Time(join, at(10), time.Millisecond, OK, "")
	require.NoError(t, r.Close(End{At: at(20)}))
	run := r.Run()
	require.Len(t, run.Seconds, 2)
	require.Contains(t, run.Seconds, at0-3)
	require.Contains(t, run.Seconds, at0+7) // 10.5 s less 2.7 s
	require.Equal(t, at(1-2.7), run.Header.Began)
	require.Equal(t, at(1-2.7), run.Runners[0].Began)
	require.Equal(t, at(20-2.7), run.End.At)
	require.True(t, run.Runners[0].Ended)
	require.NotEmpty(t, run.Runners[0].ID)
}

func TestDescribeRefuses(t *testing.T) {
	t.Parallel()
	limits := func(metric Metric, limit int64) Header { return Header{Limits: map[Metric]int64{metric: limit}} }
	for _, tc := range []struct {
		header Header
		want   string
	}{
		{limits(MetricRequest, 200_000), "evidence: the limit of request is 200000 µs, but samples were counted against 100000 µs " +
			"already; describe the run before the first"},
		{limits(MetricMatch, 0), "evidence: the limit of match is 0 µs; set 1 to 86400000000"},
		{limits(MetricMatch, 1), "evidence: the limit of request is 0 µs, but samples were counted against 100000 µs already; " +
			"describe the run before the first"},
	} {
		r := newRecorder()
		r.Time(join, at(0), time.Millisecond, OK, "")
		require.EqualError(t, r.Describe(tc.header, Runner{}), tc.want)
		require.NoError(t, r.Describe(Header{}, Runner{}), "a refused description leaves everything as it was")
		require.EqualError(t, r.Describe(Header{}, Runner{}), "evidence: the run is described already")
		require.Equal(t, DefaultLimits(), r.Run().Header.Limits)
	}
}

func TestLimitsOfMetricsWithoutSamplesMayChange(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.Time(join, at(0), time.Millisecond, OK, "")
	require.NoError(t, r.Describe(Header{Limits: map[Metric]int64{MetricRequest: 100_000, MetricMatch: 5_000_000}}, Runner{}))
	r.Time(match, at(0), 4*time.Second, OK, "")
	r.Time(match, at(0), 6*time.Second, OK, "")
	require.EqualValues(t, 1, r.Run().Seconds[at0].Cells[match].Over)
}

func TestNoPasswordOfTheTargetIsKept(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	require.NoError(t, r.Describe(Header{Target: "https://user:secret@verity.example.com/api?token=secret#secret"}, Runner{}))
	require.Equal(t, "https://verity.example.com/api", r.Run().Header.Target)
}

func TestATimeOutOfRangeCountsForTheNearestSecond(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.Time(join, time.Time{}, time.Millisecond, OK, "")
	r.Time(join, at(1e9), time.Millisecond, OK, "")
	run := r.Run()
	require.Len(t, run.Seconds, 2)
	require.Contains(t, run.Seconds, at0)
	require.Contains(t, run.Seconds, start.Add(longest).Unix())
}

func TestNamesBeyondTheLimitCountAsOther(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	for i := range mostNames + 500 {
		kind := string(rune('가' + i))
		r.Time(join, at(0), time.Second, Failed, kind)
		r.Time(Series{MetricRequest, kind}, at(0), time.Millisecond, OK, "")
	}
	second := r.Run().Seconds[at0]
	require.Len(t, second.Cells, mostNames+1)
	require.EqualValues(t, 501, second.Cells[Series{MetricRequest, other}].OK.Count())
	require.Len(t, second.Cells[join].Failed, mostNames+1)
	require.EqualValues(t, 500, second.Cells[join].Failed[other])
}

func TestSamplesAfterCloseAreIgnored(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	require.NoError(t, r.Close(End{}))
	r.Time(join, at(0), time.Millisecond, OK, "")
	r.Count(CountSent, at(0), 1)
	r.Level(LevelPresent, at(0), 1)
	require.Empty(t, r.Run().Seconds)
	require.NoError(t, r.Close(End{Interrupted: "again"}))
	require.Empty(t, r.Run().End.Interrupted)
}

// tally is the samples that a test recorded in a series.
type tally struct {
	mu    sync.Mutex
	times map[int64][]int64 // µs by second
}

func TestNoSampleIsLostWithConcurrentWritersAndReaders(t *testing.T) {
	t.Parallel()
	r := New(nil)
	begun := time.Now()
	want := tally{times: map[int64][]int64{}}
	var recording, reading sync.WaitGroup
	for worker := range 8 {
		recording.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 9)) //nolint:gosec // a seed that repeats
			mine := map[int64][]int64{}
			for range 3000 {
				begin := begun.Add(time.Duration(random.IntN(60_000)) * time.Millisecond)
				micros := random.Int64N(1_000_000)
				r.Time(join, begin, time.Duration(micros)*time.Microsecond, OK, "")
				r.Count(CountSent, begin, 1)
				mine[begin.Unix()] = append(mine[begin.Unix()], micros)
			}
			want.mu.Lock()
			defer want.mu.Unlock()
			for second, times := range mine {
				want.times[second] = append(want.times[second], times...)
			}
		})
	}
	done := make(chan struct{})
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				r.Run()
			}
		}
	})
	recording.Wait()
	close(done)
	reading.Wait()

	run := r.Run()
	require.Len(t, run.Seconds, len(want.times))
	for second, times := range want.times {
		require.Equal(t, HistogramOf(times...), run.Seconds[second].Cells[join].OK)
		require.EqualValues(t, len(times), run.Seconds[second].Counts[CountSent])
	}
}

func TestASampleAllocatesNothingInTheLongRun(t *testing.T) {
	r := newRecorder()
	begin := start
	record := func() {
		begin = begin.Add(250 * time.Microsecond)
		r.Time(join, begin, 30*time.Millisecond, OK, "")
	}
	for range 200_000 { // 50 s
		record()
	}
	// Packing allocates for each 5 s of 20,000 samples; recording a sample does not.
	require.Less(t, testing.AllocsPerRun(40_000, record), 0.05)
}
