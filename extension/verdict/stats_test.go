package verdict

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/plain"
)

func TestLeastSamplesArePublishedOnes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		quantile   float64
		misses     int
		confidence float64
		want       int
	}{
		{0.90, 0, 0.99, 44}, {0.90, 1, 0.99, 64},
		{0.95, 0, 0.99, 90}, {0.95, 1, 0.99, 130},
		{0.99, 0, 0.99, 459}, {0.99, 1, 0.99, 662},
		{0.95, 0, 0.95, 59}, {0.95, 1, 0.95, 93},
		{0.999, 0, 0.95, 2995},
	} {
		t.Run(fmt.Sprintf("p%v, %d misses, %v", test.quantile*100, test.misses, test.confidence), func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, leastSamples(share(test.quantile), test.misses, test.confidence))
		})
	}
}

// Clopper and Pearson's own example: 10 of 100 has a two-sided 95 % interval of 4.90 to 17.62 %.
func TestBoundsArePublishedOnes(t *testing.T) {
	t.Parallel()
	s := sample{n: 100, misses: 10}
	require.InDelta(t, 0.0490, s.lower(0.975), 0.00005)
	require.InDelta(t, 0.1762, s.upper(0.975), 0.00005)
	require.Zero(t, sample{n: 10}.lower(0.95))
	require.InDelta(t, 1, sample{n: 10, misses: 10}.upper(0.95), 0)
	require.InDelta(t, 1, sample{}.upper(0.95), 0)
}

func TestInflationFindsTheWorthOfCorrelatedSamples(t *testing.T) {
	t.Parallel()
	n, spread, bunched := make([]float64, 600), make([]float64, 600), make([]float64, 600)
	for i := range n {
		n[i] = 100
		spread[i] = 5
		if i%100 < 5 {
			bunched[i] = 100
		}
	}
	require.InDelta(t, 1, inflation(n, spread), 0)
	// Six bursts of 500 samples each: a sample is worth about a five-hundredth of an independent one.
	require.InDelta(t, 500, inflation(n, bunched), 150)
	require.InDelta(t, 1, inflation(n, make([]float64, 600)), 0, "no misses")
	require.InDelta(t, 1, inflation(n, n), 0, "misses only")
	require.InDelta(t, 100, inflation([]float64{100}, []float64{50}), 0, "one second is one sample at the most")
}

func TestRises(t *testing.T) {
	t.Parallel()
	x, up, flat, tied := make([]float64, 20), make([]float64, 20), make([]float64, 20), make([]float64, 20)
	for i := range x {
		x[i], up[i], flat[i], tied[i] = float64(i), float64(i), math.Mod(float64(i)*7, 5), 3
	}
	require.Less(t, rises(x, up), 0.001)
	require.Greater(t, rises(x, flat), 0.1)
	require.InDelta(t, 0.5, rises(x, tied), 1e-9, "ties are no trend")
}

func TestTexts(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1,234,567", plain.Count(1234567))
	require.Equal(t, "999", plain.Count(999.4))
	require.Equal(t, []string{"0 %", "0.0005 %", "0.05 %", "1.2 %", "35 %", "100 %"},
		[]string{percent(0), percent(0.000005), percent(0.0005), percent(0.0123), percent(0.351), percent(1)})
	require.Equal(t, "38 to 41 ms", span(38.2, 41))
	require.Equal(t, "2.7 to 3.2 s", span(2700, 3200))
	require.Equal(t, "38 ms or more", span(38, math.Inf(1)))
	require.Equal(t, "9 b, 3 a, 3 c and others", kinds(map[string]int64{"a": 3, "b": 9, "c": 3, "d": 1, "e": 0}))
}
