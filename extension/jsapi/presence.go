package jsapi

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"go.k6.io/k6/v2/metrics"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
)

// usersEvery is how often the numbers of users and sessions are pushed.
const usersEvery = time.Second

// presence counts the users of this process: how many there are now, how many were planned, and what kept the others away.
type presence struct {
	mu      sync.Mutex
	present level // signed up, seeded, and not gone
	waiting level // for a match
	seats   level // users that the stays of now carry

	planned      int // by describeRun; 0: nobody said
	away         map[report.ErrorKind]int
	peakSessions float64 // that has been pushed
}

// level is a number of users.
type level struct {
	now, peak int
	pushed    int // the highest peak that was pushed
}

func (l *level) change(by int) {
	l.now += by
	l.peak = max(l.peak, l.now)
}

// next is the next value of the gauge: the number now or, where a new peak has come and gone since the last one, that peak.
func (l *level) next() int {
	if l.peak > l.pushed {
		l.pushed = l.peak
		return l.peak
	}
	return l.now
}

// Users says how many users of this process there are at one moment.
type Users struct {
	Present   int // signed up, with their first tokens, and not gone
	Waiting   int // of those, who wait for a match
	InSession int // of those, who are between session:start and session:end; one in two sessions at once counts twice
}

// Users returns the numbers of now. It may be called at any time.
func (r *RootModule) Users() Users {
	p := &r.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	return Users{Present: p.present.now, Waiting: p.waiting.now, InSession: int(2 * r.sessions.ActiveSessions())}
}

// seat notes users whom a stay is going to carry, or carries no more.
func (p *presence) seat(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seats.change(by)
}

// arrive notes a user who is there from now on, or is gone.
func (p *presence) arrive(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.present.change(by)
}

// wait notes a user who waits for a match, or does no more.
func (p *presence) wait(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting.change(by)
}

// matchWait is one user's wait for a match.
type matchWait struct {
	presence *presence
	waits    bool
	failure  error // of the join
}

// joined takes the result of the join, after which the user waits, and passes it on.
func (w *matchWait) joined(queueKey string, err error) (string, error) {
	w.waits, w.failure = err == nil, err
	if w.waits {
		w.presence.wait(1)
	}
	return queueKey, err
}

// over ends the wait.
func (w *matchWait) over() {
	if w.waits {
		w.presence.wait(-1)
	}
}

// plan notes how many users this process is to have.
func (p *presence) plan(users int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planned = users
}

// keptAway notes what a user met who could not arrive.
func (p *presence) keptAway(operation, name string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away == nil {
		p.away = make(map[report.ErrorKind]int)
	}
	p.away[report.ErrorKind{Operation: operation, Name: name, Status: status}]++
}

// watchUsers pushes the numbers of users and sessions about once a second until the context ends. After the end of the last
// stay there is no load to describe, and nothing is pushed.
func (m *Module) watchUsers(ctx context.Context) {
	repeat(ctx, usersEvery, func() {
		if m.root.presence.seated() {
			m.pushUsers(ctx, false)
		}
	})
}

// repeat calls f again and again until the context ends.
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

func (p *presence) seated() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seats.now > 0
}

// pushUsers pushes the gauges: all that have something to say, or only those with a peak that no sample has yet.
func (m *Module) pushUsers(ctx context.Context, peaksOnly bool) {
	samples := m.root.gauges(m.metrics, peaksOnly)
	if planned, ok := m.root.plannedUsers(time.Now()); ok && !peaksOnly {
		samples = append(samples, gaugeSample{m.metrics.usersPlanned, math.Round(planned)})
	}
	for _, sample := range samples {
		push(ctx, m.state.State, sample.metric, sample.value, "", "")
	}
}

type gaugeSample struct {
	metric *metrics.Metric
	value  float64
}

func (r *RootModule) gauges(all *verityMetrics, peaksOnly bool) (samples []gaugeSample) {
	totals, active := r.sessions.Totals(), r.sessions.ActiveSessions()
	p := &r.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	users := []struct {
		metric *metrics.Metric
		level  *level
	}{{all.usersPresent, &p.present}, {all.usersWaiting, &p.waiting}}
	for _, u := range users {
		if u.level.peak > u.level.pushed || (!peaksOnly && u.level.peak > 0) {
			samples = append(samples, gaugeSample{u.metric, float64(u.level.next())})
		}
	}
	switch {
	case totals.Peak > p.peakSessions:
		p.peakSessions = totals.Peak
		samples = append(samples, gaugeSample{all.activeSessions, totals.Peak})
	case !peaksOnly && (totals.Window > 0 || totals.Planned > 0):
		samples = append(samples, gaugeSample{all.activeSessions, active})
	}
	return samples
}

// report returns what the summary says of the users.
func (p *presence) report() report.Users {
	p.mu.Lock()
	defer p.mu.Unlock()
	planned := p.planned
	if planned == 0 {
		planned = p.seats.peak
	}
	return report.Users{Planned: planned, Present: p.present.peak, Seats: p.seats.peak, Away: maps.Clone(p.away)}
}

// keptAwayBy notes the error of an operation that kept a user away.
func (p *presence) keptAwayBy(err error) {
	if e, ok := asPlatformError(err); ok {
		p.keptAway(e.Operation, e.Name, e.Status)
	}
}

// isStopped reports whether an error is only the end of the run.
func isStopped(err error) bool {
	e, ok := asPlatformError(err)
	return ok && e.Name == platform.StoppedError
}
