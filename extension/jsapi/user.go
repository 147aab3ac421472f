package jsapi

import (
	"context"
	"math"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/users"
)

// user is the class User, with the methods on its prototype. It is used on the event loop only.
type user struct {
	m      *Module
	user   *users.User
	object *sobek.Object // see jsUser

	pending int    // operations that have not settled, as the script sees them
	last    string // name of the operation that began last

	ID     string `js:"id"`
	Number int    `js:"number"`
}

// userMethods are the methods of the class User. They are on one prototype in each VU, since sobek wraps a method of a Go
// value anew, by reflection, each time that a script reads it, which took a third of the memory and a tenth of the processor
// time of a user.
var userMethods = map[string]func(u *user, call sobek.FunctionCall) any{ //nolint:gochecknoglobals // a constant table
	"join":        (*user).join,
	"leave":       (*user).leave,
	"balance":     (*user).balance,
	"buyTokens":   (*user).buyTokens,
	"tokens":      (*user).tokens,
	"queued":      func(u *user, _ sobek.FunctionCall) any { return u.user.Account.MayBeQueued() },
	"connect":     (*user).connect,
	"connected":   func(u *user, _ sobek.FunctionCall) any { return u.user.Connected() },
	"match":       (*user).match,
	"holdSession": (*user).holdSession,
	"request":     (*user).request,
	"waitFor":     (*user).waitFor,
	"choose":      (*user).choose,
	"close":       (*user).close,
}

// userPrototype returns the prototype of this VU's users.
func (m *Module) userPrototype() *sobek.Object {
	if m.userProto != nil {
		return m.userProto
	}
	rt := m.vu.Runtime()
	proto := rt.NewObject()
	for name, method := range userMethods {
		set(proto, name, func(call sobek.FunctionCall) sobek.Value {
			this, ok := export(call.This).(*user)
			if !ok {
				m.throw("%s must be called on a User", name)
			}
			return rt.ToValue(method(this, call))
		})
	}
	m.userProto = proto
	return proto
}

// jsUser makes the script's object of a user, once per user.
func (m *Module) jsUser(of *users.User) *sobek.Object {
	rt := m.vu.Runtime()
	u := &user{m: m, user: of, ID: of.Account.ID(), Number: -1}
	u.object = rt.ToValue(u).ToObject(rt)
	if err := u.object.SetPrototype(m.userPrototype()); err != nil {
		common.Throw(rt, err)
	}
	return u.object
}

// operation runs an operation of the user, and counts it if the service counts them.
func (u *user) operation(name string, work func(ctx context.Context) (js, error)) *sobek.Promise {
	life := u.m.lifetime()
	return u.promise(name, func(ctx context.Context) (js, error) {
		result, err := work(ctx)
		u.user.Count(life, name, err)
		return result, err
	})
}

func (u *user) promise(name string, work func(ctx context.Context) (js, error)) *sobek.Promise {
	u.last = name
	return u.m.promise(u, work)
}

func (u *user) join(call sobek.FunctionCall) any {
	place := call.Argument(0)
	body, queueKey := u.m.joinBody(place)
	isExpected := u.m.expectedStatus("join", call.Argument(1), string(contract.JoinQueued))
	u.adviseSocket(place)
	return u.operation(platform.OpJoin, func(ctx context.Context) (js, error) {
		joined, err := u.user.Join(ctx, body, isExpected, queueKey)
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "status", string(joined.Status))
			set(object, "queueKey", joined.QueueKey)
			set(object, "position", joined.Position)
			return object
		}, err
	})
}

// adviseSocket warns, once in a run, about a user without a socket that joins a shared key: it cannot receive its match. That is no
// error, since the latency of a join can be measured without a match.
func (u *user) adviseSocket(place sobek.Value) {
	object, ok := place.(*sobek.Object)
	if !ok || u.user.Connected() {
		return
	}
	if shard, ok := toNumber(object.Get("shard")); !ok || shard < 0 {
		return
	}
	u.m.root.advised.Do(func() {
		const advice = "a user joined a queue key that others share, and has no socket: a match is heard on the socket only, so this user " +
			"will not know of one. Call connect() before join(), or connect() and match()"
		u.m.root.run.Record.Warn(advice)
		u.m.state.Logger.Warn(advice)
	})
}

func (u *user) leave(call sobek.FunctionCall) any {
	isExpected := u.m.expectedStatus("leave", call.Argument(0), string(contract.LeaveLeft))
	return u.operation(platform.OpLeave, func(ctx context.Context) (js, error) {
		left, err := u.user.Leave(ctx, isExpected)
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "status", string(left.Status))
			set(object, "refunded", left.Refunded)
			return object
		}, err
	})
}

// expectedStatus reads { expect } of join or leave, which may be status or nothing.
func (m *Module) expectedStatus(what string, options sobek.Value, status string) bool {
	if common.IsNullish(options) {
		return false
	}
	if object, ok := options.(*sobek.Object); ok && export(object.Get("expect")) == status && len(object.Keys()) == 1 {
		return true // a fast path: scenarios pass it with each request
	}
	expected := false
	reader{m, what}.read(options, map[string]func(string, sobek.Value){"expect": func(name string, value sobek.Value) {
		if export(value) != status {
			m.throw("%s of %s must be %q, got %s", name, what, status, show(value))
		}
		expected = true
	}})
	return expected
}

func (u *user) balance(call sobek.FunctionCall) any {
	least, most := u.expectedBalance(call.Argument(0))
	return u.operation(platform.OpBalance, func(ctx context.Context) (js, error) {
		balance, err := u.user.Balance(ctx, least, most)
		return resolved(balance), err
	})
}

// byAccount is the value of { expect } of balance for the balance of the user's account.
const byAccount = "account"

// expectedBalance reads { expect } of balance, which may be a number, byAccount or nothing. It reads the account before the request,
// whose answer changes it.
func (u *user) expectedBalance(options sobek.Value) (least, most int) {
	least, most = 0, math.MaxInt
	r := reader{u.m, "balance"}
	r.read(options, map[string]func(string, sobek.Value){"expect": func(name string, value sobek.Value) {
		if export(value) != byAccount {
			r.whole(&least, 0, math.MaxInt32)(name, value)
			most = least
			return
		}
		if from, to, known := u.user.Account.TokenBounds(); known {
			least, most = from, to
		}
	}})
	return least, most
}

func (u *user) buyTokens(call sobek.FunctionCall) any {
	var tokens int
	reader{u.m, "buyTokens"}.whole(&tokens, 1, contract.MaxTokens)("the number of tokens", call.Argument(0))
	buy := u.user.Buyer(u.m.lifetime(), tokens)
	return u.promise(platform.OpWebhook, func(ctx context.Context) (js, error) { return resolved(sobek.Undefined()), buy(ctx) })
}

// tokens returns the balance of the user's account, or null if it is uncertain after a request without an answer.
func (u *user) tokens(sobek.FunctionCall) any {
	account := u.user.Account.Account()
	if !account.Known {
		return nil
	}
	return account.Tokens
}

func (u *user) connect(sobek.FunctionCall) any {
	life := u.m.lifetime()
	return u.operation(users.OpSocket, func(ctx context.Context) (js, error) {
		return resolved(sobek.Undefined()), u.user.Connect(ctx, life)
	})
}

func (u *user) close(sobek.FunctionCall) any {
	return u.promise("close", func(ctx context.Context) (js, error) { return resolved(sobek.Undefined()), u.user.Close(ctx) })
}
