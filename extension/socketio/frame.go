package socketio

import "encoding/binary"

// Frame is an event encoded once, as the bytes on the wire, for any number of sockets. It never changes.
type Frame struct{ wire []byte }

// NewFrame encodes an event. Each argument is anything that encoding/json marshals.
func NewFrame(namespace, event string, args ...any) (*Frame, error) {
	message, err := eventMessage(namespace, -1, event, args)
	if err != nil {
		return nil, err
	}
	return textFrame(message), nil
}

// The parts of RFC 6455, section 5.2, that a server needs: unfragmented text frames and a close frame without a status, not
// masked.
const (
	finalText  = 0x80 | 0x1
	finalClose = 0x80 | 0x8
	length16   = 126
	length64   = 127
)

var (
	closeFrame = &Frame{wire: []byte{finalClose, 0}}
	pingFrame  = textFrame([]byte{enginePing})
)

func textFrame(message []byte) *Frame {
	wire := make([]byte, 0, len(message)+10)
	wire = append(wire, finalText)
	switch n := len(message); {
	case n < length16:
		wire = append(wire, byte(n))
	case n < 1<<16:
		wire = binary.BigEndian.AppendUint16(append(wire, length16), uint16(n))
	default:
		wire = binary.BigEndian.AppendUint64(append(wire, length64), uint64(n))
	}
	return &Frame{wire: append(wire, message...)}
}
