package jsapi

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// secretName is the name of the webhook secret, in the environment and in a k6 secret source.
const secretName = "STRIPE_WEBHOOK_SECRET" // #nosec G101 -- its name, not its value

// maxTimestamp is 9999-12-31T23:59:59Z.
const maxTimestamp = 253402300799

// StripeSigner is the class StripeSigner. The secret is looked up at first use.
type StripeSigner struct {
	m      *Module
	signer func() (*payments.Signer, error)
}

func (m *Module) newStripeSigner(call sobek.ConstructorCall) *sobek.Object {
	var secret string
	if given := call.Argument(0); !common.IsNullish(given) {
		text, ok := export(given).(string)
		if !ok {
			m.throw("the secret of StripeSigner must be a string")
		}
		secret = text
	}
	if secret != "" {
		if _, err := payments.NewSigner(secret); err != nil {
			m.throw("%s: %s", secretName, err)
		}
	}
	signer := &StripeSigner{m: m, signer: sync.OnceValues(func() (*payments.Signer, error) { return m.findSigner(secret) })}
	return m.vu.Runtime().ToValue(signer).ToObject(m.vu.Runtime())
}

// findSigner returns a signer with this secret or, if it is "", with that of a k6 secret source.
func (m *Module) findSigner(secret string) (*payments.Signer, error) {
	if secret == "" {
		found, err := m.secret(secretName)
		if err != nil {
			return nil, fmt.Errorf("%s is not set; give it in the environment, or under that name in a k6 secret source "+
				"(--secret-source): %w", secretName, err)
		}
		secret = found
	}
	signer, err := payments.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", secretName, err)
	}
	return signer, nil
}

// signerOf returns a signer, or throws where there is none.
func (m *Module) signerOf(find func() (*payments.Signer, error)) *payments.Signer {
	signer, err := find()
	if err != nil {
		common.Throw(m.vu.Runtime(), err)
	}
	return signer
}

// Sign is StripeSigner.sign.
func (s *StripeSigner) Sign(body, options sobek.Value) string {
	text, ok := export(body).(string)
	if !ok {
		s.m.throw("sign takes the body as a string, got %s", show(body))
	}
	at := time.Now()
	r := reader{s.m, "sign"}
	r.read(options, map[string]func(string, sobek.Value){"timestamp": r.timestamp(&at)})
	return s.m.signerOf(s.signer).Sign([]byte(text), at)
}

// CheckoutCompleted is StripeSigner.checkoutCompleted.
func (s *StripeSigner) CheckoutCompleted(purchase sobek.Value) *SignedEvent {
	var p payments.Purchase
	r := reader{s.m, "checkoutCompleted"}
	r.read(purchase, map[string]func(string, sobek.Value){
		"userId":        r.text(&p.UserID),
		"tokens":        r.whole(&p.Tokens, 1, contract.MaxTokens),
		"packId":        r.text(&p.PackID),
		"eventId":       r.text(&p.EventID),
		"sessionId":     r.text(&p.SessionID),
		"paymentStatus": r.text(&p.PaymentStatus),
		"timestamp":     r.timestamp(&p.Timestamp),
	})
	event, err := s.m.signerOf(s.signer).CheckoutCompleted(p)
	if err != nil {
		s.m.throw("checkoutCompleted: %s", err)
	}
	signed := &SignedEvent{ID: event.ID, Body: string(event.Body), Headers: map[string]string{}}
	for name := range event.Headers() {
		signed.Headers[name] = event.Headers().Get(name)
	}
	if p.PaymentStatus != contract.Unpaid {
		signed.sale = &platform.Sale{Purchase: p}
	}
	return signed
}

// SignedEvent is a signed webhook for a script. If Verity.webhook sends this object itself, the sale is booked to its user.
type SignedEvent struct {
	ID      string            `js:"id"`
	Body    string            `js:"body"`
	Headers map[string]string `js:"headers"`

	sale *platform.Sale // nil: it credits nothing
	sent bool           // at least once
}

func (r reader) timestamp(into *time.Time) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		var unix int
		r.whole(&unix, 0, maxTimestamp)(name, value)
		*into = time.Unix(int64(unix), 0)
	}
}

// eventOf reads the event that a script passes to webhook: one of checkoutCompleted, or an object of the same shape.
func eventOf(value sobek.Value) (*SignedEvent, error) {
	if signed, ok := export(value).(*SignedEvent); ok {
		return signed, nil
	}
	object, ok := value.(*sobek.Object)
	if !ok {
		return nil, errors.New("webhook takes an event of checkoutCompleted, or { id, body, headers }")
	}
	body, ok := exported(object, "body").(string)
	if !ok {
		return nil, errors.New("webhook: the body of the event must be a string")
	}
	signed := &SignedEvent{Body: body, Headers: map[string]string{}}
	signed.ID, _ = exported(object, "id").(string)
	if headers, isObject := object.Get("headers").(*sobek.Object); isObject {
		for _, name := range headers.Keys() {
			signed.Headers[name] = headers.Get(name).String()
		}
	}
	return signed, nil
}

func exported(object *sobek.Object, name string) any {
	return export(object.Get(name))
}
