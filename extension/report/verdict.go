package report

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// Of returns the report of the evidence of a run and of its verdict.
func Of(run *evidence.Run, judged verdict.Verdict) *Report {
	header := run.Header
	r := &Report{
		Name: header.Scenario, Scenario: header.Scenario, Profile: header.Profile, Target: header.Target, Plan: header.Plan,
		Verdict: &judged, Latencies: latenciesOf(run),
	}
	if run.IsOneOfSeveral() {
		r.Runner = fmt.Sprintf("%d of %d", run.Runners[0].Index+1, run.Runners[0].Count)
	}
	if header.Profile != "" {
		r.Name = header.Profile
	}
	r.Name += RunnerSuffix(r.Runner)
	if run.Truncated {
		r.Warnings = append(r.Warnings, "the file of the evidence ends in the middle of a record, which was left out")
	}
	if run.End == nil {
		r.Ending = "the evidence has no end: the runner was killed, or is still running"
		return r
	}
	r.Ending, r.Ended, r.Took = run.End.Interrupted, run.End.At, run.End.At.Sub(header.Began)
	r.counted, r.crossed = run.End.Thresholds, run.End.Crossed
	for _, c := range run.End.Conditions {
		r.Thresholds = append(r.Thresholds, Threshold(c))
	}
	for _, f := range run.End.Findings {
		r.Findings = append(r.Findings, Finding(f))
	}
	for _, f := range run.End.Checks {
		r.Checks = append(r.Checks, Finding(f))
	}
	for _, t := range run.End.Tables {
		r.Tables = append(r.Tables, Table{Title: t.Title, Columns: t.Columns, Rows: t.Rows, Notes: t.Notes, Shown: t.Title == preflightTitle})
	}
	r.Warnings = append(r.Warnings, run.End.Warnings...)
	r.Findings = append(r.Findings, waitingFindings(run.End.Waiting)...)
	r.Findings = append(r.Findings, mergeFindings(run)...)
	return r
}

// mergeFindings says of the run of one of several runners where the verdict of the test is to be had.
func mergeFindings(run *evidence.Run) []Finding {
	if !run.IsOneOfSeveral() {
		return nil
	}
	return []Finding{finding("", "merge", "this is %s: the verdict of the test is that of k6 x verity merge, on the evidence (REPORT_DIR) of all %d",
		run.Runners[0].Name(), run.Runners[0].Count)}
}

// AddVerdict adds the verdict, the latencies and the waits that had not ended. It takes the times from the evidence, so that a report that is
// made again has the same times.
func (r *Report) AddVerdict(run *evidence.Run, judged verdict.Verdict, waiting []evidence.Waiting) {
	r.Verdict = &judged
	r.Ended, r.Took = run.End.At, run.End.At.Sub(run.Header.Began)
	r.Latencies = latenciesOf(run)
	r.Findings = append(r.Findings, waitingFindings(waiting)...)
	r.Findings = append(r.Findings, mergeFindings(run)...)
}

// Enter stores the contents of the report in the end record of the evidence, so that the report can be made again.
func (r *Report) Enter(end *evidence.End) {
	end.Crossed, end.Thresholds = r.CrossedThresholds()
	for _, t := range r.Thresholds {
		end.Conditions = append(end.Conditions, evidence.Condition(t))
	}
	for _, f := range r.Findings {
		end.Findings = append(end.Findings, evidence.Finding(f))
	}
	for _, f := range r.Checks {
		end.Checks = append(end.Checks, evidence.Finding(f))
	}
	for _, t := range r.Tables {
		end.Tables = append(end.Tables, evidence.Table{Title: t.Title, Columns: t.Columns, Rows: t.Rows, Notes: t.Notes})
	}
	end.Warnings = r.Warnings
}

// RunnerSuffix returns the suffix of file names of one of several runners; "" for the only one.
func RunnerSuffix(runner string) string {
	if runner == "" {
		return ""
	}
	return "-runner-" + strings.ReplaceAll(runner, " ", "-")
}

// waitingFindings returns a finding for each kind of wait that had not ended when the run did.
func waitingFindings(waiting []evidence.Waiting) (list []Finding) {
	for _, w := range waiting {
		users := Thousands(w.Users) + " users"
		if w.Users == 1 {
			users = "1 user"
		}
		list = append(list, finding("!", "still waiting", "%s for %s, %.1f s at the longest", users, w.What, w.Longest.Seconds()))
	}
	return list
}

