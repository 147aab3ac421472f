package loadtest_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// inspected is the part of `k6 inspect` that the scenarios set.
type inspected struct {
	Scenarios         map[string]map[string]any `json:"scenarios"`
	Thresholds        map[string][]string       `json:"thresholds"`
	SummaryTrendStats []string                  `json:"summaryTrendStats"`
}

// inspect inspects a scenario without a target and a secret.
func inspect(t *testing.T, scenario string, variables ...string) inspected {
	t.Helper()
	args := []string{"inspect", scenario}
	for _, variable := range variables {
		args = append(args, "-e", variable)
	}
	r := k6(args...).run(t)
	require.Equal(t, exitcodes.ExitCode(0), r.exit)
	require.Empty(t, r.stderr)
	var options inspected
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &options))
	return options
}

type stage struct {
	duration string
	target   int
}

func stages(list ...stage) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = map[string]any{"duration": s.duration, "target": float64(s.target)}
	}
	return out
}

// commonThresholds returns the thresholds that every scenario has, with more added. A throttled run must not pass.
func commonThresholds(more map[string][]string) map[string][]string {
	limits := map[string][]string{
		"http_reqs":          {"count>0"},
		"http_req_duration":  {"p(95)<100", "max>0"},
		"http_req_failed":    {"rate<0.001"},
		"operations":         {"count>0"},
		"error_rate":         {"rate<0.001"},
		"throttled_requests": {"count<1"},
	}
	maps.Copy(limits, more)
	return limits
}

func TestInspectShowsTheDesign(t *testing.T) {
	t.Parallel()
	ramp := func(stages []any) map[string]any {
		return map[string]any{
			"executor": "ramping-vus", "startVUs": 0.0, "stages": stages, "gracefulStop": "0s", "gracefulRampDown": "0s",
		}
	}
	limit := []string{"p(95)<100", "max>0"}
	matches := map[string][]string{
		"queue_join_latency":                 {"p(95)<3000", "max>0"},
		"http_req_duration{name:queue_join}": limit,
		"match_time":                         {"p(95)<3000", "max>0"},
		"match_attempts":                     {"count>0"},
		"match_failed":                       {"rate<0.001"},
		"session_dropped":                    {"rate<0.001"},
		"sockets_opened":                     {"count>0"},
		"socket_dropped":                     {"rate<0.001"},
	}
	sessions := maps.Clone(matches)
	sessions["sessions_started"] = []string{"count>0"}
	tenThousand := ramp(stages(stage{"10m0s", 100}, stage{"0s", 100}, stage{"2m0s", 0})) // with 100 users in each VU
	cases := map[string]struct {
		variables  []string
		scenario   map[string]any
		thresholds map[string][]string
	}{
		queueConcurrency: {
			nil, tenThousand,
			commonThresholds(map[string][]string{
				"queue_join_latency":                  {"p(95)<3000", "max>0"},
				"http_req_duration{name:queue_join}":  limit,
				"http_req_duration{name:queue_leave}": limit,
			}),
		},
		queueConcurrency + " shared": {[]string{"QUEUE_MODE=shared"}, tenThousand, commonThresholds(matches)},
		videoSessionSustain: {
			nil, ramp(stages(stage{"5m0s", 20}, stage{"10m0s", 20}, stage{"2m0s", 0})), commonThresholds(sessions),
		},
		tokenPurchaseSpike: {
			nil,
			map[string]any{
				"executor": "ramping-arrival-rate", "startRate": 20.0, "timeUnit": "1s",
				"stages": stages(stage{"1m0s", 400}, stage{"2m0s", 400}, stage{"1m0s", 20}, stage{"1m0s", 0}),
			},
			commonThresholds(map[string][]string{
				"http_req_duration{name:stripe_webhook}": limit,
				"error_rate{name:tokens_balance}":        {"rate==0"},
				"operations{name:tokens_balance}":        {"count>0"},
				"dropped_iterations":                     {"count<3690"}, // a twentieth of 73,800 events
			}),
		},
	}
	for _, name := range sortedKeys(cases) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cases[name]
			script, _, _ := strings.Cut(name, " ")
			options := inspect(t, script, c.variables...)
			require.Len(t, options.Scenarios, 1)
			for _, scenario := range options.Scenarios {
				maps.DeleteFunc(scenario, func(name string, value any) bool {
					return value == nil || name == "preAllocatedVUs" || name == "maxVUs" || name == "env"
				})
				require.Equal(t, c.scenario, scenario)
			}
			require.Equal(t, c.thresholds, options.Thresholds)
			require.Contains(t, options.SummaryTrendStats, "count")

			simple := inspect(t, script, append(c.variables, "USE_SIMPLE=1")...)
			require.Empty(t, simple.Scenarios, "k6's flags decide")
			require.Equal(t, c.thresholds, simple.Thresholds)
		})
	}
}

