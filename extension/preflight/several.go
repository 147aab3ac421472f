package preflight

import (
	"fmt"
	"math"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// severalRunners explains to which addresses the numbers of the following checks apply.
func (p Plan) severalRunners() Check {
	return Check{"runners", Passed, fmt.Sprintf("this is runner %d of %d: what is planned below is its own part, and counts where each runner "+
		"has an address of its own; behind one shared address (a NAT gateway, a proxy, one machine) the service counts what all %d ask together",
		p.Runner, p.Runners, p.Runners)}
}

// ofAll returns the requests of all runners together in their busiest minute.
func (p Plan) ofAll(l Load) float64 {
	if l.OfEach || p.Share <= 0 {
		return l.PerMinute * float64(p.Runners)
	}
	return l.PerMinute / p.Share
}

// withAll adds the load of all runners together to the check of a route. If this runner keeps to the limit and all of them
// together do not, it warns, as it is unknown whether they share an address.
func (p Plan) withAll(check Check, l Load, allowed uint64) Check {
	if p.Runners < 2 {
		return check
	}
	all := math.Ceil(p.ofAll(l) - rounding)
	check.Found += fmt.Sprintf("; %s by all %d runners", plain.Count(all), p.Runners)
	if allowed > 0 && all > float64(allowed) {
		check.Found += ", too many behind one shared address"
		if check.Verdict == Passed {
			check.Verdict = Warning
		}
	}
	return check
}
