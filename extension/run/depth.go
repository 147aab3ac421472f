package run

import (
	"context"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/queue"
)

const (
	// depthEvery is the time between two readings of the queue depth during a run.
	depthEvery = 2 * time.Second
	// depthLimit limits the time of one reading.
	depthLimit = 5 * time.Second
)

// depth reads the number of users queued in the whole service during the stays. All VUs of this process share it, and one stay at a
// time does the reading, so that each sample belongs to a callback that k6 waits for.
type depth struct {
	mu    sync.Mutex
	probe *queue.Probe // nil: no Redis to read from
}

// WatchDepth sets the probe that reads the queue depth during the stays.
func (r *Run) WatchDepth(probe *queue.Probe) {
	r.depth.mu.Lock()
	defer r.depth.mu.Unlock()
	r.depth.probe = probe
	r.Record.WatchDepth()
}

func (d *depth) source() *queue.Probe {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.probe
}

// EndDepthWatch takes the last reading of the queue depth, and counts users that the service lost track of.
func (r *Run) EndDepthWatch(ctx context.Context, emit Emitter, log Logger) {
	probe := r.depth.source()
	if probe == nil {
		return
	}
	defer func() { _ = probe.Close() }()
	r.readDepth(ctx, emit, log, probe)
	ctx, cancel := context.WithTimeout(ctx, depthLimit)
	defer cancel()
	if ghosts, err := probe.Ghosts(ctx); err == nil {
		r.Record.Ghosts(ghosts)
	}
	r.confirmUnheard(ctx, probe)
}

// confirmUnheard looks in Redis for the matches of users that received no match event.
func (r *Run) confirmUnheard(ctx context.Context, probe *queue.Probe) {
	users := r.Record.Unheard()
	if len(users) == 0 {
		return
	}
	if matched, err := probe.Matched(ctx, users); err == nil {
		r.Record.UnheardInRedis(matched, len(users))
	}
}

// watchDepth reads the depth repeatedly until the context ends.
func (r *Run) watchDepth(ctx context.Context, emit Emitter, log Logger) {
	probe := r.depth.source()
	if probe == nil {
		return
	}
	r.readDepth(ctx, emit, log, probe)
	repeat(ctx, depthEvery, func() { r.readDepth(ctx, emit, log, probe) })
}

// readDepth takes one sample of queue_depth. The first failure in a row is logged; the run goes on.
func (r *Run) readDepth(ctx context.Context, emit Emitter, log Logger, probe *queue.Probe) {
	reading, cancel := context.WithTimeout(ctx, depthLimit)
	defer cancel()
	depths, err := probe.Depths(reading)
	if ctx.Err() != nil {
		return // cut by the end
	}
	if r.Record.Depth(depths.Total, err) {
		log.Warnf("the queue depth is unknown, the run goes on: %s", err)
	}
	if err == nil {
		r.Evidence.Level(evidence.LevelDepth, time.Now(), float64(depths.Total))
		emit.Emit(ctx, QueueDepth, float64(depths.Total), "", "")
	}
}
