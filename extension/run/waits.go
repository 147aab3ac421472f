package run

import (
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// waits are the unfinished waits that a summary names, and how long a wait must have been to be named.
var waits = []struct {
	metric evidence.Metric
	words  string
	usual  time.Duration
}{ //nolint:gochecknoglobals // a constant table
	{evidence.MetricSocket, "their socket", time.Second},
	{evidence.MetricMatch, "their match", 3 * time.Second},
	{evidence.MetricRequest, "an answer", time.Second},
}

// stillWaiting returns the waits that were unfinished when the run ended and had been longer than usual.
func stillWaiting(run *evidence.Run) (list []evidence.Waiting) {
	for _, wait := range waits {
		found := evidence.Waiting{What: wait.words}
		for _, second := range run.Seconds {
			for series, cell := range second.Cells {
				if series.Metric != wait.metric {
					continue
				}
				cell.Cut.Each(func(micros, n int64) {
					if waited := time.Duration(micros) * time.Microsecond; waited > wait.usual {
						found.Users += int(n)
						found.Longest = max(found.Longest, waited)
					}
				})
			}
		}
		if found.Users > 0 {
			list = append(list, found)
		}
	}
	return list
}
