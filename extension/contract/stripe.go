package contract

import (
	"math"
	"time"
)

// Tokens and Stripe.
const (
	// SignatureHeader is the header with the signature of a webhook's body.
	SignatureHeader = "Stripe-Signature"
	// SignatureTolerance is how old a signature may be, compared in whole seconds. Any time in the future is accepted.
	SignatureTolerance = 300 * time.Second
	// CheckoutCompleted is the type of the one event that credits tokens.
	CheckoutCompleted = "checkout.session.completed"
	// Paid and Unpaid are values of payment_status; only paid sessions are credited.
	Paid   = "paid"
	Unpaid = "unpaid"
	// MaxTokens is the largest number of tokens of an event, and of a balance; more is answered 500.
	MaxTokens = math.MaxInt32
	// WebhookReceived is the body of a webhook's answer with status 200.
	WebhookReceived = `{"received":true}`
)

// The token packs, and the number of tokens in each (Tokens and Stripe).
const (
	PackStarter   = "starter"
	StarterTokens = 5
	PackPlus      = "plus"
	PlusTokens    = 15
	PackPro       = "pro"
	ProTokens     = 30
)
