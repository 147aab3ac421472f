package plan

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/schedule"
)

func course(start float64, stages ...schedule.Stage) schedule.Rate {
	return schedule.Rate{Start: start, Stages: stages}
}

func stage(seconds, target float64) schedule.Stage {
	return schedule.Stage{Duration: time.Duration(seconds * float64(time.Second)), Target: target}
}

func TestTheBusiestMinuteOfArrivals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		course schedule.Rate
		want   float64
	}{
		"nobody":                           {course(0), 0},
		"evenly, over ten minutes":         {course(0, stage(600, 10000), stage(180, 10000), stage(120, 0)), 1000},
		"within half a minute":             {course(0, stage(30, 500), stage(600, 500)), 500},
		"at once":                          {course(0, stage(0, 50), stage(10, 50)), 50},
		"who go away do not arrive":        {course(100, stage(60, 0)), 0},
		"slowly, then fast":                {course(0, stage(300, 100), stage(30, 160)), 60 + 10},
		"fast, then slowly":                {course(0, stage(30, 60), stage(300, 160)), 60 + 10},
		"a ramp, and a step at its end":    {course(0, stage(60, 50), stage(0, 150)), 150},
		"a step, and a ramp after it":      {course(0, stage(0, 100), stage(60, 150)), 150},
		"two steps a minute apart":         {course(0, stage(0, 10), stage(60, 10), stage(0, 30)), 30},
		"two steps more than that apart":   {course(0, stage(0, 10), stage(61, 10), stage(0, 30)), 20},
		"up, down and up again":            {course(0, stage(10, 100), stage(10, 0), stage(10, 100), stage(600, 100)), 200},
		"shorter than a minute as a whole": {course(0, stage(1, 2), stage(1, 2)), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.InDelta(t, tc.want, busiestMinute(linesOf(tc.course), arrived), 1e-9)
		})
	}
}

func TestTheBusiestMinuteOfEvents(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		course schedule.Rate
		want   float64
	}{
		"none":                        {course(0), 0},
		"a spike held for a minute":   {course(20, stage(60, 400), stage(60, 400), stage(60, 20), stage(60, 0)), 24000},
		"shorter than a minute":       {course(0, stage(10, 10), stage(20, 10), stage(10, 0), stage(10, 0)), 300},
		"a peak, as steep both ways":  {course(0, stage(60, 60), stage(60, 0)), 2 * 30 * (30 + 60) / 2.0},
		"a peak, steeper on one side": {course(0, stage(120, 120), stage(60, 0)), 60*120 - 40*40/2.0 - 20*40/2.0}, // from 80 s on, at 80 a second
		"a rate that jumps up":        {course(5, stage(60, 5), stage(0, 50), stage(60, 50)), 3000},
		"a rate that jumps down":      {course(50, stage(60, 50), stage(0, 5), stage(60, 5)), 3000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.InDelta(t, tc.want, busiestMinute(linesOf(tc.course), sent), 1e-9)
		})
	}
}

// simulated finds the busiest minute by counting: the arrivals or events in each time step, summed over every minute of steps.
func simulated(course schedule.Rate, isRate bool, step float64) float64 {
	steps := int(math.Ceil(course.Length().Seconds()/step)) + 1
	came := make([]float64, steps)
	at := func(t float64) float64 { return course.At(time.Duration(t * float64(time.Second))) }
	before := course.Start
	for i := range came {
		t := float64(i) * step
		now := at(t)
		if isRate {
			if t < course.Length().Seconds() {
				came[i] = at(t+step/2) * min(step, course.Length().Seconds()-t)
			}
		} else {
			came[i] = max(0, now-before)
		}
		before = now
	}
	window := int(math.Round(minute / step))
	most, sum := 0.0, 0.0
	for i, c := range came {
		sum += c
		if i >= window {
			sum -= came[i-window]
		}
		most = max(most, sum)
	}
	return most
}

// random returns a course of up to six stages, some of length 0. It has no two of those in a row: a simulation would see only the second.
func random(r *rand.Rand) schedule.Rate {
	c := schedule.Rate{Start: float64(r.IntN(3)) * 40 * r.Float64()}
	isStep := false
	for range 1 + r.IntN(6) {
		length := 1 + 200*r.Float64()
		if isStep = !isStep && r.IntN(3) == 0; isStep {
			length = 0
		}
		c.Stages = append(c.Stages, stage(math.Round(length*10)/10, float64(r.IntN(4))*30*r.Float64()))
	}
	return c
}

func TestTheBusiestMinuteIsThatOfASimulation(t *testing.T) {
	t.Parallel()
	const step = 0.05
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same ones each time
	for range 400 {
		c := random(r)
		steepest, highest := 0.0, c.Start
		for _, l := range linesOf(c) {
			highest = max(highest, l.to)
			if l.length > 0 {
				steepest = max(steepest, math.Abs(l.to-l.from)/l.length)
			}
		}
		// Users arriving within one time step count as arriving at once; the events of one time step count as a rectangle.
		require.InDelta(t, simulated(c, false, step), busiestMinute(linesOf(c), arrived), 2*step*steepest+1e-6, "arrivals of %v", c)
		require.InDelta(t, simulated(c, true, step), busiestMinute(linesOf(c), sent), 2*step*highest+1e-6, "events of %v", c)
	}
}

// For any course, no sampled minute is busier than the busiest minute.
func FuzzBusiestMinute(f *testing.F) {
	f.Add(20.0, 60.0, 400.0, 120.0, 400.0, 60.0, 20.0, 30.0)
	f.Add(0.0, 0.0, 10.0, 60.0, 10.0, 0.0, 30.0, 0.0)
	f.Fuzz(func(t *testing.T, start, l1, t1, l2, t2, l3, t3, from float64) {
		inRange := func(n float64) bool { return n >= 0 && n <= 86400 }
		for _, n := range []float64{start, l1, t1, l2, t2, l3, t3, from} {
			if !inRange(n) {
				t.Skip()
			}
		}
		lines := linesOf(course(start, stage(l1, t1), stage(l2, t2), stage(l3, t3)))
		for name, between := range map[string]func([]line, float64, float64) float64{"arrivals": arrived, "events": sent} {
			most := busiestMinute(lines, between)
			if this := between(lines, from-minute, from); this > most*(1+1e-9)+1e-6 {
				t.Errorf("%s: %v in the minute before %v, more than the busiest, %v", name, this, from, most)
			}
			if all := between(lines, -1, 1e9); most > all*(1+1e-9) {
				t.Errorf("%s: %v in a minute, of %v at all", name, most, all)
			}
		}
	})
}
