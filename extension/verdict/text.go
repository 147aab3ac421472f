package verdict

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// percent formats a share with enough digits to distinguish it from zero.
func percent(share float64) string {
	p := share * 100
	digits := 1
	switch {
	case p == 0 || p == 100 || p >= 10:
		digits = 0
	case p < 0.01:
		digits = 4
	case p < 0.1:
		digits = 3
	case p < 1:
		digits = 2
	}
	return trimmed(p, digits) + " %"
}

func trimmed(f float64, digits int) string {
	text := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// millis formats a time given in ms: "38 ms", "2.7 s".
func millis(ms float64) string {
	text, unit := inUnit(ms, ms)
	return text + " " + unit
}

// inUnit formats a time in the unit that suits the time like.
func inUnit(ms, like float64) (text, unit string) {
	switch {
	case like >= 1000:
		return trimmed(ms/1000, 2), "s"
	case like < 10:
		return trimmed(ms, 2), "ms"
	default:
		return trimmed(ms, 0), "ms"
	}
}

// span formats an interval of times: "38 to 41 ms". An infinite end lies among requests without an answer, or there are too few
// samples for it.
func span(low, high float64) string {
	if math.IsInf(low, 1) {
		return "not reached"
	}
	if math.IsInf(high, 1) {
		return millis(low) + " or more"
	}
	from, unit := inUnit(low, high)
	to, _ := inUnit(high, high)
	if from == to {
		return to + " " + unit
	}
	return from + " to " + to + " " + unit
}

// percentSpan formats an interval of shares: "0.02 to 0.05 %".
func percentSpan(low, high float64) string {
	from, to := percent(low), percent(high)
	if from == to {
		return to
	}
	return strings.TrimSuffix(from, " %") + " to " + to
}

// lasting formats a number of seconds as Go does, rounded to whole seconds: "5m0s".
func lasting(seconds float64) string {
	return (time.Duration(math.Round(seconds)) * time.Second).String()
}

// quantileName formats a quantile: p95, p99.9.
func quantileName(p float64) string { return "p" + trimmed(p*100, 2) }

// plural formats a number and its noun, with an s except for 1.
func plural[T int | int64 | float64](n T, noun string) string {
	if math.Round(float64(n)) == 1 {
		return "1 " + noun
	}
	return plain.Count(n) + " " + noun + "s"
}

// kinds lists failures by kind, the most frequent first, at most three.
func kinds(failed map[string]int64) string {
	names := make([]string, 0, len(failed))
	for name, n := range failed {
		if n > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if failed[a] != failed[b] {
			return int(failed[b] - failed[a])
		}
		return strings.Compare(a, b)
	})
	more := ""
	if len(names) > 3 {
		names, more = names[:3], " and others"
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %s", plain.Count(failed[name]), name)
	}
	return strings.Join(names, ", ") + more
}
