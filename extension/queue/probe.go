package queue

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/verity-app/xk6-verity/extension/address"
	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
)

const (
	// pageSize is how many elements a scan visits in one command, which blocks Redis for less than a millisecond.
	pageSize = 2000
	// pipelineSize is how many short commands are sent together; Redis serves other clients between them.
	pipelineSize = 10_000
)

// go-redis would log each failed dial to standard error; a Probe returns it as an error.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Probe reads from Verity's Redis how many users are queued. It writes nothing, and scans in pages instead of listing all keys,
// so as not to block Redis. It is safe for concurrent use, and reconnects within about a second after Redis was down.
type Probe struct {
	client *redis.Client
	tls    *tls.Config // nil: a redis:// URL
}

// Depths are the numbers of queued users. They are read one key after the other, not at one moment.
type Depths struct {
	// Total is the sum of Keys.
	Total int
	// Keys has the depth of each queue key that Redis lists, including 0.
	Keys map[string]int
}

// Ghost is a user whose state and queue in Redis contradict each other.
type Ghost struct{ User, QueueKey string }

// Ghosts are the contradictions between the states of users and the queues.
type Ghosts struct {
	// Members are in the queue of a key without a state that names this key: they may be matched without learning of it.
	Members []Ghost
	// States name a key whose queue does not have the user, who waits for ever and cannot join.
	States []Ghost
}

// URLError is a fault in the URL of a Redis, without quoting the URL.
type URLError struct{ Fault string }

func (e *URLError) Error() string { return "redis URL: " + e.Fault }

// NewProbe returns a Probe of the Redis at this URL, redis://[user:password@]host[:port][/database], or rediss:// for TLS.
// It does not connect. The errors of a Probe show no part of the URL except the host's address.
func NewProbe(redisURL string) (*Probe, error) {
	options, err := redis.ParseURL(redisURL)
	if fault := whatIsWrong(redisURL, err); fault != "" {
		return nil, &URLError{fault + "; give redis://[user:password@]host[:port][/database], or rediss:// for TLS"}
	}
	options.PoolSize = 2
	options.DialerRetries = 1 // commands are repeated, and so is a probe
	options.ContextTimeoutEnabled = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Probe{redis.NewClient(options), options.TLSConfig}, nil
}

// whatIsWrong returns the fault of a URL, or "". It quotes nothing, since any part of a URL that does not parse may be the
// password. It checks host, port and database itself: go-redis takes an empty host for this machine, and accepts any number.
func whatIsWrong(redisURL string, refused error) string {
	u, err := url.Parse(redisURL)
	switch {
	case err != nil:
		return "it does not parse (a password may need percent-encoding)"
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return "its scheme is neither redis nor rediss"
	case address.HostFault(u) != "":
		return "it has no host, or a port that is not from 1 to 65535"
	case refused != nil && u.RawQuery != "":
		return "its query is not one that go-redis takes"
	case refused != nil, negative(u.Path), negative(u.Query().Get("db")):
		return "its path is not a database number"
	}
	return ""
}

func negative(number string) bool { return strings.HasPrefix(strings.TrimPrefix(number, "/"), "-") }

// Close closes the connections.
func (p *Probe) Close() error { return p.client.Close() }

// Depths reads how many users are queued in each key.
func (p *Probe) Depths(ctx context.Context) (Depths, error) {
	depths, err := p.depths(ctx)
	if err != nil {
		return Depths{}, fmt.Errorf("queue depths from Redis: %w", plain.Error(p.explain(ctx, err)))
	}
	return depths, nil
}

func (p *Probe) depths(ctx context.Context) (Depths, error) {
	keys, err := p.keys(ctx)
	if err != nil {
		return Depths{}, err
	}
	depths := Depths{Keys: make(map[string]int, len(keys))}
	for batch := range slices.Chunk(keys, pipelineSize) {
		cards := make([]*redis.IntCmd, len(batch))
		err := p.pipeline(ctx, func(pipe redis.Pipeliner) {
			for i, key := range batch {
				cards[i] = pipe.ZCard(ctx, contract.RedisQueue+key)
			}
		})
		if err != nil {
			return Depths{}, err
		}
		for i, key := range batch { // a scan may return a key twice
			depth := int(cards[i].Val())
			depths.Total += depth - depths.Keys[key]
			depths.Keys[key] = depth
		}
	}
	return depths, nil
}

// Ghosts returns the contradictions between the states of users and the queues. Call it when no user joins, leaves or is
// matched any more. Each finding is read a second time, in case the user moved between the reads.
func (p *Probe) Ghosts(ctx context.Context) (Ghosts, error) {
	ghosts, err := p.ghosts(ctx)
	if err != nil {
		return Ghosts{}, fmt.Errorf("queue ghosts from Redis: %w", plain.Error(p.explain(ctx, err)))
	}
	return ghosts, nil
}

func (p *Probe) ghosts(ctx context.Context) (Ghosts, error) {
	states, err := p.states(ctx)
	if err != nil {
		return Ghosts{}, err
	}
	members, err := p.members(ctx)
	if err != nil {
		return Ghosts{}, err
	}
	var suspects []Ghost
	for member := range members {
		if !states[member] {
			suspects = append(suspects, member)
		}
	}
	for state := range states {
		if !members[state] {
			suspects = append(suspects, state)
		}
	}
	slices.SortFunc(suspects, func(a, b Ghost) int {
		return cmp.Or(cmp.Compare(a.QueueKey, b.QueueKey), cmp.Compare(a.User, b.User))
	})

	var ghosts Ghosts
	for batch := range slices.Chunk(suspects, pipelineSize) {
		if err := p.lookAgain(ctx, batch, &ghosts); err != nil {
			return Ghosts{}, err
		}
	}
	return ghosts, nil
}

