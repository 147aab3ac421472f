package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// confidence is the one-sided confidence of PASS and of FAIL.
	confidence = 0.95
	// fewestSeconds is the least number of seconds in which bunches of misses are recognised. With fewer, each second counts as
	// one sample, unless all or none of the samples missed.
	fewestSeconds = 4
	// nearMisses, nearShare and nearPart define which samples are near the limit: the slowest nearShare times the allowed share
	// of all, at least nearMisses more than missed, and only those above nearPart of the limit.
	nearMisses, nearShare, nearPart = 20, 2, 0.7
)

// sample is a number of counted things, and how many of them missed the claim. The numbers are not whole if correlated samples
// were converted to the fewer independent samples that they are worth.
type sample struct{ n, misses float64 }

func (s sample) share() float64 {
	if s.n == 0 {
		return 0
	}
	return s.misses / s.n
}

// upper returns the upper bound of the true share of misses with this confidence: Clopper and Pearson's.
func (s sample) upper(level float64) float64 {
	if s.n <= 0 || s.misses >= s.n {
		return 1
	}
	return distuv.Beta{Alpha: s.misses + 1, Beta: s.n - s.misses}.Quantile(level)
}

// lower returns the lower bound of the true share of misses with this confidence.
func (s sample) lower(level float64) float64 {
	if s.n <= 0 || s.misses <= 0 {
		return 0
	}
	misses := min(s.misses, s.n) // an error may be counted in another second than its operation, or without it at the run's end
	return distuv.Beta{Alpha: misses, Beta: s.n - misses + 1}.Quantile(1 - level)
}

// worth returns the sample converted to independent samples: the same share, with n divided by inflation.
func (s sample) worth(inflation float64) sample {
	return sample{n: s.n / inflation, misses: s.misses / inflation}
}

// leastSamples returns how many independent samples are needed to show, with this confidence, that less than a share miss,
// given this many misses: the least n at which the binomial rule on order statistics gives the quantile an upper bound.
func leastSamples(share float64, misses int, level float64) int {
	proven := func(n int) bool {
		return sample{n: float64(n), misses: float64(misses)}.upper(level) <= share
	}
	high := misses + 1
	for !proven(high) {
		high *= 2
	}
	low := high / 2
	for low+1 < high {
		if middle := (low + high) / 2; proven(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// quantileLevels returns the shares of the sorted samples between which the true p-quantile lies, with this confidence on each
// side: the order statistics whose bounds are compatible with p.
func quantileLevels(p, n, level float64) (low, high float64) {
	low = bisect(func(q float64) bool { return sample{n: n, misses: q * n}.upper(level) >= p })
	high = bisect(func(q float64) bool { return sample{n: n, misses: q * n}.lower(level) >= p })
	return low, high
}

// bisect returns the least share for which a condition holds, or 1 if there is none.
func bisect(holds func(float64) bool) float64 {
	low, high := 0.0, 1.0
	for range 40 {
		if middle := (low + high) / 2; holds(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// inflation returns how many correlated samples are worth one independent sample, at least 1: the design effect of the misses
// per second, with Korn and Graubard's correction for an estimated variance. n and misses are by second.
func inflation(n, misses []float64) float64 {
	seconds := float64(len(n))
	total, missed := sum(n), sum(misses)
	if missed <= 0 || missed >= total {
		return 1
	}
	if len(n) < fewestSeconds {
		return max(total/seconds, 1)
	}
	p := missed / total
	excess := make([]float64, len(n))
	for i := range n {
		excess[i] = misses[i] - p*n[i]
	}
	independent := total * p * (1 - p)
	variance, lags := longRunVariance(excess)
	span := 2*lags + 1
	// Subtracting the mean hid the part of the variance that is slower than the series is long.
	variance /= max(1-span/seconds, 0.5)
	return min(max(variance*seconds/independent*lessKnown(max(seconds/span, 1)), 1), total)
}

// lessKnown returns the factor by which a variance that is estimated with these degrees of freedom is widened.
func lessKnown(freedom float64) float64 {
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile(confidence)
	z := distuv.UnitNormal.Quantile(confidence)
	return (t / z) * (t / z)
}

// longRunVariance returns the variance that each second adds to the sum of a series, covariances with later seconds included:
// Geyer's initial monotone sequence. lags is the last lag that was used.
func longRunVariance(series []float64) (variance, lags float64) {
	pairs, least := 0.0, math.Inf(1)
	for k := 0; k+1 < len(series); k += 2 {
		pair := autocovariance(series, k) + autocovariance(series, k+1)
		if k > 0 && pair <= 0 {
			break
		}
		least = min(least, pair)
		pairs += least
		lags = float64(k + 1)
	}
	own := autocovariance(series, 0)
	return max(2*pairs-own, own), lags
}

func autocovariance(series []float64, lag int) float64 {
	total := 0.0
	for i := lag; i < len(series); i++ {
		total += series[i] * series[i-lag]
	}
	return total / float64(len(series))
}

func sum(numbers []float64) float64 {
	total := 0.0
	for _, n := range numbers {
		total += n
	}
	return total
}

// rises returns the p-value of a rising trend: Mann and Kendall's test, with its variance corrected for the correlation of
// neighbours.
func rises(x, y []float64) float64 {
	n := float64(len(y))
	falling := make([]float64, len(y))
	for i, v := range y {
		falling[i] = -v
	}
	// gonum counts ties as rising; they cancel in the difference.
	tau := (stat.Kendall(x, y, nil) - stat.Kendall(x, falling, nil)) / 2
	variance := 2 * (2*n + 5) / (9 * n * (n - 1)) * neighbours(x, y)
	return distuv.UnitNormal.Survival(tau / math.Sqrt(variance))
}

// neighbours returns the factor by which the correlation of neighbours widens a trend's variance, once the line is subtracted.
func neighbours(x, y []float64) float64 {
	alpha, beta := stat.LinearRegression(x, y, nil, false)
	rest := make([]float64, len(y))
	for i := range y {
		rest[i] = y[i] - alpha - beta*x[i]
	}
	own := autocovariance(rest, 0)
	if own <= 0 {
		return 1
	}
	r := min(max(autocovariance(rest, 1)/own, 0), 0.8)
	return (1 + r) / (1 - r)
}
