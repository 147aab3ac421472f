package loadtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/plan"
	"github.com/verity-app/xk6-verity/extension/queue"
)

// readProfiles returns the variables of each profile, by its name.
func readProfiles(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "js", "profiles.json"))
	require.NoError(t, err)
	var list []struct {
		Name      string
		Variables map[string]string
	}
	require.NoError(t, json.Unmarshal(text, &list))
	profiles := map[string]map[string]string{}
	for _, p := range list {
		profiles[p.Name] = p.Variables
	}
	return profiles
}

func TestInspectShowsEachProfile(t *testing.T) {
	t.Parallel()
	spikeStages := stages(stage{"1m0s", 400}, stage{"2m0s", 400}, stage{"1m0s", 20}, stage{"1m0s", 0})
	cases := map[string]struct {
		script, name string
		stages       []any
	}{
		"queue-dry":    {queueConcurrency, "queue-concurrency", stages(stage{"1m0s", 1000}, stage{"2m0s", 1000}, stage{"30s", 0})},
		"match-dry":    {queueConcurrency, "queue-concurrency", stages(stage{"1m0s", 500}, stage{"2m0s", 500}, stage{"30s", 0})},
		"match-full":   {queueConcurrency, "queue-concurrency", stages(stage{"3m0s", 5000}, stage{"5m0s", 5000}, stage{"1m0s", 0})},
		"queue-full":   {queueConcurrency, "queue-concurrency", stages(stage{"10m0s", 10000}, stage{"3m0s", 10000}, stage{"2m0s", 0})},
		"sessions-dry": {videoSessionSustain, "video-session-sustain", stages(stage{"1m0s", 500}, stage{"3m0s", 500}, stage{"1m0s", 0})},
		"sessions-full": {
			videoSessionSustain, "video-session-sustain", stages(stage{"5m0s", 2000}, stage{"10m0s", 2000}, stage{"2m0s", 0}),
		},
		"sessions-1000": {
			videoSessionSustain, "video-session-sustain", stages(stage{"5m0s", 2200}, stage{"10m0s", 2200}, stage{"2m0s", 0}),
		},
		"purchase-spike": {tokenPurchaseSpike, "token-purchase-spike", spikeStages},
	}
	require.Equal(t, sortedKeys(readProfiles(t)), sortedKeys(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			variables := []string{"PROFILE=" + name}
			if c.script != tokenPurchaseSpike {
				variables = append(variables, "USERS_PER_VU=1") // then VUs are users
			}
			options := inspect(t, c.script, variables...)
			require.Equal(t, c.stages, options.Scenarios[c.name]["stages"])
			// The queue's mode shows in the thresholds: matches are promised only where users share keys.
			_, matches := options.Thresholds["match_time"]
			require.Equal(t, c.script == videoSessionSustain || strings.HasPrefix(name, "match-"), matches)
		})
	}
}

// The stages that profiles, campaigns and the preflight compute for a run equal those that k6 gets.
func TestThePlanHasTheStagesOfTheScripts(t *testing.T) {
	t.Parallel()
	for name, variables := range map[string]map[string]string{
		"queue-concurrency":     {},
		"video-session-sustain": {},
		"token-purchase-spike":  {},
		"queue-concurrency.js":  {"TARGET_VUS": "7", "RAMP_UP": "0", "HOLD": "1h30m", "RAMP_DOWN": "500ms"},
		"token-purchase-spike.js": {
			"BASE_RATE": "3", "SPIKE_RATE": "9", "RAMP_UP": "1m30s", "SPIKE_HOLD": "10", "RAMP_DOWN": "90s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario := strings.TrimSuffix(name, ".js")
			outline, err := plan.Outlined(scenario, variables)
			require.NoError(t, err)
			var planned []stage
			for _, s := range outline.Course.Stages {
				planned = append(planned, stage{s.Duration.String(), int(s.Target)})
			}
			given := []string{}
			if scenario != "token-purchase-spike" {
				given = append(given, "USERS_PER_VU=1") // then VUs are users
			}
			for variable, value := range variables {
				given = append(given, variable+"="+value)
			}
			shown := inspect(t, scenario+".js", given...).Scenarios[scenario]
			require.Equal(t, stages(planned...), shown["stages"])
			if start, isRate := shown["startRate"]; isRate {
				require.Equal(t, start, outline.Course.Start)
			}
		})
	}
}

// match-full covers the first of the four targets: matches within 3 s while at least 2,000 wait, even with a tenth of the users absent.
func TestMatchFullKeepsThousandsWaiting(t *testing.T) {
	t.Parallel()
	variables := readProfiles(t)["match-full"]
	users, err := strconv.Atoi(variables["TARGET_VUS"])
	require.NoError(t, err)
	keys, err := strconv.Atoi(variables["QUEUE_SHARDS"])
	require.NoError(t, err)
	for _, present := range []int{users, users * 9 / 10} {
		predicted, err := queue.Predict(queue.Load{Users: present, ThinkSeconds: 0.75, ArriveSeconds: 180}, keys)
		require.NoError(t, err)
		require.Less(t, max(predicted.WaitSeconds, predicted.RampWaitSeconds), 2.7, "the rest of 3 s is for what the plan does not count")
		require.Greater(t, 2*predicted.PairsPerSecond*predicted.MedianWaitSeconds, 3000.0, "Little's law: who waits")
	}
}

