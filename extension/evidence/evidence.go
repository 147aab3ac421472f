// Package evidence records the measurements of a run, second by second, in a form that adds up exactly over several runners.
//
// A Recorder takes the samples. Its Run is judged by package verdict and shown by package report. A file that a Recorder writes
// is read back as an equal Run, and the Runs of the runners of one test merge into the one that a single runner would have
// recorded.
package evidence

import "time"

// Version is the version of the file's format.
const Version = 1

// Metric is a kind of duration that is measured.
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

// KindUnheard is the kind of failure of a wait for a match if the service had matched the user without its event arriving.
const KindUnheard = "matched_unheard"

// Series is a metric with a label, which is the operation for MetricRequest and "" for other metrics.
type Series struct {
	Metric Metric
	Label  string
}

// Outcome is how a measured thing ended.
type Outcome int

const (
	// OK is an answer as asked for.
	OK Outcome = iota
	// Failed is another answer, or none: given up or lost. It counts as slower than any limit, however fast it was.
	Failed
	// Cut was under way when the run ended. Its time is how long it had waited. It counts as slower than the limit if it had
	// waited longer, and otherwise not at all.
	Cut
)

// Cell is the samples of one series in one second. Times are in microseconds.
type Cell struct {
	OK     *Histogram       // nil: none
	Over   int64            // how many of OK exceeded the series' limit (Header.Limits), counted exactly
	Failed map[string]int64 // by kind, such as "HTTPError 500", "TimeoutError", "no_match"
	// FailedAfter is the times after which Failed failed; nil: none, or a file of a version that did not record them.
	FailedAfter *Histogram
	Cut         *Histogram // nil: none
	// CutOver is how many of Cut had waited longer than the series' limit.
	CutOver int64
}

// The levels: numbers that are read once a second.
const (
	LevelPresent = "users_present"     // users that signed up, have a token and have not left
	LevelWaiting = "users_waiting"     // present users in a queue, as counted by the runner
	LevelInside  = "users_in_sessions" // present users in a session
	LevelPlanned = "users_planned"     // users that the plan wants present
	LevelDepth   = "queue_depth"       // users queued in the whole service, from Redis
	// LevelUnanswered is how many requests have been without an answer for LongUnanswered or longer.
	LevelUnanswered = "requests_unanswered"
	LevelCPU        = "runner_cpu"  // processors in use by this runner
	LevelCPULimit   = "runner_cpus" // processors that this runner may use
	// LevelServer is a reading of the service's Prometheus. Its label is the name of the query; see Labelled.
	LevelServer = "server"
)

// The counts: how often something happened in a second.
const (
	CountDue       = "events_due"  // events that the plan wants sent in this second
	CountSent      = "events_sent" // of those, the events that were sent at any time
	CountThrottled = "throttled"   // answers 429
	// CountOperations and CountErrors have the operation as label, CountErrors also the kind of error; see Labelled.
	CountOperations = "operations"
	CountErrors     = "errors"
	CountStarted    = "sessions_started"
	CountDropped    = "sessions_dropped" // label: the reason
	CountLost       = "sockets_lost"     // label: the reason
)

// Total returns the sum of counts by kind.
func Total[N int | int64](counts map[string]N) N {
	sum := N(0)
	for _, n := range counts {
		sum += n
	}
	return sum
}

// Labelled returns the name of a count with its labels, such as operations{queue_join}.
func Labelled(name string, labels ...string) string {
	for _, label := range labels {
		name += "{" + label + "}"
	}
	return name
}

// Second is the record of one second.
type Second struct {
	Cells  map[Series]*Cell
	Levels map[string]float64
	Counts map[string]int64
}

// Run is the evidence of a run, of one runner or of several that were merged.
type Run struct {
	Header Header
	// Seconds by their Unix time, by the target's clock. A second without samples is absent.
	Seconds map[int64]*Second
	// End is nil if the runner was killed, or all of several runners.
	End *End
	// Runners are the runners whose evidence this is, also if there is only one.
	Runners []Runner
	// Truncated is true if the file ended in the middle of a record, which was left out.
	Truncated bool
}

// IsOneOfSeveral reports whether this is the evidence of one runner of several, without that of the others.
func (run *Run) IsOneOfSeveral() bool { return len(run.Runners) == 1 && run.Runners[0].Count > 1 }

// LongestRun is the number of seconds of a run that are judged and shown, from its first on: a week. It keeps a wrong time in a file from
// using all memory.
const LongestRun = 7 * 24 * 3600

// Extent returns the first and the last second with samples; both are 0 if there are none.
func (run *Run) Extent() (first, last int64) {
	started := false
	for at := range run.Seconds {
		if !started {
			first, last, started = at, at, true
		}
		first, last = min(first, at), max(last, at)
	}
	return first, last
}

// Runner is one of the runners of a test.
type Runner struct {
	Index, Count int    // index from 0, and the number of runners; a single runner has a Count of 0 or 1
	Segment      string // k6's execution segment; "" for a single runner
	ID           string // random, one for each process
	// ClockOffset is this runner's clock minus the target's; it is subtracted from the times already.
	ClockOffset time.Duration
	// ClockError is how far ClockOffset may be off, either way; 0: unknown.
	ClockError time.Duration
	Began      time.Time
	Ended      bool // its evidence has an End
}

