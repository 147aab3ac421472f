package plan

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Span is a duration with the text it was parsed from.
type Span struct {
	time.Duration

	Text string
}

var (
	spanText = regexp.MustCompile(`^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$`)
	spanPart = regexp.MustCompile(`(\d+(?:\.\d+)?)(ms|s|m|h|d)`)
	unitless = regexp.MustCompile(`^\d+(?:\.\d+)?$`)
)

var units = map[string]time.Duration{ //nolint:gochecknoglobals // a constant table
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// ParseSpan parses a duration of the scenarios' variables or of k6's options, such as 90s, 1m30s or 0m; 90 means 90s.
func ParseSpan(text string) (Span, error) {
	if unitless.MatchString(text) {
		text += "s"
	}
	if !spanText.MatchString(text) {
		return Span{}, fmt.Errorf("time: invalid duration %q", text)
	}
	var sum float64
	for _, part := range spanPart.FindAllStringSubmatch(text, -1) {
		number, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return Span{}, fmt.Errorf("time: invalid duration %q", text)
		}
		sum += number * float64(units[part[2]])
	}
	if sum >= math.MaxInt64 {
		return Span{}, fmt.Errorf("time: invalid duration %q", text)
	}
	return Span{time.Duration(math.Round(sum)), text}, nil
}
