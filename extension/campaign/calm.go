package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/snapshot"
)

const (
	// calmLimit is how long the service may take to become calm.
	calmLimit = 5 * time.Minute
	// calmEvery is the interval between checks. With 3 requests for /health in each, that is 36 a minute of the 120 that are allowed.
	calmEvery = 5 * time.Second
	// baselineLimit is how long reading the service's state before the first step may take, including a minute of being throttled.
	baselineLimit = 90 * time.Second
	// redisLimit is how long reading Redis may take.
	redisLimit = 20 * time.Second
)

// The numbers of requests for /health of which the median counts.
const (
	baselineAsks = 5
	calmAsks     = 3
)

// calm is a Calm that checks the service's /health and, if their addresses are known, its Redis and its Prometheus.
type calm struct {
	service Service
	health  healthClient
	gauges  []snapshot.Query
	every   time.Duration // see calmEvery
	limit   time.Duration // see calmLimit
}

// NewCalm returns a Calm for a service. An error names the variable with the invalid value.
func NewCalm(service Service) (Calm, error) {
	c := &calm{service: service, health: newHealthClient(service), every: calmEvery, limit: calmLimit}
	if service.RedisURL != "" {
		probe, err := queue.NewProbe(service.RedisURL)
		if err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
		_ = probe.Close() // it has no connection yet
	}
	if service.PrometheusURL == "" {
		return c, nil
	}
	gauges, err := gaugesOf(service.PrometheusQueries)
	if err != nil {
		return nil, fmt.Errorf("PROMETHEUS_QUERIES %w", err)
	}
	if _, err := newReader(service, gauges); err != nil {
		return nil, err
	}
	c.gauges = gauges
	return c, nil
}

// Baseline implements Calm.
func (c *calm) Baseline(ctx context.Context) (*Baseline, error) {
	ctx, cancel := context.WithTimeout(ctx, baselineLimit)
	defer cancel()
	base := &Baseline{At: time.Now().UTC(), Queued: -1, LeftBehind: -1, InSession: -1}
	took, err := c.firstHealth(ctx)
	if err != nil {
		return nil, err
	}
	base.HealthMs = milliseconds(took)
	texts := []string{"GET /health takes " + inMs(base.HealthMs)}
	if c.service.RedisURL == "" {
		texts = append(texts, "the queue is not looked at, for REDIS_URL is not set")
	} else {
		found, err := c.lookAtRedis(ctx)
		if err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w; without it the queue is not looked at between the steps", err)
		}
		base.Queued, base.LeftBehind, base.InSession = found.queued, found.leftBehind(), found.inSession
		texts = append(texts, found.text())
	}
	if len(c.gauges) == 0 {
		texts = append(texts, "no gauges, for PROMETHEUS_URL is not set")
	} else {
		if base.Gauges, err = c.firstGauges(ctx); err != nil {
			return nil, fmt.Errorf("PROMETHEUS_URL: %w; without it no gauge is looked at between the steps", err)
		}
		texts = append(texts, gaugesText(base.Gauges))
	}
	base.Text = strings.Join(texts, "; ")
	return base, nil
}

// firstHealth returns the median time of an answer. It retries while it is throttled.
func (c *calm) firstHealth(ctx context.Context) (time.Duration, error) {
	for {
		took, bad := c.medianHealth(ctx, baselineAsks)
		switch {
		case bad == nil:
			return took, nil
		case ctx.Err() != nil && !bad.isThrottled, !bad.isAlive:
			return 0, fmt.Errorf("%w: GET /health of %s got %s", errDown, c.service.BaseURL, bad.why)
		case !Pause(ctx, max(c.every, bad.retryAfter)):
			return 0, fmt.Errorf("GET /health of %s is throttled (429) for longer than %s; have the rate limit lifted for this machine's address, "+
				"or wait until nothing else asks from it", c.service.BaseURL, baselineLimit)
		}
	}
}

// medianHealth makes a number of requests, one after the other, and stops at the first answer that is not healthy.
func (c *calm) medianHealth(ctx context.Context, asks int) (median time.Duration, bad *healthAnswer) {
	all := make([]time.Duration, asks)
	for i := range all {
		answer := c.health.ask(ctx)
		if !answer.isHealthy() {
			return 0, &answer
		}
		all[i] = answer.took
	}
	slices.Sort(all)
	return all[asks/2], nil
}

