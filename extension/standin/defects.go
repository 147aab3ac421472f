package standin

import (
	"errors"
	"fmt"
	"time"
)

// maxDefectDelay is longer than any run.
const maxDefectDelay = 24 * time.Hour

// Defects are deliberate defects of a stand-in's sockets, for tests that must notice them. The zero value has none.
//
// A share is from 0 to 1 and is spread evenly: 0.25 affects every fourth session, beginning with the fourth.
type Defects struct {
	// LoseMatch is the share of sessions whose second user, the one that waited shorter, gets no match event.
	LoseMatch float64
	// LoseStart is the share of sessions in which neither user gets session:start.
	LoseStart float64
	// CrossPairs is the share of sessions whose second user gets, in all events, the sessionId and partner of the previous
	// session, or made-up ones if there was none.
	CrossPairs float64
	// TokenError is the share of sessions that end at once, with reason token_error and without session:start.
	TokenError float64
	// EndEarly is how long before its endAt a session ends, with reason timeout; 0 to Options.Session.
	EndEarly time.Duration
	// DropSocketsAfter is how long after joining its first namespace a connection is cut off, 0 (never) to 24 h.
	DropSocketsAfter time.Duration
	// MuteAfter is how long after the start the sockets hang while HTTP goes on: no answer, event or ping is sent, and
	// received messages are ignored. 0 (never) to 24 h.
	MuteAfter time.Duration
	// SeparateMatcher makes sessions without any event to a socket. So it is if the matcher runs in another process than the API,
	// as the owners deploy Verity, and no Socket.IO adapter connects the two.
	SeparateMatcher bool
}

func (d *Defects) validate(session time.Duration) error {
	return errors.Join(
		isShare("lose-match", "lost matches", d.LoseMatch),
		isShare("lose-start", "lost starts", d.LoseStart),
		isShare("cross-pairs", "crossed pairs", d.CrossPairs),
		isShare("token-error", "token errors", d.TokenError),
		inRange("end-early", "early end", d.EndEarly, 0, max(0, session)), // a session below 0 is refused itself
		inRange("drop-sockets-after", "drop of sockets", d.DropSocketsAfter, 0, maxDefectDelay),
		inRange("mute-after", "mute", d.MuteAfter, 0, maxDefectDelay),
	)
}

func isShare(option, of string, rate float64) error {
	if rate >= 0 && rate <= 1 { // which NaN is not
		return nil
	}
	return &OptionError{option, "share of " + of, fmt.Sprintf("must be from 0 to 1, got %v", rate)}
}

// share selects an even share of a sequence. Its caller must lock it.
type share struct {
	rate float64
	owed float64
}

// next reports whether the next element is selected.
func (s *share) next() bool {
	const rounding = 1e-9
	s.owed += s.rate
	if s.owed < 1-rounding {
		return false
	}
	s.owed--
	return true
}
