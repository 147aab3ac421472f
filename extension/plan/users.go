package plan

import (
	"errors"
	"fmt"
	"math"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/schedule"
)

// Users is a run whose users join a queue, think, and join again.
type Users struct {
	Users int // at the top, of the whole test
	// Ramp is that of the script's own scenario; nil where Flags decide, in which users are counted, and one turn of a user as
	// an iteration.
	Ramp  *Ramp
	Flags Flags

	Shared bool // users share keys and match
	Shards int  // keys that they share; 0: planned
	Think  Range
	// HoldSeconds is how long a session is held, MaxWaitSeconds how long 95 % of the matches may take, and ArriveSeconds over how
	// long the users arrive, as in queue.Load.
	HoldSeconds, MaxWaitSeconds, ArriveSeconds float64

	FirstTokens       int // that a user buys as it arrives
	TopUpTokens       int // that it buys when it has none; 0: it does not
	BalanceCheckEvery int // cycles from one reading of the balance to the next; 0: none is read
	AuditedUsers      int // whose balances are read at the end, at most
}

var _ Run = Users{}

// Course is that of the script's own scenario.
func (u Users) Course() schedule.Rate {
	if u.Ramp == nil {
		return schedule.Rate{}
	}
	return u.Ramp.Course(float64(u.Users))
}

// Seconds is how long the run takes.
func (u Users) Seconds() float64 {
	if u.Ramp != nil {
		return u.Course().Length().Seconds()
	}
	if u.Flags.Iterations > 0 && len(u.Flags.Stages) == 0 {
		return math.Inf(1)
	}
	return u.Flags.seconds()
}

// crowd is how the users of one runner come.
type crowd struct {
	users    float64
	arrivals float64 // in the busiest minute
	how      string
	seconds  float64
	wayOut   float64 // seconds in which they go; 0: at once
	turns    float64 // that they take, all together; infinite where the length decides
}

func (u Users) crowd(share float64) crowd {
	users := float64(u.Users) * share
	c := crowd{users: users, seconds: u.Seconds(), turns: math.Inf(1)}
	switch {
	case u.Ramp != nil:
		c.arrivals = busiestMinute(linesOf(u.Course().Scaled(share)), arrived)
		c.how = count(users, "users") + " within " + u.Ramp.Up.Text
		c.wayOut = u.Ramp.Down.Seconds()
	case len(u.Flags.Stages) > 0:
		// Those of the start come at once.
		stages := append([]schedule.Stage{{Target: u.Flags.Start}}, u.Flags.Stages...)
		c.arrivals = busiestMinute(linesOf(schedule.Rate{Stages: stages}.Scaled(share)), arrived)
		c.how = "of up to " + count(users, "users")
	case u.Flags.Iterations > 0:
		c.turns = u.Flags.Iterations * share
		c.arrivals, c.how = c.turns, count(c.turns, "users")+", one turn each"
	default:
		c.arrivals, c.how = users, count(users, "users")+" at once"
	}
	return c
}

// cycle is from one join of a user to the next.
type cycle struct {
	seconds float64
	pauses  float64 // in which the connection is idle
	wait    float64 // seconds that it is idle before the user thinks
}

func (u Users) cycle() (cycle, error) {
	if !u.Shared {
		return cycle{seconds: max(shortest, 2*u.Think.mean()), pauses: 2}, nil
	}
	plan, err := u.queues()
	if err != nil {
		return cycle{}, err
	}
	return cycle{
		seconds: max(shortest, float64(u.Users)/(2*plan.PairsPerSecond)), pauses: 1, wait: u.HoldSeconds + plan.MedianWaitSeconds,
	}, nil
}

// queues is what the matcher makes of the keys that the run has, or of those that it plans.
func (u Users) queues() (queue.Plan, error) {
	load := queue.Load{
		Users: u.Users, HoldSeconds: u.HoldSeconds, ThinkSeconds: u.Think.mean(), MaxWaitSeconds: u.MaxWaitSeconds,
		ArriveSeconds: u.ArriveSeconds,
	}
	if u.Shards > 0 {
		return queue.Predict(load, u.Shards)
	}
	return queue.PlanQueue(load)
}

