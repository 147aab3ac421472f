package run

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/report"
)

// presence counts the users of this process: present, waiting and planned ones, and the errors that kept the others away.
type presence struct {
	mu      sync.Mutex
	present level // signed up, seeded, and not gone
	waiting level // for a match
	seats   level // users that the stays of now carry

	planned      int // by the plan; 0: it does not say
	away         map[report.ErrorKind]int
	peakSessions float64 // the highest that was emitted
}

// level is a number of users.
type level struct {
	now, peak int
	pushed    int // the highest peak that was emitted
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

// Users are the numbers of users of this process at one moment.
type Users struct {
	Present   int // signed up, with their first tokens, and not gone
	Waiting   int // of those, the ones that wait for a match
	InSession int // of those, the ones between session:start and session:end; one in two sessions at once counts twice
}

// Users returns the numbers of now. It may be called at any time.
func (r *Run) Users() Users {
	p := &r.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	return Users{Present: p.present.now, Waiting: p.waiting.now, InSession: int(2 * r.Sessions.ActiveSessions())}
}

// Seat adds to the number of users that stays carry.
func (r *Run) Seat(by int) { r.presence.change(&r.presence.seats, by) }

// Arrive adds to the number of users that are present.
func (r *Run) Arrive(by int) { r.presence.change(&r.presence.present, by) }

// Wait adds to the number of users that wait for a match.
func (r *Run) Wait(by int) { r.presence.change(&r.presence.waiting, by) }

func (p *presence) change(l *level, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.change(by)
}

// plan sets the planned number of users of this process.
func (p *presence) plan(users int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planned = users
}

// KeptAway counts an error that kept a user from arriving.
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

// EmitPeaks emits the numbers of users and sessions that reached a peak which no sample has yet.
func (r *Run) EmitPeaks(ctx context.Context, emit Emitter) {
	for _, sample := range r.gauges(true) {
		emit.Emit(ctx, sample.metric, sample.value, "", "")
	}
}

// emitUsers emits the numbers of users and sessions. After the end of the last stay there is no load to describe, and nothing is emitted.
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

// gauges are the samples of all numbers that have something to say, or only of those with a peak that no sample has yet.
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
