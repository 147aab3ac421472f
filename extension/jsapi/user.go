package jsapi

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// Why a token was lost, as the tag of tokens_lost says.
const (
	lostWithoutRefund  = "left_without_refund"                // left the queue, but the token did not come back
	lostAlreadyMatched = string(contract.LeaveAlreadyMatched) // queued again within an hour of a match, and left
)

// User is the class User, as one VU sees it; a script holds its object.
type User struct {
	m          *Module
	user       *platform.User
	service    *Verity
	connection *connection
	ops        operations // requests under way
	present    atomic.Bool

	connecting sync.Mutex // held while the socket opens or closes, never on the event loop
	lineMu     sync.Mutex
	line       *sessions.Socket // nil: not connected

	ID     string
	Number int
	js     *sobek.Object // see object
}

func newUser(service *Verity, user *platform.User, connection *connection) *User {
	return &User{m: service.m, user: user, service: service, connection: connection, ID: user.ID(), Number: -1}
}

// setNumber numbers the user; a script sees it.
func (u *User) setNumber(n int) {
	u.Number = n
	if this, ok := export(u.object()).(*userObject); ok {
		this.Number = n
	}
}

// operation carries out one of the user's, and counts it where the service counts them.
func (u *User) operation(name string, work func(ctx context.Context) (js, error)) *sobek.Promise {
	return u.promise(name, u.service.counted(name, work))
}

func (u *User) promise(name string, work func(ctx context.Context) (js, error)) *sobek.Promise {
	u.ops.last = name
	return u.m.promise(&u.ops, work)
}

// Join is User.join.
func (u *User) Join(place, options sobek.Value) *sobek.Promise {
	body, queueKey := u.m.joinBody(place)
	judged := u.m.expectedStatus("join", options, string(contract.JoinQueued))
	u.adviseSocket(place)
	return u.operation(platform.OpJoin, func(ctx context.Context) (js, error) {
		u.lineHears((*sessions.Socket).Joining)
		joined, err := u.join(ctx, body)
		if err == nil && judged {
			err = judgeJoin(joined, queueKey)
		}
		if err != nil {
			return nil, err
		}
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "status", string(joined.Status))
			set(object, "queueKey", joined.QueueKey)
			set(object, "position", joined.Position)
			return object
		}, nil
	})
}

func (u *User) join(ctx context.Context, body []byte) (platform.Joined, error) {
	joined, err := u.user.Join(ctx, body)
	if err == nil {
		u.connection.state.Emit(ctx, run.QueueJoinLatency, run.Milliseconds(joined.Duration), "", "")
	}
	return joined, err
}

// lineHears tells the user's socket, if there is one, what the user does without it.
func (u *User) lineHears(what func(*sessions.Socket)) {
	u.lineMu.Lock()
	defer u.lineMu.Unlock()
	if u.line != nil {
		what(u.line)
	}
}

// Leave is User.leave.
func (u *User) Leave(options sobek.Value) *sobek.Promise {
	judged := u.m.expectedStatus("leave", options, string(contract.LeaveLeft))
	return u.operation(platform.OpLeave, func(ctx context.Context) (js, error) {
		left, err := u.leave(ctx)
		if err != nil {
			return nil, err
		}
		u.lineHears((*sessions.Socket).Left)
		if judged {
			if err := judgeLeave(left); err != nil {
				return nil, err
			}
		}
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "status", string(left.Status))
			set(object, "refunded", left.Refunded)
			return object
		}, nil
	})
}

// leave leaves the queue and counts a refund that did not come.
func (u *User) leave(ctx context.Context) (platform.Left, error) {
	left, err := u.user.Leave(ctx)
	if err == nil && left.LostToken() {
		why := lostWithoutRefund
		if left.Status == contract.LeaveAlreadyMatched {
			why = lostAlreadyMatched
		}
		u.m.root.run.Record.TokenLost(why)
		u.connection.state.Emit(ctx, run.TokensLost, 1, "why", why)
	}
	return left, err
}

// Balance is User.balance.
func (u *User) Balance(options sobek.Value) *sobek.Promise {
	judge := u.balanceJudge(options)
	return u.operation(platform.OpBalance, func(ctx context.Context) (js, error) {
		balance, err := u.user.Balance(ctx)
		if err == nil {
			err = judge(balance)
		}
		return resolved(balance), err
	})
}

