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

// Users is a run in which users join a queue, think, and join again.
type Users struct {
	Users int // at the peak, in the whole test
	// Ramp is the ramp of the script's own scenario; nil if Flags replace it. Flags count users, and one turn of a user as an
	// iteration.
	Ramp  *Ramp
	Flags Flags

	Shared bool // users share keys and match
	Shards int  // number of keys that they share; 0: planned
	Think  Range
	// HoldSeconds is the time for which a session is held, MaxWaitSeconds the time that 95 % of the matches may take, and ArriveSeconds
	// the time over which the users arrive, as in queue.Load.
	HoldSeconds, MaxWaitSeconds, ArriveSeconds float64

	FirstTokens       int // tokens that a user buys on arrival
	TopUpTokens       int // tokens that it buys when it has none; 0: it buys no more
	BalanceCheckEvery int // cycles between readings of the balance; 0: no readings
	AuditedUsers      int // maximum number of users whose balances are read at the end
}

var _ Run = Users{}

// Course implements Run.
func (u Users) Course() schedule.Rate {
	if u.Ramp == nil {
		return schedule.Rate{}
	}
	return u.Ramp.Course(float64(u.Users))
}

// Seconds implements Run.
func (u Users) Seconds() float64 {
	if u.Ramp != nil {
		return u.Course().Length().Seconds()
	}
	if u.Flags.Iterations > 0 && len(u.Flags.Stages) == 0 {
		return math.Inf(1)
	}
	return u.Flags.seconds()
}

// crowd holds the users of one runner, and how they arrive and leave.
type crowd struct {
	users    float64
	arrivals float64 // in the busiest minute
	how      string
	seconds  float64
	wayOut   float64 // seconds over which they leave; 0: at once
	turns    float64 // total number of turns; infinite if the length of the run decides
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
		// The users of the start arrive at once.
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

// cycle is the time from one join of a user to the next.
type cycle struct {
	seconds float64
	pauses  float64 // number of pauses in which the connection is idle
	wait    float64 // seconds for which it is idle before the user thinks
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

// queues predicts the matcher's work for the run's number of keys, or plans that number.
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

// check refuses an incomplete plan.
func (u Users) check() error {
	switch {
	case u.Users < 1:
		return errors.New("users must be 1 or more")
	case u.Ramp == nil && len(u.Flags.Stages) == 0 && u.Flags.Duration == nil && u.Flags.Iterations <= 0:
		return errors.New("how the users come is not said: give rampUp, hold and rampDown, or stages, duration or iterations")
	}
	return nil
}

// Asks implements Run.
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
	cycles := min(c.turns/c.users, c.seconds/each.seconds) // per user
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
	connections := c.users // and one socket each, if they match
	if u.Shared {
		connections *= 2
	}
	return preflight.Plan{
		Requests: requests, Connections: ceil(connections), ClosedPerMinute: ceil(joins * each.pauses * u.Think.outlasting(each.wait)),
	}, nil
}

// purchases returns the purchases of arriving users, and of users without tokens. A user that leaves its queue gets its token back.
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

// balances returns the readings during the cycles or those at the end, whichever are more: they do not coincide.
func (u Users) balances(users, joins, cycles float64) preflight.Load {
	audited := min(users, float64(u.AuditedUsers))
	if every := float64(u.BalanceCheckEvery); every > 0 && cycles >= every && joins/every > audited {
		return preflight.Load{PerMinute: joins / every, Arithmetic: fmt.Sprintf("%s / %d", count(joins, "joins"), u.BalanceCheckEvery)}
	}
	return preflight.Load{PerMinute: audited, Arithmetic: count(audited, "users") + " at the end"}
}

// leaving returns the leaves of users that are waiting in the queue when they have to leave.
func (c crowd) leaving() preflight.Load {
	load := preflight.Load{PerMinute: c.users, Arithmetic: "who of " + count(c.users, "users") + " waits at the end"}
	if c.wayOut > minute {
		load.PerMinute = c.users * minute / c.wayOut
	}
	return load
}
