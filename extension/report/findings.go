package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/runner"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// Result is what is known of a run when it is over.
type Result struct {
	Scenario, Profile, Target string
	// Ending says why the run did not end as planned, such as "stopped by Ctrl-C after 12 s"; "" if it did.
	Ending   string
	Refused  bool // it ended before its load
	Ended    time.Time
	Summary  Summary
	Runner   runner.Usage
	Sessions Sessions
	Users    Users
	Sockets  Sockets
	// Unstarted counts the VUs that k6 could not start.
	Unstarted int
}

// Sockets counts the sockets of this process's users.
type Sockets struct {
	Opened int
	Lost   map[string]int // by reason, in words; only those that their users did not close
}

// Users counts the users of this process.
type Users struct {
	Planned, Present int               // at most
	Seats            int               // that k6 began with at once, at most; 0: no stay
	Away             map[ErrorKind]int // the errors that kept the others away
}

// Sessions holds the results of the sessions of this process.
type Sessions struct {
	sessions.Totals
	HeldFor time.Duration // total length of the sessions that were held
	HeldN   int           // number of them, counted per user
	Broken  []sessions.Finding
}

// Report turns the record and the result of the run into a Report in words.
func (r *Record) Report(result Result) *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := &Report{
		Name: result.Scenario, Scenario: result.Scenario, Profile: result.Profile, Target: result.Target, Plan: r.plan, Runner: r.runner,
		Ending: result.Ending, Ended: result.Ended, Took: result.Summary.Took(), Thresholds: result.Summary.thresholds(),
		Warnings: slices.Clone(r.warnings), Tables: slices.Clone(r.tables),
	}
	if result.Profile != "" {
		report.Name = result.Profile
	}
	report.Name += RunnerSuffix(r.runner)
	report.Checks, report.Refused = slices.Clone(r.checks), result.Refused
	if result.Refused {
		report.Findings = r.errorFindings() // why the service let nobody in, if it answered
		return report
	}
	report.Findings = slices.Concat(
		result.Users.findings(), operationFindings(result.Summary), r.unheardFindings(), r.errorFindings(), r.events.findings(), result.Sockets.findings(), result.Sessions.findings(),
		unstartedFindings(result.Unstarted), r.depth.findings(), r.cleanup.findings(),
		r.readings.findings(), runnerFindings(result.Runner, result.Summary), arrivalFindings(result.Summary),
	)
	return report
}

func finding(mark, title, format string, args ...any) Finding {
	return Finding{Mark: mark, Title: title, Text: fmt.Sprintf(format, args...)}
}

func (u Users) findings() []Finding {
	if u.Seats == 0 {
		return nil // a script without a stay
	}
	mark, text := "", fmt.Sprintf("%s of %s planned were present at most", Thousands(u.Present), Thousands(u.Planned))
	if u.Present < u.Planned {
		mark = "!"
	}
	if u.Seats < u.Planned {
		text += fmt.Sprintf("; k6 had VUs for %s of them", Thousands(u.Seats))
	}
	if len(u.Away) > 0 {
		text += "; kept away: " + u.reasons()
	}
	return []Finding{{Mark: mark, Title: "users", Text: text}}
}

// reasons lists the errors that kept users away, the most frequent first.
func (u Users) reasons() string {
	kinds := slices.SortedFunc(maps.Keys(u.Away), func(a, b ErrorKind) int {
		return cmp.Or(cmp.Compare(u.Away[b], u.Away[a]), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Status, b.Status))
	})
	parts := make([]string, len(kinds))
	for i, kind := range kinds {
		parts[i] = fmt.Sprintf("%s %s%s × %s", kind.Operation, kind.Name, status(kind.Status), Thousands(u.Away[kind]))
	}
	return strings.Join(parts, ", ")
}

