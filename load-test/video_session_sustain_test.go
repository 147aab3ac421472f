package loadtest_test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// sustain returns a video-session-sustain with sessions of 3 s and no ramp-down: its end cuts off what is in progress.
func sustain(target *target, users int, hold string, variables ...string) command {
	small := []string{
		"SESSION_VUS=" + strconv.Itoa(users), "SESSION_HOLD_SECONDS=3", "RAMP_UP=1s", "HOLD=" + hold, "RAMP_DOWN=0s",
	}
	return k6Run(videoSessionSustain, target, append(small, variables...)...)
}

// sessionCounts holds the numbers in the summary's line on sessions. They count users: a session has two.
type sessionCounts struct{ planned, started, held, dropped, stopped int }

var sessionsLine = regexp.MustCompile(
	`(?m)^ *[✓✗] sessions +([\d,]+) planned, ([\d,]+) started, ([\d,]+) held to the end, ([\d,]+) dropped, ([\d,]+) stopped`)

func (r result) sessions(t *testing.T) sessionCounts {
	t.Helper()
	match := sessionsLine.FindStringSubmatch(r.stdout)
	require.NotNil(t, match, "the summary must tell of the sessions")
	var n [5]int
	for i := range n {
		_, err := fmt.Sscan(match[i+1], &n[i])
		require.NoError(t, err)
	}
	return sessionCounts{n[0], n[1], n[2], n[3], n[4]}
}

// requireHeld requires a run whose sessions all lasted as promised, and that the service saw the same.
func (s state) requireHeld(t *testing.T, r result, users int) {
	t.Helper()
	requireUndisturbed(t, r, s)
	require.Len(t, s.Users, users)
	require.NotContains(t, r.stdout, "rule broken")
	n := r.sessions(t)
	require.Zero(t, n.dropped)
	require.Equal(t, n.started, n.held, "each session that started was held to its end")
	require.Equal(t, n.planned, n.held+n.stopped)
	require.Equal(t, n.started, r.count("sessions_started"))
	require.Equal(t, n.held, r.count("session_held"))
	require.GreaterOrEqual(t, n.held, users)
	require.GreaterOrEqual(t, s.Heard["session:end"], n.held)
	require.GreaterOrEqual(t, s.Sessions, (n.held+1)/2)
	require.Zero(t, r.summary.Metrics["session_dropped"].Value)
	require.Zero(t, r.summary.Metrics["match_failed"].Value)
	require.InDelta(t, 3000, r.summary.Metrics["session_held"].Median, 300)
	require.Equal(t, users, r.count("socket_connect_time"), "each user opens one socket")
	require.Equal(t, s.sum(func(u account) int64 { return u.Lost }), r.count("tokens_lost"))
}

// requireMatchesAsMeasured requires that users waited for their match about as long as the service says. The service counts from
// the place in the queue, and users count from the decision to join.
func (s state) requireMatchesAsMeasured(t *testing.T, r result) {
	t.Helper()
	require.Positive(t, s.MedianWait)
	require.InDelta(t, s.MedianWait, r.summary.Metrics["match_time"].Median, max(0.2*s.MedianWait, 100), "p50 of match_time in ms")
}

var littlesLaw = regexp.MustCompile(`at once +(\d+) sessions at the peak, ([\d.]+) on average; arrivals × hold makes [\d.]+, (\d+) % off`)

// 40 users in four keys have one token each at first, and buy more in time.
func TestVideoSessionSustain(t *testing.T) {
	t.Parallel()
	onBoth(t, whole, func(t *testing.T, target *target) {
		r := sustain(target, 40, "9s", "QUEUE_SHARDS=4", "BALANCE_CHECK_EVERY=1", "TOKENS_PER_USER=1", "RAMP_UP=2s").run(t)
		s := target.state(t)
		s.requireHeld(t, r, 40)
		s.requireMatchesAsMeasured(t, r)
		require.Greater(t, s.requests(routeWebhook), 40, "users with one token buy more before they join again")
		match := littlesLaw.FindStringSubmatch(r.stdout)
		require.NotNil(t, match, "the summary must tell how many sessions there were at once")
		peak, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		require.LessOrEqual(t, peak, 20, "of 40 users")
		require.Greater(t, peak, 10)
		off, err := strconv.Atoi(match[3])
		require.NoError(t, err)
		require.LessOrEqual(t, off, 5, "sessions at once are arrivals × hold")
	})
}

// The scheduled end comes while most users are in a session.
func TestSessionsThatStartedAreHeldBeyondTheScheduledEnd(t *testing.T) {
	t.Parallel()
	onBoth(t, whole, func(t *testing.T, target *target) {
		r := sustain(target, 20, "2s").run(t)
		target.state(t).requireHeld(t, r, 20)
	})
}

