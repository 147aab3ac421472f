package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

const (
	// OpSocket is the operation of a SocketError.
	OpSocket = "socket"
	// OpWait is the operation of an event that is waited for.
	OpWait = "wait_for"
)

// Connected reports whether the user's socket is open.
func (u *User) Connected() bool {
	u.socketMu.Lock()
	defer u.socketMu.Unlock()
	return u.socket != nil && u.socket.Err() == nil
}

// Connect opens the user's socket, unless it is open.
func (u *User) Connect(ctx context.Context, life *Lifetime) error {
	u.connecting.Lock()
	defer u.connecting.Unlock()
	if u.Connected() {
		return nil
	}
	token, err := u.Account.AccessToken(ctx)
	if err != nil {
		return err
	}
	began, options := time.Now(), u.vu.SocketOptions()
	options.URL, options.UserID, options.Token = u.service.BaseURL, u.Account.ID(), token
	options.Tracker, options.Timeout, options.OnEnd = u.service.Run.Sessions, u.service.Timeout, u.socketEnds(life)
	// A wind-up cuts a socket that is opening, which is not needed any more, but not a request.
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life.wanting, cancel)()
	socket, err := sessions.Open(opening, options)
	if err != nil {
		err = socketError(opening, began, err)
		u.service.Run.SocketRefused(began, err)
		return err
	}
	u.socketMu.Lock()
	u.socket = socket
	u.socketMu.Unlock()
	u.service.Run.SocketOpened(ctx, u.vu, began, socket.ConnectTime)
	return nil
}

// socketEnds returns the function to call at the end of the user's socket. A loss after an abort is not counted: the service may
// have been interrupted together with the run.
func (u *User) socketEnds(life *Lifetime) func(sessions.Loss) {
	return func(loss sessions.Loss) {
		if loss == "" || !life.Aborted() {
			u.service.Run.SocketEnded(u.vu, loss)
		}
	}
}

func socketError(ctx context.Context, began time.Time, err error) error {
	e := &platform.Error{Name: platform.SocketError, Operation: OpSocket, Message: err.Error(), Err: err}
	switch {
	case ctx.Err() != nil:
		return platform.NoAnswer(OpSocket, CutAt(ctx, began))
	case errors.Is(err, sessions.ErrAuthRefused):
		e.Name = platform.AuthError
	}
	return e
}

// openSocket returns the user's socket, which Connect opened.
func (u *User) openSocket(caller, why string) (*sessions.Socket, error) {
	u.socketMu.Lock()
	defer u.socketMu.Unlock()
	if u.socket == nil {
		return nil, &platform.Error{
			Name: platform.SocketError, Operation: OpSocket,
			Message: "the user has no socket: connect() before " + caller + ", for " + why,
		}
	}
	return u.socket, nil
}

// closeSocket closes the user's socket, after a connect that is under way.
func (u *User) closeSocket() {
	u.connecting.Lock()
	defer u.connecting.Unlock()
	u.socketMu.Lock()
	socket := u.socket
	u.socket = nil
	u.socketMu.Unlock()
	if socket == nil {
		return
	}
	open := socket.Err() == nil
	socket.Close()
	if open {
		u.Account.NoteSocketClosed()
	}
}

// Wish is a match that a user wants.
type Wish struct {
	Body     []byte        // of the join
	QueueKey string        // expected; "": any
	Timeout  time.Duration // 0: the default of sessions
	Hold     time.Duration // how long the session is to last; 0: as long as the service says
}

// Match is the outcome of a wish.
type Match struct {
	sessions.Match
	Lost sessions.Loss // why the socket was lost, where that cut the wait
}

// Match joins and waits for the match, and counts the outcome.
func (u *User) Match(ctx context.Context, life *Lifetime, wish Wish) (Match, error) {
	_, m, err := u.match(ctx, life, wish)
	return m, err
}

