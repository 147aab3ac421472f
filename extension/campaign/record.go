// Package campaign runs the safe execution plan: its steps in order, each in a k6 of its own, each only when the step before has passed, the
// service is calm again and the window in which it may be loaded is long enough. It writes each action to a log as it happens.
//
// An Engine runs a Plan and fills a Record. It reaches the outside world through small interfaces: a Runner that runs a step, a Calm that
// waits until the service has recovered, and a Breaker that watches the service while a step runs.
package campaign

import (
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// recordVersion is the version of the format of campaign.json.
const recordVersion = 1

// The files that a campaign writes into its folder, beside one folder for each step with the reports of its run.
const (
	RecordFile = "campaign.json"
	LogFile    = "campaign.md"
	PageFile   = "campaign.html"
)

// Record holds what a campaign was asked to do and what it has done so far: the contents of campaign.json. It holds no secret.
type Record struct {
	Version int `json:"version"`
	// ID is random; the log has it too.
	ID string `json:"id"`
	// Tool and K6 are versions, and Build is the SHA-256 of the binary: a campaign goes on only with the binary that it began with.
	Tool  string `json:"tool"`
	K6    string `json:"k6"`
	Build string `json:"build"`
	// Target is the BASE_URL of the service under test.
	Target string `json:"target"`
	Plan   Plan   `json:"plan"`
	// Window is the time of day in which steps may run, such as "22:00-02:00 Australia/Sydney"; "" means any.
	Window string    `json:"window,omitempty"`
	Began  time.Time `json:"began"`
	// Ended is zero while the campaign runs, and remains zero if it is killed.
	Ended time.Time `json:"ended,omitzero"`
	// Baseline is the state of the service before the first step; nil until it is read.
	Baseline *Baseline `json:"baseline,omitempty"`
	// Steps has an entry for each step of the plan, in its order.
	Steps []StepRecord `json:"steps"`
	// Events are the lines of the log, in the order in which they happened.
	Events []Event `json:"events"`
	// ExitCode is the campaign's exit code, and Ending one sentence that says where it ended and why; both are set with Ended.
	ExitCode int    `json:"exitCode"`
	Ending   string `json:"ending,omitempty"`
}

// Plan is the list of steps that a campaign runs.
type Plan struct {
	// Name is the name of the plan file; "" for the safe execution plan of the binary.
	Name  string `json:"name,omitempty"`
	Steps []Step `json:"steps"`
}

// Step is one run of a scenario.
type Step struct {
	// Name is unique in the plan and names the step's folder. Profile is the profile that is run, usually with the same name.
	Name     string `json:"name"`
	Profile  string `json:"profile,omitempty"`
	Scenario string `json:"scenario"`
	Shows    string `json:"shows,omitempty"`
	// Dry marks a step that is small enough to begin without asking.
	Dry bool `json:"dry,omitempty"`
	// Users is the number of users at the peak.
	Users int `json:"users,omitempty"`
	// LengthSeconds is the length of the load, without setup, drain and teardown.
	LengthSeconds float64 `json:"lengthSeconds"`
	// Variables are set for the run in addition to the profile's. None is a secret.
	Variables map[string]string `json:"variables,omitempty"`
	// Claims are the claims of the profile.
	Claims []evidence.Claim `json:"claims,omitempty"`
	// AcceptNotProven lets the campaign go on after NOT PROVEN, as the plan file says.
	AcceptNotProven bool `json:"acceptNotProven,omitempty"`
	// Limits are the limits that a breaker watches while this step runs, including those of the whole plan.
	Limits []Limit `json:"limits,omitempty"`
}

// Limit is an expression of Prometheus that ends a step once its value has been beyond a bound for some time.
type Limit struct {
	// Name is the name of the limit in the log.
	Name string `json:"name"`
	// Query is an expression of PromQL with one value.
	Query string `json:"query"`
	// Above and Below are the bounds; one of them is set.
	Above *float64 `json:"above,omitempty"`
	Below *float64 `json:"below,omitempty"`
	// ForSeconds is how long without interruption the value must be beyond the bound; 0 means one reading.
	ForSeconds float64 `json:"forSeconds,omitempty"`
}

// State is the state of a step.
type State string

// The states of a step.
const (
	StatePending     State = ""            // not begun
	StateRunning     State = "running"     // also after the campaign was killed during the step
	StatePassed      State = "passed"      // exit code 0, and a verdict of PASS or, where nothing is claimed, none
	StateAccepted    State = "accepted"    // NOT PROVEN, and the decision is to go on
	StateNotProven   State = "not proven"  // as far as the evidence says
	StateFailed      State = "failed"      // a claim is FAIL, or a threshold was crossed
	StateBroken      State = "broken"      // ended by the breaker
	StateInterrupted State = "interrupted" // ended by Ctrl-C
	StateRefused     State = "refused"     // k6 ended otherwise: a refusal, a target that is down, an error of the script
)

// Done reports whether the campaign may go on to the next step.
func (s State) Done() bool { return s == StatePassed || s == StateAccepted }

// StepRecord is a step with its result.
type StepRecord struct {
	Step

	State State     `json:"state,omitempty"`
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Command is the command that ran the step, with the names of secret variables in place of their values.
	Command string `json:"command,omitempty"`
	// ExitCode is the exit code of k6.
	ExitCode int `json:"exitCode"`
	// Verdict is what the evidence proves; nil without evidence.
	Verdict *verdict.Verdict `json:"verdict,omitempty"`
	// Thresholds is the number of thresholds, and Crossed lists those that were crossed.
	Thresholds int      `json:"thresholds"`
	Crossed    []string `json:"crossed,omitempty"`
	// Reason is one sentence that says why the step did not pass; "" if it passed.
	Reason string `json:"reason,omitempty"`
	// Files are the reports and the evidence, as paths relative to the campaign's folder, with slashes.
	Files []string `json:"files,omitempty"`
	// Facts are the facts in the evidence, such as how many accounts a cleanup deleted.
	Facts map[string]int64 `json:"facts,omitempty"`
	// Cut says that the evidence has no end, as after a kill: no threshold was judged, and no account was deleted.
	Cut bool `json:"cut,omitempty"`
}

// Kind is the kind of an Event.
type Kind string

// The kinds of events.
const (
	KindCampaign  Kind = "campaign"  // the campaign began, went on or ended
	KindPreflight Kind = "preflight" // what a preflight found
	KindStep      Kind = "step"      // a step began or ended
	KindVerdict   Kind = "verdict"   // a verdict or one of its claims
	KindWait      Kind = "wait"      // for calm, for the window, for runners
	KindBreak     Kind = "break"     // the breaker ended a step
	KindDecision  Kind = "decision"  // a decision of the user
	KindNext      Kind = "next"      // what to do now
)

// Event is one line of the log.
type Event struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// Step is the name of the step concerned; "" for the campaign.
	Step string `json:"step,omitempty"`
	Text string `json:"text"`
}
