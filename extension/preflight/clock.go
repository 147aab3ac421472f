package preflight

import (
	"fmt"
	"net/http"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
)

const (
	// signatureTolerance is how old a webhook's signature may be, in whole seconds.
	signatureTolerance = int64(contract.SignatureTolerance / time.Second)
	// clockWarning is a difference in seconds that a clock set by NTP does not have.
	clockWarning = 60
)

// clock compares the service's clock with this machine's in whole seconds, as the service does with a signature. It assumes that
// the service set its Date half-way between the request and the answer.
func clock(health platform.Health) Check {
	const name = "clock"
	if health.Date == "" {
		return Check{name, Warning, "the answer to GET /health has no Date, so the clocks cannot be compared"}
	}
	date, err := http.ParseTime(health.Date)
	if err != nil {
		return Check{name, Warning, fmt.Sprintf("the Date %q in the answer to GET /health is none, so the clocks cannot be compared",
			plain.Short(health.Date, 60))}
	}
	middle := health.Asked.Add(health.Answered.Sub(health.Asked) / 2)
	behind := date.Unix() - middle.Unix()
	switch {
	case behind > signatureTolerance:
		return Check{name, Failed, fmt.Sprintf("%d s behind the target's, and webhooks are refused once their signature is more than "+
			"%d s old: set this machine's clock", behind, signatureTolerance)}
	case behind >= clockWarning:
		return Check{name, Warning, fmt.Sprintf("%d s behind the target's; webhooks are refused from %d s on: set this machine's clock",
			behind, signatureTolerance+1)}
	case -behind >= clockWarning:
		return Check{name, Warning, fmt.Sprintf("%d s ahead of the target's: set this machine's clock", -behind)}
	case behind < 0:
		return Check{name, Passed, fmt.Sprintf("%d s ahead of the target's", -behind)}
	default:
		return Check{name, Passed, fmt.Sprintf("%d s behind the target's; a signature may be %d s old", behind, signatureTolerance)}
	}
}
