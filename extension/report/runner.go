package report

import (
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/runner"
)

const (
	// A request waits for a processor about so many times on its way: to be read, and to be read on after a pause.
	lagsInARequest = 2
	// Timers that fire less late than this make no difference to a limit of 100 ms.
	quietLag = 5 * time.Millisecond
	// From this share on the runner's own delay is large against the latency that it reports.
	largeShare = 0.25
	// From this use of its processors on a runner is at its limit, whatever else.
	busyShare = 0.9
)

// runnerToBlame reports whether the runner's own delay is large against the latency that it reports.
func runnerToBlame(u runner.Usage, reported time.Duration) bool {
	return u.LateP95 > quietLag && lagsInARequest*float64(u.LateP95) > largeShare*float64(reported)
}

// runnerFindings are what the runner saw of itself.
func runnerFindings(u runner.Usage, s Summary) []Finding {
	if u.Watched <= 0 {
		return nil
	}
	seen := finding("", "runner", "timers late by %.1f ms (p95), %.1f ms (p99), %.0f ms at most; %.2f of %d processors in use, %.2f in the "+
		"busiest second; garbage collector's pauses %.2f ms (p95), %.1f ms at most", milliseconds(u.LateP95), milliseconds(u.LateP99),
		milliseconds(u.LateMax), u.MeanCPU(), u.Processors, u.PeakCPU, milliseconds(u.PauseP95), milliseconds(u.PauseMax))
	reported := s.value("http_req_duration", "p(95)")
	if !runnerToBlame(u, time.Duration(reported*float64(time.Millisecond))) {
		return []Finding{seen}
	}
	seen.Mark = "!"
	return []Finding{seen, finding("!", "runner", "The runner fell behind: its own delay of %.1f ms (p95) is large against the %.1f ms of "+
		"http_req_duration that it reports, so these latencies are not the service's alone. %s", milliseconds(u.LateP95), reported, advice(u))}
}

// advice says what to do about a runner that is too slow.
func advice(u runner.Usage) string {
	if u.PeakCPU > busyShare*float64(u.Processors) {
		return "Its processors were busy: set USERS_PER_VU higher, think times longer, or share the load among more or larger runners"
	}
	return "Something else used its processors: run nothing beside it, set USERS_PER_VU higher, or use another runner"
}

// arrivalFindings are about iterations that k6 did not start in time.
func arrivalFindings(s Summary) []Finding {
	dropped := s.count("dropped_iterations")
	if dropped == 0 {
		return nil
	}
	return []Finding{finding("✗", "arrivals", "%s iterations were not started in time, for no VU was free: the load was lower than planned. %s",
		Thousands(dropped), arrivalAdvice(s))}
}

// What an answer may take, in ms, and how many may fail, before VUs are short because they wait for the service.
const (
	slowAnswer   = 1000
	manyFailures = 0.1
)

// arrivalAdvice says what to do about VUs that were not free.
func arrivalAdvice(s Summary) string {
	failed, median := s.value("error_rate", "rate"), s.value("http_req_duration", "med")
	if s.count("http_reqs") == 0 {
		return "They waited for a target that did not answer at all: more VUs would wait too"
	}
	if failed >= manyFailures || median >= slowAnswer {
		return fmt.Sprintf("They waited for the target, which took %.0f ms (median) and failed %.0f %% of the operations: more VUs would "+
			"wait too. Look at the service, or plan a lower SPIKE_RATE", median, 100*failed)
	}
	return "Set MAX_VUS and PREALLOCATED_VUS higher, or use a faster runner"
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
