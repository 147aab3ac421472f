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

// healthClient asks a service for its health, over a connection of its own each time: as somebody does who comes from outside.
type healthClient struct {
	client  *http.Client
	baseURL string
}

func newHealthClient(service Service) healthClient {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: service.TLS.Clone(), DisableKeepAlives: true}
	return healthClient{baseURL: service.BaseURL, client: &http.Client{
		Transport: transport,
		// Who is redirected has not reached the service.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// healthAnswer is what came of asking once.
type healthAnswer struct {
	at   time.Time // when it came
	took time.Duration
	// isAlive is an answer of a service that is there: a healthy one, or a 429, for only a service that runs counts requests.
	isAlive bool
	// isThrottled is a 429, and retryAfter what it says.
	isThrottled bool
	retryAfter  time.Duration
	// inFront is a 403 of something before the service, such as a firewall. It says nothing about the service.
	inFront bool
	uptime  time.Duration // of a healthy answer
	why     string        // of one that is not healthy
}

// isHealthy reports whether the service said that it is well.
func (a healthAnswer) isHealthy() bool { return a.isAlive && !a.isThrottled }

// began is when the process that gave a healthy answer began.
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
		answer.why = err.Error() // CheckHealth has no other type
		return answer
	}
	answer.isThrottled = why.Status == http.StatusTooManyRequests
	answer.isAlive, answer.retryAfter, answer.inFront, answer.why = answer.isThrottled, why.RetryAfter, why.InFront, why.Why
	if asking.Err() != nil && ctx.Err() == nil {
		answer.why = fmt.Sprintf("no answer within %s", healthTimeout)
	}
	return answer
}

// clock writes a time for a sentence of the log.
func clock(at time.Time) string { return at.UTC().Format("15:04:05 UTC") }
