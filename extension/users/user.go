package users

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// Why a token was lost: the values of the tag why of tokens_lost.
const (
	lostWithoutRefund  = "left_without_refund"                // left the queue, but the token did not come back
	lostAlreadyMatched = string(contract.LeaveAlreadyMatched) // queued again within an hour of a match, and left
)

// User is one user of one VU.
type User struct {
	Account    *platform.User
	Operations Operations // under way

	service    *Service
	vu         VU
	connection Connection
	present    atomic.Bool

	connecting sync.Mutex // held while the socket opens or closes, never on the event loop
	socketMu   sync.Mutex
	socket     *sessions.Socket // nil: not connected
}

// NewUser returns a user with this account and its connection.
func NewUser(service *Service, vu VU, account *platform.User, connection Connection) *User {
	return &User{service: service, vu: vu, Account: account, connection: connection}
}

// Count counts an operation of the user, as Service.Count does.
func (u *User) Count(life *Lifetime, operation string, err error) {
	u.service.Count(u.vu, life, operation, err)
}

// Join joins a queue. With isExpected, any answer but queued, under the planned key if there is one, is an error.
func (u *User) Join(ctx context.Context, body []byte, isExpected bool, queueKey string) (platform.Joined, error) {
	u.noteOnSocket((*sessions.Socket).Joining)
	joined, err := u.join(ctx, body)
	if err == nil && isExpected {
		err = judgeJoin(joined, queueKey)
	}
	return joined, err
}

func (u *User) join(ctx context.Context, body []byte) (platform.Joined, error) {
	joined, err := u.Account.Join(ctx, body)
	if err == nil {
		u.vu.Emit(ctx, run.QueueJoinLatency, run.Milliseconds(joined.Duration), "", "")
	}
	return joined, err
}

// noteOnSocket calls f with the user's socket, if it has one.
func (u *User) noteOnSocket(f func(*sessions.Socket)) {
	u.socketMu.Lock()
	defer u.socketMu.Unlock()
	if u.socket != nil {
		f(u.socket)
	}
}

// Leave leaves the queue. With isExpected, any answer but left is an error.
func (u *User) Leave(ctx context.Context, isExpected bool) (platform.Left, error) {
	left, err := u.leave(ctx)
	if err != nil {
		return left, err
	}
	u.noteOnSocket((*sessions.Socket).Left)
	if isExpected {
		err = judgeLeave(left)
	}
	return left, err
}

// leave leaves the queue and counts a missing refund.
func (u *User) leave(ctx context.Context) (platform.Left, error) {
	left, err := u.Account.Leave(ctx)
	if err == nil && left.LostToken() {
		why := lostWithoutRefund
		if left.Status == contract.LeaveAlreadyMatched {
			why = lostAlreadyMatched
		}
		u.service.Run.Record.TokenLost(why)
		u.vu.Emit(ctx, run.TokensLost, 1, "why", why)
	}
	return left, err
}

// Balance reads the balance. One that is not from least to most is an error.
func (u *User) Balance(ctx context.Context, least, most int) (int, error) {
	balance, err := u.Account.Balance(ctx)
	if err == nil {
		err = judgeBalance(balance, least, most)
	}
	return balance, err
}

// Buyer returns a function that buys tokens and counts the purchase. It is persistent, see seed, for a user that is about to
// arrive in a stay when Buyer is called.
func (u *User) Buyer(life *Lifetime, tokens int) func(ctx context.Context) error {
	isArriving := life.Staying && !u.present.Load()
	return func(ctx context.Context) error { return u.seed(ctx, life, tokens, isArriving) }
}

// seed buys tokens and counts the purchase. With persistent, as for a user that is about to arrive in a stay, a purchase that
// fails is sent again, as Stripe does, until it is credited or the stay ends, so that the account is not wasted.
func (u *User) seed(ctx context.Context, life *Lifetime, tokens int, persistent bool) error {
	for failures := 1; ; failures++ {
		if persistent && life.wanting.Err() != nil {
			return ErrStopped // the end came before the tokens
		}
		took, err := u.Account.BuyTokens(ctx, tokens)
		if err == nil {
			u.vu.Emit(ctx, run.StripeWebhookLatency, run.Milliseconds(took), "", "")
		}
		u.service.Count(u.vu, life, platform.OpWebhook, err)
		e, ofOperation := platform.AsError(err)
		if err == nil || !persistent || !ofOperation || platform.IsStopped(err) {
			return err
		}
		u.service.Run.KeptAway(run.KindOf(e.Operation, err))
		pause(life.wanting, backOff(failures, e.RetryAfter))
	}
}

// Close takes the user out of the queue, if it may be in one, and closes its socket and its connection.
func (u *User) Close(ctx context.Context) error {
	defer u.connection.Close()
	defer u.closeSocket()
	if !u.Account.MayBeQueued() {
		return nil
	}
	_, err := u.leave(ctx)
	return err
}

// arrive counts the user as present.
func (u *User) arrive() {
	if u.present.CompareAndSwap(false, true) {
		u.service.Run.Arrive(1)
	}
}

// gone counts the user as no longer present.
func (u *User) gone() {
	if u.present.CompareAndSwap(true, false) {
		u.service.Run.Arrive(-1)
	}
}

// drain closes the user at the end of a stay. A failed leave counts as a failed operation, and so does a user that may still be
// queued, whatever the reason.
func (u *User) drain(life *Lifetime) {
	defer u.gone()
	err := u.Close(life.Work)
	if err == nil {
		return
	}
	if u.Account.MayBeQueued() {
		u.service.Run.Record.LeftBehind(u.Account.ID())
		if platform.IsStopped(err) {
			err = errLeftBehind
		}
	}
	u.service.Count(u.vu, life, platform.OpLeave, err)
}

var errLeftBehind = &platform.Error{
	Name: platform.TimeoutError, Operation: platform.OpLeave,
	Message: platform.OpLeave + " was not answered before the time for leaving was over; the user may still be queued",
}

// retire takes a user that lost its session out of the queue, if possible, so that no user is matched with it: its socket closes,
// and without one it leaves with its access token, if that is still valid. This happens in the background, as an operation of
// the user; then f is called with whether the user may still be queued.
func (u *User) retire(ctx context.Context, f func(stillQueued bool)) {
	u.service.Run.Expel(u.Account)
	u.gone()
	u.Operations.begin()
	go func() {
		defer u.Operations.done()
		u.closeSocket()
		if u.Account.MayBeQueued() {
			_, _ = u.leave(ctx) // the error that lost the session has been counted
		}
		u.connection.Close()
		f(u.Account.MayBeQueued())
	}()
}
