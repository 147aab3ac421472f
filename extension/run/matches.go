package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// The kinds of failures of waits that ended without an error of an operation.
const (
	failedNoMatch    = "no_match"
	failedSocketLost = "socket_lost"
)

// Matched is one user's wait for a match, and its outcome.
type Matched struct {
	sessions.Match
	UserID string
	Began  time.Time
	Left   contract.LeaveStatus // the answer to the leave after it, if there was one
	Loss   sessions.Loss        // of the socket
	Err    error                // of the join
}

// CountMatch counts a wait for a match that is over.
func (r *Run) CountMatch(ctx context.Context, emit Emitter, m Matched) {
	unheard := m.isUnheard()
	r.recordMatch(m, unheard)
	if unheard {
		r.Record.MatchUnheard(m.UserID)
	}
	failed := 1.0
	switch m.Outcome {
	case sessions.OutcomeMatched:
		failed = 0
		emit.Emit(ctx, MatchTime, Milliseconds(m.Wait), "outcome", string(m.Outcome))
	case sessions.OutcomeNoMatch:
		emit.Emit(ctx, MatchTime, Milliseconds(m.Wait), "outcome", string(m.Outcome))
	case sessions.OutcomeSocketLost:
		r.Record.Errored(report.ErrorKind{Operation: "match", Name: string(m.Outcome)},
			fmt.Sprintf("user %s waited for %.1f s, then its socket was lost: %s", m.UserID, m.Wait.Seconds(), LossText(m.Loss)))
	default:
		return // stopped, or it never joined
	}
	emit.Emit(ctx, MatchAttempts, 1, "", "")
	emit.Emit(ctx, MatchFailed, failed, "", "")
}

// recordMatch records how long a user waited for its match; unheard is isUnheard.
func (r *Run) recordMatch(m Matched, unheard bool) {
	series := evidence.Series{Metric: evidence.MetricMatch}
	if unheard {
		r.Evidence.Time(series, m.Began, m.Wait, evidence.Failed, evidence.KindUnheard)
		return
	}
	switch m.Outcome {
	case sessions.OutcomeMatched:
		r.Evidence.Time(series, m.Began, m.Wait, evidence.OK, "")
	case sessions.OutcomeNoMatch:
		r.Evidence.Time(series, m.Began, m.Wait, evidence.Failed, failedNoMatch)
	case sessions.OutcomeSocketLost:
		r.Evidence.Time(series, m.Began, m.Wait, evidence.Failed, failedSocketLost)
	case sessions.OutcomeStopped:
		r.Evidence.Time(series, m.Began, m.Wait, evidence.Cut, "")
	case sessions.OutcomeJoinFailed:
		outcome, kind := outcomeOf(m.Err)
		r.Evidence.Time(series, m.Began, m.Wait, outcome, kind)
	default: // the others are of sessions
	}
}

// CountSession counts a session that is over for one of its users, whose socket may have been lost.
func (r *Run) CountSession(ctx context.Context, emit Emitter, userID string, held sessions.Held, loss sessions.Loss) {
	r.recordSession(held)
	if held.Started {
		emit.Emit(ctx, SessionStartTime, Milliseconds(held.StartDelay), "", "")
		emit.Emit(ctx, SessionsStarted, 1, "", "")
	}
	if held.Outcome == sessions.OutcomeStopped {
		return
	}
	dropped := 0.0
	if held.Outcome == sessions.OutcomeDropped {
		dropped = 1
		example := "session " + plain.Text(held.SessionID) + " of user " + userID
		if held.Reason == sessions.ReasonSocketLost {
			example += ", whose socket was lost: " + LossText(loss)
		}
		r.Record.Errored(report.ErrorKind{Operation: "session", Name: string(held.Reason)}, example)
	}
	emit.Emit(ctx, SessionDropped, dropped, "", "")
	if held.Started {
		emit.Emit(ctx, SessionHeld, Milliseconds(held.Held), "", "")
		r.held.add(held.Held)
	}
}

// recordSession records how long a session took to start and how long it was held: until now if the end of the run cut it.
func (r *Run) recordSession(held sessions.Held) {
	now := time.Now()
	started := now.Add(-held.Held)
	if held.Started {
		r.Evidence.Time(evidence.Series{Metric: evidence.MetricStart}, started.Add(-held.StartDelay), held.StartDelay, evidence.OK, "")
		r.Evidence.Count(evidence.CountStarted, now, 1)
	}
	session := evidence.Series{Metric: evidence.MetricSession}
	switch held.Outcome {
	case sessions.OutcomeHeld:
		r.Evidence.Time(session, started, held.Held, evidence.OK, "")
	case sessions.OutcomeDropped:
		r.Evidence.Time(session, started, held.Held, evidence.Failed, string(held.Reason))
		r.Evidence.Count(evidence.Labelled(evidence.CountDropped, string(held.Reason)), now, 1)
	default:
		r.Evidence.Time(session, started, held.Held, evidence.Cut, "")
	}
}

// isUnheard reports whether the user was matched but received no match event: its wait ended without a match, and the answer to its
// leave was that it is in no queue, or matched already.
func (m Matched) isUnheard() bool {
	return m.Outcome == sessions.OutcomeNoMatch && m.SessionID == "" && (m.Left == contract.LeaveNotQueued || m.Left == contract.LeaveAlreadyMatched)
}

// holdTimes adds up how long sessions were held.
type holdTimes struct {
	mu  sync.Mutex
	sum time.Duration
	n   int
}

func (h *holdTimes) add(held time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sum += held
	h.n++
}

func (h *holdTimes) total() (time.Duration, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sum, h.n
}
