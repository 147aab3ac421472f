package report

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/queue"
)

// mostNames is the maximum number of affected users that are named.
const mostNames = 10

// Record collects what happens during a run, as facts; the method Report puts them into words. It is safe for concurrent use, and the zero
// Record is empty.
type Record struct {
	mu         sync.Mutex
	plan       string // one sentence
	runner     string // which of several runners this is, such as 1 of 2; "" for the only one
	throttled  map[string]int
	locked     map[string]int
	tokensLost map[string]int
	inFront    map[string]int
	errs       map[ErrorKind]*errorCount
	leftBehind names
	unheard    names

	unheardMatched, unheardOf int // found in Redis, and how many were looked for
	events                    events
	depth                     depth
	readings                  Readings
	warnings                  []string
	tables                    []Table
	checks                    []Finding // of the preflight
	cleanup                   *Cleanup  // nil: none was wanted
}

// ErrorKind groups errors that a reader need not distinguish.
type ErrorKind struct {
	Operation, Name string
	Status          int // of the answer; 0: there was none
}

// errorCount counts the errors of one kind, with the message of the first.
type errorCount struct {
	ErrorKind
	n       int
	example string
}

// names counts the users affected by an event, and keeps the ids of the first.
type names struct {
	n     int
	first []string
}

func (u *names) add(id string) {
	u.n++
	if len(u.first) < mostNames {
		u.first = append(u.first, id)
	}
}

// events counts the events that a script sent to the webhook.
type events struct{ sent, again, refusedCopies int }

// depth holds the readings of the queue in Redis.
type depth struct {
	watched  bool
	readings int
	peak     int
	last     int
	failure  error // of the last reading
	ghosts   *queue.Ghosts
}

// Readings is the progress of the readings of Prometheus.
type Readings int

// The states of the readings of Prometheus.
const (
	ReadingsUnwanted  Readings = iota
	ReadingsWanted             // asked for, and not begun
	ReadingsElsewhere          // left to another runner
	ReadingsBegun              // taken at the start of the run only
	ReadingsEnded              // taken, or tried, at both ends
)

// SetPlan records one sentence on what the run does.
func (r *Record) SetPlan(plan string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan = plan
}

// SetRunner records which of several runners this is, such as 1 of 2.
func (r *Record) SetRunner(runner string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runner = runner
}

// Runner returns which of several runners this is; "" for the only one.
func (r *Record) Runner() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runner
}

// MatchUnheard counts a user that received no event of a match although, by the answer to its leave, the service had matched it.
func (r *Record) MatchUnheard(userID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unheard.add(userID)
}

// Unheard returns the ids of the first users that MatchUnheard counted.
func (r *Record) Unheard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.unheard.first)
}

// UnheardInRedis records how many of those users have a match in Redis, and how many were looked for.
func (r *Record) UnheardInRedis(matched, of int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unheardMatched, r.unheardOf = matched, of
}

// The facts that a verdict names.
const (
	FactUnheard    = "matched_unheard"
	FactTokenError = "token_error"
	FactLeftBehind = "left_behind"
	FactInFront    = "refused_in_front"
)

// Facts returns the counts of the run that a verdict can name.
func (r *Record) Facts() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	facts := map[string]int64{}
	for name, n := range map[string]int{
		FactUnheard: r.unheard.n, FactLeftBehind: r.leftBehind.n, FactTokenError: r.tokenErrors(),
		FactInFront: evidence.Total(r.inFront),
	} {
		if n > 0 {
			facts[name] = int64(n)
		}
	}
	for name, n := range r.cleanup.facts() {
		facts[name] = int64(n)
	}
	return facts
}

// tokenErrors returns the number of sessions that ended with token_error. The caller holds the lock.
func (r *Record) tokenErrors() int {
	if e := r.errs[ErrorKind{Operation: "session", Name: FactTokenError}]; e != nil {
		return e.n
	}
	return 0
}

// Throttled counts an answer 429 to an operation.
func (r *Record) Throttled(operation string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.throttled == nil {
		r.throttled = make(map[string]int)
	}
	r.throttled[operation]++
}

