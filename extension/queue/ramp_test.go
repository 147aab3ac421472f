package queue

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheWaitInTheRampAgreesWithASimulatedMatcher(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		users, shards       int
		hold, think, arrive float64
	}{
		{9000, 5, 45, 1, 60}, // the real service: 6.05 s (p95)
		{9000, 7, 45, 1, 60},
		{2000, 2, 45, 1, 300},
		{2000, 2, 45, 1, 5},
		{2000, 7, 45, 1, 5},
		{5000, 40, 0, 0.75, 120},
		{500, 1, 45, 1, 60},
	} {
		t.Run(fmt.Sprintf("%d users in %d within %v s", test.users, test.shards, test.arrive), func(t *testing.T) {
			t.Parallel()

			load := Load{Users: test.users, HoldSeconds: test.hold, ThinkSeconds: test.think, ArriveSeconds: test.arrive}
			plan, err := Predict(load, test.shards)
			require.NoError(t, err)
			load, err = load.complete()
			require.NoError(t, err)
			sim := &matcherSim{Load: load, Rand: seeded(5)}
			for _, users := range sizes(test.users, test.shards) {
				sim.run(users, test.arrive, 0, test.arrive+load.rest()+load.MaxWaitSeconds)
			}
			require.InEpsilon(t, quantile(sim.waits, 0.95), plan.RampWaitSeconds, 0.20, "p95 of the simulation")
		})
	}
}

func TestAPlanHasKeysForTheRamp(t *testing.T) {
	t.Parallel()

	load := Load{Users: 9000, HoldSeconds: 45, ThinkSeconds: 1}
	steady, err := PlanQueue(load)
	require.NoError(t, err)
	require.Equal(t, 5, steady.Shards)
	require.Equal(t, steady.WaitSeconds, steady.RampWaitSeconds, "no ramp was given")

	load.ArriveSeconds = 60
	plan, err := PlanQueue(load)
	require.NoError(t, err)
	require.Equal(t, 7, plan.Shards)
	require.LessOrEqual(t, plan.RampWaitSeconds, 3.0)
	require.Equal(t, "9,000 users in 7 keys make about 4,377 sessions of 45 s (97.3 pairs/s), limited by the users; 95 % wait 0.49 s at "+
		"most, and 1 s while they arrive, when up to 300 a second join and 280 are matched; one key holds at most 900; 4,500 needs 7 "+
		"keys and 9,800 users", plan.Explanation)

	fewer, err := Predict(load, 5)
	require.NoError(t, err)
	require.Contains(t, fewer.Explanation, "95 % wait 0.57 s at most, and 6.3 s while they arrive, when up to 300 a second join and 200 are "+
		"matched; 3 s needs 7 keys, or a slower ramp;")

	load.ArriveSeconds = 600
	slow, err := PlanQueue(load)
	require.NoError(t, err)
	require.Equal(t, 5, slow.Shards, "a slow ramp needs no more keys")
}
