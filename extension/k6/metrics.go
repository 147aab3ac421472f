package k6

import (
	"context"
	"fmt"
	"time"

	"go.k6.io/k6/v2/metrics"

	"github.com/verity-app/xk6-verity/extension/run"
)

// Metrics are k6's metrics by the number that the run knows them by.
type Metrics [len(run.Metrics)]*metrics.Metric

// RegisterMetrics registers the metrics of the extension.
func RegisterMetrics(registry *metrics.Registry) (*Metrics, error) {
	kinds := map[run.Kind]metrics.MetricType{
		run.Trend: metrics.Trend, run.Counter: metrics.Counter, run.Rate: metrics.Rate, run.Gauge: metrics.Gauge,
	}
	set := &Metrics{}
	for i := range run.Metrics {
		metric := &run.Metrics[i]
		contains := metrics.Default
		if metric.Kind == run.Trend {
			contains = metrics.Time
		}
		registered, err := registry.NewMetric(metric.Name, kinds[metric.Kind], contains)
		if err != nil {
			return nil, fmt.Errorf("registering the metric %s: %w", metric.Name, err)
		}
		set[i] = registered
	}
	return set, nil
}

// Emit emits one sample with the VU's tags.
func (s *VU) Emit(ctx context.Context, metric run.Metric, value float64, tag, tagValue string) {
	metrics.PushIfNotDone(ctx, s.Samples, s.sample(metric, value, tag, tagValue))
}

// Prepare makes a sample that is emitted later.
func (s *VU) Prepare(metric run.Metric, value float64, tag, tagValue string) func(ctx context.Context) {
	sample := s.sample(metric, value, tag, tagValue)
	return func(ctx context.Context) { metrics.PushIfNotDone(ctx, s.Samples, sample) }
}

func (s *VU) sample(metric run.Metric, value float64, tag, tagValue string) metrics.Sample {
	current := s.Tags.GetCurrentValues()
	tags := current.Tags
	if tag != "" {
		tags = tags.With(tag, tagValue)
	}
	return metrics.Sample{
		TimeSeries: metrics.TimeSeries{Metric: s.metrics[metric], Tags: tags}, Time: time.Now(), Metadata: current.Metadata, Value: value,
	}
}

// EmitOperation emits the two or three samples of an operation in one container, because scenarios count each request.
func (s *VU) EmitOperation(ctx context.Context, operation, failure string) {
	var failed float64
	if failure != "" {
		failed = 1
	}
	one := s.sample(run.Operations, 1, metrics.TagName.String(), operation)
	rate := one
	rate.Metric, rate.Value = s.metrics[run.ErrorRate], failed
	samples := []metrics.Sample{one, rate}
	if failure != "" {
		kind := one
		kind.Metric, kind.Tags = s.metrics[run.Failures], one.Tags.With("kind", failure)
		samples = append(samples, kind)
	}
	metrics.PushIfNotDone(ctx, s.Samples, metrics.ConnectedSamples{Samples: samples, Tags: one.Tags, Time: one.Time})
}

// EmitEach emits a sample for each time, in one container.
func (s *VU) EmitEach(ctx context.Context, metric run.Metric, times []time.Duration) {
	one := s.sample(metric, 0, "", "")
	samples := make([]metrics.Sample, len(times))
	for i, d := range times {
		samples[i] = one
		samples[i].Value = run.Milliseconds(d)
	}
	metrics.PushIfNotDone(ctx, s.Samples, metrics.ConnectedSamples{Samples: samples, Tags: one.Tags, Time: one.Time})
}