func (u *User) match(ctx context.Context, life *Lifetime, wish Wish) (*sessions.Socket, Match, error) {
	socket, err := u.openSocket("match() or holdSession()", "a match is heard on the socket only")
	if err != nil {
		return nil, Match{}, err
	}
	var left platform.Left
	var joinFailed error
	waits, began := false, time.Now()
	found, err := socket.Match(life.wanting, sessions.MatchOptions{
		Join: func(context.Context) (queueKey string, err error) {
			queueKey, err = u.joinFor(ctx, wish)
			joinFailed = err
			if waits = err == nil; waits {
				u.service.Run.Wait(1)
			}
			return queueKey, err
		},
		Leave:   func(context.Context) (err error) { left, err = u.leave(ctx); return err },
		Timeout: wish.Timeout,
	})
	if waits {
		u.service.Run.Wait(-1)
	}
	if found.SessionID != "" {
		u.Account.NoteMatched()
	}
	m := Match{Match: found}
	if m.Outcome == sessions.OutcomeSocketLost {
		m.Lost = socket.Loss()
	}
	u.service.Run.CountMatch(ctx, u.vu,
		run.Matched{Match: found, UserID: u.Account.ID(), Began: began, Left: left.Status, Loss: m.Lost, Err: err})
	if joinFailed != nil && !platform.IsStopped(joinFailed) {
		return socket, m, joinFailed // even if the wait was stopped meanwhile
	}
	if m.Outcome == sessions.OutcomeJoinFailed || m.Outcome == "" {
		return socket, m, err
	}
	if m.Outcome == sessions.OutcomeSocketLost {
		u.Account.NoteSocketLost()
	}
	return socket, m, nil // a failed leave shows as a user who is still queued
}

// joinFor joins for a match. Any answer but queued, under the planned key if there is one, is an error.
func (u *User) joinFor(ctx context.Context, wish Wish) (string, error) {
	joined, err := u.join(ctx, wish.Body)
	if err == nil {
		err = judgeJoin(joined, wish.QueueKey)
	}
	return joined.QueueKey, err
}

// Session is the outcome of a wish to hold a session. Held is empty if there was no session.
type Session struct {
	Match Match
	Held  sessions.Held
	Lost  sessions.Loss // why the socket was lost, where that ended the session
}

// HoldSession matches, and holds the session to its end.
func (u *User) HoldSession(ctx context.Context, life *Lifetime, wish Wish) (Session, error) {
	socket, m, err := u.match(ctx, life, wish)
	s := Session{Match: m}
	if err != nil || m.SessionID == "" {
		return s, err
	}
	s.Held = socket.Hold(life.holding, m.Match, sessions.HoldOptions{Hold: wish.Hold})
	if s.Held.Reason == sessions.ReasonSocketLost {
		s.Lost = socket.Loss()
	}
	u.service.Run.CountSession(ctx, u.vu, u.Account.ID(), s.Held, s.Lost)
	return s, nil // a match that came too late counts as none, although its session was held
}

// Expect returns a function that waits for an event that arrives after the call of Expect, so that the event of an operation
// in between is not missed.
func (u *User) Expect(life *Lifetime, namespace, event string, patience time.Duration) func() (json.RawMessage, error) {
	socket, err := u.openSocket("waitFor()", "an event is heard on the socket only")
	if err != nil {
		return func() (json.RawMessage, error) { return nil, err }
	}
	waiter := socket.Expect(namespace, event)
	return func() (json.RawMessage, error) {
		payload, err := waiter.Wait(life.Iteration, patience)
		if err != nil {
			return nil, waitError(life, event, patience, socket, err)
		}
		return payload, nil
	}
}

// waitError returns why an event was not received.
func waitError(life *Lifetime, event string, patience time.Duration, socket *sessions.Socket, err error) error {
	if life.Ended() {
		return ErrStopped
	}
	e := &platform.Error{Name: platform.SocketError, Operation: OpWait, Err: err}
	switch {
	case errors.Is(err, sessions.ErrNoEvent):
		e.Name = platform.TimeoutError
		e.Message = fmt.Sprintf("%s: no %s came within %v s", OpWait, event, patience.Seconds())
	case errors.Is(err, sessions.ErrClosed):
		e.Message = fmt.Sprintf("%s: the user closed its socket before %s came", OpWait, event)
	default:
		e.Message = fmt.Sprintf("%s: the socket was lost (%s) before %s came", OpWait, run.LossText(socket.Loss()), event)
	}
	return e
}
