package sessions

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLengthOfASession(t *testing.T) {
	tests := map[string]struct {
		startAt, endAt string
		want           time.Duration // 0: it does not say
	}{
		"milliseconds":      {"1767225600000", "1767225645000", 45 * time.Second},
		"seconds":           {"1767225600", "1767225645", 45 * time.Second},
		"RFC 3339":          {`"2026-01-01T00:00:00.000Z"`, `"2026-01-01T00:00:45.500Z"`, 45500 * time.Millisecond},
		"mixed":             {`"2026-01-01T00:00:00Z"`, "1767225645000", 45 * time.Second},
		"a day":             {"1767225600000", "1767312000000", 24 * time.Hour},
		"more than a day":   {"1767225600000", "1767312000001", 0},
		"nothing":           {"1767225600000", "1767225600000", 0},
		"backwards":         {"1767225645000", "1767225600000", 0},
		"null":              {"null", "1767225645000", 0},
		"negative":          {"-5", "1767225645000", 0},
		"no number":         {`"soon"`, "1767225645000", 0},
		"an object":         {"{}", "1767225645000", 0},
		"too large to be":   {"1767225600000", "1e300", 0},
		"not even a double": {"1767225600000", "1e999", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			payload, ok := decode[startPayload]([]json.RawMessage{json.RawMessage(`{"sessionId":"s","startAt":` + tt.startAt + `,"endAt":` + tt.endAt + `}`)})
			require.True(t, ok)
			length, known := payload.length()
			require.Equal(t, tt.want != 0, known)
			if known {
				require.Equal(t, tt.want, length)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	for payload, named := range map[string]bool{
		`{"sessionId":"s"}`: true,
		`{"sessionId":"s","reason":"timeout","more":[1]}`:  true,
		`{"sessionId":"` + strings.Repeat("s", 128) + `"}`: true,
		`{"sessionId":"` + strings.Repeat("s", 129) + `"}`: false,
		`{"sessionId":""}`:             false,
		`{"sessionId":null}`:           false,
		`{"sessionId":7}`:              false,
		`{"sessionId":"s","reason":7}`: false,
		`{}`:                           false,
		`[]`:                           false,
		`"s"`:                          false,
		`null`:                         false,
	} {
		_, ok := decode[endPayload]([]json.RawMessage{json.RawMessage(payload)})
		require.Equal(t, named, ok, payload)
	}
	_, ok := decode[endPayload](nil)
	require.False(t, ok)
}

func TestShow(t *testing.T) {
	require.Equal(t, `"cm5x0"`, show("cm5x0"))
	require.Equal(t, `"a\nb"`, show("a\nb"))
	require.Equal(t, "(0 bytes)", show(""))
	require.Equal(t, "(41 bytes)", show(strings.Repeat("x", 41)))
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		match("s", "b"), start("s"), end("s", "timeout"), `{"sessionId":"s","startAt":"2026-01-01T00:00:00Z","endAt":1e308}`,
		`{"sessionId":"s","startAt":-0,"endAt":{}}`, `{"sessionId":"\ud800"}`, `null`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		args := []json.RawMessage{data}
		if p, ok := decode[matchPayload](args); ok && (p.SessionID == "" || len(p.SessionID) > maxSessionID) {
			t.Errorf("match of session %q", p.SessionID)
		}
		if p, ok := decode[startPayload](args); ok {
			if length, known := p.length(); known && (length <= 0 || length > maxLength) {
				t.Errorf("a session of %s", length)
			}
		}
		if p, ok := decode[endPayload](args); ok && !json.Valid(data) {
			t.Errorf("end of session %q out of what is not JSON", p.SessionID)
		}
	})
}
