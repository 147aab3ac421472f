package jsapi

import (
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// Losses are counted for users that do nothing on their sockets.
func TestALostSocketIsCountedWhateverItsUserDoes(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Defects: standin.Defects{DropSocketsAfter: 300 * time.Millisecond}})
	h.iterate(rampingVUs())
	got := h.mustExec(`(async () => {
		const idle = await client.signUp();
		const waiting = await client.signUp({ tokens: 2 });
		await Promise.all([idle, waiting].map((user) => user.connect()));
		const match = await waiting.match({ place: {}, timeoutSeconds: 10 });
		await verity.think(0.5);
		await idle.connect();
		await idle.close();
		await waiting.balance();
		return [match.reason, match.socketLost, idle.connected()].join();
	})()`).String()
	require.Equal(t, "socket_lost,close_1006,false", got)

	opened, _ := h.sum("sockets_opened", nil)
	require.EqualValues(t, 3, opened)
	lost, _ := h.sum("sockets_lost", map[string]string{"reason": "close_1006"})
	require.EqualValues(t, 2, lost)
	dropped, ended := h.sum("socket_dropped", nil)
	require.EqualValues(t, 2, dropped)
	require.Equal(t, 3, ended, "the third was closed by its user")
	text := h.summary()
	require.Contains(t, text, "✗ sockets lost 2 of 3: close 1006 2. Their users had not closed them")
	require.Regexp(t, `✗ error +match socket_lost × 1, for example: user c\w+ waited for \d\.\d s, then its socket was lost: close 1006`, text)
}

func TestSocketsThatTheirUsersCloseAreNotLost(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	cancel := h.iterate(rampingVUs())
	time.AfterFunc(500*time.Millisecond, cancel)
	h.execUntilCut(`verity.stay({ users: 3, signUp: () => client.signUp() }, async (user) => {
		await user.connect();
		await verity.think(60);
	})`)
	require.Contains(t, h.summary(), "✓ sockets      3 opened, none lost")
	dropped, ended := h.sum("socket_dropped", nil)
	require.Zero(t, dropped)
	require.Equal(t, 3, ended, "the end of the run closes them, and loses none")
	_, lost := h.sum("sockets_lost", nil)
	require.Zero(t, lost)
}

// A fault of k6 v2.2.0: the run went on and passed.
func TestAVUThatCannotStartFailsTheRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.mustExec(`verity.runnerShare()`)
	logger := h.state.Logger.(*logrus.Logger) //nolint:forcetypeassert // see run
	logger.Error("something else")
	require.False(t, h.state.TestStatus.Failed())
	require.NotContains(t, h.summary(), "VUs missing")
	logger.WithField("executor", "ramping-vus").Error("Cannot get a VU from the buffer")
	require.True(t, h.state.TestStatus.Failed())
	require.Contains(t, h.summary(), "✗ VUs missing  1 VUs could not start, and k6 went on without them")
}

func TestAJoinOfASharedKeyWithoutASocketIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(rampingVUs())
	const advice = "a user joined a queue key that others share, and has no socket: a match is heard on the socket only, so this user " +
		"will not know of one. Call connect() before join(), or connect() and match()"
	warnings := func() int {
		n := 0
		for _, entry := range h.log.AllEntries() {
			if entry.Message == advice {
				require.Equal(t, logrus.WarnLevel, entry.Level)
				n++
			}
		}
		return n
	}
	h.mustExec(`(async () => {
		const isolated = new verity.QueueShards({ mode: 'isolated', users: 2 });
		const shared = new verity.QueueShards({ mode: 'shared', users: 2, shards: 1 });
		const user = await client.signUp({ tokens: 5 });
		await user.join(isolated.place(0));
		await user.leave();
		await user.join({ city: 'Perth' });
		await user.leave();
		await user.connect();
		await user.join(shared.place(0));
		await user.leave();
		await user.close();
	})()`)
	require.Zero(t, warnings(), "nobody shares the key, nobody says so, or there is a socket")
	h.mustExec(`(async () => {
		const shared = new verity.QueueShards({ mode: 'shared', users: 2, shards: 1 });
		const user = await client.signUp({ tokens: 5 });
		for (const place of [shared.place(0), { ...shared.place(0) }]) {
			await user.join(place);
			await user.leave();
		}
	})()`)
	require.Equal(t, 1, warnings())
	require.Equal(t, 1, strings.Count(h.summary(), advice))
}
