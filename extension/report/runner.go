package report

import (
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/runner"
)

const (
	// lagsInARequest is about how often a request waits for a processor: to be read, and to be read on after a pause.
	lagsInARequest = 2
	// quietLag is the delay of timers below which a limit of 100 ms is not affected.
	quietLag = 5 * time.Millisecond
	// largeShare is the share of the reported latency above which the runner's own delay is large.
	largeShare = 0.25
	// busyShare is the share of its processors in use above which a runner is at its limit.
	busyShare = 0.9
)

// runnerToBlame reports whether the runner's own delay is large in proportion to the latency that it reports.
func runnerToBlame(u runner.Usage, reported time.Duration) bool {
	return u.LateP95 > quietLag && lagsInARequest*float64(u.LateP95) > largeShare*float64(reported)
}

// runnerFindings returns the runner's measurements of itself, with advice if it was too slow.
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

// advice says what to do about a runner that was too slow.
func advice(u runner.Usage) string {
	if u.PeakCPU > busyShare*float64(u.Processors) {
		return "Its processors were busy: set USERS_PER_VU higher, think times longer, or share the load among more or larger runners"
	}
	return "Something else used its processors: run nothing beside it, set USERS_PER_VU higher, or use another runner"
}

// arrivalFindings returns a finding on iterations that k6 did not start in time.
func arrivalFindings(s Summary) []Finding {
	dropped := s.count("dropped_iterations")
	if dropped == 0 {
		return nil
	}
	return []Finding{finding("✗", "arrivals", "%s iterations were not started in time, for no VU was free: the load was lower than planned. %s",
		Thousands(dropped), arrivalAdvice(s))}
}

// The median time of an answer in ms, and the share of failures, from which a lack of VUs is attributed to the service.
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
