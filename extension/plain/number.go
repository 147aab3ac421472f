package plain

import (
	"math"
	"strconv"
	"strings"
)

// Count formats 12345.6 as 12,346. golang.org/x/text/message does so too, at the price of the tables of all languages.
func Count[N int | int64 | uint64 | float64](n N) string {
	digits := strconv.FormatFloat(math.Round(float64(n)), 'f', 0, 64)
	digits, isNegative := strings.CutPrefix(digits, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if isNegative && digits != "0" {
		return "-" + digits
	}
	return digits
}
