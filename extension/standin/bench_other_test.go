//go:build !unix

package standin

import (
	"errors"
	"time"
)

// processorTime is not read here: the benchmark is one of Linux and macOS.
func processorTime() (time.Duration, error) {
	return 0, errors.New("the processor time of a process is read on Unix only")
}
