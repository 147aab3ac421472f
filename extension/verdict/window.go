package verdict

import (
	"slices"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// plannedPart is the share of the planned load that begins and ends the judged part of a run.
const plannedPart = 0.9

// window is the judged part of a run: from the first second with plannedPart of the load to the last such second, inclusive.
type window struct {
	from, to int64
	found    bool
}

func (w window) seconds() int64 { return w.to - w.from + 1 }

// findWindow returns the judged part. Without a plan it is the whole run.
func findWindow(run *evidence.Run, first, last int64) window {
	if len(run.Seconds) == 0 {
		return window{}
	}
	enough := func(*evidence.Second) bool { return true }
	switch {
	case run.Header.PlannedUsers > 0:
		least := plannedPart * float64(run.Header.PlannedUsers)
		enough = func(s *evidence.Second) bool { return s.Levels[evidence.LevelPresent] >= least }
	case run.Header.PlannedRate > 0:
		least := plannedPart * run.Header.PlannedRate
		enough = func(s *evidence.Second) bool { return float64(s.Counts[evidence.CountDue]) >= least }
	}
	w := window{}
	for at := first; at <= last; at++ {
		if second := run.Seconds[at]; second == nil || !enough(second) {
			continue
		}
		if !w.found {
			w = window{from: at, found: true}
		}
		w.to = at
	}
	return w
}

// levels returns the readings of a level by second, both seconds included; a second without a reading has the previous one.
func levels(run *evidence.Run, name string, from, to int64) []float64 {
	readings := make([]float64, 0, to-from+1)
	for at := from; at <= to; at++ {
		reading, read := 0.0, false
		if second := run.Seconds[at]; second != nil {
			reading, read = second.Levels[name]
		}
		if !read && len(readings) > 0 {
			reading = readings[len(readings)-1]
		}
		readings = append(readings, reading)
	}
	return readings
}

// lastingLevel returns the highest level that was kept for this many consecutive seconds, except in one of a hundred.
func lastingLevel(readings []float64, seconds int) float64 {
	best := 0.0
	for from := 0; from+seconds <= len(readings); from++ {
		best = max(best, keptLevel(readings[from:from+seconds]))
	}
	return best
}

// keptLevel returns the level that all readings except one in a hundred reach.
func keptLevel(readings []float64) float64 {
	if len(readings) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(readings))
	return sorted[len(sorted)/100]
}