// The profiles promise what the plan of queue keys predicts for them.
func TestProfilesHoldTheSessionsThatTheyPromise(t *testing.T) {
	t.Parallel()
	profiles := readProfiles(t)
	for name, want := range map[string]struct{ least, most int }{
		"sessions-dry": {220, 250}, "sessions-full": {900, 1000}, "sessions-1000": {1000, 1100},
	} {
		users, err := strconv.Atoi(profiles[name]["SESSION_VUS"])
		require.NoError(t, err)
		predicted, err := queue.PlanQueue(queue.Load{Users: users, HoldSeconds: 45, ThinkSeconds: 1})
		require.NoError(t, err)
		require.GreaterOrEqual(t, predicted.Sessions, want.least, name)
		require.LessOrEqual(t, predicted.Sessions, want.most, name)
		require.Less(t, predicted.WaitSeconds, 3.0, name)
	}
}

func TestAVariableWinsOverTheProfile(t *testing.T) {
	t.Parallel()
	options := inspect(t, queueConcurrency, "PROFILE=queue-dry", "TARGET_VUS=30", "HOLD=", "USERS_PER_VU=10")
	require.Equal(t, stages(stage{"1m0s", 3}, stage{"2m0s", 3}, stage{"30s", 0}), options.Scenarios["queue-concurrency"]["stages"])

	target := startStandin(t, conditions{})
	r := k6Run(queueConcurrency, target, "PROFILE=queue-dry", "TARGET_VUS=5", "RAMP_UP=1s", "HOLD=2s", "RAMP_DOWN=1s",
		"QUEUE_MODE=isolated", "THINK_TIME_MIN=0.1", "THINK_TIME_MAX=0.2").run(t)
	r.requirePassed(t)
	require.Contains(t, r.stdout, "VERITY queue-concurrency on "+target.url+": profile queue-dry with TARGET_VUS=5, RAMP_UP=1s, "+
		"HOLD=2s, RAMP_DOWN=1s; 5 users, ")
	require.Contains(t, r.stdout, "  k6 counts VUs, each of 1 user. One iteration is the whole stay of a VU's users; if a ramp-down ends it, k6 shows it as "+
		"interrupted until the run is over\n")
	require.Len(t, target.state(t).Users, 5)
}

func TestProfilesThatAreRefused(t *testing.T) {
	t.Parallel()
	const nowhere = "http://127.0.0.1:1" // nothing is asked of it
	for name, c := range map[string]struct {
		run  command
		says string
	}{
		"of another scenario": {
			k6Run(videoSessionSustain, &target{url: nowhere, secret: secret}, "PROFILE=queue-full"),
			"PROFILE=queue-full is of queue-concurrency.js, and this is video-session-sustain.js; its profiles: sessions-dry, " +
				"sessions-full, sessions-1000",
		},
		"unknown": {
			k6Run(tokenPurchaseSpike, &target{url: nowhere, secret: secret}, "PROFILE=Queue-dry"),
			`PROFILE must be \"queue-dry\" or \"match-dry\" or \"sessions-dry\" or \"queue-full\" or \"match-full\" or \"sessions-full\" or \"sessions-1000\" or ` +
				`\"purchase-spike\", got \"Queue-dry\"`,
		},
		"with USE_SIMPLE": {
			k6Run(queueConcurrency, &target{url: nowhere, secret: secret}, "PROFILE=queue-dry").simple("3", "2s"),
			"PROFILE=queue-dry and USE_SIMPLE=1 exclude each other",
		},
		"with k6's flags": {
			k6Run(queueConcurrency, &target{url: nowhere, secret: secret}, "PROFILE=queue-dry").flags("--vus", "3", "--duration", "2s"),
			"PROFILE=queue-dry and flags such as --vus, --duration, --iterations and --stage exclude each other",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.run.run(t)
			require.Equal(t, exitcodes.ScriptException, r.exit)
			r.requireOneError(t, c.says)
		})
	}
}

func TestProfilesCommand(t *testing.T) {
	t.Parallel()
	r := k6("x", "verity", "profiles").run(t)
	require.Zero(t, r.exit)
	require.Empty(t, r.stderr)
	for name := range readProfiles(t) {
		require.Contains(t, r.stdout, "  PROFILE="+name+" "+k6Binary(t)+" run load-test/")
	}
	r = k6("x", "verity", "profiles", "--json").run(t)
	var list []struct{ Name, Command string }
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &list))
	require.Len(t, list, 8)
}
