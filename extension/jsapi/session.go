package jsapi

import (
	"context"
	"errors"
	"time"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

const (
	maxMatchSeconds = 3600
	maxHoldSeconds  = 3600
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
	options := state.socketOptions(u.service.baseURL, u.ID, token, u.m.root.run.Sessions, u.connection.timeout)
	options.OnEnd = u.socketEnds(life)
	// Nobody needs a socket that opens when the run winds up, while a request that is under way then is waited for.
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life.wanting, cancel)()
	line, err := sessions.Open(opening, options)
	if err != nil {
		err = socketError(opening, began, err)
		u.m.root.run.SocketRefused(began, err)
		return err
	}
	u.lineMu.Lock()
	u.line = line
	u.lineMu.Unlock()
	u.m.root.run.SocketOpened(ctx, state, began, line.ConnectTime)
	return nil
}

// socketEnds returns what is told the end of the user's socket. A loss after an abort has no meaning, for the service may have
// been interrupted together with the run.
func (u *User) socketEnds(life *lifetime) func(sessions.Loss) {
	return func(loss sessions.Loss) {
		if loss == "" || life.run.Err() == nil || !aborted(life.run) {
			u.m.root.run.SocketEnded(u.connection.state, loss)
		}
	}
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
	var left platform.Left
	var joinFailed error
	waits, began := false, time.Now()
	m, err := line.Match(life.wanting, sessions.MatchOptions{
		Join: func(context.Context) (queueKey string, err error) {
			queueKey, err = u.joinFor(ctx, o)
			joinFailed = err
			if waits = err == nil; waits {
				u.m.root.run.Wait(1)
			}
			return queueKey, err
		},
		Leave:   func(context.Context) (err error) { left, err = u.leave(ctx); return err },
		Timeout: o.timeout,
	})
	if waits {
		u.m.root.run.Wait(-1)
	}
	if m.SessionID != "" {
		u.user.NoteMatched()
	}
	u.m.root.run.CountMatch(ctx, u.connection.state,
		run.Matched{Match: m, UserID: u.ID, Began: began, Left: left.Status, Loss: line.Loss(), Err: err})
	if joinFailed != nil && !platform.IsStopped(joinFailed) {
		return line, m, joinFailed // also where the wait was stopped meanwhile
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
		u.m.root.run.CountSession(ctx, u.connection.state, u.ID, held, line.Loss())
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
