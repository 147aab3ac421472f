package sessions

import (
	"fmt"
	"slices"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
)

const (
	// settleTime is how long a match may take that is on its way: when session:start came before it, or when the user has
	// just left the queue. Verity needs 4 to 20 ms.
	settleTime = 2 * time.Second
	// partnerPatience is how long after one user's match the partner's may be read. It comes over another socket, which a
	// busy runner may read later.
	partnerPatience = 5 * time.Second
	// startPatience is how long after match session:start may come.
	startPatience = 5 * time.Second
	// endPatience is how long after a session's time session:end may come before it counts as missing.
	endPatience = 5 * time.Second
	// tolerance is how far the length of a session may be from its promise.
	tolerance = time.Second
	// lingerTime is how long a session that is over is remembered, to recognise events that repeat.
	lingerTime = 10 * time.Second
	// usualLength stands in for a length that is not known.
	usualLength = contract.Session
)

// stage is which event a session waits for.
type stage byte

const (
	unmatched stage = iota // session:start or session:end arrived; the match should follow
	awaitsStart
	awaitsEnd
	lingers // over, but remembered
	gone    // forgotten: the socket does not know it any more
)

// session is what one socket has heard of one session. It is guarded by Tracker.mu.
type session struct {
	socket  *Socket
	id      string
	partner string // partnerAnonymousId

	matched, started, ended time.Time // when the events arrived; zero: not yet
	length                  time.Duration
	lengthKnown             bool
	reason                  string // of session:end

	stage   stage
	due     time.Time // when the stage has lasted too long
	timer   *time.Timer
	settled bool // the match was waited for
	active  bool // counts in Tracker.activity

	broken  []Rule
	holding bool          // Hold waits
	told    bool          // Hold has returned
	counted bool          // by the result of Hold, in brokenMatches or in brokenSessions
	changed chan struct{} // wakes Hold
}

// session returns the socket's record of a session, which it makes for an id that is new.
func (sock *Socket) session(id string) *session {
	if s := sock.find(id); s != nil {
		return s
	}
	s := &session{socket: sock, id: id}
	sock.sessions = append(sock.sessions, s)
	return s
}

func (sock *Socket) find(id string) *session {
	for _, s := range sock.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

// heardMatch takes a match event.
func (sock *Socket) heardMatch(p matchPayload, at time.Time) {
	s := sock.session(p.SessionID)
	if !s.matched.IsZero() {
		s.breaks(ruleMatchRepeated, "match came twice")
		return
	}
	s.matched, s.partner = at, p.Partner
	sock.answer(s)
	sock.tracker.pair(s)
	if !s.ended.IsZero() {
		s.checkEnd()
	}
	s.moved()
}

// heardStart takes a session:start event.
func (sock *Socket) heardStart(p startPayload, at time.Time) {
	s := sock.session(p.SessionID)
	if !s.started.IsZero() {
		s.breaks(ruleStartRepeated, "session:start came twice")
		return
	}
	s.started = at
	if s.length, s.lengthKnown = p.length(); !s.lengthKnown {
		s.length = usualLength
		s.breaks(rulePayloadWrong, "session:start does not say from startAt to endAt")
	}
	sock.tracker.longest = max(sock.tracker.longest, s.length)
	if s.ended.IsZero() {
		s.enter()
	}
	s.moved()
}

// heardEnd takes a session:end event.
func (sock *Socket) heardEnd(p endPayload, at time.Time) {
	s := sock.session(p.SessionID)
	if !s.ended.IsZero() {
		s.breaks(ruleEndRepeated, "session:end came twice")
		return
	}
	s.ended, s.reason = at, p.Reason
	s.exit()
	if !s.matched.IsZero() || !s.started.IsZero() {
		s.checkEnd()
	}
	s.moved()
}

// checkEnd judges the end of a session that is known to be the user's.
func (s *session) checkEnd() {
	if s.started.IsZero() && s.reason != string(ReasonTokenError) {
		s.breaks(ruleStartMissing, "session:end came without a session:start")
	}
	if lasted := s.ended.Sub(s.started); s.lengthOff() != 0 && !s.has(ruleEndMissing) {
		s.breaks(ruleLengthWrong, fmt.Sprintf("it lasted %.1f s instead of %.1f s", lasted.Seconds(), s.length.Seconds()))
	}
	if s.reason != string(ReasonTimeout) {
		s.breaks(ruleEndReason, fmt.Sprintf("it ended with reason %s instead of \"timeout\"", show(s.reason)))
	}
}

// lengthOff returns by how much an ended session was longer (> 0) or shorter (< 0) than the tolerance allows, or 0.
func (s *session) lengthOff() time.Duration {
	if s.started.IsZero() || !s.lengthKnown {
		return 0
	}
	off := s.ended.Sub(s.started) - s.length
	if off.Abs() <= tolerance {
		return 0
	}
	return off
}

// moved sets the next stage after an event.
func (s *session) moved() {
	switch {
	case s.matched.IsZero() && !s.settled:
		if s.timer == nil { // else the wait for match goes on
			s.await(unmatched, time.Now().Add(settleTime))
		}
	case !s.ended.IsZero():
		s.await(lingers, s.ended.Add(lingerTime))
	case !s.started.IsZero():
		s.await(awaitsEnd, s.started.Add(s.length+endPatience))
	default:
		s.await(awaitsStart, s.matched.Add(startPatience))
	}
	s.wake()
}

func (s *session) await(next stage, due time.Time) {
	s.stage, s.due = next, due
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(due), s.overdue)
		return
	}
	s.timer.Reset(time.Until(due))
}

