package standin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
)

func TestMatcherPairsFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		var heard recorder
		ts := start(t, Options{RedisURL: url, PairsPerTick: 2, observer: &heard})
		var ids []string
		for range 7 {
			u := ts.signUp(1)
			u.join("")
			ids = append(ids, u.id)
			nextMillisecond()
		}
		other := ts.signUp(1)
		other.join(`{"city":"other"}`)

		ts.matcher.match(t.Context())
		require.Equal(t, [][2]string{{ids[0], ids[1]}, {ids[2], ids[3]}}, pairsOf(&heard), "2 pairs in a tick")
		ts.matcher.match(t.Context())
		ts.matcher.match(t.Context())
		require.Equal(t, [2]string{ids[4], ids[5]}, pairsOf(&heard)[2])
		require.Len(t, pairsOf(&heard), 3, "the seventh and the other are alone")

		queued, err := ts.Queued(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]string{ids[6]: "canberra" + emptyHash, other.id: "other" + emptyHash}, queued)
		checkQueues(t, ts)
	})
}

func TestMatcherServesEveryKeyInOneTick(t *testing.T) {
	t.Parallel()
	var heard recorder
	ts := start(t, Options{observer: &heard})
	for i := range 30 {
		for range 22 {
			u := ts.accounts.signUp()
			require.NoError(t, u.credit(1))
			_, err := ts.queues.join(t.Context(), u, "k"+strconv.Itoa(i))
			require.NoError(t, err)
		}
	}
	ts.matcher.match(t.Context())
	require.Len(t, heard.sessions(), 30*10, "10 pairs in each key")
	ts.matcher.match(t.Context())
	require.Len(t, heard.sessions(), 30*11)
	ts.matcher.match(t.Context())
	require.Len(t, heard.sessions(), 30*11)
	require.Empty(t, ts.store.client.Keys(t.Context(), "queue:[kzu]*").Val())
}

func TestKeysInRedisOfASession(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		var heard recorder
		ts := start(t, Options{RedisURL: url, observer: &heard})
		a, b := ts.signUp(1), ts.signUp(1)
		a.join("")
		nextMillisecond()
		b.join("")
		before := time.Now().UnixMilli()
		ts.matcher.match(t.Context())
		after := time.Now().UnixMilli()

		db, ctx := ts.store.client, t.Context()
		s := heard.sessions()[0]
		require.True(t, before <= s.StartAt && s.StartAt <= after)
		require.Equal(t, s.StartAt+45_000, s.EndAt)
		require.Equal(t, fmt.Sprintf(
			`{"sessionId":%q,"userAId":%q,"userBId":%q,"channelName":"session_%s","startAt":%d,"endAt":%d}`,
			s.ID, a.id, b.id, s.ID, s.StartAt, s.EndAt), db.Get(ctx, "session:state:"+s.ID).Val())
		keys := []string{"session:state:" + s.ID}
		for _, u := range []testUser{a, b} {
			require.Equal(t, s.ID, db.Get(ctx, "queue:matched:"+u.id).Val())
			require.Equal(t, s.ID, db.Get(ctx, "session:active:"+u.id).Val())
			require.Zero(t, db.Exists(ctx, "queue:user:"+u.id, "queue:lock:"+u.id).Val())
			require.Equal(t, Account{ID: u.id, Bought: 1, Spent: 1}, u.account())
			keys = append(keys, "queue:matched:"+u.id, "session:active:"+u.id)
		}
		for _, key := range keys {
			requireTTL(t, ts, key, time.Hour)
		}
		require.Zero(t, db.Exists(ctx, "queue:keys", "queue:zset:canberra"+emptyHash, "session:ended:"+s.ID).Val())

		ts.matcher.endDue(ctx, s.EndAt-1)
		require.Zero(t, db.Exists(ctx, "session:ended:"+s.ID).Val(), "not before its end")
		ts.matcher.endDue(ctx, s.EndAt)
		require.Equal(t, "1", db.Get(ctx, "session:ended:"+s.ID).Val())
		requireTTL(t, ts, "session:ended:"+s.ID, time.Hour)
		require.Zero(t, db.Exists(ctx, "session:active:"+a.id, "session:active:"+b.id).Val())
		require.Equal(t, int64(2), db.Exists(ctx, "queue:matched:"+a.id, "session:state:"+s.ID).Val(), "these stay for an hour")
		require.Equal(t, "ended "+a.id+" "+b.id, heard.heard()[3])
	})
}

func requireTTL(t *testing.T, ts *testServer, key string, want time.Duration) {
	t.Helper()
	ttl := ts.store.client.PTTL(t.Context(), key).Val()
	require.True(t, want-5*time.Second < ttl && ttl <= want, "%s lives %s", key, ttl)
}

