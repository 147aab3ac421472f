package standin

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
)

const (
	notQueuedBody = `{"status":"not_queued","refunded":false}`
	busyBody      = `{"message":"Queue operation in progress","error":"Conflict","statusCode":409}`
	emptyHash     = ":44136fa355b3"
)

func queuedBody(key string, position int) string {
	return fmt.Sprintf(`{"status":"queued","queueKey":%q,"position":%d}`, key, position)
}

func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		ts := start(t, Options{RedisURL: url})
		u := ts.signUp(2)
		r := u.join(`{"city":"São Paulo"}`)
		require.Equal(t, 201, r.status)
		require.Equal(t, queuedBody("s-o-paulo"+emptyHash, 0), r.body)
		require.Equal(t, Account{ID: u.id, Bought: 2, Balance: 1, Queued: 1}, u.account())

		for _, body := range []string{`{"city":"São Paulo"}`, `{"city":"x","preferences":{"a":1}}`, ``} {
			r = u.join(body)
			require.Equal(t, 201, r.status)
			require.Equal(t, `{"status":"already_queued","queueKey":"s-o-paulo`+emptyHash+`","position":0}`, r.body)
		}
		require.Equal(t, Account{ID: u.id, Bought: 2, Balance: 1, Queued: 1}, u.account(), "not charged again")

		r = u.leave()
		require.Equal(t, 200, r.status)
		require.Equal(t, `{"status":"left","refunded":true,"queueKey":"s-o-paulo`+emptyHash+`"}`, r.body)
		require.Equal(t, Account{ID: u.id, Bought: 2, Balance: 2}, u.account())
		for range 2 {
			r = u.leave()
			require.Equal(t, 200, r.status)
			require.Equal(t, notQueuedBody, r.body)
		}
		require.Equal(t, `{"tokenBalance":2}`, ts.do("GET", "/tokens/balance", "", u.bearer).body)
	})
}

func TestPositionsInTheOrderOfJoining(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	users := make([]testUser, 5)
	for i := range users {
		users[i] = ts.signUp(1)
		require.Equal(t, queuedBody("canberra"+emptyHash, i), users[i].join("").body)
	}
	require.Contains(t, users[3].join("").body, `"already_queued"`)
	require.JSONEq(t, `{"status":"left","refunded":true,"queueKey":"canberra`+emptyHash+`"}`, users[1].leave().body)
	require.Equal(t, queuedBody("canberra"+emptyHash, 4), users[1].join("").body)
}

func TestJoinRefusals(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	const broke = `{"message":"Insufficient token balance","error":"Bad Request","statusCode":400}`
	poor, gone, banned := ts.signUp(0), ts.signUp(1), ts.signUp(1)
	require.NoError(t, ts.Remove(gone.id))
	require.NoError(t, ts.Ban(banned.id))
	for _, tc := range []struct {
		name   string
		user   testUser
		status int
		body   string
	}{
		{"no token left", poor, 400, broke},
		{"token of a user who is gone", gone, 400, broke},
		{"banned", banned, 401, `{"message":"Account is temporarily suspended","error":"Unauthorized","statusCode":401}`},
	} {
		for range 2 { // no lock is left
			r := tc.user.join("")
			require.Equal(t, tc.status, r.status, tc.name)
			require.Equal(t, tc.body, r.body, tc.name)
		}
		require.Equal(t, notQueuedBody, tc.user.leave().body, tc.name)
	}
	require.Equal(t, 200, ts.buy(poor.id, 1).status)
	require.Equal(t, 201, poor.join("").status)
}

func TestQueueKeysAreThoseOfTheService(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../queue/testdata/queue-keys.json")
	require.NoError(t, err)
	var vectors []struct {
		Note        string          `json:"note"`
		City        json.RawMessage `json:"city"`
		Region      json.RawMessage `json:"region"`
		Preferences json.RawMessage `json:"preferences"`
		QueueKey    string          `json:"queueKey"`
	}
	require.NoError(t, json.Unmarshal(text, &vectors))
	require.NotEmpty(t, vectors)
	ts := start(t, Options{})
	for _, v := range vectors {
		var fields []string
		for name, value := range map[string]json.RawMessage{"city": v.City, "region": v.Region, "preferences": v.Preferences} {
			if value != nil {
				fields = append(fields, strconv.Quote(name)+":"+string(value))
			}
		}
		u := ts.signUp(1)
		r := u.join("{" + strings.Join(fields, ",") + "}")
		require.Equal(t, 201, r.status, "%s: %s", v.Note, r.body)
		require.Contains(t, r.body, `"queueKey":"`+v.QueueKey+`"`, v.Note)
	}
}

