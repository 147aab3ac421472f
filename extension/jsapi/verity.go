package jsapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
)

const (
	defaultTimeoutSeconds = 60 // k6's own default
	maxTimeoutSeconds     = 3600
)

// Verity is the class Verity.
type Verity struct {
	m          *Module
	baseURL    string
	timeout    float64 // s
	counts     bool    // in operations and error_rate, what users do
	service    *platform.Service
	signer     func() (*payments.Signer, error)
	connection *connection // of webhooks, which come from Stripe and not from a user
}

func (m *Module) newVerity(call sobek.ConstructorCall) *sobek.Object {
	v := &Verity{m: m, timeout: defaultTimeoutSeconds, counts: true, signer: func() (*payments.Signer, error) {
		return nil, errors.New("tokens cannot be bought: give Verity a signer")
	}}
	r := reader{m, "Verity"}
	r.read(call.Argument(0), map[string]func(string, sobek.Value){
		"baseUrl":         r.text(&v.baseURL),
		"timeoutSeconds":  r.number(&v.timeout, 0.001, maxTimeoutSeconds),
		"countOperations": r.yesOrNo(&v.counts),
		"signer": func(_ string, value sobek.Value) {
			given, ok := export(value).(*StripeSigner)
			if !ok {
				m.throw("signer of Verity must be a StripeSigner, such as new StripeSigner(secret); what it got may be a secret and is not shown")
			}
			v.signer = given.signer
		},
	})
	if v.baseURL != "" {
		baseURL, err := platform.ParseBaseURL(v.baseURL)
		if err != nil {
			r.throw("baseUrl", "%s", err)
		}
		v.baseURL = baseURL
	}
	v.service = platform.NewService(v.baseURL, v.signer)
	return m.vu.Runtime().ToValue(v).ToObject(m.vu.Runtime())
}

// ready throws where no request can be made: in the init context, and without a base URL.
func (v *Verity) ready(what string) *vuState {
	state := v.m.vuState(what)
	if v.baseURL == "" {
		_, err := platform.ParseBaseURL("")
		v.m.throw("baseUrl of Verity %s", err)
	}
	return state
}

func (v *Verity) connect(what string) *connection {
	return newConnection(v.ready(what), v.baseURL, seconds(v.timeout))
}

// SignUp is Verity.signUp.
func (v *Verity) SignUp(options sobek.Value) *sobek.Promise {
	var tokens int
	r := reader{v.m, "signUp"}
	r.read(options, map[string]func(string, sobek.Value){"tokens": r.whole(&tokens, 0, contract.MaxTokens)})
	connection := v.connect("signUp")
	seeding := lib.GetScenarioState(v.m.vu.Context()) == nil
	life := v.m.lifetime()
	persistent := life.staying
	return v.m.promise(nil, func(ctx context.Context) (js, error) {
		signedUp, err := v.service.SignUp(ctx, connection)
		v.count(life, platform.OpSignUp, err)
		if err != nil {
			return nil, err
		}
		user := newUser(v, signedUp, connection)
		if tokens > 0 {
			if err := user.seed(ctx, life, tokens, persistent); err != nil {
				connection.close()
				return nil, err
			}
		}
		if seeding {
			v.m.root.run.Remember(signedUp)
		}
		return func(*sobek.Runtime) any { return user.object() }, nil
	})
}

// counted is the same work, counted.
func (v *Verity) counted(operation string, work func(ctx context.Context) (js, error)) func(ctx context.Context) (js, error) {
	life := v.m.lifetime()
	return func(ctx context.Context) (js, error) {
		result, err := work(ctx)
		v.count(life, operation, err)
		return result, err
	}
}

// count logs the first error of each kind, and counts an operation where this service counts what its users do. What the end of
// the run cut counts as nothing, and so does what went well after it; what failed by itself, or had hung before the end, has
// failed.
func (v *Verity) count(life *lifetime, operation string, err error) {
	if platform.IsStopped(err) || (err == nil && life.run.Err() != nil) {
		return
	}
	if err != nil {
		v.m.root.run.LogFirst(v.m.state.Logger, run.KindOf(operation, err), err.Error())
	}
	if !v.counts {
		return
	}
	failure := ""
	if err != nil {
		kind := run.KindOf(operation, err)
		v.m.root.run.Record.Errored(kind, err.Error())
		failure = run.KindName(kind)
	}
	v.m.root.run.CountOperation(life.report, v.m.state, operation, failure)
}

// User is Verity.user.
func (v *Verity) User(id string) *sobek.Object {
	connection := v.connect("user")
	known, ok := v.m.root.run.Recall(id)
	if !ok {
		v.m.throw("no user %q was signed up in setup() of this process", id)
	}
	return newUser(v, known.Through(connection), connection).object()
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
	v.ready("webhook")
	if v.connection == nil {
		v.connection = v.connect("webhook")
	}
	header := make(http.Header, len(signed.Headers)+1)
	for name, value := range signed.Headers {
		header.Set(name, value)
	}
	v.m.root.run.Record.EventSent(signed.sent)
	signed.sent = true
	state, life := v.m.state, v.m.lifetime()
	return v.m.promise(nil, func(ctx context.Context) (js, error) {
		answer, err := v.service.PostWebhook(ctx, v.connection, []byte(signed.Body), header, expected...)
		v.book(signed.sale, answer, err)
		if err != nil {
			if life.run.Err() != nil { // the script, which counts its webhooks, hears no more of this one
				v.count(life, platform.OpWebhook, err)
			} else {
				v.m.root.run.LogFirst(state.Logger, run.KindOf(platform.OpWebhook, err), err.Error())
			}
			return nil, err
		}
		if answer.Status == http.StatusInternalServerError {
			v.m.root.run.Record.CopyRefused()
		}
		state.Emit(ctx, run.StripeWebhookLatency, run.Milliseconds(answer.Duration), "", "")
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "status", answer.Status)
			set(object, "body", string(answer.Body))
			set(object, "durationMs", run.Milliseconds(answer.Duration))
			return object
		}, nil
	})
}

// book tells the account of a user that setup() signed up what became of an event that sells it tokens.
func (v *Verity) book(sale *platform.Sale, answer *platform.Answer, err error) {
	if sale == nil {
		return
	}
	user, ok := v.m.root.run.Recall(sale.UserID)
	if !ok {
		return
	}
	if err == nil && answer.Status != http.StatusOK {
		err = &platform.Error{Name: platform.HTTPError, Operation: platform.OpWebhook, Status: answer.Status}
	}
	user.NoteSale(sale, err)
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

// CheckHealth is Verity.checkHealth. A target that is not a healthy Verity aborts the run.
func (v *Verity) CheckHealth() *sobek.Promise {
	client := v.client(v.ready("checkHealth"))
	rt := v.m.vu.Runtime()
	promise, resolve, _ := rt.NewPromise()
	callback := v.m.vu.RegisterCallback()
	ctx := v.m.vu.Context()
	go func() {
		_, err := platform.CheckHealth(ctx, client, v.baseURL)
		callback(func() error {
			if err != nil {
				return v.m.abortTest(err)
			}
			return resolve(sobek.Undefined())
		})
	}()
	return promise
}
