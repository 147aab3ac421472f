package queue

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// matcherSim simulates the service's matcher on one key: each tick a round makes a limited number of pairs, from the users that
// have waited longest.
type matcherSim struct {
	Load
	*rand.Rand
	returns times     // when holding and thinking users join again
	queue   []float64 // when the waiting users joined
	waits   []float64 // of the users matched since the warm-up
}

type times []float64

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i] < t[j] }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *times) Push(x any)        { *t = append(*t, x.(float64)) } //nolint:forcetypeassert // heap pushes a float64
func (t *times) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// run lets users arrive over a time, and collects the waits from warmUp to end; all times in seconds.
func (m *matcherSim) run(users int, arriveWithin, warmUp, end float64) {
	m.returns, m.queue = m.returns[:0], m.queue[:0]
	for range users {
		m.returns = append(m.returns, arriveWithin*m.Float64())
	}
	heap.Init(&m.returns)
	for now := m.tick() * m.Float64(); now < end; now += m.tick() {
		for len(m.returns) > 0 && m.returns[0] <= now {
			m.queue = append(m.queue, heap.Pop(&m.returns).(float64)) //nolint:forcetypeassert // as above
		}
		matched := min(2*m.PairsPerTick, len(m.queue)/2*2)
		for _, joined := range m.queue[:matched] {
			if now >= warmUp {
				m.waits = append(m.waits, now-joined)
			}
			heap.Push(&m.returns, now+m.HoldSeconds+m.ThinkSeconds*(0.5+m.Float64()))
		}
		m.queue = slices.Delete(m.queue, 0, matched)
	}
}

func quantile(values []float64, share float64) float64 {
	slices.Sort(values)
	return values[int(share*float64(len(values)-1))]
}

// sizes returns the numbers of users of the shards that NewShards makes.
func sizes(users, shards int) []int {
	sizes := make([]int, shards)
	for user := range users {
		sizes[user/2%shards]++
	}
	return sizes
}

func seeded(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // a simulation that a rerun repeats
}

func TestPredictAgreesWithASimulatedMatcherOnceCyclesAreOutOfStep(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		users, shards, seeds int
		hold, think          float64
		within               float64
	}{
		{2, 1, 400, 45, 1, 0.15},
		{20, 1, 60, 45, 1, 0.15},
		{20, 1, 60, 45, 2.5, 0.15},
		{5, 1, 200, 45, 1, 0.30},
		{21, 1, 100, 45, 1, 0.15},
		{25, 1, 100, 5, 1, 0.15},
		{200, 1, 10, 45, 1, 0.15},
		{200, 50, 1, 45, 1, 0.15},
		{1000, 1, 1, 45, 2, 0.15},
		{1800, 1, 1, 45, 1, 0.15},
		{1840, 1, 1, 45, 1, 0.15},
		{1900, 1, 1, 45, 1, 0.15},
		{2000, 1, 1, 45, 1, 0.15},
		{2000, 2, 1, 45, 1, 0.15},
		{2998, 4, 1, 45, 1, 0.15},
		{3000, 12, 1, 45, 1, 0.15},
		{20, 1, 100, 0, 1.25, 0.15},
		{60, 1, 50, 0, 1.25, 0.15},
		{200, 1, 10, 0, 1.25, 0.15},
		{200, 3, 10, 0, 1.25, 0.15},
		{500, 4, 5, 0, 1.25, 0.15},
		{40, 1, 10, 0, 0, 0.15},
		{600, 1, 1, 0, 0, 0.15},
		{1000, 1, 1, 0, 0, 0.15},
		{400, 1, 1, 5, 1.5, 0.15},
	} {
		t.Run(fmt.Sprintf("%d users in %d hold %v think %v", test.users, test.shards, test.hold, test.think), func(t *testing.T) {
			t.Parallel()

			plan, err := Predict(Load{Users: test.users, HoldSeconds: test.hold, ThinkSeconds: test.think}, test.shards)
			require.NoError(t, err)

			load, err := Load{Users: test.users, HoldSeconds: test.hold, ThinkSeconds: test.think}.complete()
			require.NoError(t, err)
			cycle := load.rest() + max(load.tick(), plan.MedianWaitSeconds)
			sim := &matcherSim{Load: load, Rand: seeded(1)}
			for range test.seeds {
				for _, users := range sizes(test.users, test.shards) {
					sim.run(users, cycle, 6*cycle, 14*cycle)
				}
			}
			matches := float64(len(sim.waits)) / 2 / (8 * cycle) / float64(test.seeds)
			require.InEpsilon(t, quantile(sim.waits, 0.5), plan.MedianWaitSeconds, test.within, "p50 of the simulation")
			require.InEpsilon(t, quantile(sim.waits, 0.95), plan.WaitSeconds, test.within, "p95 of the simulation")
			require.InEpsilon(t, matches, plan.PairsPerSecond, 0.05, "pairs/s of the simulation")
			require.InDelta(t, matches*test.hold, float64(plan.Sessions), 0.05*matches*test.hold+0.5, "sessions of the simulation")
		})
	}
}