// RefusedInFront counts an answer 403 to an operation that came from something in front of the service.
func (r *Record) RefusedInFront(operation string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFront == nil {
		r.inFront = make(map[string]int)
	}
	r.inFront[operation]++
}

// LockMet counts an answer 409 to an operation that is retried because the service was busy with that user.
func (r *Record) LockMet(operation string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locked == nil {
		r.locked = make(map[string]int)
	}
	r.locked[operation]++
}

// TokenLost counts a refund that the service did not make.
func (r *Record) TokenLost(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tokensLost == nil {
		r.tokensLost = make(map[string]int)
	}
	r.tokensLost[why]++
}

// Errored counts an error, and reports whether it is the first of its kind.
func (r *Record) Errored(kind ErrorKind, example string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.errs == nil {
		r.errs = make(map[ErrorKind]*errorCount)
	}
	if known, ok := r.errs[kind]; ok {
		known.n++
		return false
	}
	r.errs[kind] = &errorCount{ErrorKind: kind, n: 1, example: example}
	return true
}

// LeftBehind counts a user that could not be taken out of the queue at the end.
func (r *Record) LeftBehind(userID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leftBehind.add(userID)
}

// EventSent counts an event that is sent to the webhook, for the first time or again.
func (r *Record) EventSent(again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if again {
		r.events.again++
		return
	}
	r.events.sent++
}

// CopyRefused counts an answer 500 that the script expects while copies of one event are in flight at the same time.
func (r *Record) CopyRefused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events.refusedCopies++
}

// WatchDepth notes that the queue depth is to be read.
func (r *Record) WatchDepth() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.depth.watched = true
}

// Depth records a reading of the queue depth, and reports whether it is the first failure in a row.
func (r *Record) Depth(total int, err error) (firstFailure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &r.depth
	firstFailure = err != nil && d.failure == nil
	d.failure = err
	if err == nil {
		d.readings++
		d.last, d.peak = total, max(d.peak, total)
	}
	return firstFailure
}

// Ghosts records the users that the service lost track of.
func (r *Record) Ghosts(ghosts queue.Ghosts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.depth.ghosts = &ghosts
}

// SetReadings records the progress of the readings of Prometheus. It never goes back, as each VU asks for the readings anew.
func (r *Record) SetReadings(state Readings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readings = max(r.readings, state)
}

// AddTable adds a table to the report.
func (r *Record) AddTable(t Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tables = append(r.tables, t)
}

// Warn adds a warning about the run to the report. It does not log it.
func (r *Record) Warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, text)
}

// preflightTitle is the title of the table of the preflight, which is printed as soon as it is known.
const preflightTitle = "Preflight"

// Preflight records the findings of the preflight and returns their table. With override, a failed check becomes a warning.
func (r *Record) Preflight(checks []preflight.Check, override bool) Table {
	failed := false
	t := Table{Title: preflightTitle, Columns: []string{"", "check", "found"}, Shown: true}
	for _, c := range checks {
		t.Rows = append(t.Rows, []string{c.Verdict.Mark(), c.Name, c.Found})
		r.addCheck(c)
		failed = failed || c.Verdict == preflight.Failed
		if c.Verdict == preflight.Warning || (c.Verdict == preflight.Failed && override) {
			r.Warn("preflight, " + c.Name + ": " + c.Found)
		}
	}
	if failed && override {
		t.Notes = []string{"SKIP_PREFLIGHT=1: the run goes on all the same"}
	}
	r.AddTable(t)
	return t
}

// count is a name with its count.
type count struct {
	name string
	n    int
}

func sorted(counts map[string]int) []count {
	list := make([]count, 0, len(counts))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, count{name, counts[name]})
	}
	return list
}

// sortedErrors returns the errors sorted by frequency, the most frequent first.
func sortedErrors(errs map[ErrorKind]*errorCount) []errorCount {
	list := make([]errorCount, 0, len(errs))
	for _, e := range errs {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b errorCount) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Status, b.Status))
	})
	return list
}

func (r *Record) addCheck(c preflight.Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, Finding{Mark: c.Verdict.Mark(), Title: c.Name, Text: c.Found})
}
