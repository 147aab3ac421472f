package jsapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/standin"
)

func TestPlanQueue(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	plan, err := h.VU.Runtime().RunString(`JSON.stringify(verity.planQueue({ users: 2000, holdSeconds: 45, shards: 1 }))`)
	require.NoError(t, err)
	require.Contains(t, plan.String(), `"shards":1,"sessions":900,"pairsPerSecond":20,`)
	require.Contains(t, plan.String(), `"limit":"matcher"`)
	for script, want := range map[string]string{
		`verity.planQueue({})`:           `TypeError: planQueue needs users, the number of users of the whole test`,
		`verity.planQueue({ users: 1 })`: `TypeError: users of planQueue must be a whole number from 2 to 1000000, got 1`,
		`verity.planQueue({ users: 4, shards: 3 })`: `TypeError: planQueue: shards: 3 for 4 users; set 1 to 2, for a shard needs ` +
			`two users`,
		`new verity.QueueProbe()`:                       `TypeError: the URL of QueueProbe must be a string`,
		`new verity.QueueProbe('http://:hunter2@host')`: `TypeError: QueueProbe: redis URL: `,
		`verity.watchDepth('redis://127.0.0.1')`:        `TypeError: watchDepth can be called in setup only`,
	} {
		_, err := h.VU.Runtime().RunString(script)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestQueueProbe(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	require.NoError(t, h.VU.Runtime().Set("redisUrl", server.RedisURL()))
	got := h.mustExec(`(async () => {
		const probe = new verity.QueueProbe(redisUrl);
		const user = await client.signUp({ tokens: 1 });
		await user.join({ city: 'Perth' });
		const depths = await probe.depths();
		const ghosts = await probe.ghosts();
		await user.leave();
		const after = await probe.depths();
		await probe.close();
		return JSON.stringify([depths, ghosts, after.total]);
	})()`).String()
	require.JSONEq(t, `[{"total":1,"keys":{"perth:44136fa355b3":1}},{"members":0,"states":0},0]`, got)
}

func TestTheQueueDepthIsWatchedWhileStaysGoOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	require.NoError(t, h.VU.Runtime().Set("redisUrl", server.RedisURL()))
	h.mustExec(`verity.watchDepth(redisUrl)`)
	setupContext := h.VU.CtxField
	cancel := h.iterate(constantVUs(2500 * time.Millisecond))
	h.mustExec(`verity.stay({ users: 3, signUp: () => client.signUp({ tokens: 1 }) }, async (user) => {
		await user.join({ preferences: { of: user.id } });
		await verity.think(3600);
	})`)
	cancel()
	h.VU.Runtime().ClearInterrupt()
	h.VU.CtxField = setupContext
	h.mustExec(`verity.endDepthWatch()`)

	_, samples := h.sum("queue_depth", nil)
	require.GreaterOrEqual(t, samples, 3)
	text := h.summary()
	require.Contains(t, text, "queue depth  3 at the peak, 0 at the end\n")
	require.NotContains(t, text, "ghosts")
}

func segment(t *testing.T, text string) *lib.ExecutionSegment {
	t.Helper()
	s, err := lib.NewExecutionSegmentFromString(text)
	require.NoError(t, err)
	return s
}

// The number of planned shards is a multiple of the number of runners.
func TestPlannedShardsAreSharedOutEvenly(t *testing.T) {
	t.Parallel()
	sequence, err := lib.NewExecutionSegmentSequenceFromString("0,1/2,1")
	require.NoError(t, err)
	for _, c := range []struct {
		users, alone, together int
	}{
		{500, 1, 2}, // one key would be enough, but each runner needs its own
		{5000, 3, 4},
	} {
		for own, want := range map[string]int{"": c.alone, "0:1/2": c.together, "1/2:1": c.together} {
			h := newHarness(t).run()
			if own != "" {
				h.state.Options.ExecutionSegment, h.state.Options.ExecutionSegmentSequence = segment(t, own), &sequence
			}
			keys, err := h.VU.Runtime().RunString(fmt.Sprintf(`new verity.QueueShards({ mode: 'shared', users: %d, usersPerVu: 10,
				holdSeconds: 45, thinkSeconds: 1, maxWaitSeconds: 3 }).keys.length`, c.users))
			require.NoError(t, err)
			require.EqualValues(t, want, keys.ToInteger(), "%d users, %s", c.users, own)
		}
	}
}

// Three runners of one test place 3,000 users in 12 shards: no pair across runners, and none alone.
func TestThreeRunnersShareOutTheShards(t *testing.T) {
	t.Parallel()
	sequence, err := lib.NewExecutionSegmentSequenceFromString("0,1/3,2/3,1")
	require.NoError(t, err)
	const users, usersPerVU, shards = 3000, 10, 12
	inShard := map[string]int{}
	runnerOf := map[string]string{}
	for _, own := range []string{"0:1/3", "1/3:2/3", "2/3:1"} {
		h := newHarness(t).run()
		h.state.Options.ExecutionSegment, h.state.Options.ExecutionSegmentSequence = segment(t, own), &sequence
		tuple, err := lib.NewExecutionTuple(segment(t, own), &sequence)
		require.NoError(t, err)
		_, err = h.VU.Runtime().RunString(`var shards = new verity.QueueShards({ mode: 'shared', users: 3000, usersPerVu: 10, shards: 12 });`)
		require.NoError(t, err)
		index := lib.NewSegmentedIndex(tuple)
		for {
			local, global := index.Next()
			if global > users/usersPerVU {
				break
			}
			h.state.VUID, h.state.VUIDGlobal = uint64(local), uint64(global) //nolint:gosec // both count from 1
			for seat := range usersPerVU {
				require.NoError(t, h.VU.Runtime().Set("user", (int(global)-1)*usersPerVU+seat))
				key, err := h.VU.Runtime().RunString(`shards.place(user).queueKey`)
				require.NoError(t, err)
				inShard[key.String()]++
				if runner, seen := runnerOf[key.String()]; seen {
					require.Equal(t, own, runner, "a shard belongs to one runner")
				}
				runnerOf[key.String()] = own
			}
		}
	}
	require.Len(t, inShard, shards)
	for key, count := range inShard {
		require.Equal(t, users/shards, count, key)
	}
}
