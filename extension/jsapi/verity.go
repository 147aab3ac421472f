package jsapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/users"
)

const (
	defaultTimeoutSeconds = 60 // k6's own default
	maxTimeoutSeconds     = 3600
)

// Verity is the class Verity.
type Verity struct {
	m *Module
	// keepsAccounts keeps the accounts that are made, for DeleteAccounts.
	keepsAccounts bool
	service       *users.Service
	signer        func() (*payments.Signer, error)
	sells         bool             // a signer was given
	connection    users.Connection // of webhooks, which come from Stripe and not from a user
}

func (m *Module) newVerity(call sobek.ConstructorCall) *sobek.Object {
	v := &Verity{m: m, service: &users.Service{Run: m.root.run, Counts: true}, signer: func() (*payments.Signer, error) {
		return nil, errors.New("tokens cannot be bought: give Verity a signer")
	}}
	timeout := float64(defaultTimeoutSeconds)
	r := reader{m, "Verity"}
	r.read(call.Argument(0), map[string]func(string, sobek.Value){
		"baseUrl":         r.text(&v.service.BaseURL),
		"timeoutSeconds":  r.number(&timeout, 0.001, maxTimeoutSeconds),
		"countOperations": r.yesOrNo(&v.service.Counts),
		"keepAccounts":    r.yesOrNo(&v.keepsAccounts),
		"signer": func(_ string, value sobek.Value) {
			given, ok := export(value).(*StripeSigner)
			if !ok {
				m.throw("signer of Verity must be a StripeSigner, such as new StripeSigner(secret); what it got may be a secret and is not shown")
			}
			v.signer, v.sells = given.signer, true
		},
	})
	if v.service.BaseURL != "" {
		baseURL, err := platform.ParseBaseURL(v.service.BaseURL)
		if err != nil {
			r.throw("baseUrl", "%s", err)
		}
		v.service.BaseURL = baseURL
	}
	v.service.Timeout = users.Seconds(timeout)
	v.service.Service = platform.NewService(v.service.BaseURL, v.signer)
	if v.keepsAccounts {
		v.service.NotifySignUps(m.root.run.NoteAccount)
	}
	return m.vu.Runtime().ToValue(v).ToObject(m.vu.Runtime())
}

// ready returns the VU's state. It throws if no request can be made: in the init context, and without a base URL.
func (v *Verity) ready(what string) *k6.VU {
	state := v.m.vuState(what)
	if v.service.BaseURL == "" {
		_, err := platform.ParseBaseURL("")
		v.m.throw("baseUrl of Verity %s", err)
	}
	return state
}

// SignUp is Verity.signUp.
func (v *Verity) SignUp(options sobek.Value) *sobek.Promise {
	var tokens int
	r := reader{v.m, "signUp"}
	r.read(options, map[string]func(string, sobek.Value){"tokens": r.whole(&tokens, 0, contract.MaxTokens)})
	state, life := v.ready("signUp"), v.m.lifetime()
	isSetup := lib.GetScenarioState(v.m.vu.Context()) == nil
	return v.m.promise(nil, func(ctx context.Context) (js, error) {
		signedUp, err := v.service.SignUp(ctx, state, life, tokens)
		if err != nil {
			return nil, err
		}
		if isSetup {
			v.m.root.run.Remember(signedUp.Account)
		}
		return func(*sobek.Runtime) any { return v.m.jsUser(signedUp) }, nil
	})
}

// User is Verity.user.
func (v *Verity) User(id string) *sobek.Object {
	state := v.ready("user")
	known, ok := v.m.root.run.Recall(id)
	if !ok {
		v.m.throw("no user %q was signed up in setup() of this process", id)
	}
	connection := state.Connect(v.service.BaseURL, v.service.Timeout)
	return v.m.jsUser(users.NewUser(v.service, state, known.Through(connection), connection))
}

// Webhook is Verity.webhook.
func (v *Verity) Webhook(event, options sobek.Value) *sobek.Promise {
	signed, err := eventOf(event)
	if err != nil {
		v.m.throw("%s", err)
	}
	expected := []int{http.StatusOK}
	r := reader{v.m, "webhook"}
	r.read(options, map[string]func(string, sobek.Value){"expectedStatuses": r.statuses(&expected)})
	state, life := v.ready("webhook"), v.m.lifetime()
	if v.connection == nil {
		v.connection = state.Connect(v.service.BaseURL, v.service.Timeout)
	}
	header := make(http.Header, len(signed.Headers)+1)
	for name, value := range signed.Headers {
		header.Set(name, value)
	}
	v.m.root.run.Record.EventSent(signed.sent)
	signed.sent = true
	sent := users.Event{Body: []byte(signed.Body), Header: header, Expected: expected, Sale: signed.sale}
	return v.m.promise(nil, func(ctx context.Context) (js, error) {
		answer, err := v.service.SendEvent(ctx, state, life, v.connection, sent)
		if err != nil {
			return nil, err
		}
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "status", answer.Status)
			set(object, "body", string(answer.Body))
			set(object, "durationMs", run.Milliseconds(answer.Duration))
			return object
		}, nil
	})
}

func (r reader) statuses(into *[]int) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		var list []int
		if err := r.m.vu.Runtime().ExportTo(value, &list); err != nil || len(list) == 0 ||
			slices.ContainsFunc(list, func(status int) bool { return status < 100 || status > 599 }) {
			r.throw(name, "must be an array of HTTP statuses, got %s", show(value))
		}
		*into = list
	}
}

// missing says which value was not set from the environment: one with which no user can be signed up, or buy.
func (v *Verity) missing() error {
	if _, err := platform.ParseBaseURL(v.service.BaseURL); err != nil {
		return fmt.Errorf("baseUrl of Verity %w", err)
	}
	if !v.sells {
		return nil
	}
	_, err := v.signer()
	return err
}
