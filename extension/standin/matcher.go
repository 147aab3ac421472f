package standin

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// matcher pairs users and ends their sessions.
type matcher struct {
	queues   *queues
	accounts *accounts
	store    *store
	observer observer
	log      *slog.Logger

	tick     time.Duration
	pairs    int           // most pairs in one key and tick
	loneKey  time.Duration // time for a key with one user
	duration time.Duration // of a session
	early    time.Duration // how much too early sessions end

	mu      sync.Mutex        // held while sessions begin or end
	at      int               // the next stripe of the tick under way; 0: none is under way
	failed  error             // the last error of that tick
	live    []session         // sorted by their ends
	active  map[string]string // user id → the user's session
	refused share             // the sessions that end with token_error
	made    atomic.Int64      // sessions made
	over    atomic.Int64      // sessions ended
	peak    atomic.Int64      // most sessions at once
}

// session is one video session of two users.
type session struct {
	ID      string `json:"sessionId"`
	UserA   string `json:"userAId"` // the user that waited longer
	UserB   string `json:"userBId"`
	Channel string `json:"channelName"`
	StartAt int64  `json:"startAt"` // ms since the epoch
	EndAt   int64  `json:"endAt"`   // ms since the epoch

	due     int64 // when it ends, in ms since the epoch: EndAt, unless a defect changes it
	refused bool  // it never starts and ends at once, as if video were not configured
}

func newMatcher(q *queues, a *accounts, s *store, o Options) *matcher {
	return &matcher{
		queues: q, accounts: a, store: s, observer: o.observer, log: o.Log,
		tick: o.Tick, pairs: o.PairsPerTick, loneKey: o.LoneKey, duration: o.Session,
		early: o.Defects.EndEarly, refused: share{rate: o.Defects.TokenError},
		active: make(map[string]string),
	}
}

// run runs the matcher until the context ends. A tick that takes longer than the interval replaces the ticks that it overlaps.
func (m *matcher) run(ctx context.Context) {
	ticker := time.NewTicker(m.tick)
	defer ticker.Stop()
	end := time.NewTimer(time.Hour)
	defer end.Stop()
	aging := time.NewTimer(agingInterval)
	defer aging.Stop()
	lone := time.NewTimer(time.Hour) // continues the tick under way after its lone keys
	defer lone.Stop()
	underWay := false // whether a tick is
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !underWay {
				underWay = m.goOn(ctx, lone)
				skip(ticker)
			}
		case <-lone.C:
			underWay = m.goOn(ctx, lone)
		case <-end.C:
			m.endDue(ctx, time.Now().UnixMilli())
		case <-aging.C:
			aging.Reset(m.store.age())
		}
		if next, ok := m.nextEnd(); ok {
			end.Reset(time.Until(next))
		}
	}
}

// nextEnd returns when the next session ends, if there is one.
func (m *matcher) nextEnd() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.live) == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(m.live[0].due), true
}

// skip drops a tick that came while the last one ran.
func skip(ticker *time.Ticker) {
	select {
	case <-ticker.C:
	default:
	}
}

// goOn begins or continues a tick. It sets the timer and returns true if the tick must continue later.
func (m *matcher) goOn(ctx context.Context, lone *time.Timer) bool {
	pause := m.walk(ctx)
	if pause > 0 {
		lone.Reset(pause)
	}
	return pause > 0
}

// walk continues a tick up to a stripe with lone keys, and returns the time for these, or 0 at the end of the tick.
func (m *matcher) walk(ctx context.Context) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.at < len(m.queues.stripes) {
		alone, err := m.matchStripe(ctx, &m.queues.stripes[m.at])
		m.at++
		if err != nil {
			m.failed = err
		}
		if pause := time.Duration(alone) * m.loneKey; pause > 0 {
			return pause
		}
	}
	if m.failed != nil && ctx.Err() == nil {
		m.log.Warn("the matcher could not reach Redis", "error", m.failed)
	}
	m.at, m.failed = 0, nil
	return 0
}

// crowd is a queue key with at least one pair of users.
type crowd struct {
	queueKey string
	take     int // number of users to take, even
	taken    *redis.ZSliceCmd
}

// match is a new session and the queue key of its users.
type match struct {
	session  session
	queueKey string
}

// matchStripe pairs users in each of the stripe's keys, in two round trips to Redis, or in none if no user has a partner. It
// returns the number of keys with one user.
func (m *matcher) matchStripe(ctx context.Context, st *stripe) (alone int, failed error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	commit := m.queues.redis.Pipeline()
	var matches []match
	crowds, alone := m.takeCrowds(ctx, st)
	for _, c := range crowds {
		if err := c.taken.Err(); err != nil {
			failed = fmt.Errorf("taking a pair: %w", err)
			continue
		}
		users := m.settle(ctx, commit, st, c)
		for i := 0; i < len(users); i += 2 {
			matches = append(matches, match{m.pair(ctx, commit, users[i], users[i+1]), c.queueKey})
		}
	}
	forgetEmpty(ctx, commit, st)
	if commit.Len() > 0 {
		if _, err := commit.Exec(ctx); err != nil {
			failed = fmt.Errorf("making a session: %w", err)
		}
	}
	for _, made := range matches {
		m.observer.matched(made.session, made.queueKey)
	}
	return alone, failed
}

