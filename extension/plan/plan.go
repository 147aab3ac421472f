// Package plan computes from what a run is to do how long it takes, and what it asks of the service and of this machine in its
// busiest minute: the numbers that the preflight holds against rate limits, file descriptors and ports.
//
// The limits are per client address, so everything is one runner's share of the test. With N users at the top, of whom A
// arrive in the busiest minute, cycles of C seconds, and a run of S seconds, a runner asks per minute:
//
//   - auth_signup: A
//   - queue_join: N · min(60, S) / C. C is two think times where nobody matches; where users share keys it is what
//     queue.PlanQueue makes of waiting, holding and thinking.
//   - queue_leave: the same where nobody matches; otherwise N in the ramp-down, for users who wait then leave
//   - stripe_webhook: A, for users buy as they arrive, and where users match one for each TopUpTokens joins, if the run is
//     long enough to use up FirstTokens
//   - tokens_balance: one for each BalanceCheckEvery joins, if the run is long enough for that; or, if that is more, one for
//     each of the AuditedUsers at the end
//   - auth_refresh: A, if the run is longer than a token is used: users who arrived in one minute refresh in one minute
//
// With purchases it asks for the events of the busiest minute and those sent again, and for one sign-up and one balance of
// each seeded user, whom every runner has.
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
	// tokenUse is for how many seconds a token is used: it is refreshed up to 120 s ahead.
	tokenUse = (contract.AccessTokenLife - 120*time.Second) / time.Second
	// keepAlive is after how many idle seconds Verity closes a connection. Users do not use one that has been idle for half a
	// second less, and close it.
	keepAlive = contract.KeepAlive / time.Second
	idle      = float64(keepAlive) - 0.5
	// shortest is how many seconds a cycle takes at least, for a request takes its time.
	shortest = 0.001
)

// Run is what a run is to do: Users or Purchases.
type Run interface {
	// Course is how many users, or events a second, the script's own scenario has over time, of the whole test. It has no
	// stages where k6's flags decide.
	Course() schedule.Rate
	// Seconds is how long the run takes; infinite where that is not known.
	Seconds() float64
	// Asks is what one runner, with so large a share of the test, asks in its busiest minute.
	Asks(share float64) (preflight.Plan, error)
}

// Range is a random time in between, in seconds.
type Range struct{ Min, Max float64 }

func (r Range) mean() float64 { return (r.Min + r.Max) / 2 }

// longerThan is the share of the think times that, after so long a wait, are longer than a time.
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

// outlasting is the share of the think times after which a user closes its connection, which keeps the port for a minute.
// After a longer one the service has closed it, and the port is free.
func (r Range) outlasting(wait float64) float64 {
	return r.longerThan(idle, wait) - r.longerThan(float64(keepAlive), wait)
}

// Ramp is how the users of the script's own scenario come, stay and go.
type Ramp struct{ Up, Hold, Down Span }

// Course is that of so many users.
func (r Ramp) Course(users float64) schedule.Rate {
	return schedule.Rate{Stages: []schedule.Stage{
		{Duration: r.Up.Duration, Target: users}, {Duration: r.Hold.Duration, Target: users}, {Duration: r.Down.Duration, Target: 0},
	}}
}

// Spike is how the events of the script's own scenario come: up from Base to Top a second, held, down to Base, and to 0.
type Spike struct {
	Base, Top      float64
	Up, Hold, Down Span
}

// Course is how many events a second there are. The last stage is as long as the one before, and a minute at most.
func (s Spike) Course() schedule.Rate {
	return schedule.Rate{Start: s.Base, Stages: []schedule.Stage{
		{Duration: s.Up.Duration, Target: s.Top}, {Duration: s.Hold.Duration, Target: s.Top},
		{Duration: s.Down.Duration, Target: s.Base}, {Duration: min(s.Down.Duration, time.Minute), Target: 0},
	}}
}

// Flags is what k6's flags make of a run in place of the script's own scenario.
type Flags struct {
	Start      float64          // users, or VUs, that are there at the beginning of the stages
	Stages     []schedule.Stage // of users, or VUs
	Duration   *Span
	Iterations float64
}

// seconds is infinite where the flags do not say.
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

// rounding is less than any number differs from the next by, and more than adding fractions does.
const rounding = 1e-6

func ceil(n float64) int { return int(min(math.Ceil(n-rounding), math.MaxInt32)) }

func count(n float64, what string) string { return plain.Count(math.Ceil(n-rounding)) + " " + what }

// rounded writes 2.504 as 2.5.
func rounded(n float64) string { return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64) }
