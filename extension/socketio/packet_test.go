package socketio

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParsePacket(t *testing.T) {
	for _, tt := range []struct {
		wire string
		want packet
	}{
		{`0`, packet{Type: packetConnect, Namespace: []byte("/")}},
		{`0/queue,{"token":"a,b"}`, packet{Type: packetConnect, Namespace: []byte("/queue"), Data: []byte(`{"token":"a,b"}`)}},
		{`0/queue,`, packet{Type: packetConnect, Namespace: []byte("/queue")}},
		{`0/queue`, packet{Type: packetConnect, Namespace: []byte("/queue")}},
		{`1/queue,`, packet{Type: packetDisconnect, Namespace: []byte("/queue")}},
		{`2["a"]`, packet{Type: packetEvent, Namespace: []byte("/"), Data: []byte(`["a"]`)}},
		{`2/video,["session:end",{"reason":"timeout"}]`,
			packet{Type: packetEvent, Namespace: []byte("/video"), Data: []byte(`["session:end",{"reason":"timeout"}]`)}},
		{`2/queue,12["a",1]`,
			packet{Type: packetEvent, Namespace: []byte("/queue"), ID: 12, HasID: true, Data: []byte(`["a",1]`)}},
		{`30[]`, packet{Type: packetAck, Namespace: []byte("/"), ID: 0, HasID: true, Data: []byte(`[]`)}},
		{`4/nope,{"message":"Invalid namespace"}`,
			packet{Type: packetConnectError, Namespace: []byte("/nope"), Data: []byte(`{"message":"Invalid namespace"}`)}},
		{`4/nope,"no"`, packet{Type: packetConnectError, Namespace: []byte("/nope"), Data: []byte(`"no"`)}},
		{`51-/queue,3["a",{"_placeholder":true,"num":0}]`, packet{Type: packetBinaryEvent, Attachments: 1,
			Namespace: []byte("/queue"), ID: 3, HasID: true, Data: []byte(`["a",{"_placeholder":true,"num":0}]`)}},
		{`62-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, packet{Type: packetBinaryAck, Attachments: 2,
			Namespace: []byte("/"), ID: 7, HasID: true, Data: []byte(`[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)}},
		{`39007199254740991[]`, packet{Type: packetAck, Namespace: []byte("/"), ID: 1<<53 - 1, HasID: true, Data: []byte(`[]`)}},
	} {
		t.Run(tt.wire, func(t *testing.T) {
			p, err := parsePacket([]byte(tt.wire))
			require.NoError(t, err)
			require.Equal(t, tt.want, p)
		})
	}
}

