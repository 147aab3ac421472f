package run

import (
	"context"
	"sync"
	"time"
)

// usersEvery is the time between two samples of the numbers of users, sessions and events received.
const usersEvery = time.Second

// Duty returns a channel that gives a value to the one stay that is to carry out the duties: the work that is done once for the
// whole process.
func (r *Run) Duty() <-chan struct{} { return r.duty }

// DoDuties reads the queue depth, and emits the numbers of users and sessions, until end is called, which makes the duties
// available to another stay.
func (r *Run) DoDuties(ctx context.Context, emit Emitter, log Logger) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var duties sync.WaitGroup
	duties.Go(func() { r.watchDepth(ctx, emit, log) })
	duties.Go(func() { repeat(ctx, usersEvery, func() { r.EmitSessions(ctx, emit) }) })
	duties.Go(func() { repeat(ctx, usersEvery, func() { r.emitUsers(ctx, emit) }) })
	return func() {
		cancel()
		duties.Wait()
		r.duty <- struct{}{}
	}
}

// repeat calls f at this interval until the context ends.
func repeat(ctx context.Context, every time.Duration, f func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// EmitSessions emits the counts of sockets and sessions since the last call.
func (r *Run) EmitSessions(ctx context.Context, emit Emitter) {
	r.emitSockets(ctx)
	deltas := r.Sessions.Take()
	for event, n := range deltas.Events {
		emit.Emit(ctx, SocketEvents, float64(n), "event", event)
	}
	for range deltas.BrokenMatches {
		emit.Emit(ctx, MatchFailed, 1, "", "")
	}
	for range deltas.BrokenSessions {
		emit.Emit(ctx, SessionDropped, 1, "", "")
	}
	for range deltas.WholeSessions {
		emit.Emit(ctx, SessionDropped, 0, "", "")
	}
}

// EmitPending emits the samples that were made when none could be emitted: the ends of sockets and, at most once a second, how late
// this runner's timers fired. It is called after every operation.
func (r *Run) EmitPending(ctx context.Context, emit Emitter) {
	if lags := r.Runner.Take(); len(lags) > 0 {
		emit.EmitEach(ctx, RunnerLag, lags)
	}
	r.emitSockets(ctx)
}

func (r *Run) emitSockets(ctx context.Context) {
	for _, emit := range r.sockets.take() {
		emit(ctx)
	}
}
