// Package evidence records what a run measured, second by second, in a form that adds up exactly over several runners.
//
// A Recorder is fed where samples are made. Its Run is what verdict judges and report shows. The file that a Recorder
// writes is read back into an equal Run, and the Runs of several runners of one test merge into the one that a single
// runner would have recorded.
package evidence

import "time"

// Version is that of the file's format.
const Version = 1

// Metric is a kind of thing that takes time. Its label, where it has one, tells several of its kind apart.
type Metric string

// The metrics. All times are in microseconds.
const (
	// MetricRequest is one HTTP request, by operation: auth_signup, queue_join and so on. It belongs to the second in which it began.
	MetricRequest Metric = "request"
	// MetricMatch is a wait for a match, from the decision to join to the match event on the user's own socket.
	MetricMatch Metric = "match"
	// MetricSocket is the opening of a user's socket, from the dial until both namespaces are joined.
	MetricSocket Metric = "socket"
	// MetricStart is the wait from match to session:start.
	MetricStart Metric = "session_start"
	// MetricSession is a held session, from session:start to its end. It has no limit.
	MetricSession Metric = "session"
	// MetricEvent is one webhook event of a spike, from the time it was due until it was answered as asked.
	MetricEvent Metric = "event"
	// MetricSend is how late an event was sent, after the time it was due.
	MetricSend Metric = "event_send"
	// MetricLag is how late this runner's own timers fired.
	MetricLag Metric = "runner_lag"
)

// KindUnheard is how a wait for a match failed of a user whom the service had matched, and who heard nothing of it.
const KindUnheard = "matched_unheard"

// Series is a metric and its label, the operation of a MetricRequest; otherwise "".
type Series struct {
	Metric Metric
	Label  string
}

// Outcome is how something that takes time ended.
type Outcome int

const (
	// OK is as asked.
	OK Outcome = iota
	// Failed is answered otherwise, given up, lost. It counts as slower than any limit, however fast it was.
	Failed
	// Cut is under way when the run ended. The time is what it had waited. It counts as slower than the limit if it had
	// waited longer than that, and otherwise not at all.
	Cut
)

// Cell is what one series had in one second. Times are in microseconds.
type Cell struct {
	OK     *Histogram       // nil: none
	Over   int64            // of OK, those above the series' limit (Header.Limits), counted exactly
	Failed map[string]int64 // by kind, such as "HTTPError 500", "TimeoutError", "no_match"
	Cut    *Histogram       // nil: none
	// CutOver counts those of Cut that had waited longer than the series' limit.
	CutOver int64
}

// The levels: how many of something there were, read once a second.
const (
	LevelPresent = "users_present" // users who signed up, have a token and have not left
	LevelWaiting = "users_waiting" // of those, in a queue, by their own account
	LevelInside  = "users_in_sessions"
	LevelPlanned = "users_planned" // that the plan wants present
	LevelDepth   = "queue_depth"   // users queued in the whole service, from Redis
	// LevelUnanswered is how many requests have waited for an answer for LongUnanswered and longer.
	LevelUnanswered = "requests_unanswered"
	LevelCPU        = "runner_cpu"  // processors in use by this runner
	LevelCPULimit   = "runner_cpus" // processors that it may use
	// LevelServer is a reading of the service's Prometheus. Its label is the name of the query, see Labelled.
	LevelServer = "server"
)

// The counts: how often something happened in a second.
const (
	CountDue       = "events_due"  // events that the plan wants sent in this second
	CountSent      = "events_sent" // of those, sent, whenever that was
	CountThrottled = "throttled"   // answers 429
	// CountOperations and CountErrors have the operation as label, see Labelled; CountErrors also has the kind.
	CountOperations = "operations"
	CountErrors     = "errors"
	CountStarted    = "sessions_started"
	CountDropped    = "sessions_dropped" // label: the reason
	CountLost       = "sockets_lost"     // label: the reason
)

// Labelled is the name of a count with its labels, such as operations{queue_join}.
func Labelled(name string, labels ...string) string {
	for _, label := range labels {
		name += "{" + label + "}"
	}
	return name
}

// Second is what was recorded of one second.
type Second struct {
	Cells  map[Series]*Cell
	Levels map[string]float64
	Counts map[string]int64
}

// Run is the evidence of a run, of one runner or of several that were merged.
type Run struct {
	Header Header
	// Seconds by the time they began, in s since the epoch on the target's clock. Absent ones had nothing.
	Seconds map[int64]*Second
	// End is nil where the evidence ends early: the runner was killed. Of several runners it is nil where none has one.
	End *End
	// Runners says which runners' evidence this is; one entry for the only one.
	Runners []Runner
	// Truncated says that a file ended in the middle of a record, which was left out.
	Truncated bool
}

// Runner is one of the runners of a test.
type Runner struct {
	Index, Count int    // from 0; of how many, 0 or 1 for the only one
	Segment      string // of k6's execution segment sequence; "" for the only one
	ID           string // random, one for each process
	// ClockOffset is what this runner's clock shows less what the target's shows; it is taken off its times already.
	ClockOffset time.Duration
	// ClockError is how far ClockOffset may be off, either way; 0 where it is not known.
	ClockError time.Duration
	Began      time.Time
	Ended      bool // its evidence has an End
}

