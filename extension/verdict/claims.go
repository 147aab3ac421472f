package verdict

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// The kinds of claims.
const (
	KindUsers     = "users"
	KindWaiting   = "waiting"
	KindLatency   = "latency"
	KindMatch     = "match"
	KindErrors    = "errors"
	KindTokens    = "tokens"
	KindSessions  = "sessions"
	KindPurchases = "purchases"
)

// kindNames are the kinds in the order in which messages list them.
var kindNames = []string{KindUsers, KindWaiting, KindLatency, KindMatch, KindErrors, KindTokens, KindSessions, KindPurchases}

// operationNames are the operations whose requests have a series in the evidence.
var operationNames = []string{
	platform.OpSignUp, platform.OpRefresh, platform.OpJoin, platform.OpLeave, platform.OpBalance, platform.OpWebhook,
}

const (
	defaultQuantile = 0.95
	// defaultBelow is the rate that dropped sessions must stay below, and also matches that users did not hear of.
	defaultBelow = 0.001
	defaultSent  = 0.95
	// longestMs is the longest limit in ms that a claim may have: an hour.
	longestMs = 3_600_000
)

// withDefaults returns a claim with its optional fields filled in.
func withDefaults(c evidence.Claim) evidence.Claim {
	switch c.Kind {
	case KindLatency, KindMatch, KindPurchases:
		if c.Quantile == 0 {
			c.Quantile = defaultQuantile
		}
	case KindSessions:
		if c.Below == 0 {
			c.Below = defaultBelow
		}
	}
	if c.Kind == KindPurchases && c.Sent == 0 {
		c.Sent = defaultSent
	}
	return c
}

// Check refuses invalid claims; it is called before a run.
func Check(claims []evidence.Claim) error {
	for i, claim := range claims {
		if err := checkClaim(claim); err != nil {
			return fmt.Errorf("claim %d (%q): %w", i+1, claim.Kind, err)
		}
	}
	return nil
}

// field is a numeric field of a claim, with its valid values.
type field struct {
	name  string
	value float64
	takes string // the valid values, as text
	ok    func(float64) bool
	kinds []string // the kinds of claims that have it
	need  bool     // those kinds require it
}

func between(low, high float64) func(float64) bool {
	return func(v float64) bool { return v > low && v < high }
}

func fieldsOf(c evidence.Claim) []field {
	whole := func(v float64) bool { return v >= 1 && v <= 1e9 && v == math.Trunc(v) }
	return []field{
		{"least", c.Least, "a whole number from 1 on", whole, []string{KindUsers, KindWaiting, KindSessions}, true},
		{"quantile", c.Quantile, "a share from 0.5 to less than 1, such as 0.95", func(v float64) bool { return v >= 0.5 && v < 1 },
			[]string{KindLatency, KindMatch, KindPurchases}, false},
		{"withinMs", c.WithinMs, "milliseconds above 0 and up to an hour", func(v float64) bool { return v > 0 && v <= longestMs },
			[]string{KindLatency, KindMatch, KindPurchases}, true},
		{"below", c.Below, "a share between 0 and 1, such as 0.001", between(0, 1), []string{KindErrors, KindSessions}, c.Kind == KindErrors},
		{"forSeconds", c.ForSeconds, "whole seconds from 1 to 86,400", func(v float64) bool { return whole(v) && v <= 86_400 },
			[]string{KindSessions}, true},
		{"sendWithinMs", c.SendWithinMs, "milliseconds above 0 and up to an hour", func(v float64) bool { return v > 0 && v <= longestMs },
			[]string{KindPurchases}, true},
		{"sent", c.Sent, "a share above 0 and up to 1, such as 0.95", func(v float64) bool { return v > 0 && v <= 1 },
			[]string{KindPurchases}, false},
	}
}

func checkClaim(c evidence.Claim) error {
	if !slices.Contains(kindNames, c.Kind) {
		return fmt.Errorf("there is no such kind of claim; there are %s", strings.Join(kindNames, ", "))
	}
	for _, f := range fieldsOf(c) {
		taken := slices.Contains(f.kinds, c.Kind)
		switch {
		case !taken && f.value != 0:
			return fmt.Errorf("it has %s, which only claims of the kind %s take", f.name, strings.Join(f.kinds, ", "))
		case taken && f.need && f.value == 0:
			return fmt.Errorf("it has no %s; it takes %s", f.name, f.takes)
		case taken && f.value != 0 && !f.ok(f.value):
			return fmt.Errorf("%s is %v; it takes %s", f.name, f.value, f.takes)
		}
	}
	return checkOperations(c)
}

