package socketio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// maxUpgrade is how many bytes the server may send, TLS included, before the websocket is open.
const maxUpgrade = 256 << 10

var errUpgradeTooLarge = fmt.Errorf("%w: more than %d KB before the websocket was open", ErrTooLarge, maxUpgrade>>10)

// tcpConn is the connection below a websocket and its TLS. It limits the answer to the opening request, of which gorilla reads
// any number of headers, and keeps what the network said, of which gorilla reports only the text.
type tcpConn struct {
	net.Conn
	failed atomic.Pointer[error] // the first error of a read or write
	read   int                   // bytes, while the websocket is not open
	open   atomic.Bool
}

// Read reads within the limit.
func (c *tcpConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.open.Load() {
		if c.read += n; c.read > maxUpgrade {
			n, err = 0, errUpgradeTooLarge
		}
	}
	c.note(err)
	return n, err
}

// Write writes.
func (c *tcpConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.note(err)
	return n, err
}

func (c *tcpConn) note(err error) {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		c.failed.CompareAndSwap(nil, &err)
	}
}

// cause returns what the network said, where it said something, in place of an error that repeats it.
func (c *tcpConn) cause(err error) error {
	if failed := c.failed.Load(); failed != nil {
		return *failed
	}
	return err
}
