package queue

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
)

// The defaults of [Load]: the matcher's constants and the longest wait that Verity promises.
const (
	DefaultTickMs         = int(contract.Tick / time.Millisecond)
	DefaultPairsPerTick   = contract.PairsPerTick
	DefaultMaxWaitSeconds = 3
)

// The limits of the pairs/s of a [Plan].
const (
	limitMatcher  = "matcher"  // every key has more users than it can match
	limitUsers    = "users"    // more users would make more pairs, in the same keys
	limitPartners = "partners" // too few users come by for a partner within the wanted wait
)

// fullKeyShare is the share of the wanted wait that a plan allows for waiting in a full key. The rest is for HTTP, sockets and
// Redis, which the formulas do not count.
const fullKeyShare = 0.9

// sessionSeconds is the length of a session in Verity.
const sessionSeconds = float64(contract.Session / time.Second)

// Load is the load to plan for: users that wait for a match, hold a session, think, and join again.
type Load struct {
	// Users is the number of users of all keys together, 2 or more.
	Users int
	// HoldSeconds is the time from a match until the user begins to think: 45 for a whole session, 0 for users that do not
	// wait for its end.
	HoldSeconds float64
	// ThinkSeconds is the mean time from then to the next join, uniformly distributed from half to one and a half times.
	ThinkSeconds float64
	// MaxWaitSeconds is how long 95 % of the matches may take. 0 means DefaultMaxWaitSeconds.
	MaxWaitSeconds float64
	// TickMs is the time between two rounds of the matcher. 0 means DefaultTickMs.
	TickMs int
	// PairsPerTick is how many pairs a round makes at most from one key. 0 means DefaultPairsPerTick.
	PairsPerTick int
	// ArriveSeconds is the time over which the users arrive, evenly. 0 leaves the ramp out of the plan.
	ArriveSeconds float64
}

// Plan is the predicted effect of a number of keys on a load.
type Plan struct {
	// Shards is the number of queue keys; the users are spread evenly over them.
	Shards int
	// Sessions is the mean number of sessions at once.
	Sessions int
	// PairsPerSecond is the rate of all keys together.
	PairsPerSecond float64
	// MedianWaitSeconds and WaitSeconds are the median and the 95th percentile of the time from join to match, once the
	// users' cycles are out of step.
	MedianWaitSeconds, WaitSeconds float64
	// RampWaitSeconds is the 95th percentile of the joins from the first arrival until the users that arrived last have come
	// back once. It is WaitSeconds if the ramp adds nothing or is left out.
	RampWaitSeconds float64
	// DrainSeconds is the time until all users that join at once are matched.
	DrainSeconds float64
	// Limit is matcher, users or partners.
	Limit string
	// Explanation is the plan in one sentence.
	Explanation string

	rampJoins float64 // highest rate of joins a second in the ramp
}

// PlanQueue returns the plan with the fewest keys in which 95 % of the matches take at most MaxWaitSeconds, also in the ramp. For
// full keys it leaves a tenth of that time for HTTP, sockets and Redis, which the formulas of [Predict] do not count. If no number
// of keys suffices, it returns the plan with the shortest wait, whose Limit is partners.
func PlanQueue(load Load) (Plan, error) {
	load, err := load.complete()
	if err != nil {
		return Plan{}, err
	}
	return load.explained(load.plan()), nil
}