// burst returns the time until this share of the users that join at once is matched. The first tick comes at any moment within
// a tick's length, so matching a batch counts as spread over a tick.
func (l Load) burst(share float64, keys int) float64 {
	users, batch := float64(l.Users)/float64(keys), float64(2*l.PairsPerTick)
	done := math.Floor(share * users / batch)
	return l.tick() * (done + (share*users-done*batch)/min(batch, users-done*batch))
}

func TestPredictAgreesWithASimulatedMatcherOnABurst(t *testing.T) {
	t.Parallel()

	for _, test := range []struct{ users, shards, seeds int }{
		{2, 1, 1000}, {8, 1, 1000}, {26, 1, 1000}, {40, 1, 1000}, {200, 1, 200}, {600, 1, 100}, {1000, 1, 50},
		{40, 4, 500}, {600, 7, 50}, {1000, 12, 50},
	} {
		t.Run(fmt.Sprintf("%d users in %d", test.users, test.shards), func(t *testing.T) {
			t.Parallel()

			const never = 1e5
			plan, err := Predict(Load{Users: test.users, HoldSeconds: never}, test.shards)
			require.NoError(t, err)

			load, err := Load{Users: test.users, HoldSeconds: never}.complete()
			require.NoError(t, err)
			sim := &matcherSim{Load: load, Rand: seeded(2)}
			for range test.seeds {
				for _, users := range sizes(test.users, test.shards) {
					sim.run(users, 0, 0, never/1000)
				}
			}
			require.Len(t, sim.waits, test.users*test.seeds)
			require.InEpsilon(t, quantile(sim.waits, 0.5), load.burst(0.5, test.shards), 0.15, "p50 of the simulation")
			require.InEpsilon(t, quantile(sim.waits, 0.95), load.burst(0.95, test.shards), 0.15, "p95 of the simulation")
			require.InDelta(t, slices.Max(sim.waits), plan.DrainSeconds, load.tick(), "the last of the simulation")
		})
	}
}

func TestPlanExplainsItself(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		load        Load
		shards      int // 0: planned
		wantShards  int
		limit       string
		explanation string
	}{
		{
			Load{Users: 2000, HoldSeconds: 45}, 1, 1, limitMatcher,
			"2,000 users in 1 key make at most 900 sessions of 45 s (20 pairs/s), limited by the matcher; " +
				"95 % wait 5 s at most; 1,000 needs 2 keys and 2,200 users",
		},
		{
			Load{Users: 2000, HoldSeconds: 45, ThinkSeconds: 1}, 0, 2, limitUsers,
			"2,000 users in 2 keys make about 972 sessions of 45 s (21.6 pairs/s), limited by the users; " +
				"95 % wait 0.5 s at most; one key holds at most 900; 1,000 needs 2 keys and 2,200 users",
		},
		{
			Load{Users: 10_000}, 1, 1, limitMatcher,
			"10,000 users in 1 key, all at once, take 250 s to drain at 20 pairs/s; 3 s needs 93 keys",
		},
		{
			Load{Users: 10_000}, 0, 93, limitMatcher,
			"10,000 users in 93 keys, all at once, take 3 s to drain at 1,860 pairs/s; one key takes 250 s",
		},
		{
			Load{Users: 10_000, ThinkSeconds: 1.25}, 1, 1, limitMatcher,
			"10,000 users in 1 key make 20 pairs/s, limited by the matcher; 95 % wait 249 s at most; 3 s needs 68 keys",
		},
		{
			Load{Users: 10_000, ThinkSeconds: 1.25}, 0, 68, limitMatcher,
			"10,000 users in 68 keys make 1,360 pairs/s, limited by the matcher; 95 % wait 2.7 s at most; " +
				"one key makes at most 20 pairs/s",
		},
		{
			Load{Users: 3, HoldSeconds: 45, ThinkSeconds: 1}, 0, 1, limitPartners,
			"3 users in 1 key make about 1 session of 45 s (0.022 pairs/s), limited by partners, for too few come by within 3 s; " +
				"95 % wait 46.5 s at most",
		},
		{
			Load{Users: 60, ThinkSeconds: 1, TickMs: 1000, PairsPerTick: 2, MaxWaitSeconds: 10}, 0, 2, limitMatcher,
			"60 users in 2 keys make 4 pairs/s, limited by the matcher; 95 % wait 7 s at most; one key makes at most 2 pairs/s",
		},
	} {
		plan, err := PlanQueue(test.load)
		if test.shards > 0 {
			plan, err = Predict(test.load, test.shards)
		}
		require.NoError(t, err)
		require.Equal(t, test.wantShards, plan.Shards)
		require.Equal(t, test.limit, plan.Limit, test.explanation)
		require.Equal(t, test.explanation, plan.Explanation)
	}
}

