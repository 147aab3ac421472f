package plan

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/preflight"
)

func span(t *testing.T, text string) Span {
	t.Helper()
	s, err := ParseSpan(text)
	require.NoError(t, err)
	return s
}

func TestSpansAreThoseOfVariablesAndOfK6(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1m30s": 90 * time.Second, "0m": 0, "10m": 10 * time.Minute, "500ms": 500 * time.Millisecond,
		"1.5h": 90 * time.Minute, "1d": 24 * time.Hour, "1h0m0s": time.Hour, "90": 90 * time.Second, "0.25": 250 * time.Millisecond,
	} {
		s, err := ParseSpan(text)
		require.NoError(t, err, text)
		require.Equal(t, want, s.Duration, text)
	}
	require.Equal(t, "1m30s", span(t, "1m30s").Text)
	require.Equal(t, "90s", span(t, "90").Text)
	for _, text := range []string{"", "a while", "-1s", "+1s", " 1s", "1us", ".5s", "1.s", "1s ", "1 s", "1e3s", "999999999999d"} {
		_, err := ParseSpan(text)
		require.EqualError(t, err, `time: invalid duration "`+text+`"`)
	}
}

func FuzzParseSpan(f *testing.F) {
	f.Add("1m30s")
	f.Add("0.000000001ms9d")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpan(text)
		if err == nil && (s.Duration < 0 || s.Text == "") {
			t.Errorf("%q is %v", text, s)
		}
		if ours, goErr := time.ParseDuration(text); err == nil && goErr == nil && (ours-s.Duration).Abs() > ours/1e9+1 {
			t.Errorf("%q is %v, and to Go %v", text, s.Duration, ours)
		}
	})
}

// alone returns the users of the profile queue-full.
func alone(t *testing.T) Users {
	t.Helper()
	return Users{
		Users: 10000, Ramp: &Ramp{span(t, "10m"), span(t, "3m"), span(t, "2m")}, Think: Range{0.5, 2}, MaxWaitSeconds: 3, ArriveSeconds: 600,
		FirstTokens: 2, TopUpTokens: 5, BalanceCheckEvery: 10, AuditedUsers: 1000,
	}
}

// matching returns the users of the profile sessions-full.
func matching(t *testing.T) Users {
	t.Helper()
	return Users{
		Users: 2000, Ramp: &Ramp{span(t, "5m"), span(t, "10m"), span(t, "2m")}, Shared: true, Think: Range{0.5, 1.5}, HoldSeconds: 45,
		MaxWaitSeconds: 3, ArriveSeconds: 300, FirstTokens: 5, TopUpTokens: 5, BalanceCheckEvery: 3, AuditedUsers: 1000,
	}
}

// simple returns this number of users, driven by flags of k6.
func simple(users int, flags Flags) Users {
	return Users{Users: users, Flags: flags, Think: Range{0.5, 2}, FirstTokens: 2, TopUpTokens: 5, BalanceCheckEvery: 10, AuditedUsers: 1000}
}

func requests(t *testing.T, run Run, share float64) map[string]preflight.Load {
	t.Helper()
	asked, err := run.Asks(share)
	require.NoError(t, err)
	for name, load := range asked.Requests {
		load.PerMinute = math.Round(load.PerMinute*100) / 100
		asked.Requests[name] = load
	}
	return asked.Requests
}

func TestUsersWhoAreAlone(t *testing.T) {
	t.Parallel()
	joining := preflight.Load{PerMinute: 240000, Arithmetic: "10,000 users × 60 s / 2.5 s a cycle"}
	arriving := preflight.Load{PerMinute: 1000, Arithmetic: "10,000 users within 10m"}
	require.Equal(t, map[string]preflight.Load{
		platform.OpSignUp: arriving, platform.OpWebhook: arriving, platform.OpJoin: joining, platform.OpLeave: joining,
		platform.OpBalance: {PerMinute: 24000, Arithmetic: "240,000 joins / 10"},
		platform.OpRefresh: {PerMinute: 1000, Arithmetic: "10,000 users within 10m, again and again"},
	}, requests(t, alone(t), 1))
	require.Equal(t, 900.0, alone(t).Seconds())
}

func TestUsersWhoMatch(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]preflight.Load{
		platform.OpSignUp:  {PerMinute: 400, Arithmetic: "2,000 users within 5m"},
		platform.OpRefresh: {PerMinute: 400, Arithmetic: "2,000 users within 5m, again and again"},
		platform.OpJoin:    {PerMinute: 2593.3, Arithmetic: "2,000 users × 60 s / 46.27 s a cycle"},
		platform.OpLeave:   {PerMinute: 1000, Arithmetic: "who of 2,000 users waits at the end"},
		platform.OpWebhook: {PerMinute: 918.66, Arithmetic: "2,000 users within 5m, and 519 top-ups"},
		platform.OpBalance: {PerMinute: 1000, Arithmetic: "1,000 users at the end"},
	}, requests(t, matching(t), 1))
	asked, err := matching(t).Asks(1)
	require.NoError(t, err)
	require.Equal(t, 4000, asked.Connections, "a socket each")
	require.Zero(t, asked.ClosedPerMinute, "the service closes the connection of a user in a session")
}

