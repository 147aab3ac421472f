package k6

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/types"
	"gopkg.in/guregu/null.v3"
)

// Ports are counted for each pair of addresses.
func TestAddressesOfBothSides(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1, Sources(types.NullIPPool{}))
	for ranges, want := range map[string]int{"127.0.0.7": 1, "127.0.0.5-127.0.0.8": 4, "127.0.0.1,127.0.1.1": 2, "127.0.0.0/8": maxSources} {
		pool, err := types.NewIPPool(ranges)
		require.NoError(t, err)
		require.Equal(t, want, Sources(types.NullIPPool{Pool: pool, Valid: true}), ranges)
	}
	for url, want := range map[string]int{"http://127.0.0.1:3000": 1, "https://[::1]": 1} {
		require.Equal(t, want, Addresses(t.Context(), url, lib.Options{}), url)
	}
	require.Equal(t, 1, Addresses(t.Context(), "http://localhost", lib.Options{
		DNS: types.DNSConfig{Select: types.NullDNSSelect{DNSSelect: types.DNSfirst, Valid: true}},
	}))
}

func TestRequestsNameTheTool(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^xk6-verity/\S+ k6/\S+$`, UserAgent(lib.Options{UserAgent: null.NewString("Grafana k6/2", false)}))
	require.Equal(t, "mine", UserAgent(lib.Options{UserAgent: null.StringFrom("mine")}))
	require.Empty(t, UserAgent(lib.Options{UserAgent: null.StringFrom("")}))
}
