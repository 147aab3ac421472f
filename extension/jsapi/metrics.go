package jsapi

import (
	"context"
	"fmt"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

// verityMetrics are the metrics that this module emits beside k6's own (docs/architecture.md, Metrics).
type verityMetrics struct {
	queueJoinLatency     *metrics.Metric // trend, ms: duration of a POST /queue/join that was answered 201
	stripeWebhookLatency *metrics.Metric // trend, ms: duration of a POST /webhooks/stripe that was answered as asked
	throttledRequests    *metrics.Metric // counter, tag name: answers 429
	tokensLost           *metrics.Metric // counter, tag why: refunds that did not come
	cycles               *metrics.Metric // counter: cycles that users finished
	operations           *metrics.Metric // counter, tag name: operations of the scenarios
	errorRate            *metrics.Metric // rate, tag name: of those, which did not do what the scenario wanted
	lockRetries          *metrics.Metric // counter, tag name: joins and leaves that met the matcher's lock, and were sent again
	runnerLag            *metrics.Metric // trend, ms: how late this runner's own timers fire
	queueDepth           *metrics.Metric // gauge: users queued in all keys, read from Verity's Redis
	failures             *metrics.Metric // counter, tags name and kind: what makes up error_rate
	eventsDue            *metrics.Metric // counter: events that the plan wanted sent by now
	eventsSent           *metrics.Metric // counter: events that were sent

	socketConnectTime *metrics.Metric // trend, ms: dial to both namespaces joined
	socketsOpened     *metrics.Metric // counter: sockets that opened
	socketsLost       *metrics.Metric // counter, tag reason: those that ended without the user closing them
	socketDropped     *metrics.Metric // rate: of the sockets that ended, those that were lost
	socketEvents      *metrics.Metric // counter, tag event: events received
	matchTime         *metrics.Metric // trend, ms, tag outcome: decision to join to the match event, or to giving up
	matchAttempts     *metrics.Metric // counter: users who wanted a match, and were not stopped by the end of the run
	matchFailed       *metrics.Metric // rate: of those, who had none in time
	sessionStartTime  *metrics.Metric // trend, ms: match to session:start
	sessionsStarted   *metrics.Metric // counter: sessions that a user saw start
	sessionHeld       *metrics.Metric // trend, ms: session:start to the end
	sessionDropped    *metrics.Metric // rate: sessions that did not last as promised
	activeSessions    *metrics.Metric // gauge: half the number of this runner's users who are in a session

	usersPresent *metrics.Metric // gauge: users of this runner who are signed up, have their first tokens, and are not gone
	usersWaiting *metrics.Metric // gauge: of those, who wait for a match
	usersPlanned *metrics.Metric // gauge: users of this runner whom the plan wants to be there
}

func registerMetrics(registry *metrics.Registry) (*verityMetrics, error) {
	m := &verityMetrics{}
	for _, metric := range []struct {
		field    **metrics.Metric
		name     string
		kind     metrics.MetricType
		contains []metrics.ValueType
	}{
		{&m.queueJoinLatency, "queue_join_latency", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&m.stripeWebhookLatency, "stripe_webhook_latency", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&m.throttledRequests, "throttled_requests", metrics.Counter, nil},
		{&m.tokensLost, "tokens_lost", metrics.Counter, nil},
		{&m.cycles, "cycles", metrics.Counter, nil},
		{&m.operations, "operations", metrics.Counter, nil},
		{&m.errorRate, "error_rate", metrics.Rate, nil},
		{&m.lockRetries, "lock_retries", metrics.Counter, nil},
		{&m.runnerLag, "runner_lag", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&m.queueDepth, "queue_depth", metrics.Gauge, nil},
		{&m.failures, "failures", metrics.Counter, nil},
		{&m.eventsDue, "events_due", metrics.Counter, nil},
		{&m.eventsSent, "events_sent", metrics.Counter, nil},
		{&m.socketConnectTime, "socket_connect_time", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&m.socketsOpened, "sockets_opened", metrics.Counter, nil},
		{&m.socketsLost, "sockets_lost", metrics.Counter, nil},
		{&m.socketDropped, "socket_dropped", metrics.Rate, nil},
		{&m.socketEvents, "socket_events", metrics.Counter, nil},
		{&m.matchTime, "match_time", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&m.matchAttempts, "match_attempts", metrics.Counter, nil},
		{&m.matchFailed, "match_failed", metrics.Rate, nil},
		{&m.sessionStartTime, "session_start_time", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&m.sessionsStarted, "sessions_started", metrics.Counter, nil},
		{&m.sessionHeld, "session_held", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&m.sessionDropped, "session_dropped", metrics.Rate, nil},
		{&m.activeSessions, "active_sessions", metrics.Gauge, nil},
		{&m.usersPresent, "users_present", metrics.Gauge, nil},
		{&m.usersWaiting, "users_waiting", metrics.Gauge, nil},
		{&m.usersPlanned, "users_planned", metrics.Gauge, nil},
	} {
		registered, err := registry.NewMetric(metric.name, metric.kind, metric.contains...)
		if err != nil {
			return nil, fmt.Errorf("registering the metric %s: %w", metric.name, err)
		}
		*metric.field = registered
	}
	return m, nil
}

// push emits one sample with the VU's tags and, where tag is not empty, one more.
func push(ctx context.Context, state *lib.State, metric *metrics.Metric, value float64, tag, tagValue string) {
	current := state.Tags.GetCurrentValues()
	tags := current.Tags
	if tag != "" {
		tags = tags.With(tag, tagValue)
	}
	metrics.PushIfNotDone(ctx, state.Samples, metrics.Sample{
		TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags},
		Time:       time.Now(),
		Metadata:   current.Metadata,
		Value:      value,
	})
}
