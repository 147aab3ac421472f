package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiguresOfTheTable(t *testing.T) {
	t.Parallel()
	require.Empty(t, figure(nil))
	for value, want := range map[float64]string{
		0: "0", 12345: "12,345", -3: "-3", 1.005: "1", 0.123456: "0.123", 99.96: "100", 1234.5: "1,235", 7.36e9: "7,360,000,000",
		1e16: "1e+16", 0.0000012: "1.2e-06", math.Inf(1): "+Inf",
	} {
		require.Equal(t, want, figure(&value))
	}
	nan := math.NaN()
	require.Equal(t, "NaN", figure(&nan))
}