// Users are spread over VUs, and the variables set the stages.
func TestInspectFollowsTheVariables(t *testing.T) {
	t.Parallel()
	for users, vus := range map[string]int{"1": 1, "39": 39, "40": 20, "50": 25, "1000": 20, "2019": 21, "10000": 100, "100000": 1000} {
		options := inspect(t, queueConcurrency, "TARGET_VUS="+users)
		require.Equal(t, stages(stage{"10m0s", vus}, stage{"0s", vus}, stage{"2m0s", 0}), options.Scenarios["queue-concurrency"]["stages"],
			"the default of USERS_PER_VU for %s users", users)
	}
	options := inspect(t, queueConcurrency, "TARGET_VUS=25", "USERS_PER_VU=10", "RAMP_UP=90", "HOLD=1m30s", "RAMP_DOWN=500ms")
	require.Equal(t, stages(stage{"1m30s", 3}, stage{"1m30s", 3}, stage{"500ms", 0}), options.Scenarios["queue-concurrency"]["stages"])

	require.Equal(t, map[string]any{
		"TARGET_VUS": "25", "USERS_PER_VU": "10", "RAMP_UP": "90s", "HOLD": "1m30s", "RAMP_DOWN": "500ms", "QUEUE_MODE": "isolated",
	}, options.Scenarios["queue-concurrency"]["env"], "what an archive keeps of the variables")

	options = inspect(t, tokenPurchaseSpike, "PREALLOCATED_VUS=7", "MAX_VUS=9", "BASE_RATE=1", "SPIKE_RATE=3", "RAMP_UP=10s",
		"SPIKE_HOLD=20s", "RAMP_DOWN=30s")
	scenario := options.Scenarios["token-purchase-spike"]
	require.InDelta(t, 7, scenario["preAllocatedVUs"], 0)
	require.InDelta(t, 9, scenario["maxVUs"], 0)
	require.Equal(t, stages(stage{"10s", 3}, stage{"20s", 3}, stage{"30s", 1}), scenario["stages"].([]any)[:3]) //nolint:forcetypeassert // fails the test
}

// inspect and archive see the variables of `-e`, and refuse invalid ones too.
func TestInspectRefusesBadInput(t *testing.T) {
	t.Parallel()
	r := k6("inspect", "-e", "TARGET_VUS=many", queueConcurrency).run(t)
	require.NotZero(t, r.exit)
	r.requireOneError(t, `TARGET_VUS must be a whole number from 1 to 1000000, got \"many\"`)
}

func TestVersionListsTheModuleAndTheSubcommand(t *testing.T) {
	t.Parallel()
	r := k6("version").run(t)
	require.Equal(t, exitcodes.ExitCode(0), r.exit)
	require.Contains(t, r.stdout, "k6 v2.2.0")
	require.Contains(t, r.stdout, "k6/x/verity [js]")
	require.Contains(t, r.stdout, "verity [subcommand]")
}