// Pause waits for d and returns true, or false if ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// unrest is one respect in which the service is not calm yet.
type unrest struct {
	what   string // one word for its kind
	text   string
	todo   string
	isDown bool
	wait   time.Duration // the least time to wait before the next check
}

// Wait implements Calm.
func (c *calm) Wait(ctx context.Context, base *Baseline, say func(text string)) error {
	began := time.Now()
	told := ""
	for {
		found, text := c.look(ctx, base)
		waited := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case len(found) == 0:
			say(fmt.Sprintf("the service is calm after %s: %s", waited.Round(time.Second), text))
			return nil
		case waited >= c.limit:
			return notCalm(found, waited)
		}
		if kinds := kindsOf(found); kinds != told {
			told = kinds
			say("waiting until the service is calm: " + textsOf(found))
		}
		next := c.every
		for _, u := range found {
			next = max(next, u.wait)
		}
		if !Pause(ctx, min(next, c.limit-waited)) {
			return ctx.Err()
		}
	}
}

// look returns everything that is not calm. If there is nothing, text describes the state of the service.
func (c *calm) look(ctx context.Context, base *Baseline) (found []unrest, text string) {
	texts := []string{}
	for _, part := range []func(context.Context, *Baseline) ([]unrest, string){c.lookAtHealth, c.lookAtQueue, c.lookAtGauges} {
		unrests, says := part(ctx, base)
		found = append(found, unrests...)
		if says != "" {
			texts = append(texts, says)
		}
	}
	return found, strings.Join(texts, "; ")
}

func (c *calm) lookAtHealth(ctx context.Context, base *Baseline) (found []unrest, text string) {
	took, bad := c.medianHealth(ctx, calmAsks)
	switch {
	case bad != nil && bad.isThrottled:
		return []unrest{{
			what: "throttled", text: "GET /health is throttled (429)", wait: bad.retryAfter,
			todo: "have the rate limit lifted for this machine's address",
		}}, ""
	case bad != nil:
		return []unrest{{
			what: "health", text: "GET /health got " + bad.why, isDown: true,
			todo: "see in the service's log why it does not recover, and restart it",
		}}, ""
	}
	ms, most := milliseconds(took), slowest(base.HealthMs)
	text = fmt.Sprintf("GET /health takes %s", inMs(ms))
	if ms <= most {
		return nil, text
	}
	return []unrest{{
		what: "slow", text: fmt.Sprintf("%s, and took %s before the first step (up to %s is calm)", text, inMs(base.HealthMs), inMs(most)),
		todo: "see what the service, its database and its Redis are busy with",
	}}, ""
}

// slowest returns how many ms an answer of /health may take: twice the time before the first step, or 25 ms more, as short times vary.
func slowest(base float64) float64 { return max(2*base, base+25) }

func kindsOf(found []unrest) string {
	kinds := make([]string, len(found))
	for i, u := range found {
		kinds[i] = u.what
	}
	return strings.Join(kinds, " ")
}

func textsOf(found []unrest) string {
	texts := make([]string, len(found))
	for i, u := range found {
		texts[i] = u.text
	}
	return strings.Join(texts, "; ")
}

// notCalm returns the error that says what is not calm, and what to do.
func notCalm(found []unrest, waited time.Duration) error {
	var todo []string
	isDown := false
	for _, u := range found {
		isDown = isDown || u.isDown
		if !slices.Contains(todo, u.todo) {
			todo = append(todo, u.todo)
		}
	}
	text := fmt.Sprintf("the service is not calm after %s: %s; %s; then go on with --resume", waited.Round(time.Second), textsOf(found), strings.Join(todo, "; "))
	if isDown {
		return &downError{text}
	}
	return errors.New(text)
}

// downError wraps ErrDown with a text of its own.
type downError struct{ text string }

func (e *downError) Error() string { return e.text }

func (e *downError) Unwrap() error { return errDown }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func inMs(ms float64) string { return figure(math.Round(10*ms)/10) + " ms" }
