package preflight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
)

const (
	// askLimit bounds the time of one answer. A service that takes longer for a refusal cannot be tested.
	askLimit = 10 * time.Second
	// maxBody is more bytes than any of these answers has.
	maxBody = 1 << 16
)

// rounding is smaller than the difference of two loads, and larger than the error of adding fractions.
const rounding = 1e-6

const webhookSecret = "webhook secret" // #nosec G101 -- the name of a check

// route is a request that shows a route's limit without creating anything: the service counts a request before it handles it.
type route struct {
	contract.Route

	operation string
	body      string
	refused   int // expected status of the answer
}

var routes = []route{ //nolint:gochecknoglobals // a constant table
	{contract.RouteSignUp, platform.OpSignUp, `{"preflight":true}`, http.StatusBadRequest}, // an unknown field
	{contract.RouteWebhook, platform.OpWebhook, "", http.StatusOK},                         // an event that credits nothing
	{contract.RouteJoin, platform.OpJoin, `{}`, http.StatusUnauthorized},                   // without a token, as the next two
	{contract.RouteLeave, platform.OpLeave, "", http.StatusUnauthorized},
	{contract.RouteBalance, platform.OpBalance, "", http.StatusUnauthorized},
	{contract.RouteRefresh, platform.OpRefresh, "", http.StatusUnauthorized}, // without the cookie
}

// Operations returns the operations that a plan can have.
func Operations() []string {
	names := make([]string, len(routes))
	for i, r := range routes {
		names[i] = r.operation
	}
	return names
}

// answer is the answer to one request, or the error if there is none.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// askRoutes sends a request to each route of the plan, one after the other. It returns the check of the secret before those of
// the limits.
func askRoutes(ctx context.Context, client Client, service Service, plan Plan) []Check {
	var checks, limits []Check
	for _, r := range routes {
		load, isPlanned := plan.Requests[r.operation]
		if !isPlanned {
			continue
		}
		a := service.ask(ctx, client, r)
		if r.operation == platform.OpWebhook {
			checks = append(checks, secret(a))
			limits = append(limits, plan.withAll(r.limit(load, a, ""), load, allowedBy(a))) // secret judges an unexpected status
			continue
		}
		limits = append(limits, plan.withAll(r.limit(load, a, r.unexpected(a)), load, allowedBy(a)))
	}
	return append(checks, limits...)
}