func TestLeaveAfterAMatch(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	a, b := ts.signUp(3), ts.signUp(3)
	a.join("")
	b.join("")
	ts.matcher.match(t.Context())
	require.Equal(t, notQueuedBody, a.leave().body, "matched already")
	require.Equal(t, Account{ID: a.id, Bought: 3, Balance: 2, Spent: 1}, a.account(), "not refunded")

	require.Equal(t, queuedBody("canberra"+emptyHash, 0), a.join("").body, "in a live session")
	r := a.leave()
	require.Equal(t, 200, r.status)
	require.Equal(t, `{"status":"already_matched","refunded":false,"queueKey":"canberra`+emptyHash+`"}`, r.body)
	require.Equal(t, Account{ID: a.id, Bought: 3, Balance: 1, Spent: 1, Lost: 1}, a.account())

	ts.store.embedded.FastForward(time.Hour)
	a.join("")
	require.Contains(t, a.leave().body, `"status":"left","refunded":true`, "an hour later")
}

func TestUserInALiveSessionIsMatchedAgain(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		var heard recorder
		ts := start(t, Options{RedisURL: url, observer: &heard})
		a, b, c := ts.signUp(2), ts.signUp(2), ts.signUp(2)
		a.join("")
		b.join("")
		ts.matcher.match(t.Context())
		nextMillisecond()
		a.join("")
		c.join("")
		ts.matcher.match(t.Context())
		first, second := heard.sessions()[0], heard.sessions()[1]
		active := func(u testUser) string { return ts.store.client.Get(t.Context(), "session:active:"+u.id).Val() }
		require.Equal(t, second.ID, active(a))

		ts.matcher.endDue(t.Context(), first.EndAt)
		require.Equal(t, second.ID, active(a), "the first session's end leaves the second alone")
		require.Empty(t, active(b))
		ts.matcher.endDue(t.Context(), second.EndAt)
		require.Empty(t, active(a))
		require.Empty(t, ts.matcher.active, "nothing is left of them")
		require.Equal(t, Sessions{Made: 2, Ended: 2}, ts.Stats().Sessions)
	})
}

func TestMatcherWorksByItself(t *testing.T) {
	t.Parallel()
	var heard recorder
	ts := start(t, Options{Tick: 5 * time.Millisecond, Session: 60 * time.Millisecond, observer: &heard})
	for range 4 {
		ts.signUp(1).join("")
	}
	require.Eventually(t, func() bool { return ts.Stats().Sessions == Sessions{Made: 2, Ended: 2} }, 5*time.Second, time.Millisecond)
	for _, s := range heard.sessions() {
		require.GreaterOrEqual(t, time.Now().UnixMilli(), s.EndAt)
		require.Equal(t, int64(60), s.EndAt-s.StartAt)
	}
}

// In TestTickIsSkippedWhileTheLastRuns the first tick takes two and a half intervals. Sessions end to the millisecond.
func TestTickIsSkippedWhileTheLastRuns(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	for range 8 {
		u := ts.accounts.signUp()
		require.NoError(t, u.credit(1))
		_, err := ts.queues.join(t.Context(), u, "k")
		require.NoError(t, err)
	}
	synctest.Test(t, func(t *testing.T) {
		slow := &slowObserver{start: time.Now()}
		m := newMatcher(ts.queues, ts.accounts, &store{client: ts.store.client},
			Options{Tick: contract.Tick, PairsPerTick: 1, Session: contract.Session, observer: slow})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { m.run(ctx) })
		time.Sleep(time.Minute)
		cancel()
		running.Wait()
		require.Equal(t, []time.Duration{
			500 * time.Millisecond, // runs until 1750, over the ticks of 1000 and 1500
			2000 * time.Millisecond, 2500 * time.Millisecond, 3000 * time.Millisecond,
		}, slow.matches)
		require.Equal(t, []time.Duration{
			45500 * time.Millisecond, 47000 * time.Millisecond, 47500 * time.Millisecond, 48000 * time.Millisecond,
		}, slow.ends)
	})
}

// slowObserver records when sessions begin and end, and delays the first match.
type slowObserver struct {
	nobody
	start   time.Time
	matches []time.Duration
	ends    []time.Duration
}

func (s *slowObserver) ended(session) { s.ends = append(s.ends, time.Since(s.start)) }

func (s *slowObserver) matched(session, string) {
	s.matches = append(s.matches, time.Since(s.start))
	if len(s.matches) == 1 {
		time.Sleep(1250 * time.Millisecond)
	}
}

func TestMatcherToleratesAnotherProcessInItsRedis(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		var heard recorder
		ts := start(t, Options{RedisURL: url, observer: &heard})
		var ids []string
		for range 4 {
			u := ts.signUp(1)
			u.join("")
			ids = append(ids, u.id)
			nextMillisecond()
		}
		zset := "queue:zset:canberra" + emptyHash
		require.NoError(t, ts.store.client.ZRem(t.Context(), zset, ids[0]).Err())
		ts.matcher.match(t.Context())
		require.Equal(t, [][2]string{{ids[1], ids[2]}}, pairsOf(&heard))
		require.Equal(t, []string{ids[3]}, ts.store.client.ZRange(t.Context(), zset, 0, -1).Val(), "back in its place")

		require.NoError(t, ts.store.client.ZAdd(t.Context(), zset, redis.Z{Score: 1, Member: "stranger"}).Err())
		ts.signUp(1).join("")
		ts.matcher.match(t.Context())
		require.Equal(t, [2]string{"stranger", ids[3]}, pairsOf(&heard)[1], "strangers have no account, and do no harm")
	})
}

