package sessions

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/verity-app/xk6-verity/extension/socketio"
)

// Loss is why a socket ended that was not closed from this side. A close frame of the server is close_ and its code; close_1005 is one
// without a code, and close_1006, as RFC 6455 has it, a connection that ended without a close frame.
type Loss string

// The losses beside those of a close frame.
const (
	LossReset       Loss = "reset"        // the connection was reset
	LossCut         Loss = "close_1006"   // the connection ended without a close frame
	LossTooLarge    Loss = "too_large"    // a message over the limit of 1 MB
	LossPings       Loss = "ping_timeout" // the server's pings stopped
	LossDisconnect  Loss = "disconnect"   // the server disconnected a namespace: packet 41
	LossAuthRefused Loss = "auth_refused" // the same, within 5 s of joining it: the access token was refused
	LossEngineClose Loss = "engine_close" // an Engine.IO close packet: 1
	LossProtocol    Loss = "protocol"     // a message that is not Socket.IO
	LossStalled     Loss = "stalled"      // the server read nothing for 10 s
	LossOther       Loss = "other"
)

// lossOf names why a client ended; "" while it lasts and where this side closed it.
func lossOf(err error) Loss {
	if err == nil || errors.Is(err, ErrClosed) {
		return ""
	}
	if closed, ok := errors.AsType[*socketio.CloseError](err); ok {
		return Loss(fmt.Sprintf("close_%d", closed.Code))
	}
	if disconnected, ok := errors.AsType[*socketio.DisconnectError](err); ok {
		if disconnected.After < refusalTime {
			return LossAuthRefused
		}
		return LossDisconnect
	}
	for _, known := range []struct {
		cause error
		loss  Loss
	}{
		{socketio.ErrServerClosed, LossEngineClose},
		{socketio.ErrTooLarge, LossTooLarge},
		{socketio.ErrPingTimeout, LossPings},
		{socketio.ErrProtocol, LossProtocol},
		{syscall.ECONNRESET, LossReset},
		{syscall.EPIPE, LossReset},
		{os.ErrDeadlineExceeded, LossStalled},
	} {
		if errors.Is(err, known.cause) {
			return known.loss
		}
	}
	return LossOther
}