// Predict returns the effect of this number of keys on the load.
//
// The matcher (docs/verity-api.md, Matcher) visits every key once a tick of T seconds and makes at most P pairs from it, first
// come first served. With n users a key that hold for H, think for Z and wait for W seconds:
//
//   - capacity: a key matches up to c = 2P/T users/s, which is P/T pairs/s and P/T·H sessions.
//   - throughput: x = min(c, n/(H+Z+W)) users/s and key, for the mean W (Little's law in a closed system).
//   - full key: if n > c·(H+Z+W), all users wait W = n/c − H − Z, and up to half a tick less or more, depending on when
//     within the tick they join. A user is matched at most once a tick, so n counts as at least 2P.
//   - tick: in other keys, the second user of a pair is matched at the next tick: its W is uniform from 0 to T.
//   - partner: the first user of a pair, every other user, also waits for the second. Two matched users come back within
//     the spread Z of their think times, Z/3 apart on average. So a user waits for a partner for a share of the time
//     o = (1 − e^(−x·Z/3))/2, or (1 + e^(−x·Z/3))/2 if n is odd, and for m = 2o/x on average. The probability that the second
//     has not come after t is (1 − t/m(k+1))^k. With k = 2 that is the difference of two think times, with a large k it
//     is Poisson; k = 2 + x·Z lies between, and k = n/2 if n is odd.
//   - congestion: the number of thinking users varies by √(x·Z/6). Twice that many users wait in a key that is just full,
//     and (x/c)^1.5P times as many in others; this power is fitted to the simulation.
//   - burst: n users that all join at once are matched 2P a tick, in ⌈n/2P⌉·T.
//
// The simulation in plan_test.go agrees within 15 % of the median and of the 95th percentile, for the service's T and P and
// think times of 1 to 2.5 s; within 30 % for an odd number of users below 10, or for longer think times in keys that are just
// full. Not counted are the time of HTTP, sockets and Redis, and that the matcher takes about 1 ms a key, so that many hundreds
// of keys delay it.
func Predict(load Load, shards int) (Plan, error) {
	load, err := load.complete()
	if err != nil {
		return Plan{}, err
	}
	if shards < 1 || shards > load.Users/2 {
		return Plan{}, fmt.Errorf("shards: %d for %d users; set 1 to %d, for a shard needs two users", shards, load.Users, load.Users/2)
	}
	return load.explained(load.predict(shards)), nil
}

// complete checks the load and replaces zeros by the defaults.
func (l Load) complete() (Load, error) {
	if l.Users < 2 {
		return l, fmt.Errorf("users: %d; set 2 or more, for a match needs two", l.Users)
	}
	for _, seconds := range []struct {
		name  string
		value float64
	}{{"hold", l.HoldSeconds}, {"think", l.ThinkSeconds}, {"max wait", l.MaxWaitSeconds}, {"arrive", l.ArriveSeconds}} {
		if !(seconds.value >= 0 && seconds.value <= 1e6) {
			return l, fmt.Errorf("%s: %v s; set 0 to 1000000", seconds.name, seconds.value)
		}
	}
	if l.TickMs < 0 {
		return l, fmt.Errorf("tick: %d ms; set 1 or more, or 0 for the service's %d", l.TickMs, DefaultTickMs)
	}
	if l.PairsPerTick < 0 {
		return l, fmt.Errorf("pairs per tick: %d; set 1 or more, or 0 for the service's %d", l.PairsPerTick, DefaultPairsPerTick)
	}
	l.MaxWaitSeconds = orDefault(l.MaxWaitSeconds, DefaultMaxWaitSeconds)
	l.TickMs = orDefault(l.TickMs, DefaultTickMs)
	l.PairsPerTick = orDefault(l.PairsPerTick, DefaultPairsPerTick)
	return l, nil
}

func orDefault[T int | float64](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}

func (l Load) tick() float64 { return float64(l.TickMs) / 1000 }

// capacity returns the highest rate of one key, in users/s.
func (l Load) capacity() float64 { return 2 * float64(l.PairsPerTick) / l.tick() }

// fewestKeys returns the fewest keys for which a saturated key still meets MaxWaitSeconds.
func (l Load) fewestKeys() int {
	cycle := l.rest() + fullKeyShare*l.MaxWaitSeconds - l.withinTick(0.95)
	keys := math.Ceil(float64(l.Users) / (l.capacity() * max(cycle, l.tick())))
	return int(min(max(keys, 1), float64(l.Users/2)))
}

func (l Load) plan() Plan {
	best := l.predict(l.fewestKeys())
	for keys := best.Shards + 1; best.WaitSeconds > l.MaxWaitSeconds && keys <= l.Users/2; keys++ {
		next := l.predict(keys)
		if next.WaitSeconds >= best.WaitSeconds {
			break
		}
		best = next
	}
	return l.withRamp(best)
}

