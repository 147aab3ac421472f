// Package platform is the client of Verity's HTTP API: accounts that keep their access token fresh, the queue, the token
// balance, and the webhook through which tokens are bought. Every fact about the wire is from docs/verity-api.md.
//
// It is plain Go. What it needs from k6, a round trip that emits k6's metrics, reaches it as an HTTP.
package platform

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// The operations, as the name tag of their requests' metrics shows them.
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
	// Expected are the statuses that were asked for; any other is an error.
	Expected []int
	// Allowed are further ones that the contract has for this case. They are errors, but no failed requests.
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
	Duration time.Duration // sending, waiting and receiving, as http_req_duration
}

// HTTP is the HTTP connection of one user. Do returns an error only where there is no answer: ErrStopped where the run
// ended first, ErrTimeout where none came in time, and any other where the connection failed.
type HTTP interface {
	Do(ctx context.Context, request Request) (*Answer, error)
}
