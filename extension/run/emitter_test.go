package run

import (
	"context"
	"time"
)

// silent is an Emitter that drops all samples.
type silent struct{}

func (silent) Emit(context.Context, Metric, float64, string, string) {}
func (silent) Prepare(Metric, float64, string, string) func(ctx context.Context) {
	return func(context.Context) {}
}
func (silent) EmitOperation(context.Context, string, string)     {}
func (silent) EmitEach(context.Context, Metric, []time.Duration) {}