func operationFindings(s Summary) []Finding {
	n := s.count("operations")
	if n == 0 {
		return []Finding{finding("✗", "operations", "none: nothing was measured, so this run says nothing about the service")}
	}
	rate := s.value("error_rate", "rate")
	list := []Finding{
		finding(mark(rate == 0), "operations", "%s, of which %.2f %% did not do what the scenario wanted", Thousands(n), 100*rate),
	}
	if cycles := s.count("cycles"); cycles > 0 {
		list = append(list, finding("", "cycles", "%s finished", Thousands(cycles)))
	}
	return list
}

// errorFindings returns the findings on single answers and users. The caller holds the lock.
func (r *Record) errorFindings() (list []Finding) {
	if len(r.throttled) > 0 {
		list = append(list, finding("✗", "throttled", "%s answers were 429: %s. Their latency is not the service's; have the rate limit "+
			"lifted for this runner and run again", Thousands(evidence.Total(r.throttled)), listed(r.throttled)))
	}
	if len(r.inFront) > 0 {
		list = append(list, finding("✗", "in front", "%s answers were 403 without the service's headers and JSON: %s. Something in front of the "+
			"service answers 403, such as a web application firewall (docs/verity-api.md, How it is deployed); have this runner's address let "+
			"through, and run again", Thousands(evidence.Total(r.inFront)), listed(r.inFront)))
	}
	for _, e := range sortedErrors(r.errs) {
		list = append(list, finding("✗", "error", "%s %s%s × %s, for example: %s%s", e.Operation, e.Name, status(e.Status), Thousands(e.n),
			e.example, meaning(e.ErrorKind)))
	}
	if len(r.locked) > 0 {
		list = append(list, finding("", "locked", "%s answers were 409, for the service was busy with that user, and were asked for again: %s. "+
			"That is within the contract", Thousands(evidence.Total(r.locked)), listed(r.locked)))
	}
	if len(r.tokensLost) > 0 {
		list = append(list, finding("!", "tokens lost", "%s did not come: %s. This is a finding about the service, kept out of "+
			"error_rate", counting(evidence.Total(r.tokensLost), "refund"), listed(r.tokensLost)))
	}
	if n := r.leftBehind.n; n > 0 {
		list = append(list, finding("!", "left behind", "%s users may still be queued: they could not leave at the end: %s", Thousands(n),
			named(r.leftBehind.first, n)))
	}
	return list
}

func status(code int) string {
	if code == 0 {
		return ""
	}
	return " " + strconv.Itoa(code)
}

// meaning explains an error whose name does not; "" for others.
func meaning(kind ErrorKind) string {
	if kind.Operation == "session" && kind.Name == "token_error" {
		return ". The service ends a session so when it can make no token for the call: video is not configured on it"
	}
	return ""
}

// counting returns a number and its noun, with an s except for 1.
func counting(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Thousands(n) + " " + noun + "s"
}

func listed(counts map[string]int) string {
	parts := make([]string, 0, len(counts))
	for _, c := range sorted(counts) {
		parts = append(parts, c.name+" "+Thousands(c.n))
	}
	return strings.Join(parts, ", ")
}

// named lists ids, and says how many more there are if n is larger.
func named(ids []string, n int) string {
	text := strings.Join(ids, ", ")
	if more := n - len(ids); more > 0 {
		text += fmt.Sprintf(" and %s more", Thousands(more))
	}
	return text
}

func (e events) findings() []Finding {
	if e.sent == 0 {
		return nil
	}
	text := Thousands(e.sent) + " sent"
	if e.again > 0 {
		text += fmt.Sprintf(", and %s sent again; %s answers were 500 for a copy that came while another one was under way, which the contract "+
			"allows", Thousands(e.again), Thousands(e.refusedCopies))
	}
	return []Finding{{Title: "events", Text: text}}
}