// check refuses what is no plan.
func (u Users) check() error {
	switch {
	case u.Users < 1:
		return errors.New("users must be 1 or more")
	case u.Ramp == nil && len(u.Flags.Stages) == 0 && u.Flags.Duration == nil && u.Flags.Iterations <= 0:
		return errors.New("how the users come is not said: give rampUp, hold and rampDown, or stages, duration or iterations")
	}
	return nil
}

// Asks is what one runner asks.
func (u Users) Asks(share float64) (preflight.Plan, error) {
	if err := u.check(); err != nil {
		return preflight.Plan{}, err
	}
	each, err := u.cycle()
	if err != nil {
		return preflight.Plan{}, err
	}
	c := u.crowd(share)
	span := min(minute, c.seconds)
	joins := min(c.turns, c.users*span/each.seconds)
	cycles := min(c.turns/c.users, c.seconds/each.seconds) // of each user
	joining := preflight.Load{
		PerMinute:  joins,
		Arithmetic: fmt.Sprintf("%s × %s s / %s s a cycle", count(c.users, "users"), rounded(span), rounded(each.seconds)),
	}
	arriving := preflight.Load{PerMinute: c.arrivals, Arithmetic: c.how}
	requests := map[string]preflight.Load{
		platform.OpSignUp:  arriving,
		platform.OpWebhook: u.purchases(arriving, joins, cycles),
		platform.OpJoin:    joining,
		platform.OpLeave:   joining,
		platform.OpBalance: u.balances(c.users, joins, cycles),
	}
	if u.Shared {
		requests[platform.OpLeave] = c.leaving()
	}
	if c.seconds > float64(tokenUse) && math.IsInf(c.turns, 1) {
		requests[platform.OpRefresh] = preflight.Load{PerMinute: c.arrivals, Arithmetic: c.how + ", again and again"}
	}
	connections := c.users // and a socket each, where they match
	if u.Shared {
		connections *= 2
	}
	return preflight.Plan{
		Requests: requests, Connections: ceil(connections), ClosedPerMinute: ceil(joins * each.pauses * u.Think.outlasting(each.wait)),
	}, nil
}

// purchases are those of users who arrive, and of those who have used up their tokens. A user who leaves its queue has its token back.
func (u Users) purchases(arriving preflight.Load, joins, cycles float64) preflight.Load {
	lasting := u.FirstTokens
	if lasting == 0 {
		lasting = u.TopUpTokens
	}
	if !u.Shared || u.TopUpTokens == 0 || cycles <= float64(lasting) {
		return arriving
	}
	topUps := joins / float64(u.TopUpTokens)
	return preflight.Load{
		PerMinute: arriving.PerMinute + topUps, Arithmetic: arriving.Arithmetic + ", and " + count(topUps, "top-ups"),
	}
}

// balances are read every so many cycles, and at the end; the two do not come together.
func (u Users) balances(users, joins, cycles float64) preflight.Load {
	audited := min(users, float64(u.AuditedUsers))
	if every := float64(u.BalanceCheckEvery); every > 0 && cycles >= every && joins/every > audited {
		return preflight.Load{PerMinute: joins / every, Arithmetic: fmt.Sprintf("%s / %d", count(joins, "joins"), u.BalanceCheckEvery)}
	}
	return preflight.Load{PerMinute: audited, Arithmetic: count(audited, "users") + " at the end"}
}

// leaving is that of users who wait when they are to go.
func (c crowd) leaving() preflight.Load {
	load := preflight.Load{PerMinute: c.users, Arithmetic: "who of " + count(c.users, "users") + " waits at the end"}
	if c.wayOut > minute {
		load.PerMinute = c.users * minute / c.wayOut
	}
	return load
}
