package socketio

import (
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
)

// Errors that end a connection. Compare with errors.Is; none of them carries a token or a payload.
var (
	// ErrClosed is the end of a connection that this side closed.
	ErrClosed = errors.New("closed by this side")
	// ErrServerClosed is the end of a connection that the server closed in an orderly way: a websocket close frame or an
	// Engine.IO close packet, with no DISCONNECT before it.
	ErrServerClosed = errors.New("closed by the server")
	// ErrLost is the end of a connection that broke without a close frame: it was reset or cut off, or a write failed.
	ErrLost = errors.New("connection lost")
	// ErrPingTimeout is the end of a connection whose server sent no ping for pingInterval + pingTimeout.
	ErrPingTimeout = errors.New("no ping from the server")
	// ErrTooLarge is the end of a connection on which a message over Options.ReadLimit arrived.
	ErrTooLarge = errors.New("message too large")
	// ErrProtocol is the end of a connection whose peer violated the protocol, such as by a truncated packet, an unknown type
	// or an unannounced attachment.
	ErrProtocol = errors.New("not Socket.IO")
	// ErrNotAnswered is the error of Dial if the server accepted the connection and did not answer in time.
	ErrNotAnswered = errors.New("not answered in time")
)

// CloseError is the end of a connection with a close frame of the server, which is an ErrServerClosed, or without one, which
// is an ErrLost and has the code that RFC 6455 reserves for it, 1006.
type CloseError struct{ Code int }

// Error implements error.
func (e *CloseError) Error() string {
	if e.Code == websocket.CloseAbnormalClosure {
		return ErrLost.Error() + ": ended without a close frame (close code 1006)"
	}
	return fmt.Sprintf("%s: close code %d", ErrServerClosed, e.Code)
}

// Is reports whether target is ErrServerClosed or, for the code 1006, ErrLost.
func (e *CloseError) Is(target error) bool {
	if e.Code == websocket.CloseAbnormalClosure {
		return target == ErrLost
	}
	return target == ErrServerClosed
}

// UpgradeError is the error of Dial if the server answered the opening request without opening the websocket.
type UpgradeError struct {
	Status  int    // HTTP status
	Message string // start of the body; Engine.IO gives its reason there, as in {"code":0,"message":"Transport unknown"}
}

// Error implements error.
func (e *UpgradeError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the server answered HTTP %d instead of opening a websocket", e.Status)
	}
	return fmt.Sprintf("the server answered HTTP %d instead of opening a websocket: %s", e.Status, e.Message)
}

// ConnectError is a namespace that the server refused with CONNECT_ERROR, as in 44/nope,{"message":"Invalid namespace"}.
type ConnectError struct {
	Namespace string
	Message   string // of the server, with the values of Options.Auth and the Authorization header hidden
}

// Error implements error.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("namespace %s refused: %s", e.Namespace, e.Message)
}

// DisconnectError is a namespace that the server disconnected, as in 41/queue,.
//
// Verity refuses a bad, missing or expired token with this error, not with a ConnectError: it accepts the namespace,
// disconnects it and closes. A DISCONNECT that arrives while Dial waits for other namespaces is Dial's error; one that arrives
// later is Client.Err.
type DisconnectError struct {
	Namespace string
	After     time.Duration // since the namespace was joined
}

// Error implements error.
func (e *DisconnectError) Error() string {
	return fmt.Sprintf("namespace %s disconnected by the server %s after it was joined (a refused token looks like this)",
		e.Namespace, e.After.Round(time.Millisecond))
}
