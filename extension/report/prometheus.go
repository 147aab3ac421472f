package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/verity-app/xk6-verity/extension/snapshot"
)

// PrometheusTable returns the table of the readings of each query.
func PrometheusTable(url string, readings snapshot.Report) Table {
	t := Table{
		Title:   fmt.Sprintf("Prometheus at %s, over the %.1f s of the run", url, readings.Length.Seconds()),
		Columns: []string{"reading", "start", "end", "peak", "increase", "per second", "remark"},
		Notes:   readings.Notes,
	}
	for _, r := range readings.Readings {
		t.Rows = append(t.Rows, []string{
			r.Name, figure(r.Start), figure(r.End), figure(r.Peak), figure(r.Increase), figure(r.PerSecond), r.Remark,
		})
	}
	return t
}

// figure formats a number; "" if it is unknown or was not asked for.
func figure(value *float64) string {
	switch {
	case value == nil:
		return ""
	case math.IsNaN(*value) || math.IsInf(*value, 0) || math.Abs(*value) >= 1e15:
		return strconv.FormatFloat(*value, 'g', 6, 64)
	case *value == math.Trunc(*value):
		return Thousands(int(*value))
	case math.Abs(*value) >= 100:
		return Thousands(int(math.Round(*value)))
	default:
		return strconv.FormatFloat(*value, 'g', 3, 64)
	}
}
