package sessions

import (
	"context"
	"errors"
	"time"
)

// defaultMatchTimeout is how long Match waits when MatchOptions do not say.
const defaultMatchTimeout = 30 * time.Second

// MatchOptions says how to join and to leave the queue. Join and Leave are needed; Match calls them itself, and waits.
type MatchOptions struct {
	// Join joins the queue and returns the key.
	Join func(context.Context) (queueKey string, err error)
	// Leave leaves the queue when there was no match in time. After any other outcome that is the caller's to do.
	Leave func(context.Context) error
	// Timeout is from the decision to join; 0 means 30 s. It does not cut Join short.
	Timeout time.Duration
}

// Match is the result of a wait for a match.
type Match struct {
	Outcome Outcome
	// Wait is from the call of Match to the arrival of the match event on this user's socket, on one monotonic clock; without
	// a match, to the moment when Match gave up, before it left the queue.
	Wait time.Duration
	// SessionID is set when matched, and also with another outcome if a match came too late or while Join failed: that session
	// goes on and can be held.
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
	session *session // guarded by Tracker.mu; set before heard is closed
}

var errWaiting = errors.New("this user waits for a match already")

// Match joins the queue and waits for the match; it does not join when the socket is lost already. The error says why,
// where there is more to say: Join's with OutcomeJoinFailed, Leave's with OutcomeNoMatch, Socket.Err with OutcomeSocketLost,
// or that a Match is under way already, with no outcome at all.
func (sock *Socket) Match(ctx context.Context, o MatchOptions) (Match, error) {
	begin := time.Now()
	if o.Timeout <= 0 {
		o.Timeout = defaultMatchTimeout
	}
	w := &want{heard: make(chan struct{})}
	if !sock.begin(w) {
		return Match{}, errWaiting
	}
	m, err := sock.match(ctx, o, w, begin)
	sock.finish(w, &m)
	if m.Matched() {
		m.Wait = max(0, m.session.matched.Sub(begin))
		if m.Wait > o.Timeout { // Join took longer than that, or the match and the timeout crossed
			m.Outcome = OutcomeNoMatch
		}
	}
	return m, err
}

func (sock *Socket) match(ctx context.Context, o MatchOptions, w *want, begin time.Time) (m Match, err error) {
	if sock.client.Err() == nil {
		m.QueueKey, err = o.Join(ctx)
	}
	if err == nil {
		m.Outcome = sock.wait(ctx, w, time.Until(begin.Add(o.Timeout)))
	}
	m.Wait = time.Since(begin)
	switch {
	case err != nil && ctx.Err() != nil:
		m.Outcome, err = OutcomeStopped, nil
	case err != nil:
		m.Outcome = OutcomeJoinFailed
	case m.Outcome == OutcomeSocketLost:
		err = sock.Err()
	case m.Outcome == OutcomeNoMatch:
		if err = o.Leave(ctx); err == nil {
			sock.Left()
		}
	}
	return m, err
}

// wait waits for the match that is wanted. One that has arrived wins over every reason to give up.
func (sock *Socket) wait(ctx context.Context, w *want, patience time.Duration) Outcome {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	outcome := OutcomeNoMatch
	select {
	case <-w.heard:
	case <-timer.C:
	case <-ctx.Done():
		outcome = OutcomeStopped
	case <-sock.lost():
		outcome = OutcomeSocketLost
	}
	select {
	case <-w.heard:
		return OutcomeMatched
	default:
	}
	if outcome == OutcomeSocketLost && errors.Is(sock.Err(), ErrClosed) {
		return OutcomeStopped
	}
	return outcome
}

func (sock *Socket) begin(w *want) bool {
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	if sock.want != nil {
		return false
	}
	sock.ask(w)
	return true
}

func (sock *Socket) finish(w *want, m *Match) {
	sock.tracker.mu.Lock()
	defer sock.tracker.mu.Unlock()
	sock.want = nil
	if w.session != nil {
		m.session, m.SessionID = w.session, w.session.id
	}
}

// ask records that the user is about to join.
func (sock *Socket) ask(w *want) { sock.asked, sock.answered, sock.want = true, false, w }

// left records that the user left the queue. A match may have come first.
func (sock *Socket) left() {
	if sock.asked {
		sock.leftUntil = time.Now().Add(settleTime)
	}
	sock.asked, sock.answered = false, false
}

// answer assigns a match to the join that it answers.
func (sock *Socket) answer(s *session) {
	switch {
	case sock.asked:
		sock.asked, sock.answered = false, true
		if sock.want != nil {
			sock.want.session = s
			close(sock.want.heard)
		}
	case s.matched.Before(sock.leftUntil):
		sock.leftUntil = time.Time{}
	case sock.answered:
		s.breaks(ruleMatchRepeated, "it is the second match for one join")
	default:
		s.breaks(ruleMatchUnasked, "match came without a join")
	}
}
