package campaign

import (
	"fmt"
	"slices"
	"time"
)

const (
	// longPause is the length above which a time without a step is drawn shortened: a campaign may go on a day later.
	longPause = 15 * time.Minute
	// pauseShare is the share of the width that a shortened pause takes.
	pauseShare = 0.03
	// timelineWidth is the width of the drawing, in its own units, and leastWidth the width of the shortest step.
	timelineWidth = 1000.0
	leastWidth    = 4.0
)

// timeline maps times to positions on a line, with long pauses shortened.
type timeline struct {
	spans []span
	units float64 // per second
	pause float64 // units per shortened pause
}

// span is an interval without a long pause.
type span struct{ from, to time.Time }

// newTimeline lays out the times of the steps.
func newTimeline(r *Record) timeline {
	var spans []span
	for i := range r.Steps {
		if s := &r.Steps[i]; !s.Began.IsZero() {
			spans = append(spans, span{s.Began, r.endOf(s)})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var t timeline
	for _, s := range spans {
		if last := len(t.spans) - 1; last >= 0 && s.from.Sub(t.spans[last].to) <= longPause {
			t.spans[last].to = later(t.spans[last].to, s.to)
		} else {
			t.spans = append(t.spans, s)
		}
	}
	seconds := 0.0
	for _, s := range t.spans {
		seconds += s.to.Sub(s.from).Seconds()
	}
	t.pause = pauseShare * timelineWidth
	t.units = (timelineWidth - t.pause*float64(max(0, len(t.spans)-1))) / max(seconds, 1)
	return t
}

// endOf returns the end of a step or, if it has none, the time of the last line of the log.
func (r *Record) endOf(s *StepRecord) time.Time {
	if !s.Ended.IsZero() {
		return s.Ended
	}
	end := s.Began
	for _, event := range r.Events {
		end = later(end, event.At)
	}
	return end
}

// at returns the position of a time.
func (t timeline) at(moment time.Time) float64 {
	x := 0.0
	for i, s := range t.spans {
		if i > 0 {
			x += t.pause
		}
		if moment.Before(s.from) {
			return x
		}
		if !moment.After(s.to) {
			return x + t.units*moment.Sub(s.from).Seconds()
		}
		x += t.units * s.to.Sub(s.from).Seconds()
	}
	return min(x, timelineWidth)
}

// pauses describes the pauses that are shortened.
func (t timeline) pauses() (list []string) {
	for i := 1; i < len(t.spans); i++ {
		from, to := t.spans[i-1].to, t.spans[i].from
		list = append(list, fmt.Sprintf("%s from %s", to.Sub(from).Round(time.Second), clock(from)))
	}
	return list
}
