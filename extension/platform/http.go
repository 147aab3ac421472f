// Package platform is the client of Verity's HTTP API: users that refresh their access tokens, the queue, the token balance, and
// the webhook through which tokens are bought. Its facts about the protocol are from docs/verity-api.md.
//
// It is plain Go: a round trip that emits k6's metrics is passed in as an HTTP.
package platform

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// The operations are the values of the name tag in the metrics of their requests.
const (
	OpSignUp  = "auth_signup"
	OpRefresh = "auth_refresh"
	OpJoin    = "queue_join"
	OpLeave   = "queue_leave"
	OpBalance = "tokens_balance"
	OpWebhook = "stripe_webhook"
	OpDelete  = "users_me_delete"
)

// Request is one request to Verity.
type Request struct {
	Operation string // one of the Op… names
	Method    string
	URL       string
	Header    http.Header
	Body      []byte
	// Expected are the statuses of a success; any other is an error.
	Expected []int
	// Allowed are further statuses of the contract. They are errors, but do not count as failed requests.
	Allowed []int
}

// Failed reports whether a status counts as a failed request.
func (r *Request) Failed(status int) bool {
	return !slices.Contains(r.Expected, status) && !slices.Contains(r.Allowed, status)
}

// Answer is Verity's answer to a Request, whatever its status.
type Answer struct {
	Status   int
	Header   map[string]string // by canonical name
	Cookies  map[string]string // set by this answer
	Body     []byte
	Duration time.Duration // sending, waiting and receiving, as in http_req_duration
}

// HTTP sends the requests of one user. Do returns an error only if there is no answer: ErrStopped if the run ended first,
// ErrTimeout if none came in time, and another error if the connection failed.
type HTTP interface {
	Do(ctx context.Context, request Request) (*Answer, error)
}
