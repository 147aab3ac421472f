//go:build unix

package httpconn

import (
	"errors"
	"syscall"
)

// open reports whether the socket of the idle connection is open and has nothing to read.
func (c *conn) open() bool {
	if c.socket == nil {
		return true
	}
	var silent bool
	err := c.socket.Read(func(fd uintptr) bool {
		var one [1]byte
		_, err := syscall.Read(int(fd), one[:]) // #nosec G115 -- a file descriptor
		silent = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && silent
}
