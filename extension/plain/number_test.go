package plain_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/plain"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12345.6: "12,346", 12344.5: "12,345", 1e6: "1,000,000", -5: "-5", -999: "-999", -1000: "-1,000",
		-0.2: "0", 1e15: "1,000,000,000,000,000",
	} {
		require.Equal(t, want, plain.Count(n), n)
	}
	require.Equal(t, "10,064", plain.Count(10_064))
	require.Equal(t, "10,064", plain.Count(uint64(10_064)))
	require.Equal(t, "-10,064", plain.Count(int64(-10_064)))
	require.Equal(t, "9,007,199,254,740,991", plain.Count(1<<53-1))
}
