package standin

import (
	"errors"
	"fmt"
	"time"
)

// maxDefectDelay is longer than any run.
const maxDefectDelay = 24 * time.Hour

// Defects break a stand-in's sockets on purpose, for tests of those who should notice. The zero value breaks nothing.
//
// A share is from 0 to 1 and is kept evenly: with 0.25 it is every fourth session that is hit, the fourth first.
type Defects struct {
	// LoseMatch is the share of sessions of which the user who waited shorter hears no match.
	LoseMatch float64
	// LoseStart is the share of sessions whose session:start neither user hears.
	LoseStart float64
	// CrossPairs is the share of sessions whose user who waited shorter hears of the wrong one: in all events the sessionId
	// and the partner of the pair before, or of nobody when there was none.
	CrossPairs float64
	// TokenError is the share of sessions that end at once, with reason token_error and without a start.
	TokenError float64
	// EndEarly is how long before its endAt a session ends, with reason timeout; 0 to Options.Session.
	EndEarly time.Duration
	// DropSocketsAfter is how long after a connection joined its first namespace it is cut off, 0 (never) to 24 h.
	DropSocketsAfter time.Duration
	// MuteAfter is how long after the start the sockets fall silent, while HTTP goes on: no answer, event or ping, and
	// nothing that arrives is looked at. 0 (never) to 24 h.
	MuteAfter time.Duration
	// SeparateMatcher makes sessions of which no socket hears anything, as where the matcher runs in another process than the API
	// and no Socket.IO adapter joins them. It is how the owners deploy Verity.
	SeparateMatcher bool
}

func (d *Defects) validate(session time.Duration) error {
	return errors.Join(
		isShare("lost matches", d.LoseMatch),
		isShare("lost starts", d.LoseStart),
		isShare("crossed pairs", d.CrossPairs),
		isShare("token errors", d.TokenError),
		inRange("early end", d.EndEarly, 0, session),
		inRange("drop of sockets", d.DropSocketsAfter, 0, maxDefectDelay),
		inRange("mute", d.MuteAfter, 0, maxDefectDelay),
	)
}

func isShare(name string, rate float64) error {
	if rate >= 0 && rate <= 1 { // which NaN is not
		return nil
	}
	return fmt.Errorf("the share of %s must be from 0 to 1, got %v", name, rate)
}

// share says of each of many whether it belongs to a share of them. It needs a lock of its user's.
type share struct {
	rate float64
	owed float64
}

func (s *share) next() bool {
	const rounding = 1e-9
	s.owed += s.rate
	if s.owed < 1-rounding {
		return false
	}
	s.owed--
	return true
}
