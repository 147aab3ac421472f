package jsapi

import (
	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/lib"
)

// refusal is why a run does not begin. k6 logs an exception of a script with its stack, which here is of no use: the fault
// is in a variable and not in the script. So a refusal is an exception whose stack is its message.
type refusal struct{ message string }

var _ interface {
	errext.Exception
	errext.HasExitCode
} = refusal{}

func (r refusal) Error() string                 { return r.message }
func (r refusal) StackTrace() string            { return r.message }
func (refusal) AbortReason() errext.AbortReason { return errext.AbortedByScriptError }
func (refusal) ExitCode() exitcodes.ExitCode    { return exitcodes.ScriptException }

// refuse is the function refuse of the module. Interrupting the runtime ends the script, whatever it would catch.
func (m *Module) refuse(message sobek.Value) {
	text, ok := export(message).(string)
	if !ok || text == "" {
		m.throw("refuse takes a message, got %s", show(message))
	}
	if m.vu.State() == nil {
		m.root.run.ReportRefusal(text, m.root.env(stepSummary))
	} else if lib.GetScenarioState(m.vu.Context()) == nil {
		m.root.ending.refuse(refusal{text})
	}
	m.vu.Runtime().Interrupt(refusal{text})
}