func TestOneRunnerAsksItsShare(t *testing.T) {
	t.Parallel()
	quarter := requests(t, alone(t), 0.25)
	require.Equal(t, preflight.Load{PerMinute: 250, Arithmetic: "2,500 users within 10m"}, quarter[platform.OpSignUp])
	require.Equal(t, preflight.Load{PerMinute: 60000, Arithmetic: "2,500 users × 60 s / 2.5 s a cycle"}, quarter[platform.OpJoin])
	third, err := alone(t).Asks(1.0 / 3)
	require.NoError(t, err)
	require.Equal(t, 3334, third.Connections)
}

func TestWhatK6sFlagsMakeOfUsers(t *testing.T) {
	t.Parallel()
	thirty := span(t, "30s")
	for name, tc := range map[string]struct {
		run    Users
		signUp preflight.Load
		join   preflight.Load
	}{
		"a duration": {
			simple(10, Flags{Duration: &thirty}), preflight.Load{PerMinute: 10, Arithmetic: "10 users at once"},
			preflight.Load{PerMinute: 120, Arithmetic: "10 users × 30 s / 2.5 s a cycle"},
		},
		"iterations": {
			simple(2, Flags{Iterations: 6}), preflight.Load{PerMinute: 6, Arithmetic: "6 users, one turn each"},
			preflight.Load{PerMinute: 6, Arithmetic: "2 users × 60 s / 2.5 s a cycle"},
		},
		"stages": {
			simple(10, Flags{Start: 5, Stages: course(0, stage(1, 10), stage(1, 10)).Stages}),
			preflight.Load{PerMinute: 10, Arithmetic: "of up to 10 users"}, preflight.Load{PerMinute: 8, Arithmetic: "10 users × 2 s / 2.5 s a cycle"},
		},
		"users of the start, and others minutes later": {
			simple(100, Flags{Start: 60, Stages: course(0, stage(300, 60), stage(60, 100)).Stages}),
			preflight.Load{PerMinute: 60, Arithmetic: "of up to 100 users"},
			preflight.Load{PerMinute: 2400, Arithmetic: "100 users × 60 s / 2.5 s a cycle"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := requests(t, tc.run, 1)
			require.Equal(t, tc.signUp, asked[platform.OpSignUp])
			require.Equal(t, tc.join, asked[platform.OpJoin])
			require.NotContains(t, asked, platform.OpRefresh)
			require.Empty(t, tc.run.Course().Stages)
		})
	}
	require.True(t, math.IsInf(simple(2, Flags{Iterations: 6}).Seconds(), 1))
}

// A connection idle for 4.5 s is closed by its user, and from 5 s on by the service.
func TestConnectionsThatAreClosed(t *testing.T) {
	t.Parallel()
	for think, closed := range map[Range]float64{
		{0.5, 2}: 0, {3, 13}: 0.05, {4, 5}: 0.5, {4.5, 5}: 1, {4.7, 4.7}: 1, {6, 9}: 0, {5, 5}: 1, {5.1, 5.1}: 0,
	} {
		u := alone(t)
		u.Users, u.Think = 1000, think
		asked, err := u.Asks(1)
		require.NoError(t, err)
		pauses := 1000 * 60 / think.mean()
		require.Equal(t, ceil(pauses*closed), asked.ClosedPerMinute, "%v", think)
	}
}

// oneSpike returns the purchases of the profile purchase-spike.
func oneSpike(t *testing.T) Purchases {
	t.Helper()
	return Purchases{
		Users: 100, Think: Range{0.05, 0.2}, VUs: 480, Spike: &Spike{20, 400, span(t, "1m"), span(t, "2m"), span(t, "1m")},
	}
}

