package queue

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
)

// Mode is how a run places its users.
type Mode string

const (
	// Isolated gives each user its own key: joins without matches.
	Isolated Mode = "isolated"
	// Shared spreads the users evenly over a number of keys, within which they match.
	Shared Mode = "shared"
)

// ShardOptions describes the users of one test and where they join.
type ShardOptions struct {
	// City and Region are sent unchanged in each join; nil leaves the field out.
	City, Region *string
	// Mode is Isolated or Shared.
	Mode Mode
	// Users is the number of users of the whole test, all runners together.
	Users int
	// Shards is the number of shards of the whole test, 1 to Users/2; 0 plans it for Load. Isolated mode ignores it.
	Shards int
	// Load is the load to plan the shards for; its Users are ignored. If it is zero, users hold sessions of 45 s.
	Load Load
	// Namespace is added to the preferences if it is set, so that users of two runs on one service do not match.
	Namespace string
	// RunnerUsers has the number of users of each runner, in an order that is the same on all runners (in k6: that of the
	// execution segment sequence). nil means that one runner has all users.
	RunnerUsers []int
	// Runner is the index of this runner in RunnerUsers.
	Runner int
}

// Place is where a user joins.
type Place struct {
	// City and Region are sent unchanged; nil is left out.
	City, Region *string
	// Preferences is a JSON object. It must not be changed.
	Preferences json.RawMessage
	// QueueKey is the key under which the service queues a join with these fields.
	QueueKey string
	// Shard is the index of the key in [Shards.Keys]; 0 in isolated mode.
	Shard int
}

// Shards places the users of one runner. In shared mode a place depends only on the options and the user's number, so that a
// rerun repeats it. In isolated mode no two Shards give the same key. Shards is safe for concurrent use.
type Shards struct {
	places []Place // shared mode: one for each shard of the whole test
	first  int     // this runner's shards are places[first : first+count]
	count  int
	users  int // of this runner

	isolated Place  // isolated mode: the common part of all places, with the QueueKey up to the colon
	seed     []byte // isolated mode: the preferences up to the user's number
}

// NewShards distributes the shards of the test over its runners. In shared mode:
//
//   - A shard belongs to one runner, so that partners are on the same runner. Fewer shards than runners are an error.
//   - Each runner with users gets one shard, and each further shard goes to the runner with the most users a shard. Runners
//     with equal users differ by at most one shard, and by none if the number of shards is a multiple of the number of
//     runners. Planned shards are rounded up to such a multiple, if there are enough users.
//   - A runner's shards differ by at most two users, and each has two or more. A runner with a single user is an error.
//
// The error is a [*Refusal] if the service would refuse the joins.
func NewShards(o ShardOptions) (*Shards, error) {
	runners := o.RunnerUsers
	if runners == nil {
		runners = []int{o.Users}
	}
	if err := o.check(runners); err != nil {
		return nil, err
	}
	if o.Mode == Isolated {
		return newIsolated(o, runners)
	}
	return newShared(o, runners)
}

func (o ShardOptions) check(runners []int) error {
	if o.Mode != Isolated && o.Mode != Shared {
		return fmt.Errorf("mode: %q; set %q or %q", o.Mode, Isolated, Shared)
	}
	if o.Users < 1 {
		return fmt.Errorf("users: %d; set 1 or more", o.Users)
	}
	if o.Shards < 0 {
		return fmt.Errorf("shards: %d; set 1 or more, or 0 to have them planned", o.Shards)
	}
	if o.Runner < 0 || o.Runner >= len(runners) {
		return fmt.Errorf("runner: %d of %d; set 0 to %d", o.Runner, len(runners), len(runners)-1)
	}
	sum := 0
	for i, users := range runners {
		if users < 0 {
			return fmt.Errorf("users of runner %d: %d; set 0 or more", i, users)
		}
		sum += users
	}
	if sum != o.Users {
		return fmt.Errorf("users: %d, but the runners have %d together; set the same", o.Users, sum)
	}
	return nil
}

func newIsolated(o ShardOptions, runners []int) (*Shards, error) {
	key, err := Key(joinBodyOf(o.City, o.Region, nil))
	if err != nil {
		return nil, err
	}
	return &Shards{
		users:    runners[o.Runner],
		isolated: Place{City: o.City, Region: o.Region, QueueKey: key[:len(key)-2*hashBytes]},
		seed:     fmt.Appendf(nil, `{%s"seed":"%s-`, namespaceMember(o.Namespace), rand.Text()),
	}, nil
}

func newShared(o ShardOptions, runners []int) (*Shards, error) {
	shards, err := shardsOf(o, runners)
	if err != nil {
		return nil, err
	}
	counts, err := deal(shards, runners)
	if err != nil {
		return nil, err
	}
	s := &Shards{users: runners[o.Runner], count: counts[o.Runner], places: make([]Place, shards)}
	for _, count := range counts[:o.Runner] {
		s.first += count
	}
	for i := range s.places {
		preferences := json.RawMessage(`{"mode":"shared"}`)
		if shards > 1 || o.Namespace != "" {
			preferences = fmt.Appendf(nil, `{"mode":"shared",%s"shard":%d}`, namespaceMember(o.Namespace), i)
		}
		key, err := Key(joinBodyOf(o.City, o.Region, preferences))
		if err != nil {
			return nil, err
		}
		s.places[i] = Place{City: o.City, Region: o.Region, Preferences: preferences, QueueKey: key, Shard: i}
	}
	return s, nil
}

