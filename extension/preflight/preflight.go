// Package preflight looks once, before any load, whether a run can say anything about the service: whether the service's
// clock and secret are the runner's, whether the plan would break a rate limit, and whether this machine has the file
// descriptors and ports that it takes. Facts about the service are from docs/verity-api.md; nothing is created on it.
//
// It is plain Go: what it needs from k6, an HTTP client with k6's dialer and TLS, reaches it as a Client.
package preflight

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// Client sends requests that are no load, such as an *http.Client.
type Client interface {
	Do(request *http.Request) (*http.Response, error)
}

// Plan is what a run is about to ask, of the service and of this machine.
type Plan struct {
	// Requests by operation (platform.Op…). What is not in it is not asked for.
	Requests map[string]Load
	// Connections open at once.
	Connections int
	// ClosedPerMinute counts connections that this side closes, each of which keeps its port for a minute.
	ClosedPerMinute int
	// Runner, from 1, is which of so many Runners of the test this is, and Share is its part of it. The zero values are the only one's.
	Runner, Runners int
	Share           float64
}

// Load is what a run asks of one route in its busiest minute, from one client address.
type Load struct {
	PerMinute  float64
	Arithmetic string // how that number comes about
	OfEach     bool   // each of several runners asks for as much, rather than for its share
}

// Service is the Verity that is looked at.
type Service struct {
	BaseURL   string
	Health    platform.Health // of the answer that showed that it is one
	Signer    *payments.Signer
	Addresses int // how many the connections are spread over; at least 1
}

// Verdict of a Check.
type Verdict string

// The verdicts. Only Failed stops a run.
const (
	Passed  Verdict = "passed"
	Warning Verdict = "warning" // the run can go on, and its result is to be read with this in mind
	Failed  Verdict = "failed"  // the result would be meaningless
	Unknown Verdict = "unknown" // this system does not tell
)

// Mark is the verdict as a table shows it.
func (v Verdict) Mark() string {
	switch v {
	case Passed:
		return "✓"
	case Failed:
		return "✗"
	case Unknown:
		return "–"
	default:
		return "!"
	}
}

// Check is one thing that was looked at.
type Check struct {
	Name    string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"` // with the arithmetic
}

// Look looks at a healthy service and at this machine. It asks each route of the plan once.
func Look(ctx context.Context, client Client, service Service, plan Plan, machine Machine) []Check {
	checks := []Check{
		{"target", Passed, "a healthy Verity, up for " + service.Health.Uptime.Truncate(time.Second).String()},
		clock(service.Health),
	}
	if plan.Runners > 1 {
		checks = append(checks, plan.severalRunners())
	}
	checks = append(checks, askRoutes(ctx, client, service, plan)...)
	return append(checks, machine.files(plan), machine.ports(plan, service.Addresses))
}

// Count writes 12345.6 as 12,346.
func Count[N int | uint64 | float64](n N) string {
	digits := strconv.FormatFloat(float64(n), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
