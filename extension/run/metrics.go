package run

import (
	"context"
	"time"
)

// Metric is one of the metrics that are emitted beside k6's own (docs/architecture.md, Metrics).
type Metric int

// The metrics. Their names and kinds are in Metrics.
const (
	QueueJoinLatency     Metric = iota // duration of a POST /queue/join that was answered 201
	StripeWebhookLatency               // duration of a POST /webhooks/stripe that had an expected status
	ThrottledRequests                  // tag name: answers 429
	TokensLost                         // tag why: missing refunds
	Cycles                             // cycles that users finished
	Operations                         // tag name: operations of the scenarios
	ErrorRate                          // tag name: the share of operations that failed
	LockRetries                        // tag name: joins and leaves that were sent again because the matcher held the lock
	RunnerLag                          // how late this runner's own timers fire
	QueueDepth                         // users queued in all keys, read from Verity's Redis
	Failures                           // tags name and kind: the errors counted in error_rate
	EventsDue                          // events that were due by now
	EventsSent                         // events that were sent

	SocketConnectTime // from the dial until both namespaces are joined
	SocketsOpened     // sockets that opened
	SocketsLost       // tag reason: sockets that ended, but were not closed by the user
	SocketDropped     // the share of the ended sockets that were lost
	SocketEvents      // tag event: events received
	MatchTime         // tag outcome: from the decision to join to the match event, or to giving up
	MatchAttempts     // waits for a match that the end of the run did not stop
	MatchFailed       // the share of the attempts without a match in time
	SessionStartTime  // from the match to session:start
	SessionsStarted   // sessions that a user saw start
	SessionHeld       // from session:start to the end
	SessionDropped    // the share of the sessions that did not last as promised
	ActiveSessions    // half the number of this runner's users in a session

	UsersPresent // users of this runner that are signed up, have their first tokens, and are not gone
	UsersWaiting // present users that wait for a match
	UsersPlanned // users of this runner that are planned to be present
)

// Kind is how the samples of a metric are aggregated.
type Kind int

// The kinds of metrics. A trend is of times in milliseconds.
const (
	Trend Kind = iota
	Counter
	Rate
	Gauge
)

// Metrics are the metrics by their number.
var Metrics = [...]struct { //nolint:gochecknoglobals // a constant table
	Name string
	Kind Kind
}{
	QueueJoinLatency:     {"queue_join_latency", Trend},
	StripeWebhookLatency: {"stripe_webhook_latency", Trend},
	ThrottledRequests:    {"throttled_requests", Counter},
	TokensLost:           {"tokens_lost", Counter},
	Cycles:               {"cycles", Counter},
	Operations:           {"operations", Counter},
	ErrorRate:            {"error_rate", Rate},
	LockRetries:          {"lock_retries", Counter},
	RunnerLag:            {"runner_lag", Trend},
	QueueDepth:           {"queue_depth", Gauge},
	Failures:             {"failures", Counter},
	EventsDue:            {"events_due", Counter},
	EventsSent:           {"events_sent", Counter},
	SocketConnectTime:    {"socket_connect_time", Trend},
	SocketsOpened:        {"sockets_opened", Counter},
	SocketsLost:          {"sockets_lost", Counter},
	SocketDropped:        {"socket_dropped", Rate},
	SocketEvents:         {"socket_events", Counter},
	MatchTime:            {"match_time", Trend},
	MatchAttempts:        {"match_attempts", Counter},
	MatchFailed:          {"match_failed", Rate},
	SessionStartTime:     {"session_start_time", Trend},
	SessionsStarted:      {"sessions_started", Counter},
	SessionHeld:          {"session_held", Trend},
	SessionDropped:       {"session_dropped", Rate},
	ActiveSessions:       {"active_sessions", Gauge},
	UsersPresent:         {"users_present", Gauge},
	UsersWaiting:         {"users_waiting", Gauge},
	UsersPlanned:         {"users_planned", Gauge},
}

// Emitter emits samples with the tags of one VU. Nothing is emitted once the context has ended.
type Emitter interface {
	// Emit emits one sample, with one more tag unless that is "".
	Emit(ctx context.Context, metric Metric, value float64, tag, tagValue string)
	// Prepare makes a sample with the current time; the returned function emits it.
	Prepare(metric Metric, value float64, tag, tagValue string) (emit func(ctx context.Context))
	// EmitOperation counts one operation in Operations and ErrorRate and, unless failure is "", in Failures, all at once.
	EmitOperation(ctx context.Context, operation, failure string)
	// EmitEach emits a sample for each time, all at once.
	EmitEach(ctx context.Context, metric Metric, times []time.Duration)
}

// Logger is for messages that cannot wait for the summary.
type Logger interface {
	Info(args ...any)
	Warn(args ...any)
	Warnf(format string, args ...any)
}

// Milliseconds converts a time to the unit of trends.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
