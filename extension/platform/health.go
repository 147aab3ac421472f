package platform

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
)

// maxHealthBody is more bytes than any answer to GET /health has.
const maxHealthBody = 1 << 16

// Health is the content of the answer to GET /health of a healthy Verity.
type Health struct {
	Uptime          time.Duration
	Date            string    // the header: the service's clock, in whole seconds
	Asked, Answered time.Time // when the request was sent and answered, by this machine's clock
}

// HealthError is why a base URL is not that of a healthy Verity that can be tested.
type HealthError struct {
	Status     int           // of the answer; 0: none came
	RetryAfter time.Duration // of a 429
	InFront    bool          // something in front of the service answered; see Answer.FromInFront
	Why        string        // the reason in short, without the address, such as "the answer 503 with an empty body"

	message string
	err     error
}

// Error returns the message, which says what to do.
func (e *HealthError) Error() string { return e.message }

// Unwrap returns why there was no answer, if there was none.
func (e *HealthError) Unwrap() error { return e.err }

// CheckHealth requests /health of a base URL once. Its error is a *HealthError, whose message says why this is not a Verity that
// can be tested. The request does not count as load and emits no metric.
func CheckHealth(ctx context.Context, client *http.Client, baseURL string) (Health, error) {
	health := Health{Asked: time.Now()}
	request, err := http.NewRequestWithContext(ctx, contract.RouteHealth.Method, baseURL+contract.RouteHealth.Path, http.NoBody)
	if err != nil {
		return health, &HealthError{Why: "no address to ask", message: fmt.Sprintf("asking %s%s: %s", baseURL, contract.RouteHealth.Path, err), err: err}
	}
	response, err := client.Do(request)
	if err != nil {
		why := plain.Error(errors.Unwrap(err))
		message := fmt.Sprintf("%s cannot be reached: %s; %s", baseURL, why, unreachableAdvice(err))
		return health, &HealthError{Why: "no answer: " + why.Error(), message: message, err: err}
	}
	health.Answered, health.Date = time.Now(), response.Header.Get("Date")
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthBody))
	if err != nil {
		why := plain.Error(err)
		return health, &HealthError{
			Status: response.StatusCode, Why: "an answer that broke off: " + why.Error(), err: err,
			message: fmt.Sprintf("%s broke off its answer to GET /health: %s", baseURL, why),
		}
	}
	health.Uptime, err = readHealth(response, body, baseURL)
	return health, err
}

// readHealth returns the service's uptime from its answer.
func readHealth(response *http.Response, body []byte, baseURL string) (time.Duration, error) {
	status := response.StatusCode
	refused := func(why, format string, args ...any) error {
		return &HealthError{
			Status: status, Why: why, message: fmt.Sprintf(format, args...), InFront: fromInFront(status, maps.Keys(response.Header), body),
			RetryAfter: RetryAfter(response.Header.Get("Retry-After"), time.Now()),
		}
	}
	location := response.Header.Get("Location")
	switch {
	case status == http.StatusTooManyRequests:
		return 0, refused("the answer 429", "%s throttles this runner already (GET /health was answered 429); wait a minute, "+
			"and have the rate limit lifted", baseURL)
	case status/100 == 3 && location != "":
		return 0, refused(fmt.Sprintf("the answer %d, which sends to %s", status, withoutSecrets(location)),
			"%s is not a Verity: GET /health was answered %d, which sends to %s; set BASE_URL to the address that serves it itself",
			baseURL, status, withoutSecrets(location))
	case status != http.StatusOK:
		return 0, refused(fmt.Sprintf("the answer %d with %s", status, healthBody(body)),
			"%s is not a healthy Verity: GET /health was answered %d with %s; check BASE_URL", baseURL, status, healthBody(body))
	}
	var said struct {
		Status        string   `json:"status"`
		UptimeSeconds *float64 `json:"uptimeSeconds"`
	}
	if json.Unmarshal(body, &said) != nil || said.Status == "" || said.UptimeSeconds == nil {
		return 0, refused(fmt.Sprintf("the answer 200 with %s, not with status and uptimeSeconds", healthBody(body)),
			"%s is not a Verity: GET /health was answered 200 with %s, not with status and uptimeSeconds; check BASE_URL",
			baseURL, healthBody(body))
	}
	if said.Status != "ok" {
		return 0, refused(fmt.Sprintf("the status %q", shorten(said.Status)),
			"%s is not healthy: GET /health says status %q", baseURL, shorten(said.Status))
	}
	return time.Duration(*said.UptimeSeconds * float64(time.Second)), nil
}

// unreachableAdvice says what to check if there is no answer.
func unreachableAdvice(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "if it is the service's own, self-signed certificate, trust it with SSL_CERT_FILE=FILE, or run with " +
			"--insecure-skip-tls-verify (or K6_INSECURE_SKIP_TLS_VERIFY=true)"
	}
	return "is the service up, and BASE_URL right?"
}

// withoutSecrets removes the parts of an address that may hold a secret: credentials, query and fragment.
func withoutSecrets(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "an address that does not parse"
	}
	return strconv.Quote(shorten((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()))
}

func healthBody(body []byte) string {
	if said := ServiceMessage(body); said != describeBody(body) {
		return fmt.Sprintf("the message %q", said)
	}
	return describeBody(body)
}

// clock returns the service's clock when it answered, in whole seconds; ok is false if the answer has no valid Date.
func (h Health) clock() (now time.Time, ok bool) {
	now, err := http.ParseTime(h.Date)
	return now, err == nil
}