func checkOperations(c evidence.Claim) error {
	names := strings.Join(operationNames, ", ")
	switch {
	case c.Kind != KindLatency && len(c.Operations) > 0:
		return fmt.Errorf("it has operations, which only claims of the kind %s take", KindLatency)
	case c.Kind == KindLatency && len(c.Operations) == 0:
		return fmt.Errorf("it names no operations; there are %s", names)
	}
	for i, operation := range c.Operations {
		if !slices.Contains(operationNames, operation) {
			return fmt.Errorf("there is no series for the operation %q; there are %s", operation, names)
		}
		if slices.Contains(c.Operations[:i], operation) {
			return fmt.Errorf("it names the operation %q twice", operation)
		}
	}
	return nil
}

// claim judges one claim.
func (j *judge) claim(c evidence.Claim) Result {
	switch c.Kind {
	case KindUsers:
		return j.users(c)
	case KindWaiting:
		return j.waiting(c)
	case KindLatency:
		return j.latency(c)
	case KindMatch:
		return j.match(c)
	case KindErrors:
		return j.errors(c)
	case KindTokens:
		return j.tokens()
	case KindSessions:
		return j.sessions(c)
	case KindPurchases:
		return j.purchases(c)
	default:
		return Result{Status: NotProven, Measured: "nothing", Why: CheckSamples,
			Reason: fmt.Sprintf("there is no kind of claim %q; there are %s", c.Kind, strings.Join(kindNames, ", "))}
	}
}

// everyCheck is the checks of the run that can make a claim NOT PROVEN.
var everyCheck = []string{
	CheckLevel, CheckInterrupted, CheckThrottled, CheckRestarted, CheckOverridden, CheckRunner, CheckSendRate,
}

// unfit returns the first of these checks that failed. A missing runner comes first, as it may be why other checks failed.
func (j *judge) unfit(names []string) (name, text string, found bool) {
	if j.missing && slices.Contains(names, CheckInterrupted) {
		return CheckInterrupted, j.interrupted, true
	}
	for _, name := range names {
		if text, failed := j.checks[name]; failed {
			return name, text, true
		}
	}
	return "", "", false
}

// proven sets PASS, or NOT PROVEN if one of these checks failed.
func (j *judge) proven(r *Result, names []string) {
	r.Status = Pass
	if name, text, found := j.unfit(names); found {
		r.notProven(name, text)
	}
}

func (r *Result) notProven(why, reason string) { r.Status, r.Why, r.Reason = NotProven, why, reason }

func (r *Result) fail(reason string) { r.Status, r.Reason = Fail, reason }

// users judges the highest number of users present in one second. No check can make that number wrong.
func (j *judge) users(c evidence.Claim) Result {
	readings := levels(j.run, evidence.LevelPresent, j.first, j.last)
	peak := slices.Max(readings)
	enough := 0
	for _, present := range readings {
		if present >= c.Least {
			enough++
		}
	}
	r := Result{
		Measured: fmt.Sprintf("%s users present at once", plain.Count(peak)), Needed: plain.Count(c.Least) + " needed",
		Low: Number(peak), Estimate: Number(peak), High: Number(peak), Limit: Number(c.Least), Unit: "users", N: int64(len(j.run.Seconds)),
	}
	if peak < c.Least && j.missing {
		r.notProven(CheckInterrupted, j.interrupted)
		return r
	}
	if peak < c.Least {
		r.notProven(CheckLevel, fmt.Sprintf("at most %s of the %s users were present at once: see the errors of auth_signup, and run until all have arrived",
			plain.Count(peak), plain.Count(c.Least)))
		return r
	}
	r.Measured += fmt.Sprintf(", %s or more for %s", plain.Count(c.Least), lasting(float64(enough)))
	r.Status = Pass
	return r
}

// waiting judges the number of waiting users. It is about the load and never FAIL: too few are no defect of the service.
func (j *judge) waiting(c evidence.Claim) Result {
	from, to := j.part()
	readings := levels(j.run, evidence.LevelWaiting, from, to)
	kept := keptLevel(readings)
	r := Result{
		Measured: fmt.Sprintf("%s users waiting at once for %s", plain.Count(kept), lasting(float64(len(readings)))), Needed: plain.Count(c.Least) + " needed",
		Low: Number(kept), Estimate: Number(kept), High: Number(kept), Limit: Number(c.Least), Unit: "users", N: int64(len(readings)),
	}
	j.proven(&r, []string{CheckLevel, CheckInterrupted})
	if r.Status == Pass && kept < c.Least {
		r.notProven(CheckLevel, fmt.Sprintf("in more than one of a hundred seconds fewer than %s were waiting (%s at the least, those seconds left out): "+
			"use fewer queue keys (QUEUE_SHARDS) or more users", plain.Count(c.Least), plain.Count(kept)))
	}
	return r
}

