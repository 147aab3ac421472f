package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// packetType is the kind of a Socket.IO packet.
type packetType byte

// The packet types of Socket.IO 5; the wire has them as the digits 0 to 6.
const (
	packetConnect packetType = iota
	packetDisconnect
	packetEvent
	packetAck
	packetConnectError
	packetBinaryEvent
	packetBinaryAck
)

// String returns the specification's name of the type.
func (t packetType) String() string {
	names := [...]string{"CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK"}
	if int(t) < len(names) {
		return names[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// binary reports whether attachments follow packets of this type.
func (t packetType) binary() bool { return t == packetBinaryEvent || t == packetBinaryAck }

const (
	// maxAttachments limits the attachments of one packet; the reference accepts 10 by default.
	maxAttachments = 1000
	// maxID is the largest integer that JavaScript represents exactly.
	maxID = 1<<53 - 1
	// mainNamespace is the namespace of a packet that names none.
	mainNamespace = "/"
)

var (
	mainNamespaceBytes = []byte(mainNamespace)
	comma              = []byte{','}
)

// packet is one Socket.IO packet: <type>[<attachments>-][<namespace>,][<id>][<data>].
type packet struct {
	Type        packetType
	Attachments int    // binary messages that follow; packetBinaryEvent and packetBinaryAck only
	Namespace   []byte // "/" when the packet names none
	ID          int64  // acknowledgement id, when HasID
	HasID       bool
	Data        []byte // JSON; only its first and last byte are checked
}

// parsePacket parses a packet: a text frame without its leading '4'. Namespace and Data share memory with b and nothing is
// allocated, so that frames can be counted cheaply.
//
// It checks only the header, which fields the type has, and the first and last byte of the data, which reveal a truncated
// packet. Every error wraps ErrProtocol and none quotes the packet.
func parsePacket(b []byte) (packet, error) {
	if len(b) == 0 {
		return packet{}, errEmpty
	}
	p := packet{Type: packetType(b[0] - '0'), Namespace: mainNamespaceBytes}
	if p.Type > packetBinaryAck {
		return packet{}, errPacketType
	}
	rest := b[1:]
	if p.Type.binary() {
		count, after, ok := cutNumber(rest, maxAttachments)
		if !ok || count == 0 || len(after) == 0 || after[0] != '-' {
			return packet{}, errAttachments
		}
		p.Attachments, rest = int(count), after[1:]
	}
	if len(rest) > 0 && rest[0] == '/' {
		p.Namespace, rest, _ = bytes.Cut(rest, comma)
	}
	if len(rest) > 0 && isDigit(rest[0]) {
		id, after, ok := cutNumber(rest, maxID)
		if !ok {
			return packet{}, errID
		}
		p.ID, p.HasID, rest = id, true, after
	}
	if rest = trimRight(rest); len(rest) > 0 {
		p.Data = rest
	}
	if err := p.checkShape(); err != nil {
		return packet{}, err
	}
	return p, nil
}

// The errors are made once, so that broken frames cost no more than good ones.
var (
	errEmpty         = protocolError("empty packet")
	errPacketType    = protocolError("unknown packet type")
	errAttachments   = protocolError("bad number of attachments")
	errID            = protocolError("acknowledgement id out of range")
	errIDMissing     = protocolError("ACK without an acknowledgement id")
	errIDUnexpected  = protocolError("acknowledgement id on a packet that takes none")
	errData          = protocolError("data missing, cut short or of the wrong kind")
	errEventName     = protocolError("event without a name, or with one that is not a string")
	errEventReserved = protocolError("event with a reserved name")
	errJSON          = protocolError("data is not JSON")
)

func protocolError(what string) error { return fmt.Errorf("%w: %s", ErrProtocol, what) }

// checkShape checks that the packet has the fields of its type.
func (p *packet) checkShape() error {
	switch p.Type {
	case packetConnect:
		return p.checkPlain(len(p.Data) == 0 || enclosed(p.Data, '{', '}'))
	case packetDisconnect:
		return p.checkPlain(len(p.Data) == 0)
	case packetConnectError:
		return p.checkPlain(len(p.Data) == 0 || enclosed(p.Data, '{', '}') || enclosed(p.Data, '"', '"'))
	case packetAck, packetBinaryAck:
		if !p.HasID {
			return errIDMissing
		}
		return checkData(enclosed(p.Data, '[', ']'))
	default: // events
		return checkData(enclosed(p.Data, '[', ']'))
	}
}

// checkPlain checks a packet that cannot be acknowledged.
func (p *packet) checkPlain(dataFits bool) error {
	if p.HasID {
		return errIDUnexpected
	}
	return checkData(dataFits)
}

func checkData(fits bool) error {
	if !fits {
		return errData
	}
	return nil
}

// eventName returns the name of an EVENT or BINARY_EVENT without decoding its arguments. The name shares memory with the
// packet unless it contains escapes. A name that is a number, or reserved by Socket.IO such as connect, is an error.
func (p *packet) eventName() ([]byte, error) {
	if !enclosed(p.Data, '[', ']') {
		return nil, errData
	}
	quoted := trimLeft(p.Data[1:])
	end, escaped := stringEnd(quoted)
	if end == 0 {
		return nil, errEventName
	}
	after := trimLeft(quoted[end:])
	if len(after) == 0 || after[0] != ',' && (after[0] != ']' || len(after) > 1) {
		return nil, errData
	}
	name := quoted[1 : end-1]
	if escaped {
		var s string
		if json.Unmarshal(quoted[:end], &s) != nil {
			return nil, errEventName
		}
		name = []byte(s)
	}
	if reserved(name) {
		return nil, errEventReserved
	}
	return name, nil
}

// stringEnd returns the length of the JSON string that b starts with, quotes included, and whether it has escapes; 0 if b does
// not start with a string.
func stringEnd(b []byte) (end int, escaped bool) {
	if len(b) == 0 || b[0] != '"' {
		return 0, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return 0, false
		}
	}
	return 0, false
}

// reserved reports whether Socket.IO reserves the name of an event.
func reserved(name []byte) bool {
	switch string(name) {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// isSpace reports whether c is white space in JSON. The reference sends none, other implementations may.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return b
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func enclosed(b []byte, first, last byte) bool {
	return len(b) >= 2 && b[0] == first && b[len(b)-1] == last
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// cutNumber parses the digits at the start of b; ok is false if there are none or the number exceeds limit.
func cutNumber(b []byte, limit int64) (n int64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && isDigit(b[i]); i++ {
		n = n*10 + int64(b[i]-'0')
		if n > limit {
			return 0, nil, false
		}
	}
	return n, b[i:], i > 0
}

// append appends the packet's wire form to dst and returns the extended slice. It is the inverse of parsePacket.
func (p *packet) append(dst []byte) []byte {
	dst = append(dst, '0'+byte(p.Type))
	if p.Type.binary() {
		dst = strconv.AppendInt(dst, int64(p.Attachments), 10)
		dst = append(dst, '-')
	}
	if len(p.Namespace) > 0 && string(p.Namespace) != mainNamespace {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendInt(dst, p.ID, 10)
	}
	return append(dst, p.Data...)
}

// message returns the text frame of a packet: '4' and its wire form.
func message(p packet) []byte {
	return p.append([]byte{engineMessage})
}

// eventMessage returns the text frame of an event; a negative id asks for no acknowledgement.
func eventMessage(namespace string, id int64, event string, args []any) ([]byte, error) {
	if event == "" || reserved([]byte(event)) {
		return nil, fmt.Errorf("event %q cannot be sent: the name is empty or reserved by Socket.IO", event)
	}
	data, err := appendArray(nil, append([]any{event}, args...))
	if err != nil {
		return nil, fmt.Errorf("event %q cannot be sent: %w", event, err)
	}
	p := packet{Type: packetEvent, Namespace: []byte(namespace), Data: data}
	if id >= 0 {
		p.ID, p.HasID = id, true
	}
	return message(p), nil
}

// appendArray appends a JSON array as JSON.stringify writes it, without escaping < > &.
func appendArray(dst []byte, values []any) ([]byte, error) {
	buf := bytes.NewBuffer(append(dst, '['))
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	for i, v := range values {
		if i > 0 {
			buf.WriteByte(',')
		}
		if err := enc.Encode(v); err != nil {
			return nil, err
		}
		buf.Truncate(buf.Len() - 1) // Encode ends each value with a line feed
	}
	buf.WriteByte(']')
	return buf.Bytes(), nil
}
