package sessions

import (
	"context"
	"errors"
	"time"
)

// defaultGrace is how long after HoldOptions.Hold Hold waits for session:end when HoldOptions do not say.
const defaultGrace = 5 * time.Second

// HoldOptions says how long to hold.
type HoldOptions struct {
	// Hold is how long the user wants the session to last; 0 means as long as session:start promises.
	Hold time.Duration
	// Grace is how much longer than that to wait for session:end; 0 means 5 s.
	Grace time.Duration
}

// Held is what became of a session.
type Held struct {
	Outcome   Outcome
	Reason    Reason
	SessionID string
	Started   bool
	// StartDelay is from match to session:start, and 0 where session:start came first.
	StartDelay time.Duration
	// Held is from session:start to session:end, or until Hold gave up; 0 when not started.
	Held time.Duration
}

// Hold waits for the session's start, 5 s at most, and holds the session to its end; or, where the session is to last
// longer than asked, for Hold and Grace. It returns as stopped as soon as ctx ends, also in mid-session.
func (sock *Socket) Hold(ctx context.Context, m Match, o HoldOptions) Held {
	if m.session == nil {
		return Held{Outcome: OutcomeDropped, Reason: ReasonNoMatch, SessionID: m.SessionID}
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	s := m.session
	changed := sock.hold(s)
	limit := time.NewTimer(maxLength)
	defer limit.Stop()
	for {
		held, left := s.look(ctx, o)
		if held.Outcome != "" {
			return held
		}
		limit.Reset(left)
		select {
		case <-changed:
		case <-limit.C:
		case <-sock.lost():
		case <-ctx.Done():
		}
	}
}

// hold registers that Hold waits for the session; the channel signals each change.
func (sock *Socket) hold(s *session) <-chan struct{} {
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	sock.tracker.totals.Planned++
	s.holding = true
	s.changed = make(chan struct{}, 1)
	return s.changed
}

// look returns the result, or how long to wait before checking again.
func (s *session) look(ctx context.Context, o HoldOptions) (held Held, left time.Duration) {
	w := s.socket.tracker
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	left = maxLength
	limit := s.started.Add(o.Hold + o.Grace)
	if o.Hold > 0 && !s.started.IsZero() {
		left = limit.Sub(now)
	}
	outcome, reason := s.verdict(left <= 0, now)
	if outcome == "" && ctx.Err() != nil {
		outcome, reason = OutcomeStopped, ReasonStopped
	}
	if outcome == "" {
		return Held{}, left
	}
	return s.conclude(outcome, reason, now), 0
}

// verdict returns how the session ended; "" while it goes on.
func (s *session) verdict(limitReached bool, now time.Time) (Outcome, Reason) {
	switch {
	case !s.ended.IsZero():
		return s.endVerdict()
	case s.has(ruleEndMissing):
		return OutcomeDropped, ReasonNoEnd
	case s.started.IsZero() && s.has(ruleStartMissing):
		return OutcomeDropped, ReasonNoStart
	case s.has(ruleSessionMixed): // its missing events came with another session's id
		return OutcomeDropped, Reason(ruleSessionMixed)
	case s.socket.client.Err() != nil:
		return s.socket.lossVerdict()
	case !limitReached:
		return "", ""
	case now.After(s.started.Add(s.length + tolerance)):
		s.missEnd()
		return OutcomeDropped, ReasonNoEnd
	case len(s.broken) > 0:
		return OutcomeDropped, Reason(s.broken[0])
	}
	return OutcomeHeld, ReasonHoldOver
}

func (sock *Socket) lossVerdict() (Outcome, Reason) {
	if errors.Is(sock.client.Err(), ErrClosed) {
		return OutcomeStopped, ReasonStopped
	}
	return OutcomeDropped, ReasonSocketLost
}

// endVerdict judges a session that came to its end.
func (s *session) endVerdict() (Outcome, Reason) {
	if len(s.broken) == 0 {
		return OutcomeHeld, ReasonTimeout
	}
	switch Reason(s.reason) {
	case ReasonEnded, ReasonTokenError:
		return OutcomeDropped, Reason(s.reason)
	case ReasonTimeout:
	default:
		return OutcomeDropped, ReasonOther
	}
	off := s.lengthOff()
	switch {
	case s.started.IsZero():
		return OutcomeDropped, ReasonNoStart
	case off < 0:
		return OutcomeDropped, ReasonEarlyEnd
	case off > 0:
		return OutcomeDropped, ReasonLateEnd
	}
	return OutcomeDropped, Reason(s.broken[0])
}

// conclude returns the result and counts it.
func (s *session) conclude(outcome Outcome, reason Reason, now time.Time) Held {
	s.holding, s.told, s.changed = false, true, nil
	held := Held{Outcome: outcome, Reason: reason, SessionID: s.id}
	totals := &s.socket.tracker.totals
	switch outcome {
	case OutcomeHeld:
		totals.Held++
	case OutcomeDropped:
		totals.Dropped++
		s.counted = true
	default:
		totals.Stopped++
	}
	if s.started.IsZero() {
		return held
	}
	totals.Started++
	end := now
	if !s.ended.IsZero() {
		end = s.ended
	}
	held.Started = true
	held.StartDelay = max(0, s.started.Sub(s.matched))
	held.Held = max(0, end.Sub(s.started))
	return held
}
