package jsapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintBreaksALineWhereItIsAskedTo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.root.SetOutput(h.out, 32)
	h.mustExec(`verity.print('  VERITY on a laptop: thirty users');
		verity.print('  VERITY on a laptop: thirty users', { wrap: true });
		verity.print('  one', { wrap: true });`)
	require.Equal(t, "  VERITY on a laptop: thirty users\n  VERITY on a laptop: thirty\n         users\n  one\n", h.out.String())
	_, err := h.exec(`verity.print('a', { wrap: 1 })`)
	require.ErrorContains(t, err, "wrap of print must be true or false, got 1")
}
