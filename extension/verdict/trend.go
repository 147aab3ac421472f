package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// trend is how a quantile changed during the judged part.
type trend struct {
	rising, falling bool
	begin, end      float64 // of the line through the quantiles, in ms
	crosses         bool    // the line would cross the limit if the run went on for as long again
}

// trend tests the quantiles of batches of time for a trend.
func (q question) trend() trend {
	if q.limit == 0 {
		return trend{}
	}
	x, y := q.batches()
	if len(y) < fewestBatches {
		return trend{}
	}
	falling := make([]float64, len(y))
	for i, v := range y {
		falling[i] = -v
	}
	begin, end := line(x, y)
	return trend{
		rising: rises(x, y) < trendLevel, falling: rises(x, falling) < trendLevel,
		begin: begin, end: end, crosses: end+(end-begin) > q.limit,
	}
}

// line returns the values of the least-squares line at both ends.
func line(x, y []float64) (begin, end float64) {
	alpha, beta := stat.LinearRegression(x, y, nil, false)
	return alpha + beta*x[0], alpha + beta*x[len(x)-1]
}

// batches returns the quantiles in ms of batches of time (y), with the numbers of the batches (x).
func (q question) batches() (x, y []float64) {
	for i, bounds := range split(len(q.t.n)) {
		from, to := bounds[0], bounds[1]
		pool, never := evidence.Sum(q.t.cells[from:to]...), sum(q.t.never[from:to])
		if float64(pool.Count())+never < batchSamples {
			continue
		}
		part := tally{pool: pool, never: []float64{never}}
		x = append(x, float64(i))
		y = append(y, math.Min(part.quantile(1-q.allowed), cappedAt*q.limit))
	}
	return x, y
}

// split divides a number of seconds into batches of 2 s or more.
func split(seconds int) [][2]int {
	n := min(trendBatches, seconds/2)
	parts := make([][2]int, 0, n)
	for i := range n {
		parts = append(parts, [2]int{i * seconds / n, (i + 1) * seconds / n})
	}
	return parts
}

// queueEnds returns the length of the queue at both ends of the judged part, on the least-squares line.
func (q question) queueEnds() (begin, end float64) {
	x, y := q.queueBatches()
	return line(x, y)
}

// queueBatches returns the mean lengths of the queue in batches of time (y), with the numbers of the batches (x).
func (q question) queueBatches() (x, y []float64) {
	for i, bounds := range split(len(q.queue)) {
		x = append(x, float64(i))
		y = append(y, stat.Mean(q.queue[bounds[0]:bounds[1]], nil))
	}
	return x, y
}

// grows reports whether the queue grows so fast that the wait would cross the limit if the run went on for as long again: by
// Little's law the wait grows in proportion to the queue.
func (q question) grows() bool {
	x, y := q.queueBatches()
	if len(y) < fewestBatches || rises(x, y) >= trendLevel {
		return false
	}
	begin, end := line(x, y)
	wait := q.t.quantile(1 - q.allowed)
	return end > 0 && (end-begin)*5 > end && end-begin >= 10 && wait*(2*end-begin)/end > q.limit
}