// overdue judges a session whose stage lasted too long. It runs when the timer fires.
func (s *session) overdue() {
	w := s.socket.tracker
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if s.stage == gone || now.Before(s.due) { // the stage changed meanwhile, and the timer was set again
		return
	}
	switch s.stage {
	case unmatched:
		s.settled = true
		s.judgeUnmatched(now)
		s.moved()
	case awaitsStart:
		s.breaks(ruleStartMissing, fmt.Sprintf("no session:start within %s of match", startPatience))
		s.await(lingers, now.Add(w.longest+lingerTime)) // its session:end may still come
	case awaitsEnd:
		s.missEnd()
		s.exit()
		s.await(lingers, now.Add(lingerTime))
	case lingers, gone:
		s.forget()
	}
}

func (s *session) missEnd() {
	s.breaks(ruleEndMissing, fmt.Sprintf("no session:end within %.1f s of a session:start that promised %.1f s",
		time.Since(s.started).Seconds(), s.length.Seconds()))
}

// judgeUnmatched finds the rule that a session without a match broke. If another session of the user lacks just the events that
// this one brought, the events carried the wrong sessionId.
func (s *session) judgeUnmatched(now time.Time) {
	if now.Before(s.socket.inherits) {
		return // it began on the user's previous socket
	}
	if other := s.mixedUpWith(now); other != nil {
		s.counted = true // as the other
		s.breaks(ruleSessionMixed, fmt.Sprintf("its events belong to session %s, which lacks them", show(other.id)))
		other.broken = append(other.broken, ruleSessionMixed)
		other.wake()
		return
	}
	if s.started.IsZero() {
		s.breaks(ruleEndUnasked, "session:end came without match and session:start")
		return
	}
	s.breaks(ruleMatchMissing, fmt.Sprintf("session:start came, and no match within %s", settleTime))
}

func (s *session) mixedUpWith(now time.Time) *session {
	for _, other := range s.socket.sessions {
		if other == s || other.matched.IsZero() || !other.ended.IsZero() || other.has(ruleSessionMixed) {
			continue
		}
		lacksStart := other.started.IsZero()
		lacksEnd := !lacksStart && now.After(other.started.Add(other.length))
		if (!s.started.IsZero() && lacksStart) || (s.started.IsZero() && lacksEnd) {
			return other
		}
	}
	return nil
}

// breaks records a broken rule, once. A session whose events carried the wrong sessionId is judged no further.
func (s *session) breaks(r Rule, how string) {
	if s.has(r) || s.has(ruleSessionMixed) {
		return
	}
	s.broken = append(s.broken, r)
	s.socket.tracker.found(r, s.socket.user, s.id, how)
	if s.told || (s.stage == gone && !s.holding) {
		s.countUntold()
	}
	s.wake()
}

func (s *session) has(r Rule) bool { return slices.Contains(s.broken, r) }

// countUntold counts, once, a violation found after Hold returned, as a broken match or session.
func (s *session) countUntold() {
	if s.counted {
		return
	}
	s.counted = true
	if slices.ContainsFunc(s.broken, Rule.aboutMatch) {
		s.socket.tracker.brokenMatches++
	} else {
		s.socket.tracker.brokenSessions++
	}
}

// wake makes Hold check again.
func (s *session) wake() {
	if s.changed == nil {
		return
	}
	select {
	case s.changed <- struct{}{}:
	default: // a signal is pending
	}
}

func (s *session) enter() {
	s.active = true
	s.socket.tracker.activity.change(1, time.Now())
}

func (s *session) exit() {
	if s.active {
		s.active = false
		s.socket.tracker.activity.change(-1, time.Now())
	}
}

// forget removes the session from its socket.
func (s *session) forget() {
	s.socket.sessions = slices.DeleteFunc(s.socket.sessions, func(other *session) bool { return other == s })
	s.stage = gone
	s.timer.Stop()
	s.exit()
	if s.holding {
		return
	}
	if len(s.broken) > 0 {
		s.countUntold()
	} else if s.isWhole() && !s.told {
		s.socket.tracker.wholeSessions++
	}
}

// isWhole reports whether all events of a session arrived.
func (s *session) isWhole() bool {
	return !s.matched.IsZero() && !s.started.IsZero() && !s.ended.IsZero()
}