func TestOneKeyHoldsNineHundredSessionsAndDrainsTwentyPairsASecond(t *testing.T) {
	t.Parallel()

	full, err := Predict(Load{Users: 3000, HoldSeconds: 45, ThinkSeconds: 1}, 1)
	require.NoError(t, err)
	require.Equal(t, 900, full.Sessions)
	require.InDelta(t, 20, full.PairsPerSecond, 1e-9)

	burst, err := Predict(Load{Users: 10_000}, 1)
	require.NoError(t, err)
	require.InDelta(t, 250, burst.DrainSeconds, 1e-9)
}

func TestPlanKeepsItsPromises(t *testing.T) {
	t.Parallel()

	r := seeded(3)
	for range 800 {
		load := Load{
			Users:          2 + r.IntN(1<<r.IntN(15)),
			HoldSeconds:    float64(r.IntN(2)) * 60 * r.Float64(),
			ThinkSeconds:   5 * r.Float64(),
			MaxWaitSeconds: 1 + 5*r.Float64(),
		}
		plan, err := PlanQueue(load)
		require.NoError(t, err)
		again, err := Predict(load, plan.Shards)
		require.NoError(t, err)
		require.Equal(t, plan, again)

		require.GreaterOrEqual(t, plan.WaitSeconds, plan.MedianWaitSeconds, "%+v", load)
		require.LessOrEqual(t, plan.Sessions, load.Users/2, "%+v", load)
		require.LessOrEqual(t, plan.PairsPerSecond, 20*float64(plan.Shards)+1e-6, "%+v", load)
		if plan.Limit != limitPartners {
			require.LessOrEqual(t, plan.WaitSeconds, load.MaxWaitSeconds, "%+v", load)
		}
		if plan.Shards == 1 {
			continue
		}
		fewer, err := Predict(load, plan.Shards-1)
		require.NoError(t, err)
		require.Greater(t, fewer.WaitSeconds, fullKeyShare*load.MaxWaitSeconds-1e-9, "%+v", load)
	}
}

func TestPlanRefusesAnInvalidLoad(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		load Load
		want string
	}{
		{Load{}, "users: 0; set 2 or more, for a match needs two"},
		{Load{Users: 1}, "users: 1; set 2 or more, for a match needs two"},
		{Load{Users: 2, HoldSeconds: -1}, "hold: -1 s; set 0 to 1000000"},
		{Load{Users: 2, ThinkSeconds: math.NaN()}, "think: NaN s; set 0 to 1000000"},
		{Load{Users: 2, MaxWaitSeconds: math.Inf(1)}, "max wait: +Inf s; set 0 to 1000000"},
		{Load{Users: 2, TickMs: -1}, "tick: -1 ms; set 1 or more, or 0 for the service's 500"},
		{Load{Users: 2, PairsPerTick: -1}, "pairs per tick: -1; set 1 or more, or 0 for the service's 10"},
	} {
		_, err := PlanQueue(test.load)
		require.EqualError(t, err, test.want)
		_, err = Predict(test.load, 1)
		require.EqualError(t, err, test.want)
	}
	for _, shards := range []int{-1, 0, 3} {
		_, err := Predict(Load{Users: 5}, shards)
		require.EqualError(t, err, fmt.Sprintf("shards: %d for 5 users; set 1 to 2, for a shard needs two users", shards))
	}
}
