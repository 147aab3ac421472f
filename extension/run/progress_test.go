package run

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// The bars that k6 v2.2.0 writes at a terminal: those that it will redraw, and the last ones.
const (
	drawnAgain = "\x1b[K\nrunning\x1b[K\nmine\x1b[K\n\r\x1b[J\x1b[3A"
	drawnLast  = "\x1b[K\nrunning\x1b[K\nmine\x1b[K\n"
)

func TestALineStandsAboveTheBars(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, line, written, want string }{
		{"drawn again", "so it goes", drawnAgain, "so it goes" + drawnAgain},
		{"cut at the terminal's width", "so it goes on and on", drawnAgain, "so it goes on a" + drawnAgain},
		{"counted in letters", "éàéàéàéàéàéàéàéàéàé", drawnAgain, "éàéàéàéàéàéàéàé" + drawnAgain},
		{"no line", "", drawnAgain, drawnAgain},
		{"the last bars", "so it goes", drawnLast, drawnLast},
		{"anything else", "so it goes", "a line\n", "a line\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			bars := NewBars(&out, func() int { return 16 })
			bars.set(tc.line)
			n, err := bars.Write([]byte(tc.written))
			require.NoError(t, err)
			require.Equal(t, len(tc.written), n)
			require.Equal(t, tc.want, out.String())
		})
	}
}

func TestNoProgressIsShownWhenQuiet(t *testing.T) {
	t.Parallel()
	for _, isQuiet := range []func() bool{nil, func() bool { return true }} {
		r := New(&bytes.Buffer{})
		r.ShowProgress(nil, isQuiet)
		r.progress.begin(r)
		require.Nil(t, r.progress.stop)
		r.EndProgress()
	}
}