// Header is what was known when the load began.
type Header struct {
	Version  int    `json:"version"`
	Scenario string `json:"scenario"`
	Profile  string `json:"profile"` // "": none
	Target   string `json:"target"`
	Plan     string `json:"plan"` // one sentence
	// PlannedUsers is the highest planned number of users of the whole test; 0 in a spike.
	PlannedUsers int `json:"plannedUsers"`
	// PlannedRate is the highest planned number of events a second of the whole test; 0 in a test of users.
	PlannedRate float64   `json:"plannedRate"`
	Began       time.Time `json:"began"`
	Tool        string    `json:"tool"` // its version
	K6          string    `json:"k6"`   // its version
	Claims      []Claim   `json:"claims,omitempty"`
	// NoClaims says why a run with a profile makes no claim; "" if it makes claims.
	NoClaims string `json:"noClaims,omitempty"`
	// Overridden lists the checks with which the preflight would have refused the run.
	Overridden []string `json:"overridden,omitempty"`
	// Start and Stages are the plan: the number of users, or events a second, at the start and its ramps. They are empty if
	// k6's flags define the load.
	Start  float64 `json:"start,omitempty"`
	Stages []Stage `json:"stages,omitempty"`
	// Variables are the variables that the user set, except secrets and folders, so that the run can be repeated.
	Variables map[string]string `json:"variables,omitempty"`
	// Limits are the limits for Cell.Over and Cell.CutOver, in microseconds. An absent metric has no limit.
	Limits map[Metric]int64 `json:"limitsMicros"`
}

// Stage is a linear ramp of the plan to Target users, or events a second.
type Stage struct {
	Seconds float64 `json:"seconds"`
	Target  float64 `json:"target"`
}

// End is what was known when the run was over.
type End struct {
	At time.Time `json:"at"`
	// Interrupted says what ended the run before its schedule did, such as "stopped by Ctrl-C"; "" if nothing did.
	Interrupted string `json:"interrupted,omitempty"`
	// Thresholds is the number of k6's thresholds, and Crossed those that were crossed. Each of several runners judges its own
	// thresholds, so that the numbers add up, and Crossed and Findings begin with the runner, such as "runner 1 of 4: ".
	Thresholds int      `json:"thresholds"`
	Crossed    []string `json:"crossed,omitempty"`
	// Conditions are the thresholds with their measured values.
	Conditions []Condition `json:"conditions,omitempty"`
	// UptimeBefore and UptimeAfter are the service's uptime in seconds, at the start and at the end; -1: unknown.
	UptimeBefore float64 `json:"uptimeBefore"`
	UptimeAfter  float64 `json:"uptimeAfter"`
	Ledger       *Ledger `json:"ledger,omitempty"`
	// Findings are the lines of the summary.
	Findings []Finding `json:"findings,omitempty"`
	// Facts are counts that verdicts use, such as matched_unheard.
	Facts map[string]int64 `json:"facts,omitempty"`
	// Waiting is what was still under way when the run ended.
	Waiting []Waiting `json:"waiting,omitempty"`
	// Checks are those of the preflight, Warnings the problems of the run itself, Tables further parts of the report.
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
	Samples   int64  `json:"samples"` // -1: the metric does not count them
}

// Table is a part of the report with rows, such as the readings of Prometheus.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns,omitempty"`
	Rows    [][]string `json:"rows,omitempty"`
	Notes   []string   `json:"notes,omitempty"`
}

// Waiting is how many users were still waiting for one thing when the run ended.
type Waiting struct {
	What    string // the thing they waited for, such as "their socket"
	Users   int
	Longest time.Duration
}

// Finding is a line of the summary.
type Finding struct {
	Mark  string `json:"mark"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Ledger compares balances, read after the load, with what users bought and spent.
type Ledger struct {
	Users   int `json:"users"`   // users whose balance was read
	Unread  int `json:"unread"`  // users whose balance could not be read
	Unknown int `json:"unknown"` // users whose right balance is unknown, because requests had no answer
	Wrong   int `json:"wrong"`   // users whose balance is not bought − spent − lost
	// Sums over the users whose balance was judged.
	Bought   int64    `json:"bought"`
	Spent    int64    `json:"spent"`
	Lost     int64    `json:"lost"`
	Left     int64    `json:"left"`
	Examples []string `json:"examples,omitempty"` // at most ten wrong balances
}

// Claim is one claim of a profile.
type Claim struct {
	// Kind is the kind of claim: users, waiting, latency, match, errors, tokens, sessions, purchases.
	Kind string `json:"claim"`
	// Least is the least number (of users, waiting users, sessions).
	Least float64 `json:"least,omitempty"`
	// Operations are the names of the requests of a latency claim.
	Operations []string `json:"operations,omitempty"`
	// Quantile is the quantile that must be within WithinMs (latency, match, purchases); 0 means 0.95.
	Quantile float64 `json:"quantile,omitempty"`
	WithinMs float64 `json:"withinMs,omitempty"`
	// Below is the rate that errors, or dropped sessions, must stay under, such as 0.001.
	Below float64 `json:"below,omitempty"`
	// ForSeconds is how long a level must last without a break (sessions).
	ForSeconds float64 `json:"forSeconds,omitempty"`
	// SendWithinMs is how late events may be sent (purchases), and Sent the share of them that must be sent in time.
	SendWithinMs float64 `json:"sendWithinMs,omitempty"`
	Sent         float64 `json:"sent,omitempty"`
}
