// Package payments makes the Stripe events for purchases of Verity's tokens, and signs them as Stripe does.
//
// stripe-go computes the signature. The events have the fields that Verity reads (docs/verity-api.md, Tokens and Stripe), and
// no api_version.
package payments

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/stripe/stripe-go/v76/webhook"
)

// Signer signs webhook bodies with one endpoint secret. It is safe for concurrent use, and never prints its secret.
type Signer struct {
	secret string
}

// NewSigner returns a Signer for the endpoint secret that Stripe shows as whsec_….
//
// It refuses an empty secret, one with white space, which copying may add, and a key of Stripe's API. Stripe's own libraries
// accept such secrets, and every signature would be wrong.
func NewSigner(secret string) (*Signer, error) {
	if strings.TrimSpace(secret) == "" {
		return nil, errors.New("the webhook secret is empty")
	}
	if strings.TrimSpace(secret) != secret {
		return nil, errors.New("the webhook secret has white space around it")
	}
	if strings.ContainsFunc(secret, func(char rune) bool { return unicode.IsSpace(char) || unicode.IsControl(char) }) {
		return nil, errors.New("the webhook secret has white space or a control character in it")
	}
	for _, kind := range []string{"sk_", "pk_", "rk_"} {
		if strings.HasPrefix(secret, kind) {
			return nil, fmt.Errorf("the webhook secret begins with %s, as a key of Stripe's API does; the secret of the webhook endpoint "+
				"is needed, which begins with whsec_", kind)
		}
	}
	return &Signer{secret: secret}, nil
}

// Sign returns the Stripe-Signature header for exactly this body at this time: t=<Unix seconds>,v1=<hex HMAC-SHA256>.
// Verity accepts times up to 300 s in the past and any in the future.
func (s *Signer) Sign(body []byte, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: s.secret, Timestamp: at}).Header
}

// String keeps the secret out of logs and error messages that print a Signer.
func (s *Signer) String() string { return "payments.Signer(secret hidden)" }

// GoString is String, for %#v.
func (s *Signer) GoString() string { return s.String() }