// Matched returns how many of these users the service matched within the last hour.
func (p *Probe) Matched(ctx context.Context, users []string) (int, error) {
	found := make([]*redis.IntCmd, len(users))
	err := p.pipeline(ctx, func(pipe redis.Pipeliner) {
		for i, user := range users {
			found[i] = pipe.Exists(ctx, contract.RedisMatched+user)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("matches of users from Redis: %w", plain.Error(p.explain(ctx, err)))
	}
	matched := 0
	for _, exists := range found {
		matched += int(exists.Val())
	}
	return matched, nil
}

// InSession returns the number of users in a session.
func (p *Probe) InSession(ctx context.Context) (int, error) {
	active, err := scanAll(func(cursor uint64) *redis.ScanCmd {
		return p.client.Scan(ctx, cursor, contract.RedisActive+"*", pageSize)
	})
	if err != nil {
		return 0, fmt.Errorf("users in sessions from Redis: %w", plain.Error(p.explain(ctx, err)))
	}
	slices.Sort(active) // a scan may return an element twice
	return len(slices.Compact(active)), nil
}

// states returns the queue keys that the states of all users name.
func (p *Probe) states(ctx context.Context) (map[Ghost]bool, error) {
	found, err := scanAll(func(cursor uint64) *redis.ScanCmd {
		return p.client.Scan(ctx, cursor, contract.RedisUser+"*", pageSize)
	})
	if err != nil {
		return nil, err
	}
	states := make(map[Ghost]bool, len(found))
	for batch := range slices.Chunk(found, pageSize) {
		values, err := p.client.MGet(ctx, batch...).Result()
		if err != nil {
			return nil, err
		}
		for i, value := range values {
			if state, ok := value.(string); ok {
				states[Ghost{User: strings.TrimPrefix(batch[i], contract.RedisUser), QueueKey: keyOfState(state)}] = true
			}
		}
	}
	return states, nil
}

// keyOfState returns the queue key of a state, or "" if the state cannot be read.
func keyOfState(state string) string {
	var content struct{ QueueKey string }
	if json.Unmarshal([]byte(state), &content) != nil {
		return ""
	}
	return content.QueueKey
}

// members returns the users in the queues of all keys.
func (p *Probe) members(ctx context.Context) (map[Ghost]bool, error) {
	keys, err := p.keys(ctx)
	if err != nil {
		return nil, err
	}
	members := map[Ghost]bool{}
	for batch := range slices.Chunk(keys, pageSize) {
		first := make([]*redis.ScanCmd, len(batch))
		err := p.pipeline(ctx, func(pipe redis.Pipeliner) {
			for i, key := range batch {
				first[i] = pipe.ZScan(ctx, contract.RedisQueue+key, 0, "", pageSize)
			}
		})
		if err != nil {
			return nil, err
		}
		for i, key := range batch {
			scored, err := scanAll(func(cursor uint64) *redis.ScanCmd {
				if cursor == 0 {
					return first[i]
				}
				return p.client.ZScan(ctx, contract.RedisQueue+key, cursor, "", pageSize)
			})
			if err != nil {
				return nil, err
			}
			for member := range slices.Chunk(scored, 2) { // pairs of user and score
				members[Ghost{User: member[0], QueueKey: key}] = true
			}
		}
	}
	return members, nil
}

// lookAgain reads suspects again, and adds to ghosts those that still contradict.
func (p *Probe) lookAgain(ctx context.Context, suspects []Ghost, ghosts *Ghosts) error {
	states, scores := make([]*redis.StringCmd, len(suspects)), make([]*redis.FloatCmd, len(suspects))
	err := p.pipeline(ctx, func(pipe redis.Pipeliner) {
		for i, suspect := range suspects {
			states[i] = pipe.Get(ctx, contract.RedisUser+suspect.User)
			scores[i] = pipe.ZScore(ctx, contract.RedisQueue+suspect.QueueKey, suspect.User)
		}
	})
	if err != nil {
		return err
	}
	for i, suspect := range suspects {
		hasState := states[i].Err() == nil && keyOfState(states[i].Val()) == suspect.QueueKey
		isMember := scores[i].Err() == nil
		switch {
		case isMember && !hasState:
			ghosts.Members = append(ghosts.Members, suspect)
		case hasState && !isMember:
			ghosts.States = append(ghosts.States, suspect)
		}
	}
	return nil
}

// keys returns all queue keys; some may be repeated.
func (p *Probe) keys(ctx context.Context) ([]string, error) {
	return scanAll(func(cursor uint64) *redis.ScanCmd {
		return p.client.SScan(ctx, contract.RedisQueueKeys, cursor, "", pageSize)
	})
}

// scanAll returns the elements of all pages of a scan.
func scanAll(scan func(cursor uint64) *redis.ScanCmd) ([]string, error) {
	var all []string
	for cursor := uint64(0); ; {
		page, next, err := scan(cursor).Result()
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == 0 {
			return all, nil
		}
		cursor = next
	}
}

// pipeline sends commands together. A command whose result is nil is no error.
func (p *Probe) pipeline(ctx context.Context, commands func(redis.Pipeliner)) error {
	sent, _ := p.client.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each command has its own error
		commands(pipe)
		return nil
	})
	for _, command := range sent {
		if err := command.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}
