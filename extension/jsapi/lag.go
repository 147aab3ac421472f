package jsapi

import (
	"context"
	"time"

	"go.k6.io/k6/v2/metrics"
)

// pushLag emits what the runner's watch has measured since the last time, about once a second, whoever comes by.
func (m *Module) pushLag(ctx context.Context, state *vuState) {
	lags := m.root.runner.Take()
	if len(lags) == 0 || state == nil {
		return
	}
	current := state.Tags.GetCurrentValues()
	now := time.Now()
	samples := make([]metrics.Sample, len(lags))
	for i, lag := range lags {
		samples[i] = metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: m.metrics.runnerLag, Tags: current.Tags},
			Time:       now, Metadata: current.Metadata, Value: milliseconds(lag),
		}
	}
	metrics.PushIfNotDone(ctx, state.Samples, metrics.ConnectedSamples{Samples: samples, Tags: current.Tags, Time: now})
}
