package jsapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"
	"gopkg.in/guregu/null.v3"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// perVUIterations is the executor of --iterations.
func perVUIterations() lib.ExecutorConfig { return executor.NewPerVUIterationsConfig("test") }

func rampingVUs() lib.ExecutorConfig {
	config := executor.NewRampingVUsConfig("test")
	config.StartVUs = null.IntFrom(1)
	return config
}

const joinAndLeave = `async (user, turn) => {
	await user.join(shards.place(user.number));
	await verity.think(0.01, 0.02);
	await user.leave();
}`

func TestAStayEndsByItselfWhereTheScheduleIsKnown(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(constantVUs(time.Second))
	start := time.Now()
	h.mustExec(`var shards = new verity.QueueShards({ mode: 'isolated', users: 5 });
		verity.stay({ users: 5, signUp: () => client.signUp({ tokens: 1 }) }, ` + joinAndLeave + `)`)
	require.WithinRange(t, time.Now(), start.Add(time.Second), start.Add(5*time.Second))

	stats := server.Stats()
	require.Equal(t, 5, stats.Users)
	require.EqualValues(t, 5, stats.Tokens.Balance)
	require.Zero(t, stats.Tokens.Queued)
	cycles, _ := h.sum("cycles", nil)
	require.Greater(t, cycles, 10.0, "the users go on out of step")
	require.EqualValues(t, stats.Requests["POST /queue/join"].Requests, cycles)
	failed, _ := h.sum("http_req_failed", nil)
	require.Zero(t, failed)
}

func TestAStayThatIsCutTakesItsUsersOutOfTheQueue(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{Latency: 20 * time.Millisecond})
	cancel := h.iterate(rampingVUs())
	go func() {
		h.until(func() bool { return server.Stats().Tokens.Queued >= 10 })
		cancel()
	}()
	h.execUntilCut(`var shards = new verity.QueueShards({ mode: 'isolated', users: 20 });
		verity.stay({ users: 20, signUp: () => client.signUp({ tokens: 1 }) }, async (user) => {
			await user.join(shards.place(user.number));
			await verity.think(3600);
		})`)

	stats := server.Stats()
	require.Zero(t, stats.Tokens.Queued)
	require.Equal(t, stats.Tokens.Bought, stats.Tokens.Balance)
	_, leaves := h.sum("http_reqs", map[string]string{"name": "queue_leave"})
	require.GreaterOrEqual(t, leaves, 10)
	require.NotContains(t, h.summary(), "left behind")
}

func TestUsersWhoCannotLeaveAreTold(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	cancel := h.iterate(rampingVUs())
	go func() {
		h.until(func() bool { return server.Stats().Tokens.Queued >= 1 })
		server.Close(t.Context()) //nolint:errcheck // checked in the cleanup
		cancel()
	}()
	h.execUntilCut(`verity.stay({ users: 1, signUp: () => client.signUp({ tokens: 1 }) }, async (user) => {
		await user.join({});
		await verity.think(3600);
	})`)
	require.Regexp(t, `! left behind  1 users may still be queued: they could not leave at the end: c[a-z0-9]+\n`, h.summary())
}

func TestCountedIterationsAreOneTurnOfEachUser(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(perVUIterations())
	h.mustExec(`var shards = new verity.QueueShards({ mode: 'isolated', users: 3 });
		verity.stay({ users: 3, signUp: () => client.signUp({ tokens: 1 }) }, ` + joinAndLeave + `)`)
	require.EqualValues(t, 3, server.Stats().Requests["POST /queue/join"].Requests)
}

