package jsapi

import (
	"context"
	"fmt"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

// verityMetrics are the metrics that this module emits beside k6's own (design.md, Metrics). The scenarios' own counts,
// operations and error_rate, are made in js/.
type verityMetrics struct {
	queueJoinLatency     *metrics.Metric // trend, ms: duration of a POST /queue/join that was answered 201
	stripeWebhookLatency *metrics.Metric // trend, ms: duration of a POST /webhooks/stripe that was answered as asked
	throttledRequests    *metrics.Metric // counter, tag name: answers 429
	tokensLost           *metrics.Metric // counter, tag why: refunds that did not come
	cycles               *metrics.Metric // counter: cycles that users finished
	queueDepth           *metrics.Metric // gauge: users queued in all keys, read from Verity's Redis
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
		{&m.queueDepth, "queue_depth", metrics.Gauge, nil},
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
