package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// The refusals of a join or a leave.
var (
	errNoTokens  = deny(http.StatusBadRequest, contract.SaysNoTokens)
	errSuspended = deny(http.StatusUnauthorized, contract.SaysSuspended)
	errBusy      = deny(http.StatusConflict, contract.SaysQueueBusy)
)

// stripes is how many locks the queues share.
const stripes = 64

// queues are the queues in Redis, which is the truth. Besides Redis there is only the number of users in each key, so that the
// matcher reads only keys with a pair from Redis.
//
// Joins, leaves and the matcher lock a key's stripe while they change the key in Redis. So the number is exact, the matcher
// never takes a user without a partner, and a leave finds its user either queued or matched.
type queues struct {
	redis    *redis.Client
	observer observer
	pause    func() // the latency of an operation
	seed     maphash.Seed
	stripes  [stripes]stripe
}

type stripe struct {
	mu      sync.Mutex
	waiting map[string]int // queue key → number of users; 0 until the matcher removes the key
}

func newQueues(client *redis.Client, o observer, pause func()) *queues {
	q := &queues{redis: client, observer: o, pause: pause, seed: maphash.MakeSeed()}
	for i := range q.stripes {
		q.stripes[i].waiting = make(map[string]int)
	}
	return q
}

func (q *queues) stripe(key string) *stripe {
	return &q.stripes[maphash.String(q.seed, key)%stripes]
}

// entry is the value of queue:user:<userId>.
type entry struct {
	QueueKey string `json:"queueKey"`
	JoinedAt int64  `json:"joinedAt"` // ms since the epoch
}

// waiter is the state of a user in Redis.
type waiter struct {
	queueKey string // "": in no queue
	matched  bool   // within the last hour
}

// place is the answer to a join.
type place struct {
	status   contract.JoinStatus
	queueKey string
	position *int64 // from 0; nil: the user is matched already
}

// join queues the user under the key and charges a token, unless the user is queued already.
func (q *queues) join(ctx context.Context, u *user, key string) (place, error) {
	if u.isBanned() {
		return place{}, errSuspended
	}
	w, err := q.begin(ctx, u)
	if errors.Is(err, errBusy) {
		return q.joinWhileBusy(ctx, u)
	}
	if err != nil {
		return place{}, err
	}
	defer u.operating.Unlock()
	q.pause()
	if w.queueKey != "" {
		return q.alreadyQueued(ctx, u, w.queueKey, true)
	}
	if !u.pay() {
		if err := q.redis.Del(ctx, contract.RedisUserLock+u.id).Err(); err != nil {
			return place{}, fmt.Errorf("unlocking a queue: %w", err)
		}
		return place{}, errNoTokens
	}
	position, err := q.enter(ctx, u, key)
	if err != nil {
		u.refund()
		return place{}, err
	}
	return place{contract.JoinQueued, key, &position}, nil
}

// begin locks the user in this process and in Redis, where the lock expires after 3 s, and reads the user's state. It returns
// errBusy if another operation of the user holds a lock. The caller must unlock both.
func (q *queues) begin(ctx context.Context, u *user) (waiter, error) {
	if !u.operating.TryLock() {
		return waiter{}, errBusy
	}
	pipe := q.redis.Pipeline()
	lock := pipe.SetArgs(ctx, contract.RedisUserLock+u.id, "1", redis.SetArgs{Mode: "NX", TTL: contract.RedisUserLockLife})
	value := pipe.Get(ctx, contract.RedisUser+u.id)
	matched := pipe.Exists(ctx, contract.RedisMatched+u.id)
	_, _ = pipe.Exec(ctx) // each command has its own error
	w, err := readWaiter(value, matched)
	if err == nil {
		err = lock.Err()
	}
	if err == nil {
		return w, nil
	}
	u.operating.Unlock()
	if errors.Is(err, redis.Nil) {
		return waiter{}, errBusy
	}
	return waiter{}, fmt.Errorf("locking a queue: %w", err)
}

func readWaiter(value *redis.StringCmd, matched *redis.IntCmd) (waiter, error) {
	key, err := queueKeyOf(value)
	if err != nil {
		return waiter{}, err
	}
	return waiter{queueKey: key, matched: matched.Val() > 0}, matched.Err()
}

// queueKeyOf returns the queue key of an entry, or "" if there is none: the user is in no queue.
func queueKeyOf(value *redis.StringCmd) (string, error) {
	text, err := value.Bytes()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return "", fmt.Errorf("entry of a queued user: %w", err)
	}
	return e.QueueKey, nil
}

// joinWhileBusy answers a join while another operation of the user is under way.
func (q *queues) joinWhileBusy(ctx context.Context, u *user) (place, error) {
	key, err := queueKeyOf(q.redis.Get(ctx, contract.RedisUser+u.id))
	if err != nil {
		return place{}, fmt.Errorf("reading a queue: %w", err)
	}
	if key == "" {
		return place{}, errBusy
	}
	return q.alreadyQueued(ctx, u, key, false)
}