func TestVideoSessionSustainCarriesManyUsersInOneVU(t *testing.T) {
	t.Parallel()
	onBoth(t, whole, func(t *testing.T, target *target) {
		r := sustain(target, 20, "3s", "USERS_PER_VU=20", "QUEUE_SHARDS=2").run(t)
		target.state(t).requireHeld(t, r, 20)
	})
}

// The access token is checked when a socket opens, and not later.
func TestSessionsOutliveTheAccessToken(t *testing.T) {
	t.Parallel()
	c := whole
	c.tokenTTL = 3 * time.Second
	onBoth(t, c, func(t *testing.T, target *target) {
		r := sustain(target, 20, "9s").run(t)
		s := target.state(t)
		s.requireHeld(t, r, 20)
		require.Greater(t, s.requests(routeRefresh), 20, "each of 20 users needs two or three")
	})
}

// Each defect of the service is found by the rule that names it.
func TestBrokenRulesAreNamed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		flags   []string
		defects standin.Defects // the zero value: the stand-in does not know it
		crossed string
		says    string
	}{
		"lost match": {
			[]string{"--lose-match", "0.3"}, standin.Defects{LoseMatch: 0.3}, "match_failed rate<0.001", `rule broken  partner_missing × \d+`,
		},
		"lost start": {
			[]string{"--lose-start", "0.3"}, standin.Defects{LoseStart: 0.3}, "session_dropped rate<0.001", `rule broken  start_missing × \d+`,
		},
		"early end": {
			[]string{"--end-early-seconds", "2"}, standin.Defects{EndEarly: 2 * time.Second},
			"session_dropped rate<0.001", `rule broken  length_wrong × \d+`,
		},
		"token error": {
			[]string{"--token-error", "0.3"}, standin.Defects{TokenError: 0.3}, "session_dropped rate<0.001", `rule broken  end_reason × \d+`,
		},
		"crossed pairs": {
			[]string{"--cross-pairs", "1"}, standin.Defects{CrossPairs: 0.5}, "session_dropped rate<0.001", `rule broken  partner_wrong × \d+`,
		},
		"double match": {
			[]string{"--double-match", "0.3"}, standin.Defects{}, "session_dropped rate<0.001", `rule broken  match_repeated × \d+`,
		},
		"lost sockets": {
			[]string{"--drop-sockets-after", "2"}, standin.Defects{DropSocketsAfter: 2 * time.Second},
			"session_dropped rate<0.001", `session socket_lost × \d+`,
		},
	}
	caught := func(t *testing.T, target *target, crossed, says string) {
		t.Helper()
		r := sustain(target, 20, "6s", "MATCH_TIMEOUT=2.5", "RAMP_UP=0s", "QUEUE_SHARDS=2").run(t)
		require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
		require.Contains(t, r.crossed(), crossed)
		require.Regexp(t, `(?m)^ *✗ (rule broken|error) +`, r.stdout)
		require.Regexp(t, says, r.stdout)
		require.Zero(t, target.state(t).queued(), "nobody may be queued after a run")
	}
	for _, name := range sortedKeys(cases) {
		c := cases[name]
		t.Run(name+"/node", func(t *testing.T) {
			t.Parallel()
			caught(t, startNode(t, whole, c.flags...), c.crossed, c.says)
		})
		if c.defects == (standin.Defects{}) {
			continue
		}
		t.Run(name+"/stand-in", func(t *testing.T) {
			t.Parallel()
			broken := whole
			broken.defects = c.defects
			caught(t, startStandin(t, broken), c.crossed, c.says)
		})
	}
}

// The service dies during sessions of 30 s. The run goes on to its scheduled end, and reports what was lost.
func TestAServiceThatDiesInMidSession(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{sockets: true, session: 30 * time.Second}, func(t *testing.T, target *target) {
		run := sustain(target, 20, "6s", "SESSION_HOLD_SECONDS=30", "TRIAL=0").start(t)
		require.Eventually(t, func() bool {
			heard := target.state(t).Heard
			return heard["match"] == 20 && heard["session:start"] == 20
		}, 15*time.Second, 50*time.Millisecond)
		killed := time.Now()
		target.kill()
		r := run.wait(t)
		require.Less(t, time.Since(killed), 7*time.Second+drainLimit, "the schedule has 7 s in all")
		require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
		require.Contains(t, r.crossed(), "session_dropped rate<0.001")
		require.Equal(t, sessionCounts{planned: 20, started: 20, dropped: 20}, r.sessions(t))
		require.Contains(t, r.stdout, "session socket_lost × 20, for example: session ")
		require.NotContains(t, r.stdout, "rule broken", "the service broke no rule, it died")
	})
}