func TestAnotherOperationOfTheUserUnderWay(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		ts := start(t, Options{RedisURL: url})
		u := ts.signUp(1)
		redis := ts.store.client
		lock := func() {
			require.NoError(t, redis.Set(t.Context(), "queue:lock:"+u.id, "x", contract.RedisUserLockLife).Err())
		}

		lock()
		for _, r := range []reply{u.join(""), u.leave()} {
			require.Equal(t, 409, r.status)
			require.Equal(t, busyBody, r.body)
		}
		require.Equal(t, 1, int(u.account().Balance))
		require.NoError(t, redis.Del(t.Context(), "queue:lock:"+u.id).Err())
		require.Equal(t, 201, u.join("").status)

		lock()
		require.Equal(t, `{"status":"already_queued","queueKey":"canberra`+emptyHash+`","position":0}`, u.join("").body)
		require.Equal(t, busyBody, u.leave().body, "queued or not")
		require.Equal(t, "x", redis.Get(t.Context(), "queue:lock:"+u.id).Val(), "the other's lock was not taken off")
	})
}

func TestOverlappingOperationsOfOneUser(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Latency: 300 * time.Millisecond})
	u := ts.signUp(2)
	first := make(chan reply)
	go func() { first <- u.join(`{"city":"first"}`) }()
	locked := func() bool { return ts.store.embedded.Exists("queue:lock:" + u.id) }
	require.Eventually(t, locked, 5*time.Second, time.Millisecond)
	require.Equal(t, 409, u.join(`{"city":"second"}`).status, "not queued yet")
	require.Equal(t, queuedBody("first"+emptyHash, 0), (<-first).body)

	go func() { first <- u.leave() }()
	require.Eventually(t, locked, 5*time.Second, time.Millisecond)
	require.Contains(t, u.join("").body, "already_queued", "queued still")
	require.Equal(t, 409, u.leave().status)
	require.Contains(t, (<-first).body, `"left"`)
	require.Equal(t, Account{ID: u.id, Bought: 2, Balance: 2}, u.account())
}

func TestPositionIsNullWhereRedisHasNone(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		ts := start(t, Options{RedisURL: url})
		u := ts.signUp(2)
		u.join("")
		require.NoError(t, ts.store.client.ZRem(t.Context(), "queue:zset:canberra"+emptyHash, u.id).Err())
		require.Equal(t, `{"status":"already_queued","queueKey":"canberra`+emptyHash+`","position":null}`, u.join("").body)
		require.Equal(t, notQueuedBody, u.leave().body)
	})
}

func TestLostRefund(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u := ts.signUp(2)
	require.NoError(t, ts.LoseRefund(u.id))
	u.join("")
	require.Equal(t, `{"status":"left","refunded":false,"queueKey":"canberra`+emptyHash+`"}`, u.leave().body)
	require.Equal(t, Account{ID: u.id, Bought: 2, Balance: 1, Lost: 1}, u.account())
	u.join("")
	require.Contains(t, u.leave().body, `"refunded":true`, "only one was to get lost")
}

func TestKeysInRedisWhileQueued(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		ts := start(t, Options{RedisURL: url})
		db, ctx := ts.store.client, t.Context()
		a, b := ts.signUp(1), ts.signUp(1)
		before := time.Now().UnixMilli()
		a.join(`{"city":"a"}`)
		b.join(`{"city":"b"}`)
		after := time.Now().UnixMilli()

		require.Equal(t, "set", db.Type(ctx, "queue:keys").Val())
		require.ElementsMatch(t, []string{"a" + emptyHash, "b" + emptyHash}, db.SMembers(ctx, "queue:keys").Val())
		require.Equal(t, "zset", db.Type(ctx, "queue:zset:a"+emptyHash).Val())
		members := db.ZRangeWithScores(ctx, "queue:zset:a"+emptyHash, 0, -1).Val()
		require.Len(t, members, 1)
		require.Equal(t, a.id, members[0].Member)
		joined := int64(members[0].Score)
		require.True(t, before <= joined && joined <= after, "join time in ms")
		require.Equal(t, "string", db.Type(ctx, "queue:user:"+a.id).Val())
		require.Equal(t, fmt.Sprintf(`{"queueKey":"a%s","joinedAt":%d}`, emptyHash, joined), db.Get(ctx, "queue:user:"+a.id).Val())
		for _, key := range []string{"queue:keys", "queue:zset:a" + emptyHash, "queue:user:" + a.id} {
			require.Equal(t, time.Duration(-1), db.TTL(ctx, key).Val(), "%s does not expire", key)
		}
		require.Zero(t, db.Exists(ctx, "queue:lock:"+a.id).Val())
		queued, err := ts.Queued(ctx)
		require.NoError(t, err)
		require.Equal(t, map[string]string{a.id: "a" + emptyHash, b.id: "b" + emptyHash}, queued)

		a.leave()
		require.Zero(t, db.Exists(ctx, "queue:user:"+a.id, "queue:zset:a"+emptyHash, "queue:lock:"+a.id).Val())
		ts.matcher.match(ctx) // forgets the empty key
		require.Equal(t, []string{"b" + emptyHash}, db.SMembers(ctx, "queue:keys").Val())
	})
}