// settle updates the count of a crowd whose users were taken, and returns an even number of them. If another process took users
// from this Redis, there are fewer than expected, none is left in the queue, and an odd one is put back.
func (m *matcher) settle(ctx context.Context, pipe redis.Pipeliner, st *stripe, c crowd) []redis.Z {
	users := c.taken.Val()
	if len(users) == c.take {
		st.waiting[c.queueKey] -= c.take
		return users
	}
	st.waiting[c.queueKey] = len(users) % 2
	if even := len(users) &^ 1; even < len(users) {
		pipe.ZAdd(ctx, contract.RedisQueue+c.queueKey, users[even])
		return users[:even]
	}
	return users
}

// takeCrowds pops the users that have waited longest from each key, and counts the keys with one user.
func (m *matcher) takeCrowds(ctx context.Context, st *stripe) (crowds []crowd, alone int) {
	pipe := m.queues.redis.Pipeline()
	for key, waiting := range st.waiting {
		if waiting < 2 {
			alone += waiting
			continue
		}
		take := min(waiting/2, m.pairs) * 2
		crowds = append(crowds, crowd{key, take, pipe.ZPopMin(ctx, contract.RedisQueue+key, int64(take))})
	}
	if len(crowds) > 0 {
		_, _ = pipe.Exec(ctx) // each command has its own error
	}
	return crowds, alone
}

// forgetEmpty removes the keys without users.
func forgetEmpty(ctx context.Context, pipe redis.Pipeliner, st *stripe) {
	var empty []any
	for key, waiting := range st.waiting {
		if waiting == 0 {
			empty = append(empty, key)
			delete(st.waiting, key)
		}
	}
	if len(empty) > 0 {
		pipe.SRem(ctx, contract.RedisQueueKeys, empty...)
	}
}

// pair begins a session of the two users.
func (m *matcher) pair(ctx context.Context, pipe redis.Pipeliner, a, b redis.Z) session {
	now := time.Now()
	s := session{ID: newID(), StartAt: now.UnixMilli(), EndAt: now.Add(m.duration).UnixMilli()}
	s.UserA, _ = a.Member.(string)
	s.UserB, _ = b.Member.(string)
	s.Channel = channelOf(s.ID)

	pipe.Del(ctx, contract.RedisUser+s.UserA, contract.RedisUser+s.UserB)
	pipe.Set(ctx, contract.RedisSession+s.ID, encodeJSON(s), contract.RedisMatchLife)
	for _, id := range []string{s.UserA, s.UserB} {
		pipe.Set(ctx, contract.RedisMatched+id, s.ID, contract.RedisMatchLife)
		pipe.Set(ctx, contract.RedisActive+id, s.ID, contract.RedisMatchLife)
		m.active[id] = s.ID
		if u := m.accounts.find(id); u != nil {
			u.spend()
		}
	}
	m.made.Add(1)
	return m.begin(s)
}

func channelOf(sessionID string) string { return "session_" + sessionID }

// begin adds the session to the live ones, with the time at which it ends.
func (m *matcher) begin(s session) session {
	s.due, s.refused = s.EndAt-m.early.Milliseconds(), m.refused.next()
	if s.refused {
		s.due = s.StartAt
		m.live = slices.Insert(m.live, 0, s)
	} else {
		m.live = append(m.live, s)
	}
	m.peak.Store(max(m.peak.Load(), int64(len(m.live))))
	return s
}

// endDue ends the sessions whose time is over. A user in another session by then stays in that.
func (m *matcher) endDue(ctx context.Context, now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []session
	for len(m.live) > 0 && m.live[0].due <= now {
		due = append(due, m.live[0])
		m.live = m.live[1:]
	}
	if len(due) == 0 {
		return
	}
	pipe := m.queues.redis.Pipeline()
	for _, s := range due {
		pipe.Set(ctx, contract.RedisEnded+s.ID, "1", contract.RedisMatchLife)
		for _, id := range []string{s.UserA, s.UserB} {
			if m.active[id] == s.ID {
				delete(m.active, id)
				pipe.Del(ctx, contract.RedisActive+id)
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && ctx.Err() == nil {
		m.log.Warn("the matcher could not end sessions in Redis", "error", err)
	}
	for _, s := range due {
		m.over.Add(1)
		m.observer.ended(s)
	}
}
