package jsapi

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/run"
)

// print is the function print of the module.
func (m *Module) print(text string, options sobek.Value) {
	wrap := false
	r := reader{m, "print"}
	r.read(options, map[string]func(string, sobek.Value){"wrap": r.yesOrNo(&wrap)})
	if wrap {
		text = m.root.run.Wrapped(text)
	} else {
		text += "\n"
	}
	if err := m.root.run.Write(text); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("writing a line for the reader: %w", err))
	}
}

// printSummary is the function printSummary of the module.
func (m *Module) printSummary(options sobek.Value) sobek.Value {
	var s run.Summary
	r := reader{m, "printSummary"}
	r.read(options, map[string]func(string, sobek.Value){
		"scenario":  r.text(&s.Scenario),
		"profile":   r.text(&s.Profile),
		"target":    r.text(&s.Target),
		"reportDir": r.text(&s.ReportDir),
		"data":      r.json(&s.Data),
	})
	m.root.run.EndProgress()
	s = m.root.ended(s)
	if err := m.root.run.Write(m.root.run.Summarize(s)); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("writing the summary: %w", err))
	}
	if !s.Refused {
		return sobek.Undefined()
	}
	nothing := m.vu.Runtime().NewObject()
	set(nothing, "stdout", "") // k6 then prints no summary of its own
	return nothing
}

// ended adds k6's part to the summary of a run that is over.
func (r *RootModule) ended(s run.Summary) run.Summary {
	s.Ending, s.Refused, s.Unstarted = r.ending.Text(s.Data.Took()), r.ending.Refused(), r.unstarted.Count()
	s.StepSummary = r.env(stepSummary)
	return s
}

// stepSummary is the environment variable that names the file that GitHub Actions shows for a step.
const stepSummary = "GITHUB_STEP_SUMMARY"

func (r reader) json(into any) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		if err := json.Unmarshal(r.m.stringify(value), into); err != nil {
			r.throw(name, "is not what k6 passes to handleSummary: %s", err)
		}
	}
}

// stringify is JSON.stringify: like other clients' JSON, it keeps lone surrogates and drops values that JSON cannot represent.
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