func (s Sockets) findings() []Finding {
	switch {
	case s.Opened == 0:
		return nil
	case len(s.Lost) == 0:
		return []Finding{finding("✓", "sockets", "%s opened, none lost", Thousands(s.Opened))}
	}
	reasons := slices.SortedFunc(maps.Keys(s.Lost), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Lost[b], s.Lost[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(reasons))
	for i, reason := range reasons {
		parts[i] = reason + " " + Thousands(s.Lost[reason])
	}
	return []Finding{finding("✗", "sockets lost", "%s of %s: %s. Their users had not closed them", Thousands(evidence.Total(s.Lost)),
		Thousands(s.Opened), strings.Join(parts, ", "))}
}

func unstartedFindings(vus int) []Finding {
	if vus == 0 {
		return nil
	}
	return []Finding{finding("✗", "VUs missing", "%s VUs could not start, and k6 went on without them: their users were never there. A VU is free "+
		"again once its users have left, up to 75 s after a ramp-down; let a ramp go up once, or give the next one more time", Thousands(vus))}
}

// findings returns the results of the sessions, how many there were at once, and how far that is from arrivals × hold time (Little's
// law).
func (s Sessions) findings() (list []Finding) {
	if s.Planned > 0 {
		list = append(list, finding(mark(s.Dropped == 0), "sessions", "%s planned, %s started, %s held to the end, %s dropped, %s stopped by "+
			"the end of the run (of users: a session has two)", Thousands(s.Planned), Thousands(s.Started), Thousands(s.Held),
			Thousands(s.Dropped), Thousands(s.Stopped)))
	}
	if s.Window > 0 {
		list = append(list, finding("", "at once", "%.0f sessions at the peak, %.1f on average%s", s.Peak, s.Mean, s.explained()))
	}
	for _, broken := range s.Broken {
		list = append(list, finding("✗", "rule broken", "%s × %s, for example: %s", broken.Rule, Thousands(broken.Count), broken.Example))
	}
	return list
}

// explained says what the number of sessions at once should be, or why it can exceed the number of pairs of users.
func (s Sessions) explained() string {
	if s.Planned == 0 {
		return "; there can be more than pairs of users, for a matched user goes on without waiting for the end of its session"
	}
	if s.HeldN == 0 || s.Mean == 0 {
		return ""
	}
	expected := s.HeldFor.Seconds() / 2 / s.Window.Seconds()
	return fmt.Sprintf("; arrivals × hold makes %.1f, %.0f %% off", expected, 100*math.Abs(expected-s.Mean)/s.Mean)
}

func (d depth) findings() (list []Finding) {
	if !d.watched {
		return nil
	}
	if d.readings == 0 || d.failure != nil {
		list = append(list, finding("!", "queue depth", "unknown: %v", d.failure))
	} else {
		list = append(list, finding("", "queue depth", "%s at the peak, %s at the end", Thousands(d.peak), Thousands(d.last)))
	}
	if d.ghosts == nil {
		return list
	}
	members, states := d.ghosts.Members, d.ghosts.States
	if len(members)+len(states) > 0 {
		list = append(list, finding("!", "ghosts", "%s queued without a state%s, %s with a state but not queued%s: the service lost track of them",
			Thousands(len(members)), parenthesized(members), Thousands(len(states)), parenthesized(states)))
	}
	return list
}

// parenthesized names the first users of some ghosts.
func parenthesized(ghosts []queue.Ghost) string {
	if len(ghosts) == 0 {
		return ""
	}
	var ids names
	for _, ghost := range ghosts {
		ids.add(ghost.User)
	}
	return " (" + named(ids.first, ids.n) + ")"
}

// findings says why there is no table of Prometheus; nil if there is one, or none was wanted.
func (state Readings) findings() []Finding {
	switch state {
	case ReadingsElsewhere:
		return []Finding{finding("", "Prometheus", "is read by the runner of the first execution segment only")}
	case ReadingsBegun:
		return []Finding{finding("!", "Prometheus", "no readings: teardown() did not run, as with --no-teardown")}
	case ReadingsWanted:
		return []Finding{finding("!", "Prometheus", "no readings: setup() was skipped, or ended before it could take them")}
	default:
		return nil
	}
}
