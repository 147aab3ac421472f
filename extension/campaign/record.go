// Package campaign runs the safe execution plan: its steps in order, each in a k6 of its own, each only when the step before has passed, the
// service is calm again and the window in which it may be loaded is long enough. What it does it writes to a log as it goes.
//
// An Engine goes through a Plan and fills a Record. What it needs of the world reaches it as small interfaces: a Runner that carries out
// a step, a Calm that waits until the service has recovered, and a Breaker that watches the service while a step runs.
package campaign

import (
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// RecordVersion is that of the form of campaign.json.
const RecordVersion = 1

// The files that a campaign writes into its folder, beside one folder for each step with the reports of its run.
const (
	RecordFile = "campaign.json"
	LogFile    = "campaign.md"
	PageFile   = "campaign.html"
)

// Record is what a campaign was asked for and what it has done so far: the contents of campaign.json. It holds no secret.
type Record struct {
	Version int `json:"version"`
	// ID is random; the log bears it too.
	ID string `json:"id"`
	// Tool and K6 are versions, and Build is the SHA-256 of the binary: a campaign goes on only with the binary that it began with.
	Tool  string `json:"tool"`
	K6    string `json:"k6"`
	Build string `json:"build"`
	// Target is the BASE_URL of the service under test.
	Target string `json:"target"`
	Plan   Plan   `json:"plan"`
	// Window is the time of day in which steps may run, such as "22:00-02:00 Australia/Sydney"; "" for any.
	Window string    `json:"window,omitempty"`
	Began  time.Time `json:"began"`
	// Ended is zero while the campaign runs, and after it was killed.
	Ended time.Time `json:"ended,omitzero"`
	// Baseline is how the service was before the first step; nil before it was read.
	Baseline *Baseline `json:"baseline,omitempty"`
	// Steps has an entry for each step of the plan, in its order.
	Steps []StepRecord `json:"steps"`
	// Events are the lines of the log, in the order in which they happened.
	Events []Event `json:"events"`
	// ExitCode is that of the campaign and Ending one sentence which says where it ended and why; both are set with Ended.
	ExitCode int    `json:"exitCode"`
	Ending   string `json:"ending,omitempty"`
}

// Plan is what a campaign goes through.
type Plan struct {
	// Name is that of the plan file; "" for the safe execution plan of the binary.
	Name  string `json:"name,omitempty"`
	Steps []Step `json:"steps"`
}

// Step is one run of a scenario.
type Step struct {
	// Name is unique in the plan, and that of the step's folder. Profile is the one that is run, usually of the same name.
	Name     string `json:"name"`
	Profile  string `json:"profile,omitempty"`
	Scenario string `json:"scenario"`
	Shows    string `json:"shows,omitempty"`
	// Dry is a step that is small enough to begin without a question.
	Dry bool `json:"dry,omitempty"`
	// Users is how many there are at the top.
	Users int `json:"users,omitempty"`
	// LengthSeconds is that of the load, without setup, drain and teardown.
	LengthSeconds float64 `json:"lengthSeconds"`
	// Variables are set for the run beside the profile's own. None is a secret.
	Variables map[string]string `json:"variables,omitempty"`
	// Claims are those of the profile.
	Claims []evidence.Claim `json:"claims,omitempty"`
	// AcceptNotProven lets the campaign go on after NOT PROVEN, as the plan or the user decided.
	AcceptNotProven bool `json:"acceptNotProven,omitempty"`
	// Limits are those that a breaker watches while this step runs, the plan's own among them.
	Limits []Limit `json:"limits,omitempty"`
}

// Limit is an expression of Prometheus that ends a step once its value was beyond a bound for some time.
type Limit struct {
	// Name is what the log calls it.
	Name string `json:"name"`
	// Query is an expression of PromQL with one value.
	Query string `json:"query"`
	// Above and Below are the bounds; one of them is set.
	Above *float64 `json:"above,omitempty"`
	Below *float64 `json:"below,omitempty"`
	// ForSeconds is how long on end the value must be beyond the bound; 0 for once.
	ForSeconds float64 `json:"forSeconds,omitempty"`
}

// State is how far a step has come.
type State string

// The states of a step.
const (
	StatePending     State = ""            // not begun
	StateRunning     State = "running"     // also of a step during which the campaign was killed
	StatePassed      State = "passed"      // exit code 0, and a verdict of PASS or, where nothing is claimed, none
	StateAccepted    State = "accepted"    // NOT PROVEN, and the campaign goes on as was decided
	StateNotProven   State = "not proven"  // as far as the evidence says
	StateFailed      State = "failed"      // a claim is FAIL, or a threshold was crossed
	StateBroken      State = "broken"      // ended by the breaker
	StateInterrupted State = "interrupted" // ended by Ctrl-C
	StateRefused     State = "refused"     // k6 ended otherwise: a refusal, a target that is down, an error of the script
)

// Done reports whether the campaign may go on to the next step.
func (s State) Done() bool { return s == StatePassed || s == StateAccepted }

// StepRecord is what became of a step.
type StepRecord struct {
	Step

	State State     `json:"state,omitempty"`
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Command is how the step was run, with the names of secret variables in place of their values.
	Command string `json:"command,omitempty"`
	// ExitCode is k6's.
	ExitCode int `json:"exitCode"`
	// Verdict is what the evidence proves; nil where there is no evidence.
	Verdict *verdict.Verdict `json:"verdict,omitempty"`
	// Thresholds is how many there were, and Crossed those that were crossed.
	Thresholds int      `json:"thresholds"`
	Crossed    []string `json:"crossed,omitempty"`
	// Reason is one sentence which says why the step is neither passed nor accepted; "" where it is.
	Reason string `json:"reason,omitempty"`
	// Files are the reports and the evidence, as paths from the campaign's folder with slashes.
	Files []string `json:"files,omitempty"`
	// Facts are those of the evidence, such as how many accounts a cleanup deleted.
	Facts map[string]int64 `json:"facts,omitempty"`
}

// Kind is what an Event is about.
type Kind string

// The kinds of events.
const (
	KindCampaign  Kind = "campaign"  // the campaign began, went on or ended
	KindPreflight Kind = "preflight" // what a preflight found
	KindStep      Kind = "step"      // a step began or ended
	KindVerdict   Kind = "verdict"   // a verdict or one of its claims
	KindWait      Kind = "wait"      // for calm, for the window, for runners
	KindBreak     Kind = "break"     // the breaker ended a step
	KindDecision  Kind = "decision"  // somebody decided something
	KindNext      Kind = "next"      // what to do now
)

// Event is one line of the log.
type Event struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// Step is the name of the step that it is about; "" for the campaign.
	Step string `json:"step,omitempty"`
	Text string `json:"text"`
}
