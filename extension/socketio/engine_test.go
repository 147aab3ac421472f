package socketio

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHandshake(t *testing.T) {
	frame := `0{"sid":"x\"y","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	h, err := parseHandshake([]byte(frame))
	require.NoError(t, err)
	require.Equal(t, handshake{SID: `x"y`, PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 1_000_000}, h)
	require.Equal(t, frame, string(h.append(nil)))
}

func TestHandshakeWithoutMaxPayload(t *testing.T) {
	h, err := parseHandshake([]byte(`0{"sid":"x","pingInterval":1,"pingTimeout":2147483647}`))
	require.NoError(t, err)
	require.Zero(t, h.MaxPayload)
	require.Equal(t, 2147483647*time.Millisecond, h.PingTimeout)
}

func TestHandshakeRefuses(t *testing.T) {
	const outOfRange = "not Socket.IO: handshake without a sid, or with a pingInterval, pingTimeout or maxPayload out of range"
	for _, tt := range []struct{ frame, want string }{
		{``, "not Socket.IO: the first packet is not an Engine.IO open packet"},
		{`40/queue,{"sid":"x"}`, "not Socket.IO: the first packet is not an Engine.IO open packet"},
		{`0`, "not Socket.IO: data is not JSON"},
		{`0{"sid":"x","pingInterval":250`, "not Socket.IO: data is not JSON"},
		{`0{"sid":"x","pingInterval":"25000","pingTimeout":1}`, "not Socket.IO: data is not JSON"},
		{`0null`, outOfRange},
		{`0{"pingInterval":1,"pingTimeout":1}`, outOfRange},
		{`0{"sid":"x","pingInterval":0,"pingTimeout":1}`, outOfRange},
		{`0{"sid":"x","pingInterval":1,"pingTimeout":-1}`, outOfRange},
		{`0{"sid":"x","pingInterval":2147483648,"pingTimeout":1}`, outOfRange},
		{`0{"sid":"x","pingInterval":1,"pingTimeout":1,"maxPayload":-1}`, outOfRange},
	} {
		t.Run(tt.frame, func(t *testing.T) {
			_, err := parseHandshake([]byte(tt.frame))
			require.ErrorIs(t, err, ErrProtocol)
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestStreamSkipsAttachments(t *testing.T) {
	var s stream
	require.EqualError(t, s.attachment(), "not Socket.IO: binary message that no packet announced")
	_, err := s.packet([]byte(`52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`))
	require.NoError(t, err)
	require.NoError(t, s.attachment())
	_, err = s.packet([]byte(`2["b"]`))
	require.EqualError(t, err, "not Socket.IO: text where a binary attachment was announced")
	require.NoError(t, s.attachment())
	require.ErrorIs(t, s.attachment(), ErrProtocol)
	_, err = s.packet([]byte(`2["b"]`))
	require.NoError(t, err)
}
