package preflight

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParsePortRange(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"32768\t60999\n": 28232, "1024 65535": 64512, "5 5": 1, "60999 32768": 0, "": 0, "1": 0, "a b": 0, "1 65536": 0, "1 2 3": 0, "-1 5": 0,
	} {
		require.Equal(t, want, parsePortRange(text), text)
	}
}

func FuzzParsePortRange(f *testing.F) {
	f.Add("32768\t60999\n")
	f.Add("0 65535")
	f.Add("9 1")
	f.Fuzz(func(t *testing.T, text string) {
		if n := parsePortRange(text); n < 0 || n > 1<<16 {
			t.Errorf("%d ports of %q", n, text)
		}
	})
}
