package evidence

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
)

func TestBucketsAreThoseOfHdrHistogram(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, bucketCount-1, bucketOf(maxMicros))
	hdr := hdrhistogram.New(1, maxMicros, significantDigits)
	values := []int64{0, 1, 255, 256, 257, 511, 512, 99_999, 100_000, 3_000_000, maxMicros - 1, maxMicros}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a seed that repeats
	for range 20_000 {
		values = append(values, random.Int64N(maxMicros>>random.IntN(36)))
	}
	for _, v := range values {
		hdr.Reset()
		require.NoError(t, hdr.RecordValue(v))
		highest := highestOf(bucketOf(v))
		require.Equal(t, hdr.ValueAtQuantile(100), highest, "%d µs", v)
		require.GreaterOrEqual(t, highest, v)
		require.LessOrEqual(t, float64(highest-v), 0.008*float64(v))
	}
	for index := range uint16(bucketCount) {
		require.Equal(t, index, bucketOf(min(highestOf(index), maxMicros)))
	}
}

func TestTimesOutOfRangeCountAsTheNearestInIt(t *testing.T) {
	t.Parallel()
	h := HistogramOf(-1, maxMicros+1)
	require.EqualValues(t, 0, h.Rank(1))
	require.Equal(t, highestOf(bucketOf(maxMicros)), h.Rank(2))
}

func TestQuantilesAndRanksAreThoseOfHdrHistogramAndOfTheSortedTimes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a seed that repeats
	for _, n := range []int{1, 2, 3, 20, 59, 1000} {
		hdr := hdrhistogram.New(1, maxMicros, significantDigits)
		times := make([]int64, n)
		for i := range times {
			times[i] = int64(1000 * (1 + random.ExpFloat64()*40))
			require.NoError(t, hdr.RecordValue(times[i]))
		}
		h := HistogramOf(times...)
		require.EqualValues(t, n, h.Count())
		for _, q := range []float64{0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1} {
			require.Equal(t, hdr.ValueAtQuantile(100*q), h.Quantile(q), "quantile %v of %d", q, n)
		}
		slices.Sort(times)
		for k, v := range times {
			require.Equal(t, highestOf(bucketOf(v)), h.Rank(int64(k+1)))
		}
		require.Equal(t, h.Rank(1), h.Rank(0))
		require.Equal(t, h.Rank(int64(n)), h.Rank(int64(n)+1))
		require.True(t, hdr.Equals(h.HDR()))
	}
}

func TestHistogramsAddUp(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // a seed that repeats
	var all []int64
	var recorded, added Histogram
	var parts []*Histogram
	for range 50 {
		part := make([]int64, random.IntN(40))
		for i := range part {
			part[i] = random.Int64N(1_000_000)
			recorded.Record(part[i], 1)
		}
		all = append(all, part...)
		parts = append(parts, HistogramOf(part...), nil)
		added.Add(HistogramOf(part...))
	}
	whole := HistogramOf(all...)
	require.Equal(t, whole, &recorded)
	require.Equal(t, whole, &added)
	require.Equal(t, whole, Sum(parts...))
	recorded.Record(5, 0)
	added.Add(nil)
	require.Equal(t, &recorded, &added)
}

func TestAddDoesNotChangeItsArgument(t *testing.T) {
	t.Parallel()
	var sum Histogram
	first, second := HistogramOf(1, 2), HistogramOf(2, 3)
	sum.Add(first)
	sum.Add(second)
	require.EqualValues(t, 4, sum.Count())
	require.Equal(t, HistogramOf(1, 2), first)
	require.Equal(t, HistogramOf(2, 3), second)
}

func TestNoTimesAtAll(t *testing.T) {
	t.Parallel()
	for _, h := range []*Histogram{nil, {}, HistogramOf(), Sum(), Sum(nil)} {
		require.Zero(t, h.Count())
		require.Zero(t, h.Rank(1))
		require.Zero(t, h.Quantile(0.95))
		require.Zero(t, h.HDR().TotalCount())
		h.Each(func(int64, int64) { t.Error("there is no bucket") })
	}
}

// HDR returns a copy as an HdrHistogram, which takes 30 KB.
func (h *Histogram) HDR() *hdrhistogram.Histogram {
	hdr := hdrhistogram.New(1, maxMicros, significantDigits)
	h.Each(func(micros, n int64) {
		_ = hdr.RecordValues(micros, n) // fails only out of range
	})
	return hdr
}