// errors judges the rate of errors over the whole run.
func (j *judge) errors(c evidence.Claim) Result {
	t := j.counts(evidence.CountOperations, evidence.CountErrors)
	q := question{
		t: t, allowed: c.Below, level: confidence, what: "operations", missed: "did not do what was wanted", lasts: true,
		hanging: j.hanging(func(s evidence.Series) bool { return s.Metric == evidence.MetricRequest }, 0, j.first, j.last),
		users:   slices.Max(levels(j.run, evidence.LevelPresent, j.first, j.last)), until: j.until(),
	}
	r := j.rate(q)
	r.Title, r.Needed = "errors", "under "+percent(c.Below)
	return r
}

// rate answers a question about a share, and sets the share as the measured value.
func (j *judge) rate(q question) Result {
	r := j.answer(q)
	all, eff := q.t.all(), q.t.worth()
	r.Low, r.Estimate, r.High = Number(eff.lower(confidence)), Number(all.share()), Number(eff.upper(confidence))
	r.Limit, r.Unit = Number(q.allowed), "share"
	r.Measured = fmt.Sprintf("%s (n %s)", percentSpan(float64(r.Low), float64(r.High)), plain.Count(all.n))
	if all.n == 0 {
		r.Measured = "nothing measured"
	}
	return r
}

// counts returns the tally of two counts over the whole run, such as operations and failed operations.
func (j *judge) counts(all, missed string) *tally {
	t := newTally(j.last-j.first+1, 1)
	for i := range t.n {
		at := j.first + int64(i)
		second := j.run.Seconds[at]
		if second == nil {
			continue
		}
		failed := map[string]int64{}
		for name, n := range second.Counts {
			base, labels, _ := strings.Cut(name, "{")
			switch base {
			case all:
				t.n[i] += float64(n)
			case missed:
				t.misses[i] += float64(n)
				failed[kindOf(labels)] += n
			}
		}
		for kind, n := range failed {
			t.failed[kind] += n
		}
		t.certain[0][i] = j.certainFailures(failed, at, 0)
	}
	return t
}

// kindOf returns the last of a count's labels: "HTTPError 500" for "queue_join}{HTTPError 500}".
func kindOf(labels string) string {
	parts := strings.Split(strings.TrimSuffix(labels, "}"), "}{")
	return parts[len(parts)-1]
}

func (j *judge) tokens() Result {
	r := Result{Needed: "each account right", Unit: "accounts"}
	ledger := j.ledger(&r)
	if r.Status == Pass {
		j.proven(&r, []string{CheckLevel, CheckInterrupted, CheckThrottled, CheckRestarted, CheckOverridden})
	}
	r.Title = "tokens"
	if ledger != nil {
		r.N, r.Low, r.Estimate, r.High = int64(ledger.Users), Number(ledger.Wrong), Number(ledger.Wrong), Number(ledger.Wrong)
	}
	return r
}

// ledger judges the balances that were read after the load.
func (j *judge) ledger(r *Result) *evidence.Ledger {
	if j.run.End == nil || j.run.End.Ledger == nil {
		r.Measured = "no balance read"
		r.notProven(CheckSamples, "no balance was read after the load: let the run go on to its end, teardown() included")
		return nil
	}
	l := j.run.End.Ledger
	r.Measured = fmt.Sprintf("%s of %s accounts right", plain.Count(l.Users-l.Wrong-l.Unknown), plain.Count(l.Users))
	switch {
	case l.Wrong > 0:
		example := ""
		if len(l.Examples) > 0 {
			example = ", such as " + l.Examples[0]
		}
		r.fail(fmt.Sprintf("%s not what was bought less what was spent and lost%s: look for these accounts in the service's ledger",
			isNot(l.Wrong, "balance"), example))
	case l.Users == 0:
		r.notProven(CheckSamples, "no balance was read after the load: let the run go on to its end, teardown() included")
	case l.Unread > 0:
		r.notProven(CheckSamples, fmt.Sprintf("%s could not be read after the load: see the errors of tokens_balance, and run again", plural(l.Unread, "balance")))
	case l.Unknown > 0:
		r.notProven(CheckSamples, fmt.Sprintf("requests without an answer left open what %s must have: see the errors, and run again", plural(l.Unknown, "account")))
	default:
		r.Status = Pass
	}
	return l
}

func isNot(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return plural(n, noun) + " are"
}
