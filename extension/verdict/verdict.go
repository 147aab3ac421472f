// Package verdict says what a run proves: for each claim of its profile PASS, FAIL or NOT PROVEN, with what was measured and
// why. It reads nothing and writes nothing. docs/verdict.md has each rule with its formula, source and reason.
package verdict

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// Status is what was found of a claim. A greater one is worse.
type Status int

// The statuses.
const (
	NoClaim Status = iota // nothing was claimed
	Pass
	NotProven
	Fail
)

var statusNames = map[Status]string{NoClaim: "NO CLAIM", Pass: "PASS", NotProven: "NOT PROVEN", Fail: "FAIL"}

func (s Status) String() string { return statusNames[s] }

// MarshalText writes the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *Status) UnmarshalText(text []byte) error {
	for status, name := range statusNames {
		if name == string(text) {
			*s = status
			return nil
		}
	}
	return fmt.Errorf("%q is no status of a verdict", text)
}

// Number is a float that JSON has as null where it is not finite, such as the upper end of an interval that has none.
type Number float64

// MarshalJSON writes null for what is not finite.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(n), 0) || math.IsNaN(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads null as infinite.
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
	// TooClose is why a claim is not proven whose evidence is fit: neither side has 95 % confidence.
	TooClose = "too close"
)

// Verdict is what a run proves.
type Verdict struct {
	// Status is the worst of the claims: FAIL, then NOT PROVEN, then PASS.
	Status Status `json:"status"`
	// NoClaims says why there are none; "" where there are.
	NoClaims string `json:"noClaims,omitempty"`
	// From and To are the judged part, both seconds included; zero where the planned level was never reached.
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Claims []Result  `json:"claims,omitempty"`
	// Checks are those of the evidence's fitness, each once.
	Checks []Fitness `json:"checks,omitempty"`
}

// Fitness is one check of the evidence: whether it can prove anything.
type Fitness struct {
	Name string `json:"name"`
	Fit  bool   `json:"fit"`
	Text string `json:"text"` // what was found and, where it is not fit, what to do
}

// Result is what was found of a claim.
type Result struct {
	Claim  evidence.Claim `json:"claim"`
	Status Status         `json:"status"`
	// Text is one line: title and measured.
	Text string `json:"text"`
	// Title is what is claimed about, such as "API p95"; "" where Measured says it.
	Title string `json:"title,omitempty"`
	// Measured is such as "38 to 41 ms (queue_join, n 41,200)".
	Measured string `json:"measured"`
	// Needed is such as "under 100 ms".
	Needed string `json:"needed"`
	// Low, Estimate and High are what was measured, in Unit. Each end holds with 95 % confidence; not finite: there is none.
	Low      Number `json:"low"`
	Estimate Number `json:"estimate"`
	High     Number `json:"high"`
	// Limit is what it is compared with, in Unit.
	Limit Number `json:"limit"`
	Unit  string `json:"unit"` // ms, share, users, sessions, accounts
	// N is how many samples there were, and Effective how many independent ones they are worth.
	N         int64   `json:"n"`
	Effective float64 `json:"effective,omitempty"`
	// Of is the operation that the line shows, where there are several.
	Of string `json:"of,omitempty"`
	// Why is the name of the check that decided a NOT PROVEN, or TooClose.
	Why string `json:"why,omitempty"`
	// Reason is a sentence that says why it is not PASS and what to do.
	Reason string `json:"reason,omitempty"`
}

// Judge says what a run proves of these claims. The claims are those that Check takes.
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
