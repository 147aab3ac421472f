package jsapi

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/report"
)

const (
	// depthEvery is how often the queue depth is read during a run.
	depthEvery = 2 * time.Second
	// depthLimit is how long one reading may take.
	depthLimit = 5 * time.Second
)

// depthWatch reads how many users are queued in the whole service while stays go on. All VUs of this process share it, and
// one stay at a time does the reading, so that each sample belongs to a callback that k6 waits for.
type depthWatch struct {
	record *report.Record
	level  func(total int) // keeps a reading in the evidence

	mu    sync.Mutex
	probe *queue.Probe // nil: no Redis to read from
}

// watchDepth is the function watchDepth of the module.
func (m *Module) watchDepth(redisURL string) {
	if m.vu.State() == nil || lib.GetScenarioState(m.vu.Context()) != nil {
		m.throw("watchDepth can be called in setup only")
	}
	probe, err := queue.NewProbe(redisURL)
	if err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("watchDepth: %w", err))
	}
	m.root.depth.set(probe)
}

func (w *depthWatch) set(probe *queue.Probe) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probe = probe
	w.record.WatchDepth()
}

func (w *depthWatch) source() *queue.Probe {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.probe
}

// endDepthWatch is the function endDepthWatch of the module.
func (m *Module) endDepthWatch() *sobek.Promise {
	state := m.vuState("endDepthWatch")
	w := &m.root.depth
	return m.promise(nil, func(ctx context.Context) (js, error) {
		probe := w.source()
		if probe == nil {
			return resolved(sobek.Undefined()), nil
		}
		defer func() { _ = probe.Close() }()
		w.read(ctx, state, m.metrics, probe)
		ctx, cancel := context.WithTimeout(ctx, depthLimit)
		defer cancel()
		if ghosts, err := probe.Ghosts(ctx); err == nil {
			w.record.Ghosts(ghosts)
		}
		w.confirmUnheard(ctx, probe)
		return resolved(sobek.Undefined()), nil
	})
}

// confirmUnheard looks in Redis for the matches of users who heard nothing of one.
func (w *depthWatch) confirmUnheard(ctx context.Context, probe *queue.Probe) {
	users := w.record.Unheard()
	if len(users) == 0 {
		return
	}
	if matched, err := probe.Matched(ctx, users); err == nil {
		w.record.UnheardInRedis(matched, len(users))
	}
}

// watch reads the depth again and again until the context ends.
func (w *depthWatch) watch(ctx context.Context, state *vuState, metrics *verityMetrics) {
	probe := w.source()
	if probe == nil {
		return
	}
	ticker := time.NewTicker(depthEvery)
	defer ticker.Stop()
	for {
		w.read(ctx, state, metrics, probe)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// read takes one sample of queue_depth. The first failure in a row is logged; the run goes on.
func (w *depthWatch) read(ctx context.Context, state *vuState, metrics *verityMetrics, probe *queue.Probe) {
	reading, cancel := context.WithTimeout(ctx, depthLimit)
	defer cancel()
	depths, err := probe.Depths(reading)
	if ctx.Err() != nil {
		return // cut by the end
	}
	if w.record.Depth(depths.Total, err) {
		state.Logger.Warnf("the queue depth is unknown, the run goes on: %s", err)
	}
	if err == nil {
		w.level(depths.Total)
		push(ctx, state.State, metrics.queueDepth, float64(depths.Total), "", "")
	}
}
