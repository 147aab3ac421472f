package jsapi

import (
	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
)

// userObject is what a script holds of a User: the fields, and on its prototype the methods.
type userObject struct {
	user *User

	ID     string `js:"id"`
	Number int    `js:"number"`
}

// userMethods are the methods of the class User. They sit on one prototype in each VU, for sobek wraps a method of a Go
// value anew, by reflection, each time that a script touches it: a third of the memory and a tenth of the processor time
// that a user took.
var userMethods = map[string]func(u *User, call sobek.FunctionCall) any{ //nolint:gochecknoglobals // a constant table
	"join":        func(u *User, call sobek.FunctionCall) any { return u.Join(call.Argument(0), call.Argument(1)) },
	"leave":       func(u *User, call sobek.FunctionCall) any { return u.Leave(call.Argument(0)) },
	"balance":     func(u *User, call sobek.FunctionCall) any { return u.Balance(call.Argument(0)) },
	"buyTokens":   func(u *User, call sobek.FunctionCall) any { return u.BuyTokens(call.Argument(0)) },
	"tokens":      func(u *User, _ sobek.FunctionCall) any { return u.Tokens() },
	"queued":      func(u *User, _ sobek.FunctionCall) any { return u.Queued() },
	"connect":     func(u *User, _ sobek.FunctionCall) any { return u.Connect() },
	"connected":   func(u *User, _ sobek.FunctionCall) any { return u.Connected() },
	"match":       func(u *User, call sobek.FunctionCall) any { return u.Match(call.Argument(0)) },
	"holdSession": func(u *User, call sobek.FunctionCall) any { return u.HoldSession(call.Argument(0)) },
	"request": func(u *User, call sobek.FunctionCall) any {
		return u.Request(call.Argument(0), call.Argument(1), call.Argument(2))
	},
	"waitFor": func(u *User, call sobek.FunctionCall) any { return u.WaitFor(call.Argument(0), call.Argument(1)) },
	"choose":  func(u *User, call sobek.FunctionCall) any { return u.Choose(call.Argument(0), call.Argument(1)) },
	"close":   func(u *User, _ sobek.FunctionCall) any { return u.Close() },
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
			this, ok := export(call.This).(*userObject)
			if !ok {
				m.throw("%s must be called on a User", name)
			}
			return rt.ToValue(method(this.user, call))
		})
	}
	m.userProto = proto
	return proto
}

// object returns the user as a script sees it: one object for as long as the user lives.
func (u *User) object() *sobek.Object {
	if u.js != nil {
		return u.js
	}
	rt := u.m.vu.Runtime()
	u.js = rt.ToValue(&userObject{user: u, ID: u.ID, Number: u.Number}).ToObject(rt)
	if err := u.js.SetPrototype(u.m.userPrototype()); err != nil {
		common.Throw(rt, err)
	}
	return u.js
}

// userOf returns the User that a script's value is.
func userOf(value sobek.Value) (*User, bool) {
	object, ok := export(value).(*userObject)
	if !ok {
		return nil, false
	}
	return object.user, true
}
