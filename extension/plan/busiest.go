package plan

import (
	"slices"

	"github.com/verity-app/xk6-verity/extension/schedule"
)

// line is a stage of a course: a linear change from one number to another. Times are in seconds.
type line struct{ begin, length, from, to float64 }

func (l line) end() float64 { return l.begin + l.length }

// at returns the number at a time within the stage.
func (l line) at(t float64) float64 { return l.from + (l.to-l.from)*(t-l.begin)/l.length }

func linesOf(course schedule.Rate) []line {
	lines := make([]line, 0, len(course.Stages))
	begin, from := 0.0, course.Start
	for _, stage := range course.Stages {
		l := line{begin, stage.Duration.Seconds(), from, stage.Target}
		lines = append(lines, l)
		begin, from = l.end(), l.to
	}
	return lines
}

// arrived returns how many users arrive between two times, both included. The lines are the number of users over time.
func arrived(lines []line, begin, end float64) (users float64) {
	for _, l := range lines {
		switch {
		case l.to <= l.from:
		case l.length > 0:
			users += (l.to - l.from) * overlap(l, begin, end) / l.length
		case l.begin >= begin && l.begin <= end: // a step
			users += l.to - l.from
		}
	}
	return users
}

// sent returns how many events are sent between two times. The lines are the events per second over time.
func sent(lines []line, begin, end float64) (events float64) {
	for _, l := range lines {
		if length := overlap(l, begin, end); length > 0 {
			first := max(l.begin, begin)
			events += length * (l.at(first) + l.at(first+length)) / 2
		}
	}
	return events
}

// overlap returns how many seconds of a stage lie between two times.
func overlap(l line, begin, end float64) float64 {
	return max(0, min(l.end(), end)-max(l.begin, begin))
}

// busiestMinute returns the maximum of `between` over all minutes. As a function of the minute's start it is at most a parabola, as
// long as neither the start nor the end of the minute passes from one stage to the next. So the maximum is where one of them does, or
// at the vertex of a parabola in between.
func busiestMinute(lines []line, between func(lines []line, begin, end float64) float64) float64 {
	bends := make([]float64, 0, 2*len(lines)+2)
	for _, l := range append([]line{{}}, lines...) {
		bends = append(bends, l.end(), l.end()-minute)
	}
	slices.Sort(bends)
	in := func(begin float64) float64 { return between(lines, begin, begin+minute) }
	most := 0.0
	for i, bend := range bends {
		most = max(most, in(bend))
		if i > 0 {
			most = max(most, in(vertex(in, bends[i-1], bend)))
		}
	}
	return most
}

// vertex returns the place of the maximum between a and b of a parabola f: its vertex, or a or b if the vertex is outside. If f has no
// maximum, it returns the middle.
func vertex(f func(float64) float64, a, b float64) float64 {
	// f is not evaluated at a and b, where it may have a step.
	half := (b - a) / 4
	middle := a + 2*half
	left, top, right := f(middle-half), f(middle), f(middle+half)
	curve := left - 2*top + right
	if curve >= 0 {
		return middle
	}
	return min(b, max(a, middle+half*(left-right)/(2*curve)))
}
