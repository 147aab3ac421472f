package cli

import (
	"fmt"
	"slices"
	"strings"
)

// refusedFlags are the flags of k6 run that would change a step's load or keep it from running, and why each is refused.
var refusedFlags = []struct{ names, why string }{ //nolint:gochecknoglobals // a constant table
	{"--vus -u --duration -d --iterations -i --stage -s", "the profile of a step says how many users there are, and for how long; other numbers go into a plan file, see --plan"},
	{"--env -e", "what stands in a command is seen by everybody on this machine; set variables in the environment, or in a plan file, see --plan"},
	{"--execution-segment --execution-segment-sequence", "the campaign gives them to each runner itself; see --runners"},
	{"--paused -p", "each step would wait for somebody to resume it; the campaign asks before a step"},
	{"--linger -l", "no step would end"},
	{"--include-system-env-vars", "the steps get their variables from the environment"},
}

// checkK6Flags refuses flags of k6 run that would change the steps of the plan.
func checkK6Flags(flags []string) error {
	for _, given := range flags {
		name, _, _ := strings.Cut(given, "=")
		if strings.HasSuffix(name, ".js") || strings.HasSuffix(name, ".ts") || strings.HasSuffix(name, ".tar") {
			return fmt.Errorf("after -- stand flags of k6 run only, got %q: the plan says which script a step runs", given)
		}
		for _, refused := range refusedFlags {
			if isAmong(name, strings.Fields(refused.names)) {
				return fmt.Errorf("%s cannot stand after --: %s", name, refused.why)
			}
		}
	}
	return nil
}

// isAmong reports whether a flag is one of the names. A short flag may have its value attached, such as -u10.
func isAmong(flag string, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		isShort := len(name) == 2
		return flag == name || isShort && strings.HasPrefix(flag, name) && !strings.HasPrefix(flag, "--")
	})
}

// plainFlags are flags of k6 run whose values hold no secret. Other values are not shown: the address of an output may have a password in it.
var plainFlags = []string{ //nolint:gochecknoglobals // a constant table
	"--address", "--batch", "--batch-per-host", "--block-hostnames", "--compatibility-mode", "--dns", "--local-ips", "--log-format",
	"--max-redirects", "--min-iteration-duration", "--rps", "--summary-mode", "--summary-time-unit", "--summary-trend-stats", "--system-tags",
	"--tag", "--user-agent", "--verbose", "-v", "--quiet", "-q",
}

// shownFlags returns the flags for the log, with … in place of values that may be secret.
func shownFlags(flags []string) []string {
	shown := make([]string, 0, len(flags))
	isPlain := true // whether the next word, if it is a value, may be shown
	for _, given := range flags {
		name, _, hasValue := strings.Cut(given, "=")
		switch {
		case !strings.HasPrefix(given, "-") && isPlain:
			shown = append(shown, quoted(given))
		case !strings.HasPrefix(given, "-"):
			shown = append(shown, "…")
		case slices.Contains(plainFlags, name):
			isPlain = true
			shown = append(shown, quoted(given))
		case !strings.HasPrefix(given, "--") && len(given) > 2:
			isPlain = false
			shown = append(shown, given[:2]+"…") // a short flag with its value attached
		case hasValue:
			isPlain = false
			shown = append(shown, name+"=…")
		default:
			isPlain = false
			shown = append(shown, given)
		}
	}
	return shown
}

// FlagValue returns the value of a flag among the arguments of k6. Of a flag given twice it returns the last value, as k6 does.
func FlagValue(args []string, name string) (value string, isGiven bool) {
	for i, given := range args {
		if text, found := strings.CutPrefix(given, "--"+name+"="); found {
			value, isGiven = text, true
		}
		if given == "--"+name && i+1 < len(args) {
			value, isGiven = args[i+1], true
		}
	}
	return value, isGiven
}
