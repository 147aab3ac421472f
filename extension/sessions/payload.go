package sessions

import (
	"encoding/json"
	"strconv"
	"time"
)

const (
	maxSessionID = 128            // bytes; Verity's ids have 25
	maxLength    = 24 * time.Hour // of a session
)

// identified is a payload that names its session.
type identified struct {
	SessionID string `json:"sessionId"`
}

func (p identified) session() string { return p.SessionID }

// matchPayload is what is needed of match.
type matchPayload struct {
	identified
	Partner string `json:"partnerAnonymousId"`
}

// startPayload is what is needed of session:start.
type startPayload struct {
	identified
	StartAt instant `json:"startAt"`
	EndAt   instant `json:"endAt"`
}

// length returns endAt − startAt; false when they do not say.
func (p startPayload) length() (time.Duration, bool) {
	if p.StartAt.IsZero() || p.EndAt.IsZero() {
		return 0, false
	}
	length := p.EndAt.Sub(p.StartAt.Time)
	return length, length > 0 && length <= maxLength
}

// endPayload is what is needed of session:end.
type endPayload struct {
	identified
	Reason string `json:"reason"`
}

// decode reads the payload of an event; false when it does not name a session.
func decode[T interface{ session() string }](args []json.RawMessage) (payload T, ok bool) {
	if len(args) == 0 || json.Unmarshal(args[0], &payload) != nil {
		return payload, false
	}
	id := payload.session()
	return payload, id != "" && len(id) <= maxSessionID
}

// instant is a moment on the service's clock. docs/verity-api.md does not fix its form, so every usual one is read: milliseconds
// or seconds since the epoch, told apart by their size, or RFC 3339, which is what JSON makes of a JavaScript Date. What is
// none of them is the zero time.
type instant struct{ time.Time }

const (
	leastMillis = 1e11    // as seconds it is the year 5138, as milliseconds 1973
	mostMillis  = 8.64e15 // the end of time in JavaScript
)

// UnmarshalJSON implements json.Unmarshaler.
func (i *instant) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		i.Time, _ = time.Parse(time.RFC3339, text) // the zero time with an error
		return nil
	}
	n, _ := strconv.ParseFloat(string(data), 64) // 0 or infinite with an error
	if n > 0 && n < leastMillis {
		n *= 1000
	}
	if n > 0 && n <= mostMillis {
		i.Time = time.UnixMilli(int64(n))
	}
	return nil
}
