package campaign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// healthTimeout is how long an answer to GET /health may take.
const healthTimeout = 10 * time.Second

// healthClient requests a service's health, each time over a new connection, as a new client would.
type healthClient struct {
	client  *http.Client
	baseURL string
}

func newHealthClient(service Service) healthClient {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: service.TLS.Clone(), DisableKeepAlives: true}
	return healthClient{baseURL: service.BaseURL, client: &http.Client{
		Transport: transport,
		// A redirect is not an answer of the service.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// healthAnswer is the result of one request.
type healthAnswer struct {
	at   time.Time // when it came
	took time.Duration
	// isAlive means that the service is up: the answer is healthy, or a 429, which only a running service sends.
	isAlive bool
	// isThrottled means a 429; retryAfter is the time that it asks to wait.
	isThrottled bool
	retryAfter  time.Duration
	// inFront means a 403 from something in front of the service, such as a firewall. It says nothing about the service.
	inFront bool
	uptime  time.Duration // of a healthy answer
	why     string        // of one that is not healthy
}

// isHealthy reports whether the service answered that it is healthy.
func (a healthAnswer) isHealthy() bool { return a.isAlive && !a.isThrottled }

// began returns the time at which the process that gave a healthy answer started.
func (a healthAnswer) began() time.Time { return a.at.Add(-a.uptime) }

func (h healthClient) ask(ctx context.Context) healthAnswer {
	asking, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	began := time.Now()
	health, err := platform.CheckHealth(asking, h.client, h.baseURL)
	answer := healthAnswer{at: time.Now(), uptime: health.Uptime}
	answer.took = answer.at.Sub(began)
	if err == nil {
		answer.isAlive = true
		return answer
	}
	var why *platform.HealthError
	if !errors.As(err, &why) {
		answer.why = err.Error() // not expected: CheckHealth returns only *HealthError
		return answer
	}
	answer.isThrottled = why.Status == http.StatusTooManyRequests
	answer.isAlive, answer.retryAfter, answer.inFront, answer.why = answer.isThrottled, why.RetryAfter, why.InFront, why.Why
	if asking.Err() != nil && ctx.Err() == nil {
		answer.why = fmt.Sprintf("no answer within %s", healthTimeout)
	}
	return answer
}

// clock formats a time of day for the log.
func clock(at time.Time) string { return at.UTC().Format("15:04:05 UTC") }