// title returns the name of a run: its profile if the run makes claims, and otherwise its scenario.
func (r *Report) title() string {
	if r.Profile != "" && r.claims() {
		return r.Profile
	}
	return r.Scenario
}

func (r *Report) claims() bool { return r.Verdict != nil && len(r.Verdict.Claims) > 0 }

// verdictText returns the end of the heading: a colon and the verdict, or "" without claims.
func (r *Report) verdictText() string {
	if !r.claims() {
		return ""
	}
	text := ": " + r.Verdict.Status.String()
	if crossed, all := r.CrossedThresholds(); r.Verdict.Status == verdict.Pass && len(crossed) > 0 {
		text += fmt.Sprintf(", but %d of %d thresholds crossed", len(crossed), all)
	}
	return text
}

// claimLines returns the lines of the summary on claims, one per claim.
func (r *Report) claimLines(width int) string {
	if !r.claims() {
		return ""
	}
	var b strings.Builder
	texts := 0
	for _, c := range r.Verdict.Claims {
		texts = max(texts, utf8.RuneCountInString(c.Text))
	}
	for _, c := range r.Verdict.Claims {
		status := fmt.Sprintf("    %s %-11s ", statusMark(c.Status), c.Status)
		rest := c.Text + strings.Repeat(" ", texts-utf8.RuneCountInString(c.Text)) + "   " + needed(c)
		if width == 0 || utf8.RuneCountInString(status+rest) <= width {
			b.WriteString(status + rest + "\n")
			continue
		}
		b.WriteString(Wrap(status, c.Text+"; "+needed(c), width))
	}
	return b.String() + "\n"
}

// needed returns the value that a claim needs, and why it is not PASS.
func needed(c verdict.Result) string {
	if c.Reason == "" {
		return c.Needed
	}
	return c.Needed + ": " + c.Reason
}

// inColumn returns the value that a claim needs, for the column "needed".
func inColumn(needed string) string { return strings.TrimSuffix(needed, " needed") }

func statusMark(s verdict.Status) string {
	switch s {
	case verdict.Pass:
		return "✓"
	case verdict.Fail:
		return "✗"
	default:
		return "?"
	}
}

// noClaims returns a finding that says why a run makes no claim; nil if it makes any.
func (r *Report) noClaims() []Finding {
	if r.Verdict == nil || r.claims() {
		return nil
	}
	return []Finding{{"", "verdict", r.Verdict.NoClaims}}
}

func (r *Report) noClaimsText() string {
	for _, f := range r.noClaims() {
		return f.Text
	}
	return ""
}

// unheardFindings returns a finding on users that were matched without receiving the event. The caller holds the lock.
func (r *Record) unheardFindings() []Finding {
	if r.unheard.n == 0 {
		return nil
	}
	confirmed := ""
	if r.unheardOf > 0 {
		confirmed = fmt.Sprintf("; Redis has the match of %s of %s that were looked for", Thousands(r.unheardMatched), Thousands(r.unheardOf))
	}
	return []Finding{finding("✗", "unheard", "%s waits for a match were in vain, although the service had matched the users (matched_unheard: "+
		"their leave was answered not_queued or already_matched)%s. The events do not reach the sockets. %s. Users, for example: %s",
		Thousands(r.unheard.n), confirmed, preflight.UnheardCause, named(r.unheard.first, r.unheard.n))}
}

// claimCases returns the JUnit tests of the claims, one per claim.
func (r *Report) claimCases() (cases []testCase) {
	if r.Verdict == nil {
		return nil
	}
	for _, c := range r.Verdict.Claims {
		made := testCase{Class: r.Scenario, Name: "claim: " + c.Claim.Kind, Time: "0", SystemOut: plain.Text(c.Text + "; " + c.Needed)}
		switch c.Status {
		case verdict.Fail:
			made.Failure = &problem{Message: c.Text + "; " + needed(c), Type: "fail", Text: c.Text}
		case verdict.NotProven:
			made.Failure = &problem{Message: c.Reason, Type: "not proven", Text: c.Text + "; " + c.Needed}
		default:
		}
		cases = append(cases, made)
	}
	return cases
}

// judgedPart returns the part of a run on which the verdict is based, with its times in this format; "" if there is none.
func (r *Report) judgedPart(form string) string {
	if !r.claims() || r.Verdict.From.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s to %s, %s", r.Verdict.From.Format(form), r.Verdict.To.Format(form),
		(r.Verdict.To.Sub(r.Verdict.From) + time.Second).String())
}
