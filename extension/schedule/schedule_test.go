package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func counter() func() int {
	n := -1
	return func() int { n++; return n }
}

func spike() Rate {
	return Rate{Start: 20, Stages: []Stage{
		{time.Minute, 400}, {2 * time.Minute, 400}, {time.Minute, 20}, {time.Minute, 0},
	}}
}

func TestAnEventIsDueWhenTheIntegralOfTheRateReachesIt(t *testing.T) {
	t.Parallel()
	constant := Rate{Start: 2, Stages: []Stage{{5 * time.Second, 2}, {5 * time.Second, 3}}}
	for _, test := range []struct {
		n    int
		want time.Duration
	}{
		{0, 500 * time.Millisecond}, {1, time.Second}, {9, 5 * time.Second},
		{10, 5*time.Second + 488088*time.Microsecond}, // 2t + t²/10 = 1
	} {
		due, ok := constant.due(test.n)
		require.True(t, ok)
		require.InDelta(t, test.want, due, float64(time.Microsecond), "event %d", test.n)
	}
	_, ok := constant.due(22)
	require.False(t, ok, "22.5 events: the 23rd never comes")
	require.Equal(t, 10*time.Second, constant.Length())
}

func TestDueRisesThroughAWholeSpike(t *testing.T) {
	t.Parallel()
	rate, last := spike(), time.Duration(0)
	n := 0
	for ; ; n++ {
		due, ok := rate.due(n)
		if !ok {
			break
		}
		require.Greater(t, due, last)
		last = due
	}
	require.Equal(t, 12600+48000+12600+600, n)
	require.LessOrEqual(t, last, rate.Length())
}

func TestAStageFromZeroAndOneWithoutLength(t *testing.T) {
	t.Parallel()
	rate := Rate{Stages: []Stage{{0, 10}, {time.Second, 10}, {time.Second, 0}}}
	due, ok := rate.due(0)
	require.True(t, ok)
	require.Equal(t, 100*time.Millisecond, due)
	due, ok = rate.due(14)
	require.True(t, ok)
	require.InDelta(t, 2*time.Second, due, float64(time.Millisecond))
	_, ok = Rate{}.due(0)
	require.False(t, ok)
}

func TestAnIterationIsTheLatestEventThatIsDueAndNotSent(t *testing.T) {
	t.Parallel()
	var dues []time.Duration
	a := NewArrivals(Rate{Start: 10, Stages: []Stage{{time.Second, 10}}}, counter(), func(due time.Duration) { dues = append(dues, due) })
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }

	require.Equal(t, ms(50), a.Send(ms(50)), "none is due yet")
	require.Equal(t, ms(100), a.Send(ms(101)))
	// 200 and 300 were dropped.
	require.Equal(t, ms(400), a.Send(ms(402)))
	// k6 was late: it starts the missed iterations one after the other.
	require.Equal(t, ms(700), a.Send(ms(750)))
	require.Equal(t, ms(600), a.Send(ms(750)))
	require.Equal(t, ms(500), a.Send(ms(750)))
	require.Equal(t, 5, a.End(ms(5000)), "200, 300, and the last three")
	require.Len(t, dues, 10, "each was due, sent or not")
	require.Equal(t, ms(1000), dues[9])
}

func TestSeveralRunnersShareTheEvents(t *testing.T) {
	t.Parallel()
	rate := Rate{Start: 10, Stages: []Stage{{time.Second, 10}}}
	every := func(first, step int) func() int {
		n := first - step
		return func() int { n += step; return n }
	}
	var dues []time.Duration
	for runner := range 3 {
		NewArrivals(rate, every(runner, 3), func(due time.Duration) { dues = append(dues, due) }).End(time.Second)
	}
	require.Len(t, dues, 10)
}