func TestLockLivesThreeSeconds(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		ts := start(t, Options{RedisURL: url})
		u := ts.accounts.find(ts.signUp(1).id)
		_, err := ts.queues.begin(t.Context(), u)
		require.NoError(t, err)
		u.operating.Unlock()
		ttl := ts.store.client.PTTL(t.Context(), "queue:lock:"+u.id).Val()
		require.True(t, 2*time.Second < ttl && ttl <= 3*time.Second, ttl)
		_, err = ts.queues.begin(t.Context(), u)
		require.ErrorIs(t, err, errBusy)
	})
}

func TestObserverIsNotifiedOfJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	var heard recorder
	ts := start(t, Options{observer: &heard})
	u := ts.signUp(1)
	u.join("")
	u.join("")
	u.leave()
	u.leave()
	require.Equal(t, []string{"joined " + u.id + " canberra" + emptyHash, "left " + u.id + " canberra" + emptyHash}, heard.heard())
}

func TestConcurrentJoinsOfOneUserChargeOnce(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		ts := start(t, Options{RedisURL: url})
		for round := range 20 {
			u := ts.signUp(5)
			queued := 0
			for _, r := range atOnce(8, func(i int) reply { return u.join(fmt.Sprintf(`{"city":"c%d"}`, i)) }) {
				switch {
				case strings.Contains(r.body, `"queued"`):
					queued++
				case r.status != 409:
					require.Contains(t, r.body, `"already_queued"`)
				}
			}
			require.Equal(t, 1, queued, "round %d", round)
			require.Equal(t, Account{ID: u.id, Bought: 5, Balance: 4, Queued: 1}, u.account())
		}
		checkQueues(t, ts)
	})
}

// TestTokensAreConserved lets users join, leave and buy concurrently, while the matcher runs.
func TestTokensAreConserved(t *testing.T) {
	t.Parallel()
	withEachRedis(t, func(t *testing.T, url string) {
		var heard recorder
		ts := start(t, Options{RedisURL: url, Tick: time.Millisecond, Session: 5 * time.Millisecond, observer: &heard})
		const users, operations = 24, 60
		all := make([]testUser, users)
		for i := range all {
			all[i] = ts.signUp(operations)
		}
		atOnce(2*users, func(i int) reply { // two clients for each user
			u := all[i%users]
			for range operations {
				var r reply
				switch rand.IntN(5) { //nolint:gosec // a test's choice
				case 0, 1, 2:
					r = u.join(fmt.Sprintf(`{"city":"c%d"}`, rand.IntN(3))) //nolint:gosec // a test's choice
				case 3:
					r = u.leave()
				case 4:
					r = ts.buy(u.id, 1)
				}
				if r.status >= 500 {
					return r
				}
			}
			return reply{}
		})
		checkQueues(t, ts)

		matches := make(map[string]int64)
		for _, s := range heard.sessions() {
			matches[s.UserA]++
			matches[s.UserB]++
			require.NotEqual(t, s.UserA, s.UserB)
		}
		stats := ts.Stats()
		require.Equal(t, 2*stats.Sessions.Made, stats.Tokens.Spent)
		require.Positive(t, stats.Tokens.Spent)
		require.Equal(t, users*operations+stats.Events.Credited-users, stats.Tokens.Bought)
		for _, u := range ts.Users() {
			require.Equal(t, matches[u.ID], u.Spent, "no match without a token, no token without a match")
		}
	})
}

// checkQueues compares the accounts, the numbers in the queues, and Redis.
func checkQueues(t *testing.T, ts *testServer) {
	t.Helper()
	for i := range ts.queues.stripes { // no lock: no tick is under way and none follows
		ts.queues.stripes[i].mu.Lock()
		t.Cleanup(ts.queues.stripes[i].mu.Unlock)
	}
	inRedis, err := ts.Queued(t.Context())
	require.NoError(t, err)
	waiting := 0
	for i := range ts.queues.stripes {
		for _, n := range ts.queues.stripes[i].waiting {
			waiting += n
		}
	}
	require.Len(t, inRedis, waiting)
	for _, u := range ts.Users() {
		require.Equal(t, u.Bought, u.Balance+u.Queued+u.Spent+u.Lost, u)
		require.GreaterOrEqual(t, u.Balance, int64(0))
		key, queued := inRedis[u.ID]
		require.Equal(t, queued, u.Queued == 1, "%v is in Redis: %v", u, queued)
		value, err := ts.store.client.Get(t.Context(), "queue:user:"+u.ID).Result()
		if queued {
			require.NoError(t, err)
			require.Contains(t, value, key)
		} else {
			require.ErrorIs(t, err, redis.Nil)
		}
	}
}

// atOnce calls do n times concurrently and returns all answers, none of which may be a 500.
func atOnce(n int, do func(i int) reply) []reply {
	replies := make([]reply, n)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = do(i) })
	}
	wg.Wait()
	return replies
}
