package queue

import (
	"fmt"
	"math"
	"slices"
)

// maxRampTicks bounds the computation of a ramp: a day of ticks of 500 ms.
const maxRampTicks = 24 * 3600 * 2

// ramp is a fluid model of one key while its users arrive, tick by tick.
//
// Users arrive evenly over ArriveSeconds. They are matched in turn, 2P a tick, and join again HoldSeconds and a think time
// later. From then on, arriving and returning users join together, which a plan for the steady state has no capacity for:
// 9,000 users that arrive within 60 s and come back after 46 s are first 150 joins a second, then 300.
type ramp struct {
	joins  []float64 // joins in each tick
	behind []float64 // users still waiting after each tick
}

// ramp computes one of this many keys, from the first arrival until the users that arrived last have come back once.
func (l Load) ramp(keys int) ramp {
	tick, batch := l.tick(), float64(2*l.PairsPerTick)
	length := l.ArriveSeconds + l.rest() + l.MaxWaitSeconds
	ticks := int(min(math.Ceil(length/tick)+1, maxRampTicks))
	arrivals := float64(l.Users) / float64(keys) / max(1, l.ArriveSeconds/tick) // a tick
	arriving := max(1, int(math.Round(l.ArriveSeconds/tick)))
	r := ramp{joins: make([]float64, ticks), behind: make([]float64, ticks)}
	returns := make([]float64, ticks+1) // change of the number of users that come back a tick, from this tick on
	back, waiting := 0.0, 0.0
	for i := range ticks {
		back += returns[i]
		r.joins[i] = back
		if i < arriving {
			r.joins[i] += arrivals
		}
		waiting += r.joins[i]
		matched := min(waiting, batch)
		waiting -= matched
		r.behind[i] = waiting
		l.comeBack(returns, i, matched)
	}
	return r
}

// comeBack spreads the users matched in a tick over the ticks in which they join again: think times are uniformly distributed
// from half to one and a half times the mean.
func (l Load) comeBack(returns []float64, tick int, matched float64) {
	first := tick + 1 + int(math.Round((l.HoldSeconds+l.ThinkSeconds/2)/l.tick()))
	width := max(1, int(math.Round(l.ThinkSeconds/l.tick())))
	for at, by := first, matched/float64(width); ; at, by = first+width, -by {
		if at < len(returns) {
			returns[at] += by
		}
		if by <= 0 {
			return
		}
	}
}

// wait returns the time within which, for this share of the ramp's joins, all earlier joins are matched.
func (r ramp) wait(share, capacity float64) float64 {
	order := make([]int, len(r.joins))
	total := 0.0
	for i := range order {
		order[i] = i
		total += r.joins[i]
	}
	slices.SortFunc(order, func(a, b int) int { return int(math.Copysign(1, r.behind[a]-r.behind[b])) })
	seen := 0.0
	for _, i := range order {
		if seen += r.joins[i]; seen >= share*total {
			return r.behind[i] / capacity
		}
	}
	return 0
}

// busiest returns the most joins a second.
func (r ramp) busiest(tick float64) float64 { return slices.Max(r.joins) / tick }

// rampWait returns the 95th percentile of the waits in the ramp, and the highest rate of joins a second of all keys.
func (l Load) rampWait(keys int, steady float64) (wait, busiest float64) {
	if l.ArriveSeconds == 0 {
		return steady, 0
	}
	r := l.ramp(keys)
	queued := r.wait(0.95, l.capacity())
	if queued == 0 {
		return steady, r.busiest(l.tick()) * float64(keys)
	}
	return max(steady, queued+l.tick()/2), r.busiest(l.tick()) * float64(keys)
}

// inTheRamp says how long users wait in the ramp, if that is longer than later.
func (l Load) inTheRamp(p Plan) string {
	const worthSaying = 1.25
	if p.RampWaitSeconds <= worthSaying*p.WaitSeconds {
		return ""
	}
	text := fmt.Sprintf(", and %s s while they arrive, when up to %s a second join and %s are matched", decimal(p.RampWaitSeconds),
		decimal(p.rampJoins), decimal(l.capacity()*float64(p.Shards)))
	if p.RampWaitSeconds <= l.MaxWaitSeconds {
		return text
	}
	more := l.plan()
	if more.RampWaitSeconds > l.MaxWaitSeconds {
		return text + "; let them arrive more slowly"
	}
	return text + fmt.Sprintf("; %s s needs %s, or a slower ramp", decimal(l.MaxWaitSeconds), counted(more.Shards, "key"))
}
