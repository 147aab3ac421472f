package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// Latency holds the times of one series over a whole run, in µs. They are of operations that succeeded.
type Latency struct {
	Name                  string
	N, Failed, Cut        int64
	Median, P95, P99, Max int64
	times                 *evidence.Histogram
}

// latencyMetrics returns the metrics that have a line in the table, in order.
func latencyMetrics() []evidence.Metric {
	return []evidence.Metric{
		evidence.MetricRequest, evidence.MetricMatch, evidence.MetricSocket, evidence.MetricStart, evidence.MetricEvent,
	}
}

// latenciesOf adds up each series over a run, including series in which no operation succeeded.
func latenciesOf(run *evidence.Run) []Latency {
	found := map[evidence.Series]bool{}
	for _, second := range run.Seconds {
		for series := range second.Cells {
			found[series] = true
		}
	}
	all := slices.SortedFunc(maps.Keys(found), func(a, b evidence.Series) int { return strings.Compare(a.Label, b.Label) })
	var list []Latency
	for _, metric := range latencyMetrics() {
		for _, series := range all {
			if series.Metric == metric {
				list = append(list, latencyOf(run, series))
			}
		}
	}
	return list
}

func latencyOf(run *evidence.Run, series evidence.Series) Latency {
	l := Latency{Name: seriesName(series)}
	var parts []*evidence.Histogram
	for _, second := range run.Seconds {
		cell := second.Cells[series]
		if cell == nil {
			continue
		}
		parts = append(parts, cell.OK)
		l.Cut += cell.Cut.Count()
		l.Failed += failedOf(cell)
	}
	l.times = evidence.Sum(parts...)
	l.N = l.times.Count()
	l.Median, l.P95, l.P99, l.Max = l.times.Quantile(0.5), l.times.Quantile(0.95), l.times.Quantile(0.99), l.times.Rank(l.N)
	return l
}

// seriesName returns the name of a series for a reader.
func seriesName(series evidence.Series) string {
	switch series.Metric {
	case evidence.MetricRequest:
		return series.Label
	case evidence.MetricMatch:
		return "match"
	case evidence.MetricSocket:
		return "socket"
	case evidence.MetricStart:
		return "session start"
	case evidence.MetricEvent:
		return "event, from when it was due"
	default:
		return series.String()
	}
}

// Cells returns the line of the table.
func (l Latency) Cells() []string {
	cells := []string{l.Name, Thousands(int(l.N)), "", "", "", "", Thousands(int(l.Failed)), Thousands(int(l.Cut))}
	if l.N > 0 {
		copy(cells[2:], []string{duration(l.Median), duration(l.P95), duration(l.P99), duration(l.Max)})
	}
	return cells
}

func latencyColumns() []string {
	return []string{"latency", "n", "median", "p95", "p99", "max", "failed", "cut off by the end"}
}

// duration formats a time with three digits.
func duration(micros int64) string {
	ms := float64(micros) / 1000
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.3g s", ms/1000)
	case ms >= 100:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	default:
		return fmt.Sprintf("%.3g ms", ms)
	}
}
