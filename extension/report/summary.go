package report

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

// Summary is the part of what k6 passes to handleSummary that a report needs.
type Summary struct {
	State struct {
		TestRunDurationMs float64 `json:"testRunDurationMs"`
	} `json:"state"`
	Metrics map[string]Metric `json:"metrics"`
}

// Metric is one metric of k6's summary.
type Metric struct {
	Type       string             `json:"type"`
	Contains   string             `json:"contains"`
	Values     map[string]float64 `json:"values"`
	Thresholds map[string]struct {
		OK bool `json:"ok"`
	} `json:"thresholds"`
}

// Took returns the length of the run.
func (s Summary) Took() time.Duration {
	return time.Duration(s.State.TestRunDurationMs * float64(time.Millisecond))
}

func (s Summary) value(metric, name string) float64 { return s.Metrics[metric].Values[name] }

func (s Summary) count(metric string) int { return int(s.value(metric, "count")) }

// thresholds returns the conditions that k6 judged, sorted by metric.
func (s Summary) thresholds() []Threshold {
	var all []Threshold
	for _, name := range slices.Sorted(maps.Keys(s.Metrics)) {
		metric := s.Metrics[name]
		for _, condition := range slices.Sorted(maps.Keys(metric.Thresholds)) {
			all = append(all, Threshold{
				Metric: name, Condition: condition, Passed: metric.Thresholds[condition].OK, Measured: metric.measured(condition),
				Samples: metric.samples(),
			})
		}
	}
	return all
}

// samples returns the number of values of a metric; -1 if k6 does not report it.
func (m Metric) samples() int64 {
	n, known := m.Values["count"]
	if m.Type == "rate" {
		n, known = m.Values["passes"]+m.Values["fails"], true
	}
	if !known {
		return -1
	}
	return int64(n)
}

// aggregation matches the aggregation in a condition, such as p(95) in p(95)<100.
var aggregation = regexp.MustCompile(`^\s*([a-z]+(\([0-9.]+\))?)`)

// measured returns the value by which a condition was judged; "" if the summary does not have it.
func (m Metric) measured(condition string) string {
	match := aggregation.FindStringSubmatch(condition)
	if match == nil {
		return ""
	}
	value, known := m.Values[match[1]]
	if !known {
		return ""
	}
	text := fmt.Sprintf("%s=%.4g", match[1], value)
	if value >= 1000 {
		text = fmt.Sprintf("%s=%.0f", match[1], value)
	}
	if m.Contains == "time" && match[1] != "count" {
		text += " ms"
	}
	return text
}
