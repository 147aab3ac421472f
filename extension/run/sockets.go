package run

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// sockets counts the sockets of all users of this process that opened, and the lost ones by reason. A socket may be lost when no
// operation of its user is under way and nothing may be emitted, so its samples are kept here until an operation emits them.
type sockets struct {
	mu      sync.Mutex
	opened  int
	lost    map[sessions.Loss]int
	samples []func(ctx context.Context)
}

// SocketOpened counts a user's socket that opened; began is when its opening began.
func (r *Run) SocketOpened(ctx context.Context, emit Emitter, began time.Time, connectTime time.Duration) {
	r.Evidence.Time(evidence.Series{Metric: evidence.MetricSocket}, began, time.Since(began), evidence.OK, "")
	r.sockets.mu.Lock()
	r.sockets.opened++
	r.sockets.mu.Unlock()
	emit.Emit(ctx, SocketsOpened, 1, "", "")
	emit.Emit(ctx, SocketConnectTime, Milliseconds(connectTime), "", "")
}

// SocketRefused counts a user's socket that did not open.
func (r *Run) SocketRefused(began time.Time, err error) {
	outcome, kind := outcomeOf(err)
	r.Evidence.Time(evidence.Series{Metric: evidence.MetricSocket}, began, time.Since(began), outcome, kind)
}

// SocketEnded counts the end of a socket; loss is "" if the user closed it.
func (r *Run) SocketEnded(emit Emitter, loss sessions.Loss) {
	if loss == "" {
		r.sockets.end(loss, emit.Prepare(SocketDropped, 0, "", ""))
		return
	}
	r.Evidence.Count(evidence.Labelled(evidence.CountLost, string(loss)), time.Now(), 1)
	r.sockets.end(loss, emit.Prepare(SocketDropped, 1, "", ""), emit.Prepare(SocketsLost, 1, "reason", string(loss)))
}

func (s *sockets) end(loss sessions.Loss, samples ...func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, samples...)
	if loss == "" {
		return
	}
	if s.lost == nil {
		s.lost = make(map[sessions.Loss]int)
	}
	s.lost[loss]++
}

// take removes and returns the samples.
func (s *sockets) take() []func(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	samples := s.samples
	s.samples = nil
	return samples
}

// report returns the numbers of sockets for the summary.
func (s *sockets) report() report.Sockets {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := report.Sockets{Opened: s.opened, Lost: make(map[string]int, len(s.lost))}
	for loss, n := range s.lost {
		found.Lost[LossText(loss)] = n
	}
	return found
}

// LossText returns the text for a loss.
func LossText(loss sessions.Loss) string {
	switch loss {
	case sessions.LossTooLarge:
		return "message over 1 MB"
	case sessions.LossPings:
		return "no pings"
	case sessions.LossDisconnect:
		return "disconnected by the service (41)"
	case sessions.LossAuthRefused:
		return "token refused (41)"
	case sessions.LossEngineClose:
		return "Engine.IO close"
	case sessions.LossProtocol:
		return "not Socket.IO"
	case sessions.LossStalled:
		return "nothing taken for 10 s"
	default:
		return strings.ReplaceAll(string(loss), "_", " ")
	}
}
