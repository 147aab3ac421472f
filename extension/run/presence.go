package run

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/report"
)

// presence counts the users of this process that are present, planned and kept away.
type presence struct {
	mu      sync.Mutex
	present level // signed up, seeded, and not gone
	waiting level // for a match
	seats   level // users of the current stays

	planned      int // by describeRun; 0: unknown
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

// next returns the next value of the gauge: the number now or, if there was a new peak since the last value, that peak.
func (l *level) next() int {
	if l.peak > l.pushed {
		l.pushed = l.peak
		return l.peak
	}
	return l.now
}

// Users are the numbers of users of this process at one moment.
type Users struct {
	Present   int // signed up, with their first tokens, and not gone
	Waiting   int // present, and waiting for a match
	InSession int // present, and between session:start and session:end; one in two sessions at once counts twice
}

// Users returns the current numbers. It may be called at any time.
func (r *Run) Users() Users {
	p := &r.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	return Users{Present: p.present.now, Waiting: p.waiting.now, InSession: int(2 * r.Sessions.ActiveSessions())}
}

// Seat adds to the number of users of the stays: a positive number when a stay begins, a negative one when it ends.
func (r *Run) Seat(by int) { r.presence.change(&r.presence.seats, by) }

// Arrive adds to the number of present users: 1 for a user that arrives, -1 for one that is gone.
func (r *Run) Arrive(by int) { r.presence.change(&r.presence.present, by) }

// Wait adds to the number of users that wait for a match: 1 for a wait that begins, -1 for one that ends.
func (r *Run) Wait(by int) { r.presence.change(&r.presence.waiting, by) }

func (p *presence) change(l *level, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.change(by)
}

// plan sets the number of users that are planned for this process.
func (p *presence) plan(users int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planned = users
}

// KeptAway notes the error of an operation that kept a user from arriving.
func (r *Run) KeptAway(kind report.ErrorKind) {
	p := &r.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away == nil {
		p.away = make(map[report.ErrorKind]int)
	}
	p.away[kind]++
}

func (p *presence) seated() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seats.now > 0
}

// EmitPeaks emits the peaks of users and sessions that no sample shows yet.
func (r *Run) EmitPeaks(ctx context.Context, emit Emitter) {
	for _, sample := range r.gauges(true) {
		emit.Emit(ctx, sample.metric, sample.value, "", "")
	}
}

// emitUsers emits the numbers of users and sessions. After the end of the last stay it emits nothing, since there is no load.
func (r *Run) emitUsers(ctx context.Context, emit Emitter) {
	if !r.presence.seated() {
		return
	}
	for _, sample := range r.gauges(false) {
		emit.Emit(ctx, sample.metric, sample.value, "", "")
	}
	if planned, ok := r.plannedUsers(time.Now()); ok {
		emit.Emit(ctx, UsersPlanned, math.Round(planned), "", "")
	}
}

type gaugeSample struct {
	metric Metric
	value  float64
}

// gauges returns the samples of all numbers that were ever above 0 or, with peaksOnly, of those with a peak that no sample shows yet.
func (r *Run) gauges(peaksOnly bool) (samples []gaugeSample) {
	totals, active := r.Sessions.Totals(), r.Sessions.ActiveSessions()
	p := &r.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	users := []struct {
		metric Metric
		level  *level
	}{{UsersPresent, &p.present}, {UsersWaiting, &p.waiting}}
	for _, u := range users {
		if u.level.peak > u.level.pushed || (!peaksOnly && u.level.peak > 0) {
			samples = append(samples, gaugeSample{u.metric, float64(u.level.next())})
		}
	}
	switch {
	case totals.Peak > p.peakSessions:
		p.peakSessions = totals.Peak
		samples = append(samples, gaugeSample{ActiveSessions, totals.Peak})
	case !peaksOnly && (totals.Window > 0 || totals.Planned > 0):
		samples = append(samples, gaugeSample{ActiveSessions, active})
	}
	return samples
}

// report returns the numbers of users for the summary.
func (p *presence) report() report.Users {
	p.mu.Lock()
	defer p.mu.Unlock()
	planned := p.planned
	if planned == 0 {
		planned = p.seats.peak
	}
	return report.Users{Planned: planned, Present: p.present.peak, Seats: p.seats.peak, Away: maps.Clone(p.away)}
}
