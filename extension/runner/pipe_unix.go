//go:build unix

package runner

import (
	"os/signal"
	"syscall"
)

// writeOn ignores SIGPIPE, so that this process goes on when its output is no longer read. Go would end it at once, with its users
// in their queues.
func writeOn() { signal.Ignore(syscall.SIGPIPE) }
