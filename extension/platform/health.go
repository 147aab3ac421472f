package platform

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
)

// maxHealthBody is more than any answer of GET /health has.
const maxHealthBody = 1 << 16

// Health is what the answer to GET /health tells of a healthy Verity.
type Health struct {
	Uptime          time.Duration
	Date            string // the header: the service's clock, in whole seconds
	Asked, Answered time.Time
}

// CheckHealth asks a base URL for /health once and says in plain words why it is not a Verity that can be tested.
// It is no load: it emits no metric.
func CheckHealth(ctx context.Context, client *http.Client, baseURL string) (Health, error) {
	health := Health{Asked: time.Now()}
	request, err := http.NewRequestWithContext(ctx, contract.RouteHealth.Method, baseURL+contract.RouteHealth.Path, http.NoBody)
	if err != nil {
		return health, fmt.Errorf("asking %s%s: %w", baseURL, contract.RouteHealth.Path, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return health, fmt.Errorf("%s cannot be reached: %w; %s", baseURL, plain.Error(errors.Unwrap(err)), unreachableAdvice(err))
	}
	health.Answered, health.Date = time.Now(), response.Header.Get("Date")
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthBody))
	if err != nil {
		return health, fmt.Errorf("%s broke off its answer to GET /health: %w", baseURL, plain.Error(err))
	}
	if response.StatusCode == http.StatusTooManyRequests {
		return health, fmt.Errorf("%s throttles this runner already (GET /health was answered 429); wait a minute, "+
			"and have the rate limit lifted", baseURL)
	}
	if location := response.Header.Get("Location"); response.StatusCode/100 == 3 && location != "" {
		return health, fmt.Errorf("%s is not a Verity: GET /health was answered %d, which sends to %s; set BASE_URL to the address that "+
			"serves it itself", baseURL, response.StatusCode, withoutSecrets(location))
	}
	if response.StatusCode != http.StatusOK {
		return health, fmt.Errorf("%s is not a healthy Verity: GET /health was answered %d with %s; check BASE_URL",
			baseURL, response.StatusCode, healthBody(body))
	}
	var said struct {
		Status        string   `json:"status"`
		UptimeSeconds *float64 `json:"uptimeSeconds"`
	}
	if json.Unmarshal(body, &said) != nil || said.Status == "" || said.UptimeSeconds == nil {
		return health, fmt.Errorf("%s is not a Verity: GET /health was answered 200 with %s, not with status and uptimeSeconds; "+
			"check BASE_URL", baseURL, healthBody(body))
	}
	if said.Status != "ok" {
		return health, fmt.Errorf("%s is not healthy: GET /health says status %q", baseURL, shorten(said.Status))
	}
	health.Uptime = time.Duration(*said.UptimeSeconds * float64(time.Second))
	return health, nil
}

// unreachableAdvice says what to look at where there is no answer.
func unreachableAdvice(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "if it is the service's own, self-signed certificate, trust it with SSL_CERT_FILE=FILE, or run with " +
			"--insecure-skip-tls-verify (or K6_INSECURE_SKIP_TLS_VERIFY=true)"
	}
	return "is the service up, and BASE_URL right?"
}

// withoutSecrets is an address without what may hold a secret: credentials, a query and a fragment.
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

// Clock is the service's clock when it answered, in whole seconds; ok is false where the answer did not say.
func (h Health) Clock() (now time.Time, ok bool) {
	now, err := http.ParseTime(h.Date)
	return now, err == nil
}
