package payments

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// Purchase is the content of a checkout.session.completed event.
type Purchase struct {
	UserID        string
	Tokens        int       // 1 to contract.MaxTokens; Verity credits this number, whatever the pack
	PackID        string    // default: the pack of that many tokens, otherwise starter
	EventID       string    // default: a random evt_…, unique among VUs, runners and runs
	SessionID     string    // default: a random cs_…, unique likewise
	PaymentStatus string    // contract.Paid (default) or contract.Unpaid
	Timestamp     time.Time // of the signature; default: now
}

// Event is a signed webhook, ready to post.
type Event struct {
	ID        string
	Body      []byte
	Signature string // value of the header contract.SignatureHeader
}

// Headers returns the headers to post the event with.
func (e Event) Headers() http.Header {
	return http.Header{"Content-Type": {contract.ContentType}, contract.SignatureHeader: {e.Signature}}
}

type eventBody struct {
	ID   string    `json:"id"`
	Type string    `json:"type"`
	Data eventData `json:"data"`
}

type eventData struct {
	Object any `json:"object"`
}

type customer struct {
	ID     string `json:"id"`
	Object string `json:"object"`
}

type checkoutSession struct {
	ID            string           `json:"id"`
	Object        string           `json:"object"`
	PaymentStatus string           `json:"payment_status"`
	Metadata      purchaseMetadata `json:"metadata"`
}

type purchaseMetadata struct {
	UserID string `json:"userId"`
	PackID string `json:"packId"`
	Tokens string `json:"tokens"`
}

// CheckoutCompleted returns a signed checkout.session.completed event.
// It refuses a purchase without a user, with Tokens out of range, or with an unknown PaymentStatus.
func (s *Signer) CheckoutCompleted(p Purchase) (Event, error) {
	if err := p.validate(); err != nil {
		return Event{}, err
	}
	p.setDefaults()
	body, err := encode(eventBody{
		ID:   p.EventID,
		Type: contract.CheckoutCompleted,
		Data: eventData{Object: checkoutSession{
			ID:            p.SessionID,
			Object:        "checkout.session",
			PaymentStatus: p.PaymentStatus,
			Metadata:      purchaseMetadata{UserID: p.UserID, PackID: p.PackID, Tokens: strconv.Itoa(p.Tokens)},
		}},
	})
	if err != nil {
		return Event{}, fmt.Errorf("encoding event %s: %w", p.EventID, err)
	}
	return Event{ID: p.EventID, Body: body, Signature: s.Sign(body, p.Timestamp)}, nil
}

// CustomerCreated returns a signed customer.created event. Verity accepts it and credits no tokens, so that it tests whether
// the secret is the service's.
func (s *Signer) CustomerCreated(at time.Time) (Event, error) {
	id := "evt_" + rand.Text()
	body, err := encode(eventBody{
		ID: id, Type: "customer.created", Data: eventData{Object: customer{ID: "cus_" + rand.Text(), Object: "customer"}},
	})
	if err != nil {
		return Event{}, fmt.Errorf("encoding event %s: %w", id, err)
	}
	return Event{ID: id, Body: body, Signature: s.Sign(body, at)}, nil
}

func (p *Purchase) validate() error {
	if p.UserID == "" {
		return errors.New("userId must be a non-empty string")
	}
	if p.Tokens < 1 || p.Tokens > contract.MaxTokens {
		return fmt.Errorf("tokens must be a whole number from 1 to %d, got %d", contract.MaxTokens, p.Tokens)
	}
	if p.PaymentStatus != "" && p.PaymentStatus != contract.Paid && p.PaymentStatus != contract.Unpaid {
		return fmt.Errorf("paymentStatus must be %q or %q, got %q", contract.Paid, contract.Unpaid, p.PaymentStatus)
	}
	return nil
}

func (p *Purchase) setDefaults() {
	if p.PackID == "" {
		p.PackID = packOf(p.Tokens)
	}
	if p.EventID == "" {
		p.EventID = "evt_" + rand.Text()
	}
	if p.SessionID == "" {
		p.SessionID = "cs_" + rand.Text()
	}
	if p.PaymentStatus == "" {
		p.PaymentStatus = contract.Paid
	}
	if p.Timestamp.IsZero() {
		p.Timestamp = time.Now()
	}
}

func packOf(tokens int) string {
	switch tokens {
	case contract.PlusTokens:
		return contract.PackPlus
	case contract.ProTokens:
		return contract.PackPro
	default:
		return contract.PackStarter
	}
}

// encode returns the JSON of an event. Like Stripe it does not escape < > &: the signature covers the bytes.
func encode(event eventBody) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
