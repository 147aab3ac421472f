package jsapi

import (
	"context"
	"slices"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
)

func (u *user) request(call sobek.FunctionCall) any {
	request := u.readRequest(call.Argument(0), call.Argument(1), call.Argument(2))
	return u.operation(request.Operation, func(ctx context.Context) (js, error) {
		answer, err := u.user.Account.Request(ctx, request)
		if err != nil {
			return nil, err
		}
		text, err := answer.JSON(request.Operation)
		if err != nil {
			return nil, err
		}
		return func(rt *sobek.Runtime) any { return u.m.answerObject(rt, answer, text) }, nil
	})
}

func (u *user) readRequest(method, path, options sobek.Value) platform.Request {
	m := u.m
	request := platform.Request{Expected: platform.AnySuccess}
	request.Method, _ = export(method).(string)
	if !slices.Contains(platform.Methods, request.Method) {
		m.throw("the method of request must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, got %s", show(method))
	}
	var ok bool
	if request.URL, ok = export(path).(string); !ok {
		m.throw("the path of request must be a string, got %s", show(path))
	}
	if err := platform.CheckPath(request.URL); err != nil {
		m.throw("the path of request %s", err)
	}
	request.Operation = platform.RequestName(request.Method, request.URL)
	r := reader{m, "request"}
	r.read(options, map[string]func(string, sobek.Value){
		"body":             r.body(&request.Body),
		"name":             r.text(&request.Operation),
		"expectedStatuses": r.statuses(&request.Expected),
	})
	if err := m.root.requestNames.Admit(request.Operation); err != nil {
		m.throw("%s", err)
	}
	return request
}

// body reads the body of a request: a string is sent as it is, anything else as JSON.
func (r reader) body(into *[]byte) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		if text, ok := export(value).(string); ok {
			*into = []byte(text)
			return
		}
		if *into = r.m.stringify(value); *into == nil {
			r.throw(name, "must be something that JSON can say, got %s", show(value))
		}
	}
}

// answerObject returns the value that request resolves to, without cookies: one may be a refresh token, which scripts never get.
func (m *Module) answerObject(rt *sobek.Runtime, answer *platform.Answer, text []byte) *sobek.Object {
	headers := rt.NewObject()
	for _, name := range sortedKeys(answer.Header) {
		if name != "Set-Cookie" {
			set(headers, name, answer.Header[name])
		}
	}
	object := rt.NewObject()
	set(object, "status", answer.Status)
	set(object, "headers", headers)
	switch {
	case text != nil:
		set(object, "body", m.parse(text))
	case len(answer.Body) == 0:
		set(object, "body", sobek.Null())
	default:
		set(object, "body", string(answer.Body))
	}
	set(object, "durationMs", run.Milliseconds(answer.Duration))
	return object
}

func (u *user) choose(call sobek.FunctionCall) any {
	sessionID, choice := call.Argument(0), call.Argument(1)
	id, ok := export(sessionID).(string)
	if !ok || id == "" || id == "." || id == ".." {
		u.m.throw("the sessionId of choose must be the id of a session, got %s", show(sessionID))
	}
	text, _ := export(choice).(string)
	chosen := contract.Choice(text)
	if chosen != contract.ChoiceMatch && chosen != contract.ChoicePass {
		u.m.throw(`the choice of choose must be "MATCH" or "PASS", got %s`, show(choice))
	}
	return u.operation(platform.OpChoice, func(ctx context.Context) (js, error) {
		answer, err := u.user.Account.Choose(ctx, id, chosen)
		if err != nil {
			return nil, err
		}
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "status", string(answer.Status))
			if answer.Outcome != "" {
				set(object, "outcome", string(answer.Outcome))
			}
			if len(answer.Deadline) > 0 {
				set(object, "deadline", u.m.parse(answer.Deadline))
			}
			return object
		}, nil
	})
}

// ignoreRejection lets a promise be rejected before the script awaits it.
func (m *Module) ignoreRejection(promise *sobek.Promise) {
	rt := m.vu.Runtime()
	ignore := handler(rt, func(sobek.Value) error { return nil })
	if _, err := m.builtins.then(rt)(rt.ToValue(promise), sobek.Undefined(), ignore); err != nil {
		common.Throw(rt, err)
	}
}
