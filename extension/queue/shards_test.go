package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

const region = "australiaCentral"

func newShards(tb testing.TB, o ShardOptions) *Shards {
	tb.Helper()
	if o.Region == nil && o.City == nil {
		o.Region = new(region)
	}
	shards, err := NewShards(o)
	require.NoError(tb, err)
	return shards
}

// place places all users of a runner, and checks that the key of each is the service's key for its body.
func place(tb testing.TB, s *Shards, users int) []Place {
	tb.Helper()
	places := make([]Place, users)
	for user := range users {
		place, err := s.Place(user, 0)
		require.NoError(tb, err)
		key, err := Key(place.Body())
		require.NoError(tb, err)
		require.Equal(tb, key, place.QueueKey)
		places[user] = place
	}
	return places
}

func TestASingleSharedKeyIsTheRecordedOne(t *testing.T) {
	t.Parallel()

	s := newShards(t, ShardOptions{Mode: Shared, Users: 3, Shards: 1})
	want := Place{Region: new(region), Preferences: json.RawMessage(`{"mode":"shared"}`), QueueKey: "australiacentral:3f932d1eb7dd"}
	require.Equal(t, []Place{want, want, want}, place(t, s, 3))
	require.Equal(t, []string{want.QueueKey}, s.Keys())
}

func TestSharedPreferencesNameTheShardAndTheNamespace(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		shards    int
		namespace string
		want      []string
	}{
		{2, "", []string{`{"mode":"shared","shard":0}`, `{"mode":"shared","shard":1}`}},
		{1, `a"é<`, []string{`{"mode":"shared","namespace":"a\"é<","shard":0}`}},
		{2, "\xff\n", []string{
			"{\"mode\":\"shared\",\"namespace\":\"\ufffd\\n\",\"shard\":0}",
			"{\"mode\":\"shared\",\"namespace\":\"\ufffd\\n\",\"shard\":1}",
		}},
	} {
		s := newShards(t, ShardOptions{City: new("Perth"), Mode: Shared, Users: 4, Shards: test.shards, Namespace: test.namespace})
		for i, place := range place(t, s, 4) {
			shard := i / 2 % test.shards
			require.Equal(t, shard, place.Shard)
			require.Equal(t, test.want[shard], string(place.Preferences))
			require.Equal(t, s.Keys()[shard], place.QueueKey)
			require.Equal(t, "Perth", *place.City)
			require.Nil(t, place.Region)
		}
	}
}

func TestNamespacesKeepTwoRunsApart(t *testing.T) {
	t.Parallel()

	var keys []string
	for _, namespace := range []string{"", "a", "b"} {
		s := newShards(t, ShardOptions{Mode: Shared, Users: 20, Shards: 5, Namespace: namespace})
		keys = append(keys, s.Keys()...)
	}
	slices.Sort(keys)
	require.Len(t, slices.Compact(keys), 15)
}

func TestThreeRunnersPlaceThreeThousandUsersInTwelveShards(t *testing.T) {
	t.Parallel()

	users := map[int]int{}
	for runner := range 3 {
		s := newShards(t, ShardOptions{
			Mode: Shared, Users: 3000, Shards: 12, RunnerUsers: []int{1000, 1000, 1000}, Runner: runner,
		})
		require.Len(t, s.Keys(), 12)
		for _, place := range place(t, s, 1000) {
			require.Equal(t, runner, place.Shard/4, "a shard belongs to one runner")
			users[place.Shard]++
		}
	}
	require.Len(t, users, 12)
	for shard, n := range users {
		require.Equal(t, 250, n, "shard %d", shard)
	}
}

