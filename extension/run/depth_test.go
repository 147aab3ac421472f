package run

import (
	"fmt"
	"io"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/queue"
)

// warnings is a Logger that keeps the warnings.
type warnings []string

func (w *warnings) Info(...any)                      {}
func (w *warnings) Warn(args ...any)                 { *w = append(*w, fmt.Sprint(args...)) }
func (w *warnings) Warnf(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

func TestAnUnknownQueueDepthIsLoggedOnce(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	probe, err := queue.NewProbe("redis://:hunter2@" + redis.Addr())
	require.NoError(t, err)
	defer func() { require.NoError(t, probe.Close()) }()
	redis.Close()
	r, log := New(io.Discard), &warnings{}
	r.WatchDepth(probe)
	for range 3 {
		r.readDepth(t.Context(), silent{}, log, probe)
	}
	require.Len(t, *log, 1)
	require.Contains(t, (*log)[0], "the queue depth is unknown, the run goes on: ")
	text := r.Summarize(Summary{})
	require.Contains(t, text, "! queue depth  unknown: ")
	require.NotContains(t, (*log)[0]+text, "hunter2")
}