func TestPurchasesOfASpike(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]preflight.Load{
		platform.OpSignUp:  {PerMinute: 100, Arithmetic: "100 users before the events", OfEach: true},
		platform.OpWebhook: {PerMinute: 24000, Arithmetic: "400 a second × 60 s"},
		platform.OpBalance: {PerMinute: 100, Arithmetic: "100 users at the end", OfEach: true},
	}, requests(t, oneSpike(t), 1))
	require.Equal(t, 300.0, oneSpike(t).Seconds())
	require.Equal(t, 12600+48000+12600+600.0, oneSpike(t).Events())
	half := requests(t, oneSpike(t), 0.5)
	require.Equal(t, preflight.Load{PerMinute: 12000, Arithmetic: "200 a second × 60 s"}, half[platform.OpWebhook])
	require.Equal(t, 100.0, half[platform.OpSignUp].PerMinute, "each runner signs up its users")

	short := oneSpike(t)
	short.Spike = &Spike{0, 10, span(t, "10s"), span(t, "20s"), span(t, "10s")}
	short.ReplayRate = 0.5
	require.Equal(t, preflight.Load{PerMinute: 450, Arithmetic: "the busiest minute of up to 10 a second, 50 % sent again"},
		requests(t, short, 1)[platform.OpWebhook])
	asked, err := short.Asks(1)
	require.NoError(t, err)
	require.Equal(t, 960, asked.Connections, "two copies of an event may be under way at once")

	long := oneSpike(t)
	long.Spike.Down = span(t, "15m")
	require.Equal(t, (1+2+15+1)*60.0, long.Seconds(), "to nothing in a minute at most")
	require.Contains(t, requests(t, long, 1), platform.OpRefresh)
}

func TestWhatK6sFlagsMakeOfPurchases(t *testing.T) {
	t.Parallel()
	ten := span(t, "10s")
	p := Purchases{Users: 3, Think: Range{0.05, 0.2}, VUs: 2, Flags: Flags{Iterations: 4}}
	require.Equal(t, preflight.Load{PerMinute: 4, Arithmetic: "2 VUs × 60 s / 0.13 s an event"}, requests(t, p, 1)[platform.OpWebhook])
	p.Flags = Flags{Duration: &ten}
	require.Equal(t, preflight.Load{PerMinute: 160, Arithmetic: "2 VUs × 10 s / 0.13 s an event"}, requests(t, p, 1)[platform.OpWebhook])
	p.Flags = Flags{Stages: course(0, stage(5, 1), stage(900, 2)).Stages}
	require.Equal(t, 905.0, p.Seconds())
	require.Zero(t, p.Events())
}

func TestPlansThatAreNone(t *testing.T) {
	t.Parallel()
	for want, run := range map[string]Run{
		"users must be 1 or more": Users{Ramp: &Ramp{}},
		"how the users come is not said: give rampUp, hold and rampDown, or stages, duration or iterations": Users{Users: 1},
		"users: 1; set 2 or more, for a match needs two":                                                    Users{Users: 1, Ramp: &Ramp{}, Shared: true},
		"vus must be 1 or more": Purchases{Users: 1, Spike: &Spike{}},
		"how the events come is not said: give baseRate, spikeRate, rampUp, spikeHold and rampDown, or stages, duration or iterations": Purchases{Users: 1, VUs: 1},
	} {
		_, err := run.Asks(1)
		require.EqualError(t, err, want)
	}
	_, err := Purchases{VUs: 1, Spike: &Spike{}}.Asks(1)
	require.EqualError(t, err, "users must be 1 or more")
}

func TestOutlinesOfVariables(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		scenario  string
		variables map[string]string
		users     int
		length    time.Duration
	}{
		"defaults of a queue":     {"queue-concurrency", nil, 10000, 12 * time.Minute},
		"defaults of sessions":    {"video-session-sustain", nil, 2000, 17 * time.Minute},
		"defaults of a spike":     {"token-purchase-spike", nil, 100, 5 * time.Minute},
		"some are set":            {"queue-concurrency", map[string]string{"TARGET_VUS": "30", "HOLD": "1d", "RAMP_UP": ""}, 30, 24*time.Hour + 12*time.Minute},
		"seconds without a unit":  {"video-session-sustain", map[string]string{"SESSION_VUS": "4", "RAMP_UP": "6", "HOLD": "6", "RAMP_DOWN": "6"}, 4, 18 * time.Second},
		"a scenario of one's own": {"mine", map[string]string{"TARGET_VUS": "5", "RAMP_UP": "1m", "RAMP_DOWN": "30s"}, 5, 90 * time.Second},
		"a long way down": {
			"token-purchase-spike", map[string]string{"SEED_USER_COUNT": "7", "RAMP_UP": "0s", "SPIKE_HOLD": "10s", "RAMP_DOWN": "90s"}, 7,
			160 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := Outlined(tc.scenario, tc.variables)
			require.NoError(t, err)
			require.Equal(t, tc.users, o.Users)
			require.Equal(t, tc.length, o.Length())
		})
	}
	for want, variables := range map[string]map[string]string{
		`TARGET_VUS: must be a whole number, got "many"`: {"TARGET_VUS": "many", "HOLD": "x"},
		`HOLD: time: invalid duration "a while"`:         {"HOLD": "a while"},
	} {
		_, err := Outlined("queue-concurrency", variables)
		require.EqualError(t, err, want)
	}
	_, err := Outlined("mine", nil)
	require.ErrorIs(t, err, ErrNoUsers)
	require.True(t, Knows("queue-concurrency"))
	require.False(t, Knows("mine"))
}
