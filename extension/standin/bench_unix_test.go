//go:build unix

package standin

import (
	"syscall"
	"time"
)

// processorTime is what this process has used, the kernel's on its behalf included.
func processorTime() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}