// withRamp adds the keys that the ramp needs, unless more keys make the wait for a partner longer than wanted.
func (l Load) withRamp(best Plan) Plan {
	limit := fullKeyShare * l.MaxWaitSeconds
	for keys := best.Shards + 1; best.RampWaitSeconds > max(limit, best.WaitSeconds) && keys <= l.Users/2; keys++ {
		next := l.predict(keys)
		if next.WaitSeconds > l.MaxWaitSeconds {
			break
		}
		best = next
	}
	return best
}

func (l Load) predict(keys int) Plan {
	f := l.flow(keys)
	p := Plan{
		Shards:            keys,
		Sessions:          int(math.Round(f.rate / 2 * float64(keys) * l.HoldSeconds)),
		PairsPerSecond:    f.rate / 2 * float64(keys),
		MedianWaitSeconds: f.wait(0.5),
		WaitSeconds:       f.wait(0.95),
		DrainSeconds:      math.Ceil(f.users/float64(2*l.PairsPerTick)) * l.tick(),
	}
	p.RampWaitSeconds, p.rampJoins = l.rampWait(keys, p.WaitSeconds)
	switch {
	case f.full():
		p.Limit = limitMatcher
	case p.WaitSeconds > l.MaxWaitSeconds:
		p.Limit = limitPartners
	default:
		p.Limit = limitUsers
	}
	return p
}

// flow is the steady state of one key, once the users' cycles are out of step; letters as in the formulas of [Predict].
type flow struct {
	Load
	users float64 // n
	odd   float64 // the share of keys with an odd number of users
	rate  float64 // x
}

func (l Load) flow(keys int) flow {
	f := flow{Load: l, users: float64(l.Users) / float64(keys), odd: float64(l.Users%2) / float64(keys)}
	rest := l.HoldSeconds + l.ThinkSeconds
	f.rate = f.users / (rest + l.tick())
	for range 50 { // x and W depend on each other
		next := min(l.capacity(), f.users/(rest+f.meanWait()))
		f.rate = (f.rate + next) / 2
	}
	return f
}

// rest returns the time between a match and the next join, in s.
func (l Load) rest() float64 { return l.HoldSeconds + l.ThinkSeconds }

// withinTick returns by how much the wait within which this share is matched differs from the median, because think times
// spread the joins over a tick.
func (l Load) withinTick(share float64) float64 {
	return (share - 0.5) * min(l.ThinkSeconds, l.tick())
}

func (f flow) full() bool { return f.rate > f.capacity()*(1-1e-9) }

// congestion returns the wait in s that is due to think times bunching the users.
func (f flow) congestion() float64 {
	load := f.rate / f.capacity()
	return 2 * math.Sqrt(f.ThinkSeconds/(6*f.rate)) * math.Pow(load, 1.5*float64(f.PairsPerTick))
}

// alone returns o, the probability that a user waits without a partner, for keys with an even and with an odd number of users.
func (f flow) alone() (even, odd float64) {
	e := math.Exp(-f.rate * f.ThinkSeconds / 3)
	return (1 - e) / 2, (1 + e) / 2
}

// shortest returns the wait of users that come back before the matcher's next round.
func (f flow) shortest() float64 { return f.tick() - f.rest() }

func (f flow) meanWait() float64 {
	even, odd := f.alone()
	partner := ((1-f.odd)*even + f.odd*odd) / f.rate
	return max(f.shortest(), f.tick()/2+partner+f.congestion())
}

// wait returns the time within which this share of the users is matched.
func (f flow) wait(share float64) float64 {
	low, high := 0.0, f.rest()+f.tick() // by then all users have come back
	for range 50 {
		if mid := (low + high) / 2; f.longer(mid) > 1-share {
			low = mid
		} else {
			high = mid
		}
	}
	fullKey := max(f.users/f.capacity()-f.rest(), f.shortest()) + f.withinTick(share)
	return max(high+f.congestion(), fullKey)
}

// longer returns the share of users that wait longer than this for a partner and the tick.
func (f flow) longer(wait float64) float64 {
	even, odd := f.alone()
	first := (1-f.odd)*f.firstLonger(wait, even, 2+f.rate*f.ThinkSeconds) + f.odd*f.firstLonger(wait, odd, f.users/2)
	second := max(0, 1-wait/f.tick())
	return (first + second) / 2
}

