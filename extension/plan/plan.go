// Package plan computes the length of a planned run, and its demand on the service and on this machine in the busiest minute: the
// numbers that the preflight compares with rate limits, file descriptors and ports.
//
// The limits are per client address, so all numbers are one runner's share of the test. With N users at the peak, A arrivals in the
// busiest minute, cycles of C seconds, and a run of S seconds, a runner makes these requests per minute:
//
//   - auth_signup: A
//   - queue_join: N · min(60, S) / C. C is two think times if users do not match; if users share keys, queue.PlanQueue computes
//     it from waiting, holding and thinking.
//   - queue_leave: the same if users do not match; otherwise N in the ramp-down, as waiting users leave then
//   - stripe_webhook: A, as users buy when they arrive, and, if users match, one for each TopUpTokens joins if the run is
//     long enough to use up FirstTokens
//   - tokens_balance: one for each BalanceCheckEvery joins, if the run is long enough for that; or, if that is more, one for
//     each of the AuditedUsers at the end
//   - auth_refresh: A, if the run is longer than a token is used: the users that arrived in one minute refresh in one minute
//
// With purchases the requests are the events of the busiest minute and their replays, and one sign-up and one balance for
// each seeded user; every runner has all of them.
package plan

import (
	"math"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/schedule"
)

const (
	minute = 60 // s
	// tokenUse is the number of seconds for which a token is used: it is refreshed up to 120 s before it expires.
	tokenUse = (contract.AccessTokenLife - 120*time.Second) / time.Second
	// keepAlive is the number of idle seconds after which Verity closes a connection. Users close a connection, instead of reusing it, half
	// a second earlier.
	keepAlive = contract.KeepAlive / time.Second
	idle      = float64(keepAlive) - 0.5
	// shortest is the minimum length of a cycle in seconds, as a request takes time.
	shortest = 0.001
)

// Run is a planned run: Users or Purchases.
type Run interface {
	// Course returns the number of users, or of events per second, over time in the script's own scenario, of the whole test. It has no
	// stages if flags of k6 replace that scenario.
	Course() schedule.Rate
	// Seconds returns the length of the run; infinite if it is unknown.
	Seconds() float64
	// Asks returns the demand of one runner, with this share of the test, in its busiest minute.
	Asks(share float64) (preflight.Plan, error)
}

// Range is a random time between Min and Max, in seconds.
type Range struct{ Min, Max float64 }

func (r Range) mean() float64 { return (r.Min + r.Max) / 2 }

// longerThan returns the share of think times that, added to a wait, are longer than a time.
func (r Range) longerThan(seconds, wait float64) float64 {
	longer := seconds - wait
	if r.Max > r.Min {
		return min(1, max(0, (r.Max-longer)/(r.Max-r.Min)))
	}
	if r.Min > longer {
		return 1
	}
	return 0
}

// outlasting returns the share of think times after which a user closes its connection, which keeps the port in use for a minute.
// After a longer think time the service has closed the connection, and the port is free.
func (r Range) outlasting(wait float64) float64 {
	return r.longerThan(idle, wait) - r.longerThan(float64(keepAlive), wait)
}

// Ramp is how the users of the script's own scenario arrive, stay and leave.
type Ramp struct{ Up, Hold, Down Span }

// Course returns the number of users over time, with this number at the peak.
func (r Ramp) Course(users float64) schedule.Rate {
	return schedule.Rate{Stages: []schedule.Stage{
		{Duration: r.Up.Duration, Target: users}, {Duration: r.Hold.Duration, Target: users}, {Duration: r.Down.Duration, Target: 0},
	}}
}

// Spike is the rate of events of the script's own scenario: up from Base to Top per second, held, down to Base, and to 0.
type Spike struct {
	Base, Top      float64
	Up, Hold, Down Span
}

// Course returns the events per second over time. The last stage is as long as the one before, but at most a minute.
func (s Spike) Course() schedule.Rate {
	return schedule.Rate{Start: s.Base, Stages: []schedule.Stage{
		{Duration: s.Up.Duration, Target: s.Top}, {Duration: s.Hold.Duration, Target: s.Top},
		{Duration: s.Down.Duration, Target: s.Base}, {Duration: min(s.Down.Duration, time.Minute), Target: 0},
	}}
}

// Flags are the flags of k6 that replace the script's own scenario.
type Flags struct {
	Start      float64          // number of users, or VUs, at the beginning of the stages
	Stages     []schedule.Stage // of users, or VUs
	Duration   *Span
	Iterations float64
}

// seconds returns the length of the run; infinite if the flags do not set it.
func (f Flags) seconds() float64 {
	switch {
	case len(f.Stages) > 0:
		return schedule.Rate{Stages: f.Stages}.Length().Seconds()
	case f.Duration != nil:
		return f.Duration.Seconds()
	default:
		return math.Inf(1)
	}
}

// rounding is smaller than the difference between two numbers in use, and larger than the error of adding fractions.
const rounding = 1e-6

func ceil(n float64) int { return int(min(math.Ceil(n-rounding), math.MaxInt32)) }

func count(n float64, what string) string { return plain.Count(math.Ceil(n-rounding)) + " " + what }

// rounded formats 2.504 as 2.5.
func rounded(n float64) string { return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64) }
