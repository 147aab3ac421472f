package jsapi

import (
	"context"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/metrics"
)

// countOperation is the function countOperation of the module: one more in operations and error_rate, and an error for the
// summary. It is one call, and one container of samples, because scenarios call it for each request.
func (m *Module) countOperation(call sobek.FunctionCall) sobek.Value {
	state := m.vuState("countOperation")
	operation, ok := export(call.Argument(0)).(string)
	if !ok || operation == "" {
		m.throw("countOperation takes the name of an operation, got %s", show(call.Argument(0)))
	}
	failure := ""
	if reason := call.Argument(1); !common.IsNullish(reason) {
		failure = kindName(m.noteError(operation, reason))
	}
	m.pushOperation(m.lifetime().work, state, operation, failure)
	return sobek.Undefined()
}

// pushOperation counts one operation; failure is the kind of its error, or "".
func (m *Module) pushOperation(ctx context.Context, state *vuState, operation, failure string) {
	m.root.recordOperation(operation, failure)
	var failed float64
	if failure != "" {
		failed = 1
	}
	current := state.Tags.GetCurrentValues()
	tags := current.Tags.With(metrics.TagName.String(), operation)
	now := time.Now()
	sample := func(metric *metrics.Metric, value float64) metrics.Sample {
		return metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags}, Time: now, Metadata: current.Metadata, Value: value,
		}
	}
	samples := []metrics.Sample{sample(m.metrics.operations, 1), sample(m.metrics.errorRate, failed)}
	if failure != "" {
		one := sample(m.metrics.failures, 1)
		one.Tags = tags.With("kind", failure)
		samples = append(samples, one)
	}
	metrics.PushIfNotDone(ctx, state.Samples, metrics.ConnectedSamples{Samples: samples, Tags: tags, Time: now})
}
