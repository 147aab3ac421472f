//go:build !unix

package standin

import (
	"errors"
	"time"
)

// processorTime returns nothing: the benchmark runs on Linux and macOS only.
func processorTime() (time.Duration, error) {
	return 0, errors.New("the processor time of a process is read on Unix only")
}
