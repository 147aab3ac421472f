package jsapi

import (
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
	var failed float64
	if reason := call.Argument(1); !common.IsNullish(reason) {
		failed = 1
		m.noteError(operation, reason)
	}
	current := state.Tags.GetCurrentValues()
	tags := current.Tags.With(metrics.TagName.String(), operation)
	now := time.Now()
	sample := func(metric *metrics.Metric, value float64) metrics.Sample {
		return metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags}, Time: now, Metadata: current.Metadata, Value: value,
		}
	}
	metrics.PushIfNotDone(m.lifetime().work, state.Samples, metrics.ConnectedSamples{
		Samples: []metrics.Sample{sample(m.metrics.operations, 1), sample(m.metrics.errorRate, failed)},
		Tags:    tags, Time: now,
	})
	return sobek.Undefined()
}
