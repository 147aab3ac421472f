package k6

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext"
)

func TestRefuseRunKeepsItsMessage(t *testing.T) {
	t.Parallel()
	err := RefuseRun(errors.New("no"))
	require.EqualError(t, err, "no")
	var reason errext.HasAbortReason
	require.ErrorAs(t, err, &reason)
	require.Equal(t, errext.AbortedByScriptError, reason.AbortReason())
}
