// Package preflight checks before the load whether a run can give a meaningful result: whether clock and webhook secret of the
// service and the runner agree, whether the plan stays within the rate limits, and whether this machine has enough file
// descriptors and ports. Its facts about the service are from docs/verity-api.md; the checks create nothing on the service.
//
// It is plain Go: an HTTP client with k6's dialer and TLS is passed in as a Client.
package preflight

import (
	"context"
	"net/http"
	"time"

	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// Client sends requests that do not count as load, such as an *http.Client.
type Client interface {
	Do(request *http.Request) (*http.Response, error)
}

// Plan is the planned load of this runner on the service, and its needs on this machine.
type Plan struct {
	// Requests is the load by operation (platform.Op…). Operations that are not in it are not checked.
	Requests map[string]Load
	// Connections is the number of connections open at once.
	Connections int
	// ClosedPerMinute is how many connections this side closes a minute; each keeps its port for a minute.
	ClosedPerMinute int
	// Runner is this runner's number of Runners, from 1, and Share its share of the test. For a single runner all are zero.
	Runner, Runners int
	Share           float64
}

// Load is the number of requests to one route in the run's busiest minute, from one client address.
type Load struct {
	PerMinute  float64
	Arithmetic string // how PerMinute was computed
	OfEach     bool   // PerMinute is the load of each of several runners, not of this one's share
}

// Service is the Verity to check.
type Service struct {
	BaseURL   string
	Health    platform.Health // of the answer that showed that it is a Verity
	Signer    *payments.Signer
	Addresses int // number of the service's addresses that connections are spread over; at least 1
}

// Verdict is the result of a Check.
type Verdict string

// The verdicts. Only Failed stops a run.
const (
	Passed  Verdict = "passed"
	Warning Verdict = "warning" // the run may begin, but the finding affects its result
	Failed  Verdict = "failed"  // the result would be meaningless
	Unknown Verdict = "unknown" // cannot be determined on this system
)

// Mark returns the verdict's mark in a table.
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

// Check is the result of one check.
type Check struct {
	Name    string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"` // with the arithmetic
}

// Look checks a healthy service and this machine. It sends one request to each route of the plan.
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