func (s Service) ask(ctx context.Context, client Client, r route) answer {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	request, err := s.request(ctx, r)
	if err != nil {
		return answer{err: err}
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{err: withoutURL(ctx, err)}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return answer{response.StatusCode, response.Header, body, withoutURL(ctx, err)}
}

// request returns a request that creates nothing; for the webhook it is a signed event that credits nothing.
func (s Service) request(ctx context.Context, r route) (*http.Request, error) {
	body, header := r.body, http.Header{}
	if r.operation == platform.OpWebhook {
		event, err := s.Signer.CustomerCreated(time.Now())
		if err != nil {
			return nil, err
		}
		body, header = string(event.Body), event.Headers()
	} else if body != "" {
		header.Set("Content-Type", contract.ContentType)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, s.BaseURL+r.Path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	return request, nil
}

// withoutURL returns why there is no answer, without the URL, as the check names the route.
func withoutURL(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("none within %s", askLimit)
	}
	return plain.Error(plain.WithoutURL(err))
}

// unexpected returns how the answer deviates from the contract, or "".
func (r route) unexpected(a answer) string {
	if a.status == r.refused || a.status == http.StatusTooManyRequests {
		return ""
	}
	return fmt.Sprintf("%s %s was answered %d (%s) instead of %d", r.Method, r.Path, a.status, platform.ServiceMessage(a.body), r.refused)
}

// limit compares the load with the limit of the route, which every answer except a 429 has in its headers.
func (r route) limit(load Load, a answer, unexpected string) Check {
	check := Check{Name: r.operation}
	switch {
	case a.err != nil:
		check.Verdict, check.Found = Failed, fmt.Sprintf("%s %s %s", r.Method, r.Path, platform.WhyNoAnswer(a.err))
		return check
	case a.status == http.StatusTooManyRequests:
		check.Verdict, check.Found = Failed, fmt.Sprintf("this runner is blocked already (429), for another %d s",
			platform.RetryAfter(a.header.Get(contract.HeaderRetryAfter), time.Now())/time.Second)
		return check
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed, a.status >= http.StatusInternalServerError:
		if unexpected != "" {
			check.Verdict, check.Found = Failed, unexpected
			return check
		}
	}
	check.Verdict, check.Found = load.within(a.header)
	if unexpected != "" {
		check.Found = unexpected + "; " + check.Found
		if check.Verdict == Passed {
			check.Verdict = Warning
		}
	}
	return check
}

// within compares the load with the limit in an answer's headers. Requests count for a minute, so that earlier ones, and this
// request, leave fewer at first.
func (l Load) within(header http.Header) (verdict Verdict, found string) {
	planned := math.Ceil(l.PerMinute - rounding)
	text := header.Get(contract.HeaderLimit)
	if text == "" {
		return Passed, fmt.Sprintf("no %s, so no limit; %s a minute planned (%s)", contract.HeaderLimit, plain.Count(planned), l.Arithmetic)
	}
	allowed, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return Warning, fmt.Sprintf("%s is %q, not a number, so the limit is unknown; %s a minute planned (%s)",
			contract.HeaderLimit, plain.Short(text, 40), plain.Count(planned), l.Arithmetic)
	}
	left, err := strconv.ParseUint(header.Get(contract.HeaderRemaining), 10, 31)
	if err != nil {
		left = allowed
	}
	verdict, found = Passed, fmt.Sprintf("%s a minute allowed", plain.Count(allowed))
	switch {
	case planned > float64(allowed):
		verdict = Failed
	case planned > float64(left):
		verdict, found = Failed, fmt.Sprintf("%s, of which this look leaves %s%s", found, plain.Count(left), resets(header))
	}
	return verdict, fmt.Sprintf("%s, %s planned (%s)", found, plain.Count(planned), l.Arithmetic)
}

// allowedBy returns the limit in the headers of an answer; 0: none or unknown.
func allowedBy(a answer) uint64 {
	allowed, err := strconv.ParseUint(a.header.Get(contract.HeaderLimit), 10, 31)
	if err != nil {
		return 0
	}
	return allowed
}

// resets says when the limit is reset, if the headers have it.
func resets(header http.Header) string {
	text := header.Get(contract.HeaderReset)
	if _, err := strconv.ParseUint(text, 10, 31); err != nil {
		return ""
	}
	return " for " + text + " s"
}

// secret checks whether the service accepted a signed event.
func secret(a answer) Check {
	switch {
	case a.err != nil || a.status == http.StatusTooManyRequests:
		return Check{webhookSecret, Unknown, "not known: the signed event got no answer that tells"}
	case a.status == http.StatusInternalServerError:
		return Check{webhookSecret, Failed, "a signed event that credits nothing was answered 500: STRIPE_WEBHOOK_SECRET is not the " +
			"service's, or the clocks differ"}
	case a.status != http.StatusOK:
		return Check{webhookSecret, Failed, fmt.Sprintf("a signed event that credits nothing was answered %d (%s) instead of 200",
			a.status, platform.ServiceMessage(a.body))}
	}
	var body struct {
		Received bool `json:"received"`
	}
	if json.Unmarshal(a.body, &body) != nil || !body.Received {
		return Check{webhookSecret, Warning, `a signed event that credits nothing was answered 200, but not {"received":true}`}
	}
	return Check{webhookSecret, Passed, "accepted, with an event that credits nothing"}
}
