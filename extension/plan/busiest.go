package plan

import (
	"slices"

	"github.com/verity-app/xk6-verity/extension/schedule"
)

// line is a stage of a course: evenly from one number to another, in so many seconds.
type line struct{ begin, length, from, to float64 }

func (l line) end() float64 { return l.begin + l.length }

// at is the number at a time in the stage.
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

// arrived is how many users arrive between two times, both included, on a course of how many there are.
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

// sent is how many events come between two times, on a course of events a second.
func sent(lines []line, begin, end float64) (events float64) {
	for _, l := range lines {
		if length := overlap(l, begin, end); length > 0 {
			first := max(l.begin, begin)
			events += length * (l.at(first) + l.at(first+length)) / 2
		}
	}
	return events
}

// overlap is for how many seconds a stage goes on between two times.
func overlap(l line, begin, end float64) float64 {
	return max(0, min(l.end(), end)-max(l.begin, begin))
}

// busiestMinute is the most of what `between` counts that any minute brings. As the minute moves along, that changes by a
// parabola at most as long as neither its begin nor its end passes from one stage to the next. So the most is where one of
// them does, or at the vertex of a parabola in between.
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

// vertex is where a parabola that f follows between two places is highest; one of the two, or their middle, if it is nowhere.
func vertex(f func(float64) float64, a, b float64) float64 {
	// The ends themselves may be on a step.
	half := (b - a) / 4
	middle := a + 2*half
	left, top, right := f(middle-half), f(middle), f(middle+half)
	curve := left - 2*top + right
	if curve >= 0 {
		return middle
	}
	return min(b, max(a, middle+half*(left-right)/(2*curve)))
}
