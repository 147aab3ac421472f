package jsapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
)

// print is the function print of the module.
func (m *Module) print(line string, options sobek.Value) {
	wrap := false
	r := reader{m, "print"}
	r.read(options, map[string]func(string, sobek.Value){"wrap": r.yesOrNo(&wrap)})
	text := line + "\n"
	if wrap {
		text = m.root.wrapped(line)
	}
	if err := m.root.write(text); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("writing a line for the reader: %w", err))
	}
}

// wrapped breaks a line for the terminal. What goes on begins below the second word.
func (r *RootModule) wrapped(line string) string {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	first, rest, found := strings.Cut(line[indent:], " ")
	if !found {
		return line + "\n"
	}
	return report.Wrap(line[:indent]+first+" ", rest, r.width)
}

// printSummary is the function printSummary of the module.
func (m *Module) printSummary(options sobek.Value) sobek.Value {
	var o summaryOptions
	r := reader{m, "printSummary"}
	r.read(options, map[string]func(string, sobek.Value){
		"scenario":  r.text(&o.scenario),
		"profile":   r.text(&o.profile),
		"target":    r.text(&o.target),
		"reportDir": r.text(&o.reportDir),
		"data":      r.json(&o.data),
	})
	m.root.endProgress()
	text, refused := m.root.summarize(o)
	if err := m.root.write(text); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("writing the summary: %w", err))
	}
	if !refused {
		return sobek.Undefined()
	}
	nothing := m.vu.Runtime().NewObject()
	set(nothing, "stdout", "") // k6 then prints no summary of its own
	return nothing
}

// summaryOptions are those of printSummary.
type summaryOptions struct {
	scenario, profile, target string
	reportDir                 string // "": no report
	data                      report.Summary
}

// summarize returns the summary for the terminal, and writes that in files. It reports whether the run was refused before its load.
func (r *RootModule) summarize(o summaryOptions) (text string, refused bool) {
	found := r.record.Report(r.result(o))
	run := r.judge(found)
	text = found.Terminal(r.width) + r.stepSummary(found)
	if o.reportDir == "" {
		return text, found.Refused
	}
	paths, err := found.Write(o.reportDir, run)
	if err != nil {
		return text + report.Finding{Mark: "!", Title: "report", Text: err.Error()}.Terminal(r.width), found.Refused
	}
	if file := r.evidenceFile(); file != "" {
		paths = append(paths, file)
	}
	return text + report.Finding{Title: "report", Text: "written to " + strings.Join(paths, ", ")}.Terminal(r.width), found.Refused
}

func (r *RootModule) evidenceFile() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.file
}

// stepSummary appends the Markdown to the file that GitHub Actions shows for a step, and returns a line where that fails.
func (r *RootModule) stepSummary(found *report.Report) string {
	if r.lookupEnv == nil {
		return ""
	}
	path, _ := r.lookupEnv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return ""
	}
	if err := found.AppendTo(path); err != nil {
		return report.Finding{Mark: "!", Title: "report", Text: "GITHUB_STEP_SUMMARY: " + err.Error()}.Terminal(r.width)
	}
	return ""
}

// judge ends the evidence, adds to a report what it proves, and returns it; nil where there is none.
func (r *RootModule) judge(found *report.Report) *evidence.Run {
	if !r.isDescribed() {
		return nil // a script of its own, which has not said what it is
	}
	run, judged, waiting := r.endEvidence(found)
	found.AddVerdict(run, judged, waiting)
	return run
}

// result gathers what is known of the run now that it is over.
func (r *RootModule) result(o summaryOptions) report.Result {
	heldFor, heldN := r.held.total()
	return report.Result{
		Scenario: o.scenario, Profile: o.profile, Target: o.target, Ended: time.Now(), Summary: o.data,
		Ending: r.ending.text(o.data.Took()), Refused: r.ending.refused(), Runner: r.runner.Usage(), Users: r.presence.report(),
		Sockets: r.sockets.report(), Unstarted: int(r.unstarted.count.Load()),
		Sessions: report.Sessions{Totals: r.sessions.Totals(), HeldFor: heldFor, HeldN: heldN, Broken: r.sessions.Findings()},
	}
}

func (r reader) json(into any) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		if err := json.Unmarshal(r.m.stringify(value), into); err != nil {
			r.m.throw("%s of %s is not what k6 passes to handleSummary: %s", name, r.what, err)
		}
	}
}

// stringify is JSON.stringify, which keeps lone surrogates and drops what JSON cannot say, as the wire does.
func (m *Module) stringify(value sobek.Value) []byte {
	rt := m.vu.Runtime()
	text, err := m.builtins.stringify(rt)(sobek.Undefined(), value)
	if err != nil {
		common.Throw(rt, err)
	}
	if sobek.IsUndefined(text) {
		return nil
	}
	return []byte(text.String())
}