// Header is what was known when the load began.
type Header struct {
	Version  int    `json:"version"`
	Scenario string `json:"scenario"`
	Profile  string `json:"profile"` // "" for none
	Target   string `json:"target"`
	Plan     string `json:"plan"` // one sentence
	// PlannedUsers is how many users the whole test has at its top, or 0 in a spike.
	PlannedUsers int `json:"plannedUsers"`
	// PlannedRate is how many events a second the whole test has at its top, or 0 where there are users.
	PlannedRate float64   `json:"plannedRate"`
	Began       time.Time `json:"began"`
	Tool        string    `json:"tool"` // its version
	K6          string    `json:"k6"`   // its version
	Claims      []Claim   `json:"claims,omitempty"`
	// NoClaims says why a run with a profile makes no claim; "" where it makes them.
	NoClaims string `json:"noClaims,omitempty"`
	// Overridden lists what the preflight would have refused.
	Overridden []string `json:"overridden,omitempty"`
	// Start is how many users, or events a second, the plan begins with, and Stages how that goes on. There are none where k6's own
	// flags say what the load is.
	Start  float64 `json:"start,omitempty"`
	Stages []Stage `json:"stages,omitempty"`
	// Variables are those that the user set, but for secrets and folders, so that the run can be made again.
	Variables map[string]string `json:"variables,omitempty"`
	// Limits are those against which Cell.Over counts, in microseconds. A metric that is not there has none.
	Limits map[Metric]int64 `json:"limitsMicros"`
}

// Stage is a step of the plan: so many users, or events a second, are reached evenly within its time.
type Stage struct {
	Seconds float64 `json:"seconds"`
	Target  float64 `json:"target"`
}

// End is what was known when the run was over.
type End struct {
	At time.Time `json:"at"`
	// Interrupted says what ended the run before its time: "" for its schedule, otherwise a sentence such as "stopped by Ctrl-C".
	Interrupted string `json:"interrupted,omitempty"`
	// Thresholds: how many there were, and which were crossed. Each of several runners judges its own, so that they add up, and
	// Crossed and Findings begin with the runner, such as "runner 1 of 4: ".
	Thresholds int      `json:"thresholds"`
	Crossed    []string `json:"crossed,omitempty"`
	// Conditions are the thresholds, each with what was measured.
	Conditions []Condition `json:"conditions,omitempty"`
	// Uptime of the service in seconds, at the start and at the end, -1 where it is not known.
	UptimeBefore float64 `json:"uptimeBefore"`
	UptimeAfter  float64 `json:"uptimeAfter"`
	Ledger       *Ledger `json:"ledger,omitempty"`
	// Findings are the lines of the summary.
	Findings []Finding `json:"findings,omitempty"`
	// Facts are counts of what the run came across and verdicts name, such as matched_unheard.
	Facts map[string]int64 `json:"facts,omitempty"`
	// Waiting is what was still under way when the run ended.
	Waiting []Waiting `json:"waiting,omitempty"`
	// Checks are those of the preflight, Warnings what was wrong with the run itself, Tables further parts of the report.
	Checks   []Finding `json:"checks,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
	Tables   []Table   `json:"tables,omitempty"`
}

// Condition is a threshold of k6.
type Condition struct {
	Metric    string `json:"metric"`
	Condition string `json:"condition"`
	Passed    bool   `json:"passed"`
	Measured  string `json:"measured,omitempty"`
	Samples   int64  `json:"samples"` // -1 where the metric does not count them
}

// Table is a part of the report with rows, such as the readings of Prometheus.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns,omitempty"`
	Rows    [][]string `json:"rows,omitempty"`
	Notes   []string   `json:"notes,omitempty"`
}

// Waiting is what was still under way when the run ended, by what was waited for.
type Waiting struct {
	What    string // such as "their socket"
	Users   int
	Longest time.Duration
}

// Finding is a line of the summary.
type Finding struct {
	Mark  string `json:"mark"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Ledger holds balances, read after the load, against what users bought and spent.
type Ledger struct {
	Users   int `json:"users"`   // whose balance was read
	Unread  int `json:"unread"`  // whose balance could not be read
	Unknown int `json:"unknown"` // whose own account was left open by requests without an answer, so that nothing can be said
	Wrong   int `json:"wrong"`   // whose balance is not bought − spent − lost
	// Sums over the users whose balance was judged.
	Bought   int64    `json:"bought"`
	Spent    int64    `json:"spent"`
	Lost     int64    `json:"lost"`
	Left     int64    `json:"left"`
	Examples []string `json:"examples,omitempty"` // of wrong ones, ten at most
}

// Claim is one sentence with a number that a profile makes.
type Claim struct {
	// Kind is what is claimed: users, waiting, latency, match, errors, tokens, sessions, purchases.
	Kind string `json:"claim"`
	// Least is how many (users, waiting, sessions).
	Least float64 `json:"least,omitempty"`
	// Operations are the requests of a latency claim, by name.
	Operations []string `json:"operations,omitempty"`
	// Quantile that must be within WithinMs (latency, match, purchases); 0 means 0.95.
	Quantile float64 `json:"quantile,omitempty"`
	WithinMs float64 `json:"withinMs,omitempty"`
	// Below is the rate that errors must stay under, such as 0.001.
	Below float64 `json:"below,omitempty"`
	// ForSeconds is how long on end a level must last (sessions).
	ForSeconds float64 `json:"forSeconds,omitempty"`
	// SendWithinMs is how late events may be sent (purchases); Sent is which share of them must be.
	SendWithinMs float64 `json:"sendWithinMs,omitempty"`
	Sent         float64 `json:"sent,omitempty"`
}
