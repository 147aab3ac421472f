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
	engineBase64  = 'b' // a binary message as base64, for a peer without binary frames
)

// Path is the path of Socket.IO. Without its trailing slash, a request goes to the rest of the service.
const Path = "/socket.io/"

// maxMillis is the longest timer of Node, the reference implementation's platform, in milliseconds.
const maxMillis = 1<<31 - 1

// handshake is the first packet of a connection, with the server's settings.
type handshake struct {
	SID          string
	PingInterval time.Duration // between two pings, whole milliseconds
	PingTimeout  time.Duration // for the answer to a ping, whole milliseconds
	MaxPayload   int64         // largest message that the server accepts, in bytes; 0: not stated
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

// parseHandshake parses the first text frame of a connection, 0{"sid":…}. Every error wraps ErrProtocol.
func parseHandshake(frame []byte) (handshake, error) {
	if len(frame) == 0 || frame[0] != engineOpen {
		return handshake{}, errNotOpen
	}
	var h handshakeJSON
	if json.Unmarshal(frame[1:], &h) != nil {
		return handshake{}, errJSON
	}
	if h.SID == "" || !isMillis(h.PingInterval) || !isMillis(h.PingTimeout) || h.MaxPayload < 0 {
		return handshake{}, errHandshake
	}
	return handshake{
		SID:          h.SID,
		PingInterval: time.Duration(h.PingInterval) * time.Millisecond,
		PingTimeout:  time.Duration(h.PingTimeout) * time.Millisecond,
		MaxPayload:   h.MaxPayload,
	}, nil
}

func isMillis(n int64) bool { return 0 < n && n <= maxMillis }

// append appends the handshake's text frame to dst, with the fields in the order of the reference server.
func (h handshake) append(dst []byte) []byte {
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

// stream counts the attachments of a binary packet that are still to come.
type stream struct{ attachments int }

var (
	errAttachmentMissing = protocolError("text where a binary attachment was announced")
	errAttachmentUnasked = protocolError("binary message that no packet announced")
)

// packet parses the next text message.
func (s *stream) packet(b []byte) (packet, error) {
	if s.attachments > 0 {
		return packet{}, errAttachmentMissing
	}
	p, err := parsePacket(b)
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
