package jsapi

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"go.k6.io/k6/v2/metrics"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// sockets are those of all users of this process: how many opened, and why those ended that nobody here closed. A socket may be
// lost while no operation of its user is under way, when nothing may be pushed, so its samples wait here for whoever may.
type sockets struct {
	mu     sync.Mutex
	opened int
	lost   map[sessions.Loss]int
	ended  []metrics.Sample
}

func (s *sockets) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
}

// end notes the end of a socket: samples of it, and the loss, "" where the user closed it.
func (s *sockets) end(loss sessions.Loss, samples ...metrics.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, samples...)
	if loss == "" {
		return
	}
	if s.lost == nil {
		s.lost = make(map[sessions.Loss]int)
	}
	s.lost[loss]++
}

// take returns the samples that wait.
func (s *sockets) take() []metrics.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	samples := s.ended
	s.ended = nil
	return samples
}

func (s *sockets) totals() (opened int, lost map[sessions.Loss]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, maps.Clone(s.lost)
}

// pushSockets pushes what became of sockets since the last time. Stays do so once a second and at their end, and every operation.
func (m *Module) pushSockets(ctx context.Context, state *vuState) {
	if samples := m.root.sockets.take(); len(samples) > 0 {
		metrics.PushIfNotDone(ctx, state.Samples, metrics.Samples(samples))
	}
}

// socketEnds returns what is told the end of the user's socket. A loss after an abort has no meaning, for the service may have
// been interrupted together with the run.
func (u *User) socketEnds(life *lifetime) func(sessions.Loss) {
	return func(loss sessions.Loss) {
		if loss != "" && life.run.Err() != nil && aborted(life.run) {
			return
		}
		current := u.connection.state.Tags.GetCurrentValues()
		sample := func(metric *metrics.Metric, value float64, tags *metrics.TagSet) metrics.Sample {
			return metrics.Sample{
				TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags}, Time: time.Now(), Metadata: current.Metadata, Value: value,
			}
		}
		if loss == "" {
			u.m.root.sockets.end(loss, sample(u.m.metrics.socketDropped, 0, current.Tags))
			return
		}
		u.m.root.evidence.Count(evidence.Labelled(evidence.CountLost, string(loss)), time.Now(), 1)
		u.m.root.sockets.end(loss, sample(u.m.metrics.socketDropped, 1, current.Tags),
			sample(u.m.metrics.socketsLost, 1, current.Tags.With("reason", string(loss))))
	}
}

// report returns what the summary says of the sockets.
func (s *sockets) report() report.Sockets {
	opened, lost := s.totals()
	found := report.Sockets{Opened: opened, Lost: make(map[string]int, len(lost))}
	for loss, n := range lost {
		found.Lost[lossText(loss)] = n
	}
	return found
}

// lossText is a loss in words.
func lossText(loss sessions.Loss) string {
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
