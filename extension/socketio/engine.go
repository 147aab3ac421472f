package socketio

import (
	"encoding/json"
	"strconv"
	"time"
)

// Engine.IO 4 packet types, the first byte of a text frame. A binary frame is a message without a type byte.
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineUpgrade = '5'
	engineNoop    = '6'
	engineBase64  = 'b' // a binary message to a peer that takes no binary frames
)

// Path is where Socket.IO listens. The trailing slash matters: without it the request reaches the rest of the service.
const Path = "/socket.io/"

// maxMillis is the longest timer of the reference implementation's platform, 2^31-1 ms.
const maxMillis = 1<<31 - 1

// Handshake is the first packet of a connection, in which the server says what it expects.
type Handshake struct {
	SID          string
	PingInterval time.Duration // between two pings, whole milliseconds
	PingTimeout  time.Duration // for the answer to a ping, whole milliseconds
	MaxPayload   int64         // largest message that the server takes, bytes; 0 means that it did not say
}

type handshakeJSON struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int64    `json:"pingInterval"`
	PingTimeout  int64    `json:"pingTimeout"`
	MaxPayload   int64    `json:"maxPayload"`
}

var (
	errNotOpen   = protocolError("the first packet is not an Engine.IO open packet")
	errHandshake = protocolError("handshake without a sid, or with a pingInterval, pingTimeout or maxPayload out of range")
)

// ParseHandshake parses the first text frame of a connection, 0{"sid":…}. Every error wraps ErrProtocol.
func ParseHandshake(frame []byte) (Handshake, error) {
	if len(frame) == 0 || frame[0] != engineOpen {
		return Handshake{}, errNotOpen
	}
	var h handshakeJSON
	if json.Unmarshal(frame[1:], &h) != nil {
		return Handshake{}, errJSON
	}
	if h.SID == "" || !isMillis(h.PingInterval) || !isMillis(h.PingTimeout) || h.MaxPayload < 0 {
		return Handshake{}, errHandshake
	}
	return Handshake{
		SID:          h.SID,
		PingInterval: time.Duration(h.PingInterval) * time.Millisecond,
		PingTimeout:  time.Duration(h.PingTimeout) * time.Millisecond,
		MaxPayload:   h.MaxPayload,
	}, nil
}

func isMillis(n int64) bool { return 0 < n && n <= maxMillis }

// Append appends the handshake's text frame to dst, with the fields in the order of the reference server.
func (h Handshake) Append(dst []byte) []byte {
	sid, _ := json.Marshal(h.SID) // a string always marshals
	dst = append(dst, `0{"sid":`...)
	dst = append(dst, sid...)
	dst = append(dst, `,"upgrades":[],"pingInterval":`...)
	dst = strconv.AppendInt(dst, h.PingInterval.Milliseconds(), 10)
	dst = append(dst, `,"pingTimeout":`...)
	dst = strconv.AppendInt(dst, h.PingTimeout.Milliseconds(), 10)
	dst = append(dst, `,"maxPayload":`...)
	dst = strconv.AppendInt(dst, h.MaxPayload, 10)
	return append(dst, '}')
}

// stream keeps what one packet says about the next: how many attachments of a binary packet are still to come.
type stream struct{ attachments int }

var (
	errAttachmentMissing = protocolError("text where a binary attachment was announced")
	errAttachmentUnasked = protocolError("binary message that no packet announced")
)

// packet parses the next text message.
func (s *stream) packet(b []byte) (Packet, error) {
	if s.attachments > 0 {
		return Packet{}, errAttachmentMissing
	}
	p, err := ParsePacket(b)
	s.attachments = p.Attachments
	return p, err
}

// attachment skips the next binary message.
func (s *stream) attachment() error {
	if s.attachments == 0 {
		return errAttachmentUnasked
	}
	s.attachments--
	return nil
}