func TestMatcherLogsThatRedisIsDown(t *testing.T) {
	t.Parallel()
	lines := make(logLines, 100)
	ts := start(t, Options{Log: textLog(lines)})
	u, v := ts.signUp(1), ts.signUp(1)
	u.join("")
	v.join("")
	ts.store.embedded.SetError("LOADING made up")
	ts.matcher.match(t.Context())
	require.Contains(t, <-lines, `msg="the matcher could not reach Redis" error="taking a pair: LOADING made up"`)
	ts.store.embedded.SetError("")
	ts.matcher.match(t.Context())
	require.Equal(t, int64(1), ts.Stats().Sessions.Made, "it goes on when Redis is back")
}

// logLines takes lines from a logger.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func pairsOf(r *recorder) [][2]string {
	var pairs [][2]string
	for _, s := range r.sessions() {
		pairs = append(pairs, [2]string{s.UserA, s.UserB})
	}
	return pairs
}

// nextMillisecond waits until the next millisecond, as join times are in milliseconds.
func nextMillisecond() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		time.Sleep(100 * time.Microsecond)
	}
}

func TestLoneKeysCostNoCommand(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	joinAlone(t, ts.Server, 100)
	before := ts.store.embedded.CommandCount()
	ts.matcher.match(t.Context())
	require.Equal(t, before, ts.store.embedded.CommandCount())
}

// Verity's matcher takes time for each user that is alone in its key, and all others wait; sessions still end on time. A pair
// that joins at a random moment waits on average half of the time between two rounds.
func TestLoneKeysKeepTheMatcherBusy(t *testing.T) {
	t.Parallel()
	for lone, between := range map[int]time.Duration{ // docs/verity-api.md: a median of 0.33, 0.95, 2.1 and 5.9 s
		0: 500 * time.Millisecond, 1000: 1500 * time.Millisecond, 3000: 3500 * time.Millisecond, 10000: 11500 * time.Millisecond,
	} {
		ts := start(t, Options{})
		joinAlone(t, ts.Server, lone)
		for range 2 * 20 {
			u := ts.accounts.signUp()
			require.NoError(t, u.credit(1))
			_, err := ts.queues.join(t.Context(), u, "k")
			require.NoError(t, err)
		}
		synctest.Test(t, func(t *testing.T) {
			heard := &slowObserver{start: time.Now(), matches: make([]time.Duration, 1)} // not the first match, so it delays none
			m := newMatcher(ts.queues, ts.accounts, &store{client: ts.store.client},
				Options{Tick: contract.Tick, PairsPerTick: 1, LoneKey: contract.LoneKey, Session: contract.Session, observer: heard})
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { m.run(ctx) })
			time.Sleep(5 * time.Minute)
			cancel()
			running.Wait()
			matches := heard.matches[1:]
			require.Len(t, matches, 20, "%d lone keys", lone)
			for i := range matches[1:] {
				require.InDelta(t, between, matches[i+1]-matches[i], float64(510*time.Millisecond), "%d lone keys", lone)
			}
			for i, end := range heard.ends {
				require.InDelta(t, contract.Session, end-matches[i], float64(2*time.Millisecond))
			}
		})
	}
}

// joinAlone queues users, each alone in its key.
func joinAlone(t testing.TB, s *Server, users int) {
	t.Helper()
	for i := range users {
		u := s.accounts.signUp()
		require.NoError(t, u.credit(1))
		_, err := s.queues.join(context.Background(), u, "lone-"+strconv.Itoa(i))
		require.NoError(t, err)
	}
}

func TestPairOrderIsThatOfRedis(t *testing.T) {
	t.Parallel()
	// Users that join in the same millisecond are ordered by id, in Redis and here.
	var heard recorder
	ts := start(t, Options{observer: &heard})
	ids := []string{"cb", "ca", "cd", "cc"}
	for _, id := range ids {
		require.NoError(t, ts.store.client.ZAdd(t.Context(), contract.RedisQueue+"k", redis.Z{Score: 5, Member: id}).Err())
	}
	ts.queues.stripe("k").waiting["k"] = len(ids)
	ts.matcher.match(t.Context())
	slices.Sort(ids)
	require.Equal(t, [][2]string{{ids[0], ids[1]}, {ids[2], ids[3]}}, pairsOf(&heard))
}

// match does one tick, without the time for lone keys.
func (m *matcher) match(ctx context.Context) {
	for m.walk(ctx) > 0 {
	}
}