func TestACycleOfStepsHasThinkTimesBetweenThem(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(constantVUs(1500 * time.Millisecond))
	got := h.mustExec(`var shards = new verity.QueueShards({ mode: 'isolated', users: 5 }), steps = [];
		verity.stay({ users: 5, thinkSeconds: { min: 0.1, max: 0.2 }, signUp: () => client.signUp({ tokens: 1 }) }, [
			(user, turn) => { steps.push(turn + 'a' + user.number); return user.join(shards.place(user.number)); },
			async (user) => { await user.balance({ expect: 0 }); },
			(user, turn) => { steps.push(turn + 'c' + user.number); return user.leave(); },
		]).then(() => steps.filter((step) => step.endsWith('3')).slice(0, 4).join())`).String()
	require.Equal(t, "0a3,0c3,1a3,1c3", got)

	stats := server.Stats()
	require.Zero(t, stats.Tokens.Queued)
	joins, leaves := stats.Requests["POST /queue/join"].Requests, stats.Requests["DELETE /queue/leave"].Requests
	require.Equal(t, joins, leaves, "a cycle that has begun goes on to its end, with no more think times")
	cycles, _ := h.sum("cycles", nil)
	require.EqualValues(t, joins, cycles, "a cycle is all of its steps")
	require.LessOrEqual(t, joins, int64(5*(1500/300+1)), "each of three steps is followed by 0.1 s and more")
	require.GreaterOrEqual(t, joins, int64(5*2))
}

func TestAfterAStepThatFailsTheCycleBeginsAnew(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(constantVUs(2500 * time.Millisecond))
	got := h.mustExec(`var steps = [];
		verity.stay({ users: 1, signUp: () => client.signUp() }, [
			(user, turn) => { steps.push('a' + turn); },
			(user, turn) => { steps.push('b' + turn); return user.join({}); },
			() => { steps.push('never'); },
		]).then(() => steps.join())`).String()
	require.Regexp(t, `^a0,b0,a1,b1(,a\d,b\d)*$`, got)
	require.GreaterOrEqual(t, server.Stats().Requests["POST /queue/join"].Requests, int64(2))
	cycles, _ := h.sum("cycles", nil)
	require.Zero(t, cycles)
}

func TestAScriptMayAwaitWhatItReturns(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(perVUIterations())
	got := h.mustExec(`(async () => {
		const heard = [];
		let shared;
		await verity.stay({ users: 2, signUp: () => client.signUp() }, (user) => {
			const operation = shared ??= user.join({});
			operation.then(() => heard.push('joined'), (error) => heard.push(error.name));
			return operation;
		});
		return heard.join();
	})()`).String()
	require.Equal(t, "InsufficientTokensError,InsufficientTokensError", got)
	require.False(t, h.state.TestStatus.Failed())
}

func TestUsersAreNumberedAcrossTheTest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ options, want string }{
		{`users: 3`, "18,19,20"},
		{`users: 2, firstNumber: 40`, "40,41"},
	} {
		h := newHarness(t).run()
		h.startStandin(standin.Options{})
		h.state.VUIDGlobal = 7
		h.iterate(perVUIterations())
		got := h.mustExec(`(async () => {
			const numbers = [], asked = [];
			await verity.stay({ ` + tc.options + `, signUp: (n) => { asked.push(n); return client.signUp(); } },
				async (user, turn) => { numbers.push(user.number); if (turn !== 0) { throw new Error('turn ' + turn); } });
			return [numbers.sort().join(), asked.sort().join()].join(' ');
		})()`).String()
		require.Equal(t, tc.want+" "+tc.want, got)
	}
}

func TestAUserWhoFailsBacksOff(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(constantVUs(2500 * time.Millisecond))
	h.mustExec(`verity.stay({ users: 1, signUp: () => client.signUp() }, (user) => user.join({}))`)
	joins := server.Stats().Requests["POST /queue/join"].Requests
	require.GreaterOrEqual(t, joins, int64(2), "it tries again after 0.5 to 1.5 s")
	require.LessOrEqual(t, joins, int64(4))
	require.Equal(t, 1, server.Stats().Users)
	cycles, _ := h.sum("cycles", nil)
	require.Zero(t, cycles)
	require.False(t, h.state.TestStatus.Failed())
}

func TestAUserWhoseSessionIsLostMakesRoomForANewOne(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(constantVUs(2500 * time.Millisecond))
	h.mustExec(`verity.stay({ users: 1, signUp: () => client.signUp() }, async () => {
		await verity.think(0.01);
		throw Object.assign(new Error('session lost'), { name: 'AuthError', operation: 'auth_refresh' });
	})`)
	require.GreaterOrEqual(t, server.Stats().Users, 2)
}