// shardsOf returns the number of shards of the whole test.
func shardsOf(o ShardOptions, runners []int) (int, error) {
	if o.Shards > 0 {
		return o.Shards, nil
	}
	load := o.Load
	load.Users = 0
	if load == (Load{}) {
		load.HoldSeconds = sessionSeconds
	}
	load.Users = o.Users
	plan, err := PlanQueue(load)
	if err != nil {
		return 0, err
	}
	active, most := 0, 0
	for _, users := range runners {
		active += min(users, 1)
		most += users / 2
	}
	rounded := (plan.Shards + active - 1) / active * active
	return min(rounded, max(most, active)), nil
}

// deal returns how many shards each runner gets.
func deal(shards int, runners []int) ([]int, error) {
	counts := make([]int, len(runners))
	total, most, active := 0, 0, 0
	for i, users := range runners {
		if users == 1 {
			return nil, fmt.Errorf("users of runner %d: 1; set 2 or more, or fewer runners, for a user alone has no partner", i)
		}
		counts[i] = min(users, 1)
		active += counts[i]
		total += users
		most += users / 2
	}
	if shards < active {
		return nil, fmt.Errorf("shards: %d for %d runners; set %d or more, for a shard belongs to one runner",
			shards, active, active)
	}
	if shards > most {
		return nil, fmt.Errorf("shards: %d for %d users; set %d or less, for a shard needs two users of one runner",
			shards, total, most)
	}
	for range shards - active {
		fullest := -1
		for i, users := range runners {
			if counts[i] == users/2 {
				continue
			}
			if fullest < 0 || users*counts[fullest] > runners[fullest]*counts[i] {
				fullest = i
			}
		}
		counts[fullest]++
	}
	return counts, nil
}

// Keys returns the queue keys of all shards of the test, by index; none in isolated mode.
func (s *Shards) Keys() []string {
	keys := make([]string, len(s.places))
	for i := range s.places {
		keys[i] = s.places[i].QueueKey
	}
	return keys
}

// Place returns where a user joins, given its number on this runner, from 0. In k6, with u users a VU, the number of the i-th
// user of a VU is (idInInstance−1)·u + i, which numbers the users of a runner without gaps for any execution segment. Users 2k
// and 2k+1 share a shard; a last user without partner shares that of a pair.
//
// In isolated mode a user always has the same key, which no other user has, nor one of the predecessors that had this number: they may
// still be queued.
func (s *Shards) Place(user, predecessors int) (Place, error) {
	if user < 0 || user >= s.users {
		return Place{}, fmt.Errorf("user: %d; this runner has %d, numbered from 0", user, s.users)
	}
	if s.seed == nil {
		return s.places[s.first+user/2%s.count], nil
	}
	preferences := make([]byte, 0, len(s.seed)+24)
	preferences = append(preferences, s.seed...)
	preferences = strconv.AppendInt(preferences, int64(user), 10)
	if predecessors > 0 {
		preferences = strconv.AppendInt(append(preferences, '.'), int64(predecessors), 10)
	}
	preferences = append(preferences, `"}`...)

	place := s.isolated
	place.Preferences = preferences // already in canonical form
	place.QueueKey = string(appendHash(append(make([]byte, 0, 64), place.QueueKey...), preferences))
	return place, nil
}

// namespaceMember returns the member of the preferences that separates two runs, with a comma, or "".
func namespaceMember(namespace string) string {
	if namespace == "" {
		return ""
	}
	return `"namespace":` + quoteCanonical(namespace) + `,`
}

// quoteCanonical quotes a text as in the canonical form, which is JSON too.
func quoteCanonical(text string) string {
	s := scanner{out: []byte{'"'}}
	for _, r := range text {
		s.writeEscaped(r)
	}
	return string(append(s.out, '"'))
}

// Body returns the body of POST /queue/join.
func (p Place) Body() []byte { return joinBodyOf(p.City, p.Region, p.Preferences) }

// joinBodyOf returns the body of a join.
func joinBodyOf(city, region *string, preferences json.RawMessage) []byte {
	body, _ := json.Marshal(struct { // strings and our own JSON always marshal
		City        *string         `json:"city,omitempty"`
		Region      *string         `json:"region,omitempty"`
		Preferences json.RawMessage `json:"preferences,omitempty"`
	}{city, region, preferences})
	return body
}

// Layouts are the shards of a process, laid out once for each set of options. It is safe for concurrent use.
type Layouts struct {
	mu    sync.Mutex
	known map[string]*Shards // by their options, as JSON
}

// Of returns the shards with these options.
func (l *Layouts) Of(o ShardOptions) (*Shards, error) {
	key, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.known[string(key)]; ok {
		return known, nil
	}
	shards, err := NewShards(o)
	if err != nil {
		return nil, err
	}
	if l.known == nil {
		l.known = make(map[string]*Shards)
	}
	l.known[string(key)] = shards
	return shards, nil
}
