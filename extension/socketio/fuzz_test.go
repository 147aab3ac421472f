package socketio

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

var packetSeeds = []string{
	``, `0`, `0/queue,`, `0/queue,{"token":"x"}`, `1/queue,`, `2["a"]`, `2/queue,["queue:status",{"usersSearching":1}]`,
	`2/queue,12["a\"b",1]`, `3/queue,7[]`, `4/nope,{"message":"Invalid namespace"}`, `4"x"`, `51-/queue,["a",{"_placeholder":true,"num":0}]`,
	`61-/queue,9[{"_placeholder":true,"num":0}]`, `2["a`, `2/queue`, `2["\u00`, `9`, `2[ "a" , 1]`, `0/a/b?c=d,{}`,
	"2[\"\xd9\xd90\"]",
}

// Whatever parsePacket accepts, append restores, and eventName returns the name that encoding/json decodes.
func FuzzParsePacket(f *testing.F) {
	for _, seed := range packetSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacket(b)
		if err != nil {
			require.ErrorIs(t, err, ErrProtocol)
			return
		}
		again, err := parsePacket(p.append(nil))
		require.NoError(t, err)
		require.Equal(t, p, again)

		name, err := p.eventName()
		if err != nil {
			require.ErrorIs(t, err, ErrProtocol)
			return
		}
		e, err := decodeEvent(&p, "/", name)
		if err != nil {
			require.False(t, json.Valid(p.Data))
			return
		}
		var values []any
		require.NoError(t, json.Unmarshal(p.Data, &values))
		require.Len(t, values, len(e.Args)+1)
		require.Equal(t, values[0], string([]rune(e.Name)), "but for bytes that are not UTF-8, which JSON replaces")
	})
}

func FuzzParseHandshake(f *testing.F) {
	f.Add([]byte(`0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`))
	f.Add([]byte(`0{"sid":"","pingInterval":1}`))
	f.Add([]byte(`0{"sid":"x","pingInterval":1e3,"pingTimeout":1}`))
	f.Add([]byte(`0`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHandshake(b)
		if err != nil {
			require.ErrorIs(t, err, ErrProtocol)
			return
		}
		require.Positive(t, h.PingInterval+h.PingTimeout)
		again, err := parseHandshake(h.append(nil))
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}

// frames cuts fuzzed input into frames at line feeds; a line that starts with # is a binary one.
func frames(input string, take func(messageType int, frame []byte) error) error {
	for line := range strings.SplitSeq(input, "\n") {
		messageType := websocket.TextMessage
		if rest, ok := strings.CutPrefix(line, "#"); ok {
			messageType, line = websocket.BinaryMessage, rest
		}
		if err := take(messageType, []byte(line)); err != nil {
			return err
		}
	}
	return nil
}

// Whatever a client receives, it does not panic, passes on only JSON, and fails only with its documented errors.
func FuzzClientFrames(f *testing.F) {
	f.Add("40/queue,{\"sid\":\"x\"}\n42/queue,[\"match\",{}]\n43/queue,1[]\n41/queue,")
	f.Add("451-/queue,[\"a\",{\"_placeholder\":true,\"num\":0}]\n#bytes\n42/queue,[\"b\"]")
	f.Add("44/queue,{\"message\":\"no\"}")
	f.Add("451-/queue,[\"a\"]\nbAQID\n6\n3\n1")
	f.Fuzz(func(t *testing.T, input string) {
		c := newClient(&Options{Namespaces: []string{"/queue"}, OnEvent: func(e Event) {
			for _, arg := range e.Args {
				require.True(t, json.Valid(arg))
			}
		}})
		c.handshake.SID = "engine-id"
		err := frames(input, func(messageType int, frame []byte) error {
			if len(frame) > 0 && frame[0] == enginePing { // its answer would need a connection
				return nil
			}
			return c.handle(messageType, frame)
		})
		_, refused := errors.AsType[*ConnectError](err)
		_, disconnected := errors.AsType[*DisconnectError](err)
		named := err == nil || refused || disconnected || errors.Is(err, ErrProtocol) || errors.Is(err, ErrServerClosed)
		require.True(t, named, err)
	})
}

// Whatever a server receives, it does not panic and passes on only JSON.
func FuzzServerFrames(f *testing.F) {
	f.Add("40/queue,{\"token\":\"x\"}\n42/queue,1[\"a\",{}]\n41/queue,")
	f.Add("40/nope,\n40/queue,\n40/queue,")
	f.Add("40/queue,\n451-/queue,[\"a\",{\"_placeholder\":true,\"num\":0}]\n#bytes\n3\n2")
	f.Fuzz(func(t *testing.T, input string) {
		s := NewServer(ServerOptions{
			Namespaces: []string{"/queue"},
			OnEvent: func(s *Socket, e Event) {
				for _, arg := range e.Args {
					require.True(t, json.Valid(arg))
				}
				if e.WantsAck() {
					require.NoError(t, s.Ack(e))
				}
			},
		})
		here, there := net.Pipe()
		c := &conn{server: s, net: here}
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = io.Copy(io.Discard, there) })
		c.open()
		if err := frames(input, c.handle); err != nil {
			require.ErrorIs(t, err, ErrProtocol)
		}
		c.finish()
		s.Close()
		reading.Wait()
	})
}
