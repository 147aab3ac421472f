package jsapi

import (
	"context"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/sessions"
	"github.com/verity-app/xk6-verity/extension/users"
)

const (
	maxMatchSeconds = 3600
	maxHoldSeconds  = 3600
	maxWaitSeconds  = 3600
	// defaultWait is the default timeout of waitFor, in seconds.
	defaultWait = 30.0
)

func (u *user) match(call sobek.FunctionCall) any {
	var timeout float64
	var wish users.Wish
	r := reader{u.m, "match"}
	r.read(call.Argument(0), map[string]func(string, sobek.Value){
		"place":          u.place(&wish),
		"timeoutSeconds": r.number(&timeout, 0.001, maxMatchSeconds),
	})
	if wish.Body == nil {
		u.m.throw("match needs a place")
	}
	wish.Timeout = users.Seconds(timeout)
	life := u.m.lifetime()
	return u.operation(platform.OpJoin, func(ctx context.Context) (js, error) {
		m, err := u.user.Match(ctx, life, wish)
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "matched", m.Matched())
			if m.Matched() {
				set(object, "sessionId", m.SessionID)
			} else {
				set(object, "reason", string(m.Outcome))
				setLoss(object, m.Lost)
			}
			set(object, "matchSeconds", m.Wait.Seconds())
			return object
		}, err
	})
}

// place reads a place, and its planned queue key.
func (u *user) place(into *users.Wish) func(string, sobek.Value) {
	return func(_ string, value sobek.Value) { into.Body, into.QueueKey = u.m.joinBody(value) }
}

// setLoss sets the reason why the socket was lost, if it was.
func setLoss(object *sobek.Object, lost sessions.Loss) {
	if lost != "" {
		set(object, "socketLost", string(lost))
	}
}

func (u *user) holdSession(call sobek.FunctionCall) any {
	var timeout, hold float64
	var wish users.Wish
	r := reader{u.m, "holdSession"}
	r.read(call.Argument(0), map[string]func(string, sobek.Value){
		"place":               u.place(&wish),
		"matchTimeoutSeconds": r.number(&timeout, 0.001, maxMatchSeconds),
		"holdSeconds":         r.number(&hold, 0.001, maxHoldSeconds),
	})
	if wish.Body == nil {
		u.m.throw("holdSession needs a place")
	}
	wish.Timeout, wish.Hold = users.Seconds(timeout), users.Seconds(hold)
	life := u.m.lifetime()
	return u.operation(platform.OpJoin, func(ctx context.Context) (js, error) {
		s, err := u.user.HoldSession(ctx, life, wish)
		return func(rt *sobek.Runtime) any { return sessionObject(rt, s) }, err
	})
}

// sessionObject is the result of holdSession. Without a match in time its outcome is unmatched or, at the end of the run, stopped.
func sessionObject(rt *sobek.Runtime, s users.Session) *sobek.Object {
	object := rt.NewObject()
	if s.Match.Matched() {
		set(object, "outcome", string(s.Held.Outcome))
		set(object, "sessionId", s.Held.SessionID)
		set(object, "matchSeconds", s.Match.Wait.Seconds())
		set(object, "heldSeconds", s.Held.Held.Seconds())
		set(object, "reason", string(s.Held.Reason))
		setLoss(object, s.Lost)
		return object
	}
	outcome := "unmatched"
	if s.Match.Outcome == sessions.OutcomeStopped {
		outcome = string(sessions.OutcomeStopped)
	}
	set(object, "outcome", outcome)
	set(object, "matchSeconds", s.Match.Wait.Seconds())
	set(object, "reason", string(s.Match.Outcome))
	setLoss(object, s.Match.Lost)
	return object
}

// waitFor waits for an event that arrives after this call, so that the event of a later operation is not missed.
func (u *user) waitFor(call sobek.FunctionCall) any {
	event, ok := export(call.Argument(0)).(string)
	if !ok || event == "" {
		u.m.throw("the event of waitFor must be the name of an event, such as \"match:mutual\", got %s", show(call.Argument(0)))
	}
	patience, namespace := defaultWait, ""
	r := reader{u.m, "waitFor"}
	r.read(call.Argument(1), map[string]func(string, sobek.Value){
		"timeoutSeconds": r.number(&patience, 0.001, maxWaitSeconds),
		"namespace": func(key string, value sobek.Value) {
			r.text(&namespace)(key, value)
			if namespace != "/queue" && namespace != "/video" {
				u.m.throw(`namespace of waitFor must be "/queue" or "/video", got %s`, show(value))
			}
		},
	})
	wait := u.user.Expect(u.m.lifetime(), namespace, event, users.Seconds(patience))
	promise := u.operation(users.OpWait, func(context.Context) (js, error) {
		payload, err := wait()
		return func(*sobek.Runtime) any { return u.m.parse(payload) }, err
	})
	u.m.ignoreRejection(promise) // it may be rejected before the script awaits it
	return promise
}
