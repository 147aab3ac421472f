package preflight

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Failures returns the failed checks, as name and finding.
func Failures(checks []Check) (failed []string) {
	for _, c := range checks {
		if c.Verdict == Failed {
			failed = append(failed, c.Name+": "+c.Found)
		}
	}
	return failed
}

// Refusal returns an error if checks failed: then the run must not begin.
func Refusal(checks []Check) error {
	failed := Failures(checks)
	if len(failed) == 0 {
		return nil
	}
	return errors.New("the preflight stops this run, whose result would be meaningless: " + strings.Join(failed, "; ") +
		". SKIP_PREFLIGHT=1 runs it all the same")
}

// JSON returns the checks as JSON.
func JSON(checks []Check) string {
	text, err := json.MarshalIndent(map[string]any{
		"passed": !slices.ContainsFunc(checks, func(c Check) bool { return c.Verdict == Failed }),
		"checks": checks,
	}, "", "  ")
	if err != nil {
		panic(fmt.Errorf("encoding the preflight: %w", err)) // strings and booleans always encode
	}
	return string(text) + "\n"
}
