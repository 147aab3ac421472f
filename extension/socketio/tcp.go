package socketio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// maxUpgrade limits the bytes that the server may send, TLS included, before the websocket is open.
const maxUpgrade = 256 << 10

var errUpgradeTooLarge = fmt.Errorf("%w: more than %d KB before the websocket was open", ErrTooLarge, maxUpgrade>>10)

// tcpConn is the connection below a websocket and its TLS. It limits the answer to the opening request, whose headers gorilla
// reads without a limit, and keeps the network's error, of which gorilla reports only the text.
type tcpConn struct {
	net.Conn
	failed atomic.Pointer[error] // the first error of a read or write
	read   int                   // bytes read before the websocket was open
	open   atomic.Bool
}

// Read fails once maxUpgrade is exceeded before the websocket is open.
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

// Write keeps the first error.
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

// cause returns the network's error, if there was one, or else err.
func (c *tcpConn) cause(err error) error {
	if failed := c.failed.Load(); failed != nil {
		return *failed
	}
	return err
}
