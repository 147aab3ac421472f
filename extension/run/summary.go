package run

import (
	"fmt"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// Summary is the caller's part of the summary of a run that is over.
type Summary struct {
	Scenario, Profile, Target string
	ReportDir                 string // "": no files
	Data                      report.Summary
	Ending                    string // why the run did not end as planned; "": it did
	Refused                   bool   // whether it ended before its load
	Unstarted                 int    // VUs that could not start
	// StepSummary is the file that GitHub Actions shows for a step; "": none.
	StepSummary string
}

// Summarize ends the run and its evidence, writes the reports, and returns the summary for the terminal.
func (r *Run) Summarize(s Summary) (text string) {
	found := r.Report(s)
	judged := r.judge(found)
	return found.Terminal(r.width) + r.writeStepSummary(found, s.StepSummary) + r.writeReports(found, s.ReportDir, judged)
}

// Report returns the report of the run, without a verdict.
func (r *Run) Report(s Summary) *report.Report {
	heldFor, heldN := r.held.total()
	return r.Record.Report(report.Result{
		Scenario: s.Scenario, Profile: s.Profile, Target: s.Target, Ended: time.Now(), Summary: s.Data, Ending: s.Ending, Refused: s.Refused,
		Runner: r.Runner.Usage(), Users: r.presence.report(), Sockets: r.sockets.report(), Unstarted: s.Unstarted,
		Sessions: report.Sessions{Totals: r.Sessions.Totals(), HeldFor: heldFor, HeldN: heldN, Broken: r.Sessions.Findings()},
	})
}

// writeReports writes the files of a report, and returns the line of output that names them.
func (r *Run) writeReports(found *report.Report, dir string, judged *evidence.Run) (line string) {
	if dir == "" {
		return ""
	}
	paths, err := found.Write(dir, judged)
	if err != nil {
		return report.Finding{Mark: "!", Title: "report", Text: err.Error()}.Terminal(r.width)
	}
	if file := r.evidenceFile(); file != "" {
		paths = append(paths, file)
	}
	return report.Finding{Title: "report", Text: "written to " + strings.Join(paths, ", ")}.Terminal(r.width)
}

func (r *Run) evidenceFile() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.file
}

// writeStepSummary appends the Markdown to a file. If that fails, it returns a line of output.
func (r *Run) writeStepSummary(found *report.Report, path string) (line string) {
	if path == "" {
		return ""
	}
	if err := found.AppendTo(path); err != nil {
		return report.Finding{Mark: "!", Title: "report", Text: "GITHUB_STEP_SUMMARY: " + err.Error()}.Terminal(r.width)
	}
	return ""
}

// judge ends the evidence, adds its verdict to a report, and returns it; nil if there is none, since the load never began.
func (r *Run) judge(found *report.Report) *evidence.Run {
	if !r.isDescribed() {
		return nil
	}
	run, judged, waiting := r.endEvidence(found)
	found.AddVerdict(run, judged, waiting)
	return run
}

// endEvidence closes the evidence with the results of the report, and judges it.
func (r *Run) endEvidence(found *report.Report) (*evidence.Run, verdict.Verdict, []evidence.Waiting) {
	now := time.Now()
	r.closeEvents(now)
	end := evidence.End{
		At: now, Interrupted: found.Ending, UptimeBefore: -1, UptimeAfter: -1, Facts: r.Record.Facts(),
		Waiting: stillWaiting(r.Evidence.Run()),
	}
	found.Enter(&end)
	r.mu.Lock()
	defer r.mu.Unlock()
	end.Ledger = r.state.ledger
	if health := r.state.health; r.state.uptime >= 0 && !health.Asked.IsZero() {
		end.UptimeBefore = (health.Uptime + r.state.loadBegan.Sub(health.Asked)).Seconds()
		end.UptimeAfter = (r.state.uptime + now.Sub(r.state.ended)).Seconds()
	}
	if err := r.Evidence.Close(end); err != nil {
		found.Warnings = append(found.Warnings, "the file of the evidence is not whole: "+err.Error())
	}
	run := r.Evidence.Run()
	judged := verdict.Judge(run, r.plan.Header.Claims)
	r.state.judged, r.state.isPart, r.state.closed = judged.Status, run.IsOneOfSeveral(), true
	return run, judged, end.Waiting
}

// Verdict returns the verdict of the run. If k6 made no summary, as with --no-summary, it first ends and judges the evidence, and
// prints the verdict; ending returns why a run of this length did not end as planned.
func (r *Run) Verdict(thresholdsCrossed bool, ending func(took time.Duration) string) verdict.Status {
	r.mu.Lock()
	header, s := r.plan.Header, r.state
	r.mu.Unlock()
	if !s.described || s.closed {
		return s.judged
	}
	found := &report.Report{
		Scenario: header.Scenario, Profile: header.Profile, Target: header.Target, Plan: header.Plan, Ending: ending(time.Since(s.loadBegan)),
	}
	if thresholdsCrossed {
		found.Thresholds = []report.Threshold{{Metric: "one or more,", Condition: "which k6 names in its summary only"}}
	}
	r.judge(found)
	if len(header.Claims) > 0 {
		_ = r.Write(found.Heading(r.width)) // the exit code shows the verdict too
	}
	return found.Verdict.Status
}

// IsOneOfSeveral reports whether a run that was judged is that of one runner of several.
func (r *Run) IsOneOfSeveral() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.isPart
}

// Wrapped wraps a line for the terminal. Continuation lines are indented to the second word.
func (r *Run) Wrapped(line string) string {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	first, rest, found := strings.Cut(line[indent:], " ")
	if !found {
		return line + "\n"
	}
	return report.Wrap(line[:indent]+first+" ", rest, r.width)
}

// ShowPreflight keeps what the preflight found for the report, and prints its table, or JSON. With override a check that failed is a warning.
func (r *Run) ShowPreflight(checks []preflight.Check, override, asJSON bool) error {
	table := r.Record.Preflight(checks, override)
	text := preflight.JSON(checks)
	if !asJSON {
		text = table.Terminal(r.width) + "\n"
	}
	if err := r.Write(text); err != nil {
		return fmt.Errorf("writing the preflight: %w", err)
	}
	return nil
}
