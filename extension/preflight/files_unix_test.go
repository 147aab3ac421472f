//go:build unix

package preflight

import (
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The soft limit of this process counts, which Go has raised.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	m := ThisMachine(3)
	require.Equal(t, files.Cur, m.Files)
	require.Equal(t, 3, m.Sources)
	if runtime.GOOS == "linux" {
		require.Positive(t, m.Ports)
	}
}