// BuyTokens is User.buyTokens.
func (u *User) BuyTokens(n sobek.Value) *sobek.Promise {
	var tokens int
	reader{u.m, "buyTokens"}.whole(&tokens, 1, contract.MaxTokens)("the number of tokens", n)
	life := u.m.lifetime()
	arriving := life.staying && !u.present.Load()
	return u.promise(platform.OpWebhook, func(ctx context.Context) (js, error) {
		return resolved(sobek.Undefined()), u.seed(ctx, life, tokens, arriving)
	})
}

func (u *User) buy(ctx context.Context, tokens int) error {
	took, err := u.user.BuyTokens(ctx, tokens)
	if err != nil {
		return err
	}
	u.connection.state.Emit(ctx, run.StripeWebhookLatency, run.Milliseconds(took), "", "")
	return nil
}

// seed buys tokens, and counts that. Where it is persistent, as for a user who is about to arrive in a stay, a purchase that
// fails is sent again until it is credited or the stay ends, as Stripe does, so that the account is not thrown away.
func (u *User) seed(ctx context.Context, life *lifetime, tokens int, persistent bool) error {
	for failures := 1; ; failures++ {
		if persistent && life.wanting.Err() != nil {
			return errStopped // the end came before the tokens
		}
		err := u.buy(ctx, tokens)
		u.service.count(life, platform.OpWebhook, err)
		e, ofOperation := platform.AsError(err)
		if err == nil || !persistent || !ofOperation || platform.IsStopped(err) {
			return err
		}
		u.m.root.run.KeptAway(run.KindOf(e.Operation, err))
		pause(life.wanting, backOff(failures, e.RetryAfter))
	}
}

// Tokens is User.tokens: the balance by the user's own account, or null where a request without an answer left it open.
func (u *User) Tokens() any {
	account := u.user.Account()
	if !account.Known {
		return nil
	}
	return account.Tokens
}

// Queued is User.queued.
func (u *User) Queued() bool { return u.user.MayBeQueued() }

// Close is User.close: the user leaves the queue, if it may be in one, and closes its connection.
func (u *User) Close() *sobek.Promise {
	return u.promise("close", func(ctx context.Context) (js, error) {
		return resolved(sobek.Undefined()), u.close(ctx)
	})
}

func (u *User) close(ctx context.Context) error {
	defer u.connection.close()
	defer u.closeLine()
	if !u.user.MayBeQueued() {
		return nil
	}
	_, err := u.leave(ctx)
	return err
}

// arrive counts the user as present.
func (u *User) arrive() {
	if u.present.CompareAndSwap(false, true) {
		u.m.root.run.Arrive(1)
	}
}

// gone counts the user as present no more.
func (u *User) gone() {
	if u.present.CompareAndSwap(true, false) {
		u.m.root.run.Arrive(-1)
	}
}

// drain closes the user at the end of a stay. A leave that fails is an operation that failed, and so is a user who is left
// behind, whatever the reason.
func (u *User) drain(ctx context.Context, life *lifetime) {
	defer u.gone()
	err := u.close(ctx)
	if err == nil {
		return
	}
	if u.user.MayBeQueued() {
		u.m.root.run.Record.LeftBehind(u.ID)
		if platform.IsStopped(err) {
			err = errLeftBehind
		}
	}
	u.service.count(life, platform.OpLeave, err)
}

var errLeftBehind = &platform.Error{
	Name: platform.TimeoutError, Operation: platform.OpLeave,
	Message: platform.OpLeave + " was not answered before the time for leaving was over; the user may still be queued",
}

// retire takes a user whose session is lost out of the queue, as far as that can be done, so that nobody is matched with it:
// its socket closes, and without one it leaves with its access token, if that is still good. It goes on in the background, as
// an operation of the user; then gone is told whether the user may be queued all the same.
func (u *User) retire(ctx context.Context, gone func(stillQueued bool)) {
	u.ops.begin()
	go func() {
		defer u.ops.done()
		u.closeLine()
		if u.user.MayBeQueued() {
			_, _ = u.leave(ctx) // the error that lost the session has been counted
		}
		u.connection.close()
		gone(u.user.MayBeQueued())
	}()
}