func TestSharedPlacementOfAnyTest(t *testing.T) {
	t.Parallel()

	r := seeded(5)
	for range 150 {
		o := ShardOptions{Region: new(region), Mode: Shared, RunnerUsers: make([]int, 1+r.IntN(5))}
		most, active := 0, 0
		for i := range o.RunnerUsers {
			users := r.IntN(60)
			if users == 1 {
				users = 0
			}
			o.RunnerUsers[i] = users
			o.Users += users
			most += users / 2
			active += min(users, 1)
		}
		if active == 0 {
			continue
		}
		o.Shards = active + r.IntN(most-active+1)
		what := fmt.Sprintf("%v in %d", o.RunnerUsers, o.Shards)

		runnerOf := map[int]int{}
		var first *Shards
		for runner, users := range o.RunnerUsers {
			o.Runner = runner
			s, again := newShards(t, o), newShards(t, o)
			require.Equal(t, again, s, "a rerun places everybody the same: %s", what)
			if first == nil {
				first = s
			}
			require.Equal(t, first.Keys(), s.Keys(), what)

			size := map[int]int{}
			for user := range users {
				place, err := s.Place(user, 0)
				require.NoError(t, err)
				partner, err := s.Place(min(user^1, users-1), 0)
				require.NoError(t, err)
				if user^1 < users {
					require.Equal(t, partner, place, what)
				}
				size[place.Shard]++
			}
			smallest, largest := users, 0
			for shard, n := range size {
				_, taken := runnerOf[shard]
				require.False(t, taken, "shard %d has users of two runners: %s", shard, what)
				runnerOf[shard] = runner
				smallest, largest = min(smallest, n), max(largest, n)
			}
			if users > 0 {
				require.GreaterOrEqual(t, smallest, 2, what)
				require.LessOrEqual(t, largest-smallest, 2, what)
			}
		}
		require.Len(t, runnerOf, o.Shards, "no shard is empty: %s", what)
	}
}

func TestShardsGoToTheRunnersWithMostUsersAShard(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		shards  int
		runners []int
		want    []int
	}{
		{12, []int{1000, 1000, 1000}, []int{4, 4, 4}},
		{10, []int{1000, 1000, 1000}, []int{4, 3, 3}},
		{8, []int{2000, 1000, 1000}, []int{4, 2, 2}},
		{3, []int{2000, 1000, 1000}, []int{1, 1, 1}},
		{2, []int{50, 0, 50}, []int{1, 0, 1}},
		{5, []int{4, 6}, []int{2, 3}},
		{52, []int{4, 100}, []int{2, 50}},
	} {
		counts, err := deal(test.shards, test.runners)
		require.NoError(t, err)
		require.Equal(t, test.want, counts)
	}
}

func TestShardsArePlannedWhenNoneAreGiven(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		o    ShardOptions
		want int
	}{
		{ShardOptions{Users: 2000}, 2},
		{ShardOptions{Users: 2000, Load: Load{Users: 7}}, 2},
		{ShardOptions{Users: 10_000, Load: Load{ThinkSeconds: 1.25}}, 68},
		{ShardOptions{Users: 10_000, Load: Load{ThinkSeconds: 1.25}, RunnerUsers: []int{4000, 3000, 3000}}, 69},
		{ShardOptions{Users: 3000, RunnerUsers: []int{1000, 1000, 0, 1000}}, 3},
		{ShardOptions{Users: 8, RunnerUsers: []int{2, 4, 2}}, 3},
	} {
		test.o.Mode = Shared
		require.Len(t, newShards(t, test.o).Keys(), test.want)
	}
}

func TestIsolatedUsersHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()

	seen := map[string]bool{}
	for _, o := range []ShardOptions{
		{}, {}, {Namespace: "é\"\u2028"}, {City: new("Perth")}, {RunnerUsers: []int{100, 100}, Runner: 1}, {Shards: 7},
	} {
		o.Mode, o.Users = Isolated, 200
		s := newShards(t, o)
		require.Empty(t, s.Keys())
		for _, place := range place(t, s, s.users) {
			require.False(t, seen[place.QueueKey])
			seen[place.QueueKey] = true
			require.Zero(t, place.Shard)
		}
		first, err := s.Place(1, 0)
		require.NoError(t, err)
		second, err := s.Place(1, 0)
		require.NoError(t, err)
		require.Equal(t, first, second)
	}
	require.Len(t, seen, 1100)
}