func TestParsePacketRefuses(t *testing.T) {
	for _, tt := range []struct{ wire, want string }{
		{``, "not Socket.IO: empty packet"},
		{`7`, "not Socket.IO: unknown packet type"},
		{`/queue,`, "not Socket.IO: unknown packet type"},
		{`x`, "not Socket.IO: unknown packet type"},
		{`0/queue,{"token":"secr`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`0/queue,["token"]`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`0/queue,1{"token":"a"}`, "not Socket.IO: acknowledgement id on a packet that takes none"},
		{`1/queue,{}`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`2`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`2/queue,`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`2/que`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`2/queue,[`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`2/queue,["match",{"sessionId":"x"}`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`2/queue,{"0":"match"}`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`2 ["match"]`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`3/queue,[]`, "not Socket.IO: ACK without an acknowledgement id"},
		{`3/queue,1`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`39007199254740992[]`, "not Socket.IO: acknowledgement id out of range"},
		{`4/queue,[1]`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`4/queue,"`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`5["a"]`, "not Socket.IO: bad number of attachments"},
		{`5`, "not Socket.IO: bad number of attachments"},
		{`51`, "not Socket.IO: bad number of attachments"},
		{`5-["a"]`, "not Socket.IO: bad number of attachments"},
		{`50-["a"]`, "not Socket.IO: bad number of attachments"},
		{`51001-["a"]`, "not Socket.IO: bad number of attachments"},
		{`61-[]`, "not Socket.IO: ACK without an acknowledgement id"},
	} {
		t.Run(tt.wire, func(t *testing.T) {
			_, err := parsePacket([]byte(tt.wire))
			require.ErrorIs(t, err, ErrProtocol)
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestEventName(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{`["queue:status",{"usersSearching":3}]`, "queue:status"},
		{`["match"]`, "match"},
		{`["",1]`, ""},
		{`["a\"b",1]`, `a"b`},
		{`["\u006datch",{}]`, "match"},
		{`["größe",1]`, "größe"},
		{"[ \n\"match\" , 1]", "match"},
		{`["connected"]`, "connected"},
	} {
		t.Run(tt.data, func(t *testing.T) {
			p := packet{Type: packetEvent, Data: []byte(tt.data)}
			name, err := p.eventName()
			require.NoError(t, err)
			require.Equal(t, tt.want, string(name))
		})
	}
}

func TestEventNameRefuses(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{``, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`[]`, "not Socket.IO: event without a name, or with one that is not a string"},
		{`[1,"match"]`, "not Socket.IO: event without a name, or with one that is not a string"},
		{`[{"a":1}]`, "not Socket.IO: event without a name, or with one that is not a string"},
		{`["queue:sta]`, "not Socket.IO: event without a name, or with one that is not a string"},
		{`["queue:sta\"]`, "not Socket.IO: event without a name, or with one that is not a string"},
		{`["\x"]`, "not Socket.IO: event without a name, or with one that is not a string"},
		{"[\"a\nb\"]", "not Socket.IO: event without a name, or with one that is not a string"},
		{`["match" 1]`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`["match"],1]`, "not Socket.IO: data missing, cut short or of the wrong kind"},
		{`["connect"]`, "not Socket.IO: event with a reserved name"},
		{`["connect_error"]`, "not Socket.IO: event with a reserved name"},
		{`["disconnect"]`, "not Socket.IO: event with a reserved name"},
		{`["disconnecting"]`, "not Socket.IO: event with a reserved name"},
		{`["newListener"]`, "not Socket.IO: event with a reserved name"},
		{`["removeListener"]`, "not Socket.IO: event with a reserved name"},
	} {
		t.Run(tt.data, func(t *testing.T) {
			p := packet{Type: packetEvent, Data: []byte(tt.data)}
			_, err := p.eventName()
			require.ErrorIs(t, err, ErrProtocol)
			require.EqualError(t, err, tt.want)
		})
	}
}

// Counting unwanted frames must not allocate memory.
func TestCountingAnEventAllocatesNothing(t *testing.T) {
	frame := []byte(`2/queue,["queue:status",{"usersSearching":1234}]`)
	broken := []byte(`2/queue,["queue:status",{"usersSearching":12`)
	counts := map[string]*int{"queue:status": new(int)} // looking up string(name) allocates nothing, storing would
	allocations := testing.AllocsPerRun(100, func() {
		p, _ := parsePacket(frame)
		name, _ := p.eventName()
		*counts[string(name)]++
		_, _ = parsePacket(broken)
	})
	require.Zero(t, allocations)
	require.Equal(t, 101, *counts["queue:status"])
}

func TestEventMessage(t *testing.T) {
	for _, tt := range []struct {
		name, namespace, event string
		id                     int64
		args                   []any
		want                   string
	}{
		{"main namespace", "/", "a", -1, nil, `42["a"]`},
		{"another namespace", "/queue", "a", -1, []any{1, "x", nil, true}, `42/queue,["a",1,"x",null,true]`},
		{"with an id", "/queue", "a", 0, []any{map[string]int{"n": 1}}, `42/queue,0["a",{"n":1}]`},
		{"as JSON.stringify writes it", "/queue", `<"a">`, -1, []any{"<&>\u2028"}, `42/queue,["<\"a\">","<&>\u2028"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frame, err := eventMessage(tt.namespace, tt.id, tt.event, tt.args)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(frame))
		})
	}
}

func TestEventMessageRefuses(t *testing.T) {
	_, err := eventMessage("/queue", -1, "", nil)
	require.EqualError(t, err, `event "" cannot be sent: the name is empty or reserved by Socket.IO`)
	_, err = eventMessage("/queue", -1, "disconnect", nil)
	require.EqualError(t, err, `event "disconnect" cannot be sent: the name is empty or reserved by Socket.IO`)
	_, err = eventMessage("/queue", -1, "a", []any{math.NaN()})
	require.EqualError(t, err, `event "a" cannot be sent: json: unsupported value: NaN`)
	_, err = ackMessage("/queue", 1, []any{math.Inf(1)})
	require.EqualError(t, err, `acknowledgement cannot be sent: json: unsupported value: +Inf`)
}

func TestAckMessage(t *testing.T) {
	frame, err := ackMessage("/queue", 7, []any{"x"})
	require.NoError(t, err)
	require.Equal(t, `43/queue,7["x"]`, string(frame))
	frame, err = ackMessage("/", 0, nil)
	require.NoError(t, err)
	require.Equal(t, `430[]`, string(frame))
}

func TestDecodeEvent(t *testing.T) {
	p, err := parsePacket([]byte(`51-/queue,4["photo",{"_placeholder":true,"num":0},[1, 2]]`))
	require.NoError(t, err)
	e, err := decodeEvent(&p, "/queue", []byte("photo"))
	require.NoError(t, err)
	require.Equal(t, []json.RawMessage{json.RawMessage(`{"_placeholder":true,"num":0}`), json.RawMessage(`[1, 2]`)}, e.Args)
	require.Equal(t, 1, e.Attachments)
	require.True(t, e.WantsAck())
	require.False(t, e.At.IsZero())

	p, err = parsePacket([]byte(`2["a",{"n":]`))
	require.NoError(t, err)
	_, err = decodeEvent(&p, "/", []byte("a"))
	require.EqualError(t, err, "not Socket.IO: data is not JSON")
}

func TestPacketTypeString(t *testing.T) {
	require.Equal(t, "CONNECT_ERROR", packetConnectError.String())
	require.Equal(t, "type 9", packetType(9).String())
}
