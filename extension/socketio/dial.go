package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Dial connects, joins every namespace, and returns when the server has accepted them all.
//
// Its errors, all prefixed with the host: *UpgradeError, *ConnectError, *DisconnectError (a refused token), ErrNotAnswered
// together with context.DeadlineExceeded, the context's own error, ErrProtocol, ErrTooLarge, ErrServerClosed, ErrLost, or
// an error of the dialer or of TLS. Distinguish them with errors.Is and errors.As.
func Dial(ctx context.Context, o Options) (*Client, error) {
	endpoint, host, err := o.endpoint()
	if err != nil {
		return nil, fmt.Errorf("socketio: %w", err)
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("socketio: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, positive(o.Timeout, defaultTimeout))
	defer cancel()
	c, err := dial(ctx, endpoint, &o)
	if err != nil {
		return nil, fmt.Errorf("socketio: connect to %s: %w", host, err)
	}
	return c, nil
}

func positive[T int | int64 | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

func dial(ctx context.Context, endpoint string, o *Options) (*Client, error) {
	c := newClient(o)
	release, err := c.open(ctx, endpoint, o)
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	err = c.join(o.authData())
	if !release() && err == nil { // the context ended when the last answer arrived
		err = ErrLost
	}
	if err != nil {
		c.cut()
		return nil, c.notAnswered(interrupted(ctx, err))
	}
	c.start()
	return c, nil
}

// open opens the websocket. From the opening of the TCP connection until release is called, the end of the context closes that
// connection, which interrupts any read and write. release reports whether it was called before the context ended.
func (c *Client) open(ctx context.Context, endpoint string, o *Options) (release func() bool, err error) {
	release = func() bool { return true }
	dial := o.Dialer
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			c.conn = &tcpConn{Conn: conn}
			release = context.AfterFunc(ctx, c.cut)
			return c.conn, nil
		},
		TLSClientConfig: o.tlsConfig(),
		Proxy:           o.Proxy,
		ReadBufferSize:  bufferSize,
		WriteBufferSize: bufferSize,
		WriteBufferPool: &writeBuffers,
	}
	ws, response, err := dialer.DialContext(ctx, endpoint, o.Header)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	if err != nil {
		release()
		if errors.Is(err, websocket.ErrBadHandshake) {
			body, _ := io.ReadAll(response.Body) // gorilla limits it to 1 KB
			err = &UpgradeError{Status: response.StatusCode, Message: c.secrets.quote(string(body))}
		}
		return nil, err
	}
	c.conn.open.Store(true)
	ws.SetReadLimit(positive(o.ReadLimit, defaultReadLimit))
	c.ws = ws
	return release, nil
}

// interrupted returns the context's error if the context ended, as it then caused err.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done() // the connection has the context's deadline, from gorilla, and may see it first
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// notAnswered adds to a timeout which answer the server did not send.
func (c *Client) notAnswered(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if c.handshake.SID == "" {
		return fmt.Errorf("%w: the Engine.IO handshake: %w", ErrNotAnswered, err)
	}
	var names []string
	for i := range c.namespaces {
		if !c.namespaces[i].joined {
			names = append(names, c.namespaces[i].name)
		}
	}
	return fmt.Errorf("%w: namespace %s: %w", ErrNotAnswered, strings.Join(names, ", "), err)
}

// join does the Engine.IO handshake and joins the namespaces.
func (c *Client) join(auth []byte) error {
	if err := c.next(); err != nil {
		return err
	}
	for i := range c.namespaces {
		p := packet{Type: packetConnect, Namespace: []byte(c.namespaces[i].name), Data: auth}
		if err := c.write(message(p)); err != nil {
			return err
		}
	}
	for c.waiting > 0 {
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// greet handles the first frame, the handshake.
func (c *Client) greet(messageType int, frame []byte) error {
	if messageType != websocket.TextMessage {
		return errNotOpen
	}
	h, err := parseHandshake(frame)
	c.handshake = h
	return err
}

// joined handles the answer to a CONNECT packet.
func (c *Client) joined(n *namespace, p *packet) error {
	var answer struct {
		SID string `json:"sid"`
	}
	if json.Unmarshal(p.Data, &answer) != nil || answer.SID == "" {
		return errNoSID
	}
	if n.joined {
		return nil
	}
	n.joined, n.at = true, time.Now()
	c.waiting--
	return nil
}

// errNoSID is the error for a server of Socket.IO 2.
var errNoSID = protocolError("a namespace was accepted without a sid")

// refused handles a CONNECT_ERROR packet.
func (c *Client) refused(n *namespace, p *packet) error {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(p.Data, &answer) != nil {
		_ = json.Unmarshal(p.Data, &answer.Message) // the older form: a string or nothing
	}
	return &ConnectError{Namespace: n.name, Message: c.secrets.quote(answer.Message)}
}
