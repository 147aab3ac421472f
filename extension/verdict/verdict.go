// Package verdict judges the claims of a run's profile from its evidence: each is PASS, FAIL or NOT PROVEN, with the measured
// values and the reason. It does no I/O. docs/verdict.md has each rule with its formula, source and reason.
package verdict

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// Status is the result of a claim. A greater one is worse.
type Status int

// The statuses.
const (
	NoClaim Status = iota // the run makes no claim
	Pass
	NotProven
	Fail
)

var statusNames = map[Status]string{NoClaim: "NO CLAIM", Pass: "PASS", NotProven: "NOT PROVEN", Fail: "FAIL"}

func (s Status) String() string { return statusNames[s] }

// MarshalText returns the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses the name.
func (s *Status) UnmarshalText(text []byte) error {
	for status, name := range statusNames {
		if name == string(text) {
			*s = status
			return nil
		}
	}
	return fmt.Errorf("%q is no status of a verdict", text)
}

// Number is a float that is null in JSON if it is not finite, such as the upper end of an unbounded interval.
type Number float64

// MarshalJSON returns null for a number that is not finite.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(n), 0) || math.IsNaN(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON parses null as infinite.
func (n *Number) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = Number(math.Inf(1))
		return nil
	}
	var f float64
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("a number of a verdict: %w", err)
	}
	*n = Number(f)
	return nil
}

// The names of the checks of fitness, in the order in which they are shown.
const (
	CheckLevel       = "level"
	CheckSamples     = "samples"
	CheckSendRate    = "send rate"
	CheckRunner      = "runner"
	CheckThrottled   = "throttled"
	CheckRestarted   = "restarted"
	CheckOverridden  = "overridden"
	CheckUnsteady    = "unsteady"
	CheckInterrupted = "interrupted"
	// TooClose is why a claim with fit evidence is NOT PROVEN: neither PASS nor FAIL has 95 % confidence.
	TooClose = "too close"
)

// Verdict is the result of a run.
type Verdict struct {
	// Status is the worst of the claims: FAIL, then NOT PROVEN, then PASS.
	Status Status `json:"status"`
	// NoClaims says why the run has no claims; "" if it has some.
	NoClaims string `json:"noClaims,omitempty"`
	// From and To are the first and last second of the judged part; zero if the planned level was never reached.
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Claims []Result  `json:"claims,omitempty"`
	// Checks are the checks of the evidence's fitness, each once.
	Checks []Fitness `json:"checks,omitempty"`
}

// Fitness is the result of one check of whether the evidence can prove anything.
type Fitness struct {
	Name string `json:"name"`
	Fit  bool   `json:"fit"`
	Text string `json:"text"` // the finding and, if it is not fit, what to do
}

// Result is the result of one claim.
type Result struct {
	Claim  evidence.Claim `json:"claim"`
	Status Status         `json:"status"`
	// Text is Title and Measured in one line.
	Text string `json:"text"`
	// Title is the subject of the claim, such as "API p95"; "" if Measured contains it.
	Title string `json:"title,omitempty"`
	// Measured is the measured value as text, such as "38 to 41 ms (queue_join, n 41,200)".
	Measured string `json:"measured"`
	// Needed is the claimed value as text, such as "under 100 ms".
	Needed string `json:"needed"`
	// Low, Estimate and High are the measured interval and value, in Unit. Each end holds with 95 % confidence; not finite:
	// unbounded.
	Low      Number `json:"low"`
	Estimate Number `json:"estimate"`
	High     Number `json:"high"`
	// Limit is the claimed limit, in Unit.
	Limit Number `json:"limit"`
	Unit  string `json:"unit"` // ms, share, users, sessions, accounts
	// N is the number of samples, and Effective the number of independent samples that they are worth.
	N         int64   `json:"n"`
	Effective float64 `json:"effective,omitempty"`
	// Of is the shown operation, the worst of those that the claim covers.
	Of string `json:"of,omitempty"`
	// Why is the name of the check that decided a NOT PROVEN, or TooClose.
	Why string `json:"why,omitempty"`
	// Reason is a sentence on why the claim is not PASS and what to do.
	Reason string `json:"reason,omitempty"`
}

// longerRun matches the reasons of this package that ask for a longer run.
var longerRun = regexp.MustCompile(`\brun (longer|about .* as long)\b`)

// AsksLongerRun reports whether the claim is NOT PROVEN for a reason that a longer run may remove.
func (r *Result) AsksLongerRun() bool {
	return r.Status == NotProven && longerRun.MatchString(r.Reason)
}

// Judge judges claims from the evidence of a run. Check must have accepted the claims.
func Judge(run *evidence.Run, claims []evidence.Claim) Verdict {
	if len(claims) == 0 {
		return Verdict{NoClaims: noClaims(run)}
	}
	j := newJudge(run, claims)
	v := Verdict{}
	if j.window.found {
		v.From, v.To = time.Unix(j.window.from, 0).UTC(), time.Unix(j.window.to, 0).UTC()
	}
	for _, claim := range claims {
		result := j.claim(withDefaults(claim))
		result.Claim = claim
		result.Text = joined(result.Title, result.Measured)
		v.Claims = append(v.Claims, result)
		v.Status = max(v.Status, result.Status)
	}
	v.Checks = j.allChecks(v.Claims)
	return v
}

func noClaims(run *evidence.Run) string {
	if run.Header.NoClaims != "" {
		return run.Header.NoClaims
	}
	return "no claim is made: the run has no profile that makes one, and is judged by its thresholds"
}

func joined(title, text string) string {
	if title == "" {
		return text
	}
	return title + " " + text
}
