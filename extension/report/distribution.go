package report

import (
	"fmt"
	"math"
	"strings"
)

// distribution is the histogram of a series' times, as a drawing and as a table of percentiles.
type distribution struct {
	Latency
	Path        string // SVG path of the drawing, 600 wide and 80 high
	From, To    string // the times at its left and right edge
	Percentiles [][2]string
}

const (
	distributionWidth, distributionHeight = 600, 80
	distributionBars                      = 60
)

// distributionOf draws a histogram with bars of equal width in the logarithm of the time. Without samples it draws nothing.
func distributionOf(l Latency) distribution {
	d := distribution{Latency: l}
	if l.N == 0 {
		return d
	}
	least, greatest := math.Max(float64(l.times.Rank(1)), 1), math.Max(float64(l.Max), 2)
	low, high := math.Log(least), math.Log(greatest)
	if high-low < 0.1 {
		low, high = low-0.05, high+0.05
	}
	bars := make([]float64, distributionBars)
	top := 0.0
	l.times.Each(func(micros, n int64) {
		at := int((math.Log(math.Max(float64(micros), 1)) - low) / (high - low) * distributionBars)
		at = min(max(at, 0), distributionBars-1)
		bars[at] += float64(n)
		top = math.Max(top, bars[at])
	})
	var path strings.Builder
	const width = distributionWidth / distributionBars
	for i, n := range bars {
		if n > 0 {
			height := math.Max(1, n/top*distributionHeight)
			fmt.Fprintf(&path, "M%d %dv-%.0fh%dv%.0fz", i*width, distributionHeight, height, width-1, height)
		}
	}
	d.Path, d.From, d.To = path.String(), duration(int64(least)), duration(int64(greatest))
	for _, q := range []float64{0.5, 0.75, 0.9, 0.95, 0.99, 0.999} {
		d.Percentiles = append(d.Percentiles, [2]string{fmt.Sprintf("p%g", q*100), duration(l.times.Quantile(q))})
	}
	return d
}

// number formats a value with its unit; "" if it is not finite.
func number(value float64, unit string) string {
	switch {
	case math.IsInf(value, 0) || math.IsNaN(value):
		return ""
	case unit == "share":
		return short(100*value) + " %"
	case unit == "":
		return short(value)
	}
	return short(value) + " " + unit
}
