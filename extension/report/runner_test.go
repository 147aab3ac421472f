package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/runner"
)

func TestRunnerToBlame(t *testing.T) {
	t.Parallel()
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	for _, tc := range []struct {
		late, reported float64
		blame          bool
	}{
		{0, 0, false},
		{1.5, 2, false}, // timers always fire slightly late
		{4, 6, false},   // a delay this small does not matter
		{6, 40, true},
		{6, 100, false},
		{40, 200, true},
		{200, 5000, false}, // the service is so slow that the runner does not matter
	} {
		require.Equal(t, tc.blame, runnerToBlame(runner.Usage{LateP95: ms(tc.late)}, ms(tc.reported)), "%+v", tc)
	}
}

func TestTheSummaryTellsOfTheRunner(t *testing.T) {
	t.Parallel()
	data := func(p95, dropped float64) Summary {
		var d Summary
		text := fmt.Sprintf(`{"metrics":{"http_req_duration":{"values":{"p(95)":%g}},"dropped_iterations":{"values":{"count":%g}},"http_reqs":{"values":{"count":100}}}}`, p95, dropped)
		require.NoError(t, json.Unmarshal([]byte(text), &d))
		return d
	}
	quiet := runner.Usage{
		LateP95: 300 * time.Microsecond, LateP99: 1200 * time.Microsecond, LateMax: 9 * time.Millisecond, CPU: 6 * time.Second,
		Watched: 10 * time.Second, PeakCPU: 1.1, Processors: 2, PauseP95: 50 * time.Microsecond, PauseMax: 700 * time.Microsecond,
	}
	busy, disturbed := quiet, quiet
	busy.LateP95, busy.PeakCPU = 30*time.Millisecond, 1.95
	disturbed.LateP95 = 30 * time.Millisecond
	const seen = "timers late by %s ms (p95), 1.2 ms (p99), 9 ms at most; 0.60 of 2 processors in use, %s in the busiest second; " +
		"garbage collector's pauses 0.05 ms (p95), 0.7 ms at most\n"
	const blame = "    ! runner       The runner fell behind: its own delay of 30.0 ms (p95) is large against the 120.0 ms of " +
		"http_req_duration that it reports, so these latencies are not the service's alone. "
	for name, tc := range map[string]struct {
		usage runner.Usage
		data  Summary
		want  string
	}{
		"nothing was watched": {runner.Usage{}, data(120, 0), ""},
		"quiet":               {quiet, data(12, 0), "      runner       " + fmt.Sprintf(seen, "0.3", "1.10")},
		"busy": {busy, data(120, 0), "    ! runner       " + fmt.Sprintf(seen, "30.0", "1.95") + blame +
			"Its processors were busy: set USERS_PER_VU higher, think times longer, or share the load among more or larger runners\n"},
		"disturbed": {disturbed, data(120, 0), "    ! runner       " + fmt.Sprintf(seen, "30.0", "1.10") + blame +
			"Something else used its processors: run nothing beside it, set USERS_PER_VU higher, or use another runner\n"},
		"arrivals were missed": {quiet, data(12, 1234), "      runner       " + fmt.Sprintf(seen, "0.3", "1.10") +
			"    ✗ arrivals     1,234 iterations were not started in time, for no VU was free: the load was lower than planned. " +
			"Set MAX_VUS and PREALLOCATED_VUS higher, or use a faster runner\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text string
			for _, f := range slices.Concat(runnerFindings(tc.usage, tc.data), arrivalFindings(tc.data)) {
				text += f.Terminal(0)
			}
			require.Equal(t, tc.want, text)
		})
	}
}

func TestWhatToDoAboutMissedArrivals(t *testing.T) {
	t.Parallel()
	const lack = "Set MAX_VUS and PREALLOCATED_VUS higher, or use a faster runner"
	for _, tc := range []struct {
		requests, failed, median float64
		want                     string
	}{
		{100, 0, 12, lack},
		{100, 0.09, 999, lack},
		{0, 0, 0, "They waited for a target that did not answer at all: more VUs would wait too"},
		{100, 0, 4200, "They waited for the target, which took 4200 ms (median) and failed 0 % of the operations: more VUs would wait too. " +
			"Look at the service, or plan a lower SPIKE_RATE"},
		{100, 1, 0.3, "They waited for the target, which took 0 ms (median) and failed 100 % of the operations: more VUs would wait too. " +
			"Look at the service, or plan a lower SPIKE_RATE"},
	} {
		var data Summary
		require.NoError(t, json.Unmarshal(fmt.Appendf(nil, `{"metrics":{"http_reqs":{"values":{"count":%g}},"error_rate":{"values":{"rate":%g}},
			"http_req_duration":{"values":{"med":%g}}}}`, tc.requests, tc.failed, tc.median), &data))
		require.Equal(t, tc.want, arrivalAdvice(data))
	}
}