func TestIsolatedPreferences(t *testing.T) {
	t.Parallel()

	for namespace, want := range map[string]string{
		"":    `^\{"seed":"[A-Z2-7]{26}-7"\}$`,
		"a b": `^\{"namespace":"a b","seed":"[A-Z2-7]{26}-7"\}$`,
	} {
		place, err := newShards(t, ShardOptions{Mode: Isolated, Users: 8, Namespace: namespace}).Place(7, 0)
		require.NoError(t, err)
		require.Regexp(t, want, string(place.Preferences))
	}
}

func TestInvalidShardsAreRefused(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		o    ShardOptions
		want string
	}{
		{ShardOptions{Users: 10}, `mode: ""; set "isolated" or "shared"`},
		{ShardOptions{Mode: "both", Users: 10}, `mode: "both"; set "isolated" or "shared"`},
		{ShardOptions{Mode: Isolated}, "users: 0; set 1 or more"},
		{ShardOptions{Mode: Shared, Users: 10, Shards: -1}, "shards: -1; set 1 or more, or 0 to have them planned"},
		{ShardOptions{Mode: Shared, Users: 1}, "users: 1; set 2 or more, for a match needs two"},
		{
			ShardOptions{Mode: Shared, Users: 10, Shards: 6},
			"shards: 6 for 10 users; set 5 or less, for a shard needs two users of one runner",
		},
		{
			ShardOptions{Mode: Shared, Users: 10, Shards: 5, RunnerUsers: []int{5, 5}},
			"shards: 5 for 10 users; set 4 or less, for a shard needs two users of one runner",
		},
		{
			ShardOptions{Mode: Shared, Users: 30, Shards: 1, RunnerUsers: []int{10, 10, 0, 10}},
			"shards: 1 for 3 runners; set 3 or more, for a shard belongs to one runner",
		},
		{
			ShardOptions{Mode: Shared, Users: 11, Shards: 2, RunnerUsers: []int{10, 1}},
			"users of runner 1: 1; set 2 or more, or fewer runners, for a user alone has no partner",
		},
		{ShardOptions{Mode: Shared, Users: 11, RunnerUsers: []int{10, 2}}, "users: 11, but the runners have 12 together; set the same"},
		{ShardOptions{Mode: Shared, Users: 11, RunnerUsers: []int{12, -1}}, "users of runner 1: -1; set 0 or more"},
		{ShardOptions{Mode: Shared, Users: 11, RunnerUsers: []int{11}, Runner: 1}, "runner: 1 of 1; set 0 to 0"},
		{ShardOptions{Mode: Shared, Users: 11, Runner: -1}, "runner: -1 of 1; set 0 to 0"},
		{ShardOptions{Mode: Shared, Users: 10, Load: Load{HoldSeconds: -1}}, "hold: -1 s; set 0 to 1000000"},
		{ShardOptions{Mode: Shared, Users: 10, City: new(" ")}, "City must be a non-empty string when provided"},
		{ShardOptions{Mode: Isolated, Users: 10, City: new("")}, "City must be a non-empty string when provided"},
	} {
		shards, err := NewShards(test.o)
		require.EqualError(t, err, test.want)
		require.Nil(t, shards)
	}
}

func TestAUserOfAnotherRunnerIsRefused(t *testing.T) {
	t.Parallel()

	for _, mode := range []Mode{Isolated, Shared} {
		s := newShards(t, ShardOptions{Mode: mode, Users: 10, Shards: 2, RunnerUsers: []int{6, 4}, Runner: 1})
		for _, user := range []int{-1, 4} {
			_, err := s.Place(user, 0)
			require.EqualError(t, err, fmt.Sprintf("user: %d; this runner has 4, numbered from 0", user))
		}
	}
}

func BenchmarkPlace(b *testing.B) {
	for _, mode := range []Mode{Isolated, Shared} {
		b.Run(string(mode), func(b *testing.B) {
			s := newShards(b, ShardOptions{Mode: mode, Users: 10_000})
			b.ReportAllocs()
			for user := 0; b.Loop(); user = (user + 1) % 10_000 {
				if _, err := s.Place(user, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
