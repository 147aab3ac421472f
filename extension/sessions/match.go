package sessions

import (
	"context"
	"errors"
	"time"
)

// DefaultMatchTimeout is how long Match waits when MatchOptions do not say.
const DefaultMatchTimeout = 30 * time.Second

// MatchOptions says how to join and to leave the queue. Join and Leave are needed; Match calls them itself, and waits.
type MatchOptions struct {
	// Join joins the queue and returns the key.
	Join func(context.Context) (queueKey string, err error)
	// Leave leaves the queue when there was no match in time. After any other outcome that is the caller's to do.
	Leave func(context.Context) error
	// Timeout is from the decision to join; 0 means DefaultMatchTimeout. It does not cut Join short.
	Timeout time.Duration
}

// Match is what came of a wait for a match.
type Match struct {
	Outcome Outcome
	// Wait is from the call of Match to the arrival of the match event on this user's socket, on one monotonic clock; without
	// a match, to the moment when Match gave up, before it left the queue.
	Wait time.Duration
	// SessionID is set when matched; and with any other outcome where a match came all the same, too late or while Join
	// failed: that session goes on, and can be held.
	SessionID string
	// QueueKey is what Join returned.
	QueueKey string

	session *session
}

// Matched reports whether there was a match in time.
func (m Match) Matched() bool { return m.Outcome == OutcomeMatched }

// want is a wait for a match.
type want struct {
	heard   chan struct{}
	session *session // guarded by Watch.mu; set before heard is closed
}

var errWaiting = errors.New("this user waits for a match already")

// Match joins the queue and waits for the match; it does not join when the socket is lost already. The error says why,
// where there is more to say: Join's with OutcomeJoinFailed, Leave's with OutcomeNoMatch, Line.Err with OutcomeSocketLost,
// or that a Match is under way already, with no outcome at all.
func (l *Line) Match(ctx context.Context, o MatchOptions) (Match, error) {
	begin := time.Now()
	if o.Timeout <= 0 {
		o.Timeout = DefaultMatchTimeout
	}
	w := &want{heard: make(chan struct{})}
	if !l.begin(w) {
		return Match{}, errWaiting
	}
	m, err := l.match(ctx, o, w, begin)
	l.finish(w, &m)
	if m.Matched() {
		m.Wait = max(0, m.session.matched.Sub(begin))
		if m.Wait > o.Timeout { // Join took longer than that, or the match and the timeout crossed
			m.Outcome = OutcomeNoMatch
		}
	}
	return m, err
}

func (l *Line) match(ctx context.Context, o MatchOptions, w *want, begin time.Time) (m Match, err error) {
	if l.client.Err() == nil {
		m.QueueKey, err = o.Join(ctx)
	}
	if err == nil {
		m.Outcome = l.wait(ctx, w, time.Until(begin.Add(o.Timeout)))
	}
	m.Wait = time.Since(begin)
	switch {
	case err != nil && ctx.Err() != nil:
		m.Outcome, err = OutcomeStopped, nil
	case err != nil:
		m.Outcome = OutcomeJoinFailed
	case m.Outcome == OutcomeSocketLost:
		err = l.Err()
	case m.Outcome == OutcomeNoMatch:
		if err = o.Leave(ctx); err == nil {
			l.Left()
		}
	}
	return m, err
}

// wait waits for the match that is wanted. One that has arrived wins over every reason to give up.
func (l *Line) wait(ctx context.Context, w *want, patience time.Duration) Outcome {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	outcome := OutcomeNoMatch
	select {
	case <-w.heard:
	case <-timer.C:
	case <-ctx.Done():
		outcome = OutcomeStopped
	case <-l.Lost():
		outcome = OutcomeSocketLost
	}
	select {
	case <-w.heard:
		return OutcomeMatched
	default:
	}
	if outcome == OutcomeSocketLost && errors.Is(l.Err(), ErrClosed) {
		return OutcomeStopped
	}
	return outcome
}

func (l *Line) begin(w *want) bool {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	if l.want != nil {
		return false
	}
	l.ask(w)
	return true
}

func (l *Line) finish(w *want, m *Match) {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.want = nil
	if w.session != nil {
		m.session, m.SessionID = w.session, w.session.id
	}
}

// ask notes that the user is about to join.
func (l *Line) ask(w *want) { l.asked, l.answered, l.want = true, false, w }

// left notes that the user left the queue. The match may have been faster.
func (l *Line) left() {
	if l.asked {
		l.leftUntil = time.Now().Add(settleTime)
	}
	l.asked, l.answered = false, false
}

// answer finds the join to which a match is the answer.
func (l *Line) answer(s *session) {
	switch {
	case l.asked:
		l.asked, l.answered = false, true
		if l.want != nil {
			l.want.session = s
			close(l.want.heard)
		}
	case s.matched.Before(l.leftUntil):
		l.leftUntil = time.Time{}
	case l.answered:
		s.breaks(RuleMatchRepeated, "it is the second match for one join")
	default:
		s.breaks(RuleMatchUnasked, "match came without a join")
	}
}
