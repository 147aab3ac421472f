package jsapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

const (
	maxMatchSeconds = 3600
	maxHoldSeconds  = 3600
	// sessionsEvery is how often the number of sessions and the events received are pushed.
	sessionsEvery = time.Second
	// opSocket is the operation of a SocketError.
	opSocket = "socket"
)

// Connect is User.connect.
func (u *User) Connect() *sobek.Promise {
	life := u.m.lifetime()
	return u.operation(opSocket, func(ctx context.Context) (js, error) {
		return resolved(sobek.Undefined()), u.connect(ctx, life)
	})
}

// Connected is User.connected.
func (u *User) Connected() bool {
	u.lineMu.Lock()
	defer u.lineMu.Unlock()
	return u.line != nil && u.line.Err() == nil
}

// connect opens the user's socket, unless it is open.
func (u *User) connect(ctx context.Context, life *lifetime) error {
	u.connecting.Lock()
	defer u.connecting.Unlock()
	if u.Connected() {
		return nil
	}
	token, err := u.user.AccessToken(ctx)
	if err != nil {
		return err
	}
	state, began := u.connection.state, time.Now()
	options := state.socketOptions(u.service.baseURL, u.ID, token, u.m.root.sessions, u.connection.timeout)
	options.OnEnd = u.socketEnds(life)
	// Nobody needs a socket that opens when the run winds up, while a request that is under way then is waited for.
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life.wanting, cancel)()
	line, err := sessions.Open(opening, options)
	if err != nil {
		err = socketError(opening, began, err)
		u.m.root.recordSocket(began, err)
		return err
	}
	u.m.root.recordSocket(began, nil)
	u.lineMu.Lock()
	u.line = line
	u.lineMu.Unlock()
	u.m.root.sockets.open()
	push(ctx, state.State, u.m.metrics.socketsOpened, 1, "", "")
	push(ctx, state.State, u.m.metrics.socketConnectTime, milliseconds(line.ConnectTime), "", "")
	return nil
}

// socketOptions are those of a user's socket, with the VU's dialer, TLS and proxy.
func (s *vuState) socketOptions(baseURL, userID, token string, tracker *sessions.Tracker, timeout time.Duration) sessions.Options {
	return sessions.Options{
		URL: baseURL, UserID: userID, Token: token, Tracker: tracker,
		Dialer: s.Dialer.DialContext, TLSConfig: s.TLSConfig, Proxy: s.base.Proxy, Timeout: timeout,
		Header: map[string][]string{"User-Agent": {userAgent(s.Options)}},
	}
}

func socketError(ctx context.Context, began time.Time, err error) error {
	e := &platform.Error{Name: platform.SocketError, Operation: opSocket, Message: err.Error(), Err: err}
	switch {
	case ctx.Err() != nil:
		return platform.NoAnswer(opSocket, cutAt(ctx, began))
	case errors.Is(err, sessions.ErrAuthRefused):
		e.Name = platform.AuthError
	}
	return e
}

// openLine returns the user's socket, which connect opened.
func (u *User) openLine(caller, why string) (*sessions.Socket, error) {
	u.lineMu.Lock()
	defer u.lineMu.Unlock()
	if u.line == nil {
		return nil, &platform.Error{
			Name: platform.SocketError, Operation: opSocket,
			Message: "the user has no socket: connect() before " + caller + ", for " + why,
		}
	}
	return u.line, nil
}

// closeLine waits for a connect that is under way.
func (u *User) closeLine() {
	u.connecting.Lock()
	defer u.connecting.Unlock()
	u.lineMu.Lock()
	line := u.line
	u.line = nil
	u.lineMu.Unlock()
	if line == nil {
		return
	}
	open := line.Err() == nil
	line.Close()
	if open {
		u.user.NoteSocketClosed()
	}
}

// sessionOptions are those of match and holdSession.
type sessionOptions struct {
	body     []byte
	queueKey string // expected; "" where the place does not say
	timeout  time.Duration
	hold     time.Duration
}