// A service that refuses every new user gets sign-ups no faster than a service that fails.
func TestUsersWhoAreAllRefusedComeSlowerAndSlower(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(constantVUs(7 * time.Second))
	h.mustExec(`verity.stay({ users: 1, signUp: () => client.signUp() }, async () => {
		await verity.think(0.01);
		throw Object.assign(new Error('refused'), { name: 'AuthError', operation: 'queue_join' });
	})`)
	require.GreaterOrEqual(t, server.Stats().Users, 2)
	require.LessOrEqual(t, server.Stats().Users, 5, "after 0.5, 1, 2 and 4 s at the soonest")
}

// The socket's end takes the user out of the queue: no user is matched with it, and it is not left queued.
func TestAUserWhoseSessionIsLostLeavesWithItsSocket(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.iterate(constantVUs(2500 * time.Millisecond))
	h.mustExec(`verity.stay({ users: 1, signUp: () => client.signUp({ tokens: 1 }) }, async (user, turn) => {
		if (globalThis.lost) { return verity.think(0.2); }
		await user.connect();
		await user.join({});
		globalThis.lost = user;
		throw Object.assign(new Error('session lost'), { name: 'AuthError', operation: 'queue_leave' });
	})`)
	require.Equal(t, 2, server.Stats().Users)
	require.Zero(t, server.Stats().Tokens.Queued)
	require.Equal(t, int64(0), server.Stats().Requests["DELETE /queue/leave"].Requests, "it did not need to leave by itself")
	require.Equal(t, "false,false", h.mustExec("[lost.queued(), lost.connected()].join()").String())
}

func TestAnErrorOfTheScriptIsLoggedOnceAndFailsTheRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(constantVUs(200 * time.Millisecond))
	h.mustExec(`verity.stay({ users: 5, signUp: () => client.signUp() }, async () => { nothing.here(); })`)
	require.True(t, h.state.TestStatus.Failed())
	var logged []string
	for _, entry := range h.log.AllEntries() {
		if entry.Level.String() == "error" {
			logged = append(logged, entry.Message)
		}
	}
	require.Len(t, logged, 1)
	require.Contains(t, logged[0], "the script failed in a stay: ReferenceError: nothing is not defined")
}

func TestSignUpMustGiveAUser(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.iterate(perVUIterations())
	h.mustExec(`verity.stay({ users: 1, signUp: () => 5 }, () => {})`)
	require.True(t, h.state.TestStatus.Failed())
	require.Contains(t, h.log.LastEntry().Message, "signUp of stay must resolve to a User, got 5")
}

// The users of a VU that is ramped down leave one by one, as they would with a VU each.
func TestUsersLeaveSpread(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	cancel := h.iterate(rampingVUs())
	left := make(chan []time.Duration, 1)
	go func() {
		h.until(func() bool { return server.Stats().Tokens.Queued >= 4 })
		start := time.Now()
		cancel()
		var at []time.Duration
		n := int64(4)
		h.until(func() bool {
			for ; n > server.Stats().Tokens.Queued; n-- {
				at = append(at, time.Since(start))
			}
			return n == 0
		})
		left <- at
	}()
	h.execUntilCut(`var shards = new verity.QueueShards({ mode: 'isolated', users: 4 });
		verity.stay({ users: 4, leaveWithinSeconds: 4, signUp: () => client.signUp({ tokens: 1 }) }, async (user) => {
			await user.join(shards.place(user.number));
			await verity.think(3600);
		})`)
	for i, at := range <-left {
		require.InDelta(t, float64(i), at.Seconds(), 0.9)
	}
}

func TestThinkIsQuietWhenTheRunStops(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	cancel := h.iterate(rampingVUs())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err := h.exec(`(async () => { await verity.think(3600); for (;;) {} })()`)
	require.NoError(t, err, "nothing runs after the end")
	require.Less(t, time.Since(start), 5*time.Second)
	require.Empty(t, h.log.AllEntries())
}

func TestARequestThatBeginsAfterTheEndIsStopped(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	cancel := h.iterate(rampingVUs())
	cancel()
	h.VU.Runtime().ClearInterrupt()
	require.Eventually(t, func() bool {
		got := h.mustExec(`client.signUp().then(() => 'signed up', (e) => e.name)`).String()
		return got == "StoppedError"
	}, time.Second, time.Millisecond, "the end is seen on another goroutine")
	require.LessOrEqual(t, server.Stats().Users, 1000)
}
