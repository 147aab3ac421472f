package socketio

import (
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
)

// Errors that end a connection or refuse a call. Compare with errors.Is; none of them carries a token or a payload.
var (
	// ErrClosed is the end of a connection that this side closed.
	ErrClosed = errors.New("closed by this side")
	// ErrServerClosed is the end of a connection that the server closed in an orderly way: a websocket close frame or an
	// Engine.IO close packet, with no DISCONNECT before it.
	ErrServerClosed = errors.New("closed by the server")
	// ErrLost is the end of a connection that broke without a word: reset, cut off, or a write that did not get through.
	ErrLost = errors.New("connection lost")
	// ErrPingTimeout is the end of a connection whose server sent no ping for pingInterval + pingTimeout.
	ErrPingTimeout = errors.New("no ping from the server")
	// ErrTooLarge refuses a message that is larger than the receiver takes: to be sent, larger than the server's maxPayload
	// (the connection goes on); received, larger than Options.ReadLimit (the connection ends).
	ErrTooLarge = errors.New("message too large")
	// ErrProtocol is the end of a connection whose peer sent what the protocol does not allow: a packet cut short, an
	// unknown type, an attachment that nothing announced.
	ErrProtocol = errors.New("not Socket.IO")
	// ErrNotAnswered is a Dial whose server accepted the connection and then did not answer in time.
	ErrNotAnswered = errors.New("not answered in time")
	// ErrNotJoined refuses a call that names a namespace which this connection has not joined.
	ErrNotJoined = errors.New("namespace not joined")
)

// CloseError is the end of a connection with a close frame of the server, which is an ErrServerClosed; or, with the code that
// RFC 6455 keeps for it, 1006, of one that ended without a close frame, which is an ErrLost.
type CloseError struct{ Code int }

// Error implements error.
func (e *CloseError) Error() string {
	if e.Code == websocket.CloseAbnormalClosure {
		return ErrLost.Error() + ": ended without a close frame (close code 1006)"
	}
	return fmt.Sprintf("%s: close code %d", ErrServerClosed, e.Code)
}

// Is tells which of the two it is.
func (e *CloseError) Is(target error) bool {
	if e.Code == websocket.CloseAbnormalClosure {
		return target == ErrLost
	}
	return target == ErrServerClosed
}

// UpgradeError is a Dial whose server answered over HTTP instead of opening the websocket.
type UpgradeError struct {
	Status  int    // HTTP status
	Message string // start of the body; Engine.IO explains itself there, as in {"code":0,"message":"Transport unknown"}
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
	Message   string // in the server's words, without anything from Options.Auth or the Authorization header
}

// Error implements error.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("namespace %s refused: %s", e.Namespace, e.Message)
}

// DisconnectError is a namespace that the server disconnected, as in 41/queue,.
//
// This, not a ConnectError, is how Verity refuses a bad, missing or expired token: it accepts the namespace, disconnects
// it and closes. The DISCONNECT may arrive while Dial still waits for other namespaces, and then is Dial's error, or a
// moment after Dial returned, and then is the client's end.
type DisconnectError struct {
	Namespace string
	After     time.Duration // since the namespace was joined
}

// Error implements error.
func (e *DisconnectError) Error() string {
	return fmt.Sprintf("namespace %s disconnected by the server %s after it was joined (a refused token looks like this)",
		e.Namespace, e.After.Round(time.Millisecond))
}