// firstLonger is longer for the first users of pairs. The tick that matches them is the first after the second user came, so
// the result is the probability that the second has not come, averaged over a tick.
func (f flow) firstLonger(wait, alone, k float64) float64 {
	mean := 2 * alone / f.rate
	integral := func(t float64) float64 {
		if t <= 0 || mean == 0 {
			return min(t, 0)
		}
		return mean * (1 - math.Pow(max(0, 1-t/(mean*(k+1))), k+1))
	}
	return (integral(wait) - integral(wait-f.tick())) / f.tick()
}

func (l Load) explained(p Plan) Plan {
	p.Explanation = l.explain(p)
	return p
}

func (l Load) explain(p Plan) string {
	subject := plain.Count(l.Users) + " users in " + counted(p.Shards, "key")
	pairs := decimal(p.PairsPerSecond) + " pairs/s"
	if l.rest() == 0 {
		return fmt.Sprintf("%s, all at once, take %s s to drain at %s%s",
			subject, decimal(p.DrainSeconds), pairs, l.oneKeyInstead(p)+l.fastEnough(p))
	}
	does := pairs
	if l.HoldSeconds > 0 {
		about := "about"
		if p.Limit == limitMatcher {
			about = "at most"
		}
		does = fmt.Sprintf("%s %s of %s s (%s)", about, counted(p.Sessions, "session"), decimal(l.HoldSeconds), pairs)
	}
	limit := map[string]string{
		limitMatcher:  "the matcher",
		limitUsers:    "the users",
		limitPartners: "partners, for too few come by within " + decimal(l.MaxWaitSeconds) + " s",
	}[p.Limit]
	return fmt.Sprintf("%s make %s, limited by %s; 95 %% wait %s%s",
		subject, does, limit, decimal(p.WaitSeconds)+" s at most"+l.inTheRamp(p), l.oneKeyInstead(p)+l.fastEnough(p)+l.allInSessions())
}

// oneKeyInstead says what one key could do, to explain why there are more.
func (l Load) oneKeyInstead(p Plan) string {
	switch {
	case p.Shards == 1:
		return ""
	case l.rest() == 0:
		return fmt.Sprintf("; one key takes %s s", decimal(l.predict(1).DrainSeconds))
	case l.HoldSeconds == 0:
		return fmt.Sprintf("; one key makes at most %s pairs/s", decimal(l.capacity()/2))
	}
	return fmt.Sprintf("; one key holds at most %s", plain.Count(int(l.capacity()/2*l.HoldSeconds)))
}

// fastEnough says how many keys match users without sessions within the wanted wait.
func (l Load) fastEnough(p Plan) string {
	if l.HoldSeconds > 0 || p.Limit != limitMatcher || p.WaitSeconds <= l.MaxWaitSeconds {
		return ""
	}
	return fmt.Sprintf("; %s s needs %s", decimal(l.MaxWaitSeconds), counted(l.plan().Shards, "key"))
}

// allInSessions says how many keys and users would hold as many users in sessions at once as the load has, if any can.
func (l Load) allInSessions() string {
	if l.HoldSeconds == 0 {
		return ""
	}
	more := l
	more.Users = roundUp(float64(l.Users/2*2) * (l.rest() + l.MaxWaitSeconds) / l.HoldSeconds)
	plan := more.plan()
	if plan.WaitSeconds > l.MaxWaitSeconds {
		return ""
	}
	return fmt.Sprintf("; %s needs %s and %s users", plain.Count(l.Users/2), counted(plan.Shards, "key"), plain.Count(more.Users))
}

// roundUp rounds up to two significant digits.
func roundUp(x float64) int {
	unit := max(1, math.Pow(10, math.Floor(math.Log10(x))-1))
	return int(math.Ceil(x/unit-1e-9) * unit)
}

// decimal formats a number with two significant digits below 1, one decimal place below 100 if it is not 0, and none above.
func decimal(x float64) string {
	switch {
	case x < 1:
		return strconv.FormatFloat(x, 'g', 2, 64)
	case x < 100:
		return strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
	}
	return plain.Count(int(math.Round(x)))
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return plain.Count(n) + " " + what
}
