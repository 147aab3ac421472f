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
	reason := call.Argument(1)
	failed := !common.IsNullish(reason)
	if failed {
		m.noteError(operation, reason)
	}
	m.pushOperation(m.lifetime().work, state, operation, failed)
	return sobek.Undefined()
}

// pushOperation counts one operation.
func (m *Module) pushOperation(ctx context.Context, state *vuState, operation string, failed bool) {
	var failure float64
	if failed {
		failure = 1
	}
	current := state.Tags.GetCurrentValues()
	tags := current.Tags.With(metrics.TagName.String(), operation)
	now := time.Now()
	sample := func(metric *metrics.Metric, value float64) metrics.Sample {
		return metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags}, Time: now, Metadata: current.Metadata, Value: value,
		}
	}
	metrics.PushIfNotDone(ctx, state.Samples, metrics.ConnectedSamples{
		Samples: []metrics.Sample{sample(m.metrics.operations, 1), sample(m.metrics.errorRate, failure)},
		Tags:    tags, Time: now,
	})
}