// Match is User.match.
func (u *User) Match(options sobek.Value) *sobek.Promise {
	var timeout float64
	o := sessionOptions{}
	r := reader{u.m, "match"}
	r.read(options, map[string]func(string, sobek.Value){
		"place":          u.place(&o),
		"timeoutSeconds": r.number(&timeout, 0.001, maxMatchSeconds),
	})
	if o.body == nil {
		u.m.throw("match needs a place")
	}
	o.timeout = seconds(timeout)
	life := u.m.lifetime()
	return u.operation(platform.OpJoin, func(ctx context.Context) (js, error) {
		line, m, err := u.match(ctx, life, o)
		if err != nil {
			return nil, err
		}
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "matched", m.Matched())
			if m.Matched() {
				set(object, "sessionId", m.SessionID)
			} else {
				set(object, "reason", string(m.Outcome))
				setLoss(object, m.Outcome == sessions.OutcomeSocketLost, line)
			}
			set(object, "matchSeconds", m.Wait.Seconds())
			return object
		}, nil
	})
}

// place reads a place, and the queue key that it plans.
func (u *User) place(o *sessionOptions) func(string, sobek.Value) {
	return func(_ string, value sobek.Value) {
		o.body, o.queueKey = u.m.joinBody(value)
	}
}

// match joins and waits for the match, and counts what came of it.
func (u *User) match(ctx context.Context, life *lifetime, o sessionOptions) (*sessions.Socket, sessions.Match, error) {
	line, err := u.openLine("match() or holdSession()", "a match is heard on the socket only")
	if err != nil {
		return nil, sessions.Match{}, err
	}
	waiting, began, left := matchWait{presence: &u.m.root.presence}, time.Now(), platform.Left{}
	m, err := line.Match(life.wanting, sessions.MatchOptions{
		Join:    func(context.Context) (string, error) { return waiting.joined(u.joinFor(ctx, o)) },
		Leave:   func(context.Context) (err error) { left, err = u.leave(ctx); return err },
		Timeout: o.timeout,
	})
	waiting.over()
	if m.SessionID != "" {
		u.user.NoteMatched()
	}
	unheard := isUnheard(m, left.Status)
	u.m.root.recordMatch(began, m, unheard, err)
	if unheard {
		u.m.root.record.MatchUnheard(u.ID)
	}
	u.countMatch(ctx, m, line)
	if waiting.failure != nil && !isStopped(waiting.failure) {
		return line, m, waiting.failure // also where the wait was stopped meanwhile
	}
	if m.Outcome == sessions.OutcomeJoinFailed || m.Outcome == "" {
		return line, m, err
	}
	if m.Outcome == sessions.OutcomeSocketLost {
		u.user.NoteSocketLost()
	}
	return line, m, nil // a leave that failed is told by the user who is still queued
}

// joinFor joins for a match. Any other answer than queued, under the key that was planned, is an error.
func (u *User) joinFor(ctx context.Context, o sessionOptions) (string, error) {
	joined, err := u.join(ctx, o.body)
	if err == nil {
		err = judgeJoin(joined, o.queueKey)
	}
	return joined.QueueKey, err
}

// setLoss says why the socket was lost that cut a wait.
func setLoss(object *sobek.Object, isLost bool, line *sessions.Socket) {
	if isLost {
		set(object, "socketLost", string(line.Loss()))
	}
}

func (u *User) countMatch(ctx context.Context, m sessions.Match, line *sessions.Socket) {
	state, metrics := u.connection.state.State, u.m.metrics
	failed := 1.0
	switch m.Outcome {
	case sessions.OutcomeMatched:
		failed = 0
		push(ctx, state, metrics.matchTime, milliseconds(m.Wait), "outcome", string(m.Outcome))
	case sessions.OutcomeNoMatch:
		push(ctx, state, metrics.matchTime, milliseconds(m.Wait), "outcome", string(m.Outcome))
	case sessions.OutcomeSocketLost:
		u.m.root.record.Errored(report.ErrorKind{Operation: "match", Name: string(m.Outcome)},
			fmt.Sprintf("user %s waited for %.1f s, then its socket was lost: %s", u.ID, m.Wait.Seconds(), lossText(line.Loss())))
	default:
		return // stopped, or it never joined
	}
	push(ctx, state, metrics.matchAttempts, 1, "", "")
	push(ctx, state, metrics.matchFailed, failed, "", "")
}

