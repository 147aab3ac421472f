//go:build unix

package standin

import (
	"syscall"
	"time"
)

// processorTime returns the processor time of this process, in user and kernel mode.
func processorTime() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}