// alreadyQueued returns the user's place, and unlocks the user in Redis if unlock is set.
func (q *queues) alreadyQueued(ctx context.Context, u *user, key string, unlock bool) (place, error) {
	pipe := q.redis.Pipeline()
	rank := pipe.ZRank(ctx, contract.RedisQueue+key, u.id)
	if unlock {
		pipe.Del(ctx, contract.RedisUserLock+u.id)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return place{}, fmt.Errorf("reading a queue: %w", err)
	}
	p := place{status: contract.JoinAlreadyQueued, queueKey: key}
	if position, err := rank.Result(); err == nil {
		p.position = &position
	}
	return p, nil
}

// enter appends the user to the queue, returns its position, which is the previous length, and unlocks the user in Redis.
func (q *queues) enter(ctx context.Context, u *user, key string) (int64, error) {
	st := q.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now().UnixMilli()
	value := make([]byte, 0, 128)
	value = append(append(value, `{"queueKey":"`...), key...)
	value = append(strconv.AppendInt(append(value, `","joinedAt":`...), now, 10), '}')

	pipe := q.redis.Pipeline()
	pipe.SAdd(ctx, contract.RedisQueueKeys, key)
	pipe.Set(ctx, contract.RedisUser+u.id, value, 0)
	pipe.ZAdd(ctx, contract.RedisQueue+key, redis.Z{Score: float64(now), Member: u.id})
	pipe.Del(ctx, contract.RedisUserLock+u.id)
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("entering a queue: %w", err)
	}
	position := st.waiting[key]
	st.waiting[key]++
	q.observer.joined(u.id, key)
	return int64(position), nil
}

// departure is the answer to a leave.
type departure struct {
	status   contract.LeaveStatus
	refunded bool
	queueKey string
}

// leave removes the user from its queue and refunds its token, unless the user was matched within the last hour.
func (q *queues) leave(ctx context.Context, u *user) (departure, error) {
	w, err := q.begin(ctx, u)
	if err != nil {
		return departure{}, err
	}
	defer u.operating.Unlock()
	q.pause()
	was, err := q.exit(ctx, u, w.queueKey)
	if err != nil {
		return departure{}, err
	}
	if !was {
		return departure{status: contract.LeaveNotQueued}, nil
	}
	switch {
	case w.matched:
		u.forfeit()
		return departure{contract.LeaveAlreadyMatched, false, w.queueKey}, nil
	case u.losesRefund():
		u.forfeit()
		return departure{contract.LeaveLeft, false, w.queueKey}, nil
	default:
		u.refund()
		return departure{contract.LeaveLeft, true, w.queueKey}, nil
	}
}

// vacate removes the user from its queue, as Verity does when a socket closes: it always refunds the token.
func (q *queues) vacate(ctx context.Context, u *user) error {
	w, err := q.begin(ctx, u)
	if err != nil {
		return err
	}
	defer u.operating.Unlock()
	was, err := q.exit(ctx, u, w.queueKey)
	if was {
		u.refund()
	}
	return err
}

// exit removes the user from the queue and unlocks the user in Redis. It reports whether the user was in the queue: the matcher
// may have been faster.
func (q *queues) exit(ctx context.Context, u *user, key string) (bool, error) {
	if key == "" {
		if err := q.redis.Del(ctx, contract.RedisUserLock+u.id).Err(); err != nil {
			return false, fmt.Errorf("unlocking a queue: %w", err)
		}
		return false, nil
	}
	st := q.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	pipe := q.redis.Pipeline()
	removed := pipe.ZRem(ctx, contract.RedisQueue+key, u.id)
	pipe.Del(ctx, contract.RedisUser+u.id, contract.RedisUserLock+u.id)
	if _, err := pipe.Exec(ctx); err != nil {
		return false, fmt.Errorf("leaving a queue: %w", err)
	}
	if removed.Val() == 0 {
		return false, nil
	}
	st.waiting[key]--
	q.observer.left(u.id, key)
	return true, nil
}

// members returns the queue key of each user in a queue's sorted set, by user id.
func (q *queues) members(ctx context.Context) (map[string]string, error) {
	keys, err := q.redis.SMembers(ctx, contract.RedisQueueKeys).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the queues: %w", err)
	}
	pipe := q.redis.Pipeline()
	sets := make([]*redis.StringSliceCmd, len(keys))
	for i, key := range keys {
		sets[i] = pipe.ZRange(ctx, contract.RedisQueue+key, 0, -1)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading the queues: %w", err)
	}
	members := make(map[string]string)
	for i, key := range keys {
		for _, id := range sets[i].Val() {
			members[id] = key
		}
	}
	return members, nil
}

// clear removes all queues and their users from Redis.
func (q *queues) clear(ctx context.Context) error {
	members, err := q.members(ctx)
	if err != nil {
		return err
	}
	pipe := q.redis.Pipeline()
	for id, key := range members {
		pipe.Del(ctx, contract.RedisUser+id, contract.RedisQueue+key)
	}
	pipe.Del(ctx, contract.RedisQueueKeys)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("clearing the queues: %w", err)
	}
	return nil
}