// HoldSession is User.holdSession.
func (u *User) HoldSession(options sobek.Value) *sobek.Promise {
	var timeout, hold float64
	o := sessionOptions{}
	r := reader{u.m, "holdSession"}
	r.read(options, map[string]func(string, sobek.Value){
		"place":               u.place(&o),
		"matchTimeoutSeconds": r.number(&timeout, 0.001, maxMatchSeconds),
		"holdSeconds":         r.number(&hold, 0.001, maxHoldSeconds),
	})
	if o.body == nil {
		u.m.throw("holdSession needs a place")
	}
	o.timeout, o.hold = seconds(timeout), seconds(hold)
	life := u.m.lifetime()
	return u.operation(platform.OpJoin, func(ctx context.Context) (js, error) {
		line, m, err := u.match(ctx, life, o)
		if err != nil {
			return nil, err
		}
		if m.SessionID == "" {
			return unmatched(m, line), nil
		}
		held := line.Hold(life.holding, m, sessions.HoldOptions{Hold: o.hold})
		u.m.root.recordSession(held)
		u.countSession(ctx, held, line)
		if !m.Matched() { // the match came too late, but its session went on all the same
			return unmatched(m, line), nil
		}
		return heldObject(m, held, line), nil
	})
}

// unmatched is the result of holdSession without a match.
func unmatched(m sessions.Match, line *sessions.Socket) js {
	outcome := "unmatched"
	if m.Outcome == sessions.OutcomeStopped {
		outcome = string(sessions.OutcomeStopped)
	}
	return func(rt *sobek.Runtime) any {
		object := rt.NewObject()
		set(object, "outcome", outcome)
		set(object, "matchSeconds", m.Wait.Seconds())
		set(object, "reason", string(m.Outcome))
		setLoss(object, m.Outcome == sessions.OutcomeSocketLost, line)
		return object
	}
}

func heldObject(m sessions.Match, held sessions.Held, line *sessions.Socket) js {
	return func(rt *sobek.Runtime) any {
		object := rt.NewObject()
		set(object, "outcome", string(held.Outcome))
		set(object, "sessionId", held.SessionID)
		set(object, "matchSeconds", m.Wait.Seconds())
		set(object, "heldSeconds", held.Held.Seconds())
		set(object, "reason", string(held.Reason))
		setLoss(object, held.Reason == sessions.ReasonSocketLost, line)
		return object
	}
}

func (u *User) countSession(ctx context.Context, held sessions.Held, line *sessions.Socket) {
	state, metrics := u.connection.state.State, u.m.metrics
	if held.Started {
		push(ctx, state, metrics.sessionStartTime, milliseconds(held.StartDelay), "", "")
		push(ctx, state, metrics.sessionsStarted, 1, "", "")
	}
	if held.Outcome == sessions.OutcomeStopped {
		return
	}
	dropped := 0.0
	if held.Outcome == sessions.OutcomeDropped {
		dropped = 1
		example := "session " + plain.Text(held.SessionID) + " of user " + u.ID
		if held.Reason == sessions.ReasonSocketLost {
			example += ", whose socket was lost: " + lossText(line.Loss())
		}
		u.m.root.record.Errored(report.ErrorKind{Operation: "session", Name: string(held.Reason)}, example)
	}
	push(ctx, state, metrics.sessionDropped, dropped, "", "")
	if held.Started {
		push(ctx, state, metrics.sessionHeld, milliseconds(held.Held), "", "")
		u.m.root.held.add(held.Held)
	}
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

// watchSessions pushes the number of sessions and what was counted about once a second until the context ends.
func (m *Module) watchSessions(ctx context.Context) {
	repeat(ctx, sessionsEvery, func() { m.pushSessionCounts(ctx) })
}

// pushSessionCounts pushes the number of sessions now, and what was counted since the last time.
func (m *Module) pushSessionCounts(ctx context.Context) {
	m.pushSockets(ctx, m.state)
	watch := m.root.sessions
	deltas := watch.Take()
	for event, n := range deltas.Events {
		push(ctx, m.state.State, m.metrics.socketEvents, float64(n), "event", event)
	}
	for range deltas.BrokenMatches {
		push(ctx, m.state.State, m.metrics.matchFailed, 1, "", "")
	}
	for range deltas.BrokenSessions {
		push(ctx, m.state.State, m.metrics.sessionDropped, 1, "", "")
	}
	for range deltas.WholeSessions {
		push(ctx, m.state.State, m.metrics.sessionDropped, 0, "", "")
	}
}
