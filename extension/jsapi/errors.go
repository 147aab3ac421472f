package jsapi

import (
	"maps"
	"regexp"
	"slices"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/run"
)

func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

var numbers = regexp.MustCompile(`\b\d+`)

// scriptFailed logs an error of the script itself, once for each kind, and marks the run as failed.
func (m *Module) scriptFailed(reason sobek.Value) {
	text := reason.String()
	if object, ok := reason.(*sobek.Object); ok {
		if stack, ok := exported(object, "stack").(string); ok {
			text = stack
		}
	}
	m.state.TestStatus.MarkFailed()
	m.root.ending.ScriptFailed()
	// Messages that differ only in a number, such as a user's, are of one kind.
	kind := numbers.ReplaceAllString(reason.String(), "#")
	if m.root.run.Record.Errored(report.ErrorKind{Operation: "script", Name: kind}, reason.String()) {
		m.state.Logger.Error("the script failed in a stay: " + text)
	}
}

// countOperation is the function countOperation of the module: it counts an operation in operations and error_rate, and an error
// for the summary.
func (m *Module) countOperation(call sobek.FunctionCall) sobek.Value {
	state := m.vuState("countOperation")
	operation, ok := export(call.Argument(0)).(string)
	if !ok || operation == "" {
		m.throw("countOperation takes the name of an operation, got %s", show(call.Argument(0)))
	}
	failure := ""
	if reason := call.Argument(1); !common.IsNullish(reason) {
		failure = run.KindName(m.noteError(operation, reason))
	}
	m.root.run.CountOperation(m.lifetime().Work, state, operation, failure)
	return sobek.Undefined()
}

// noteError counts an error from the script under its operation and name, and logs the first of its kind.
func (m *Module) noteError(operation string, reason sobek.Value) report.ErrorKind {
	kind, example := errorKind(operation, reason), reason.String()
	if object, ok := reason.(*sobek.Object); ok {
		if message, ok := exported(object, "message").(string); ok {
			example = message
		}
	}
	example = plain.Short(example, plain.Most)
	m.root.run.Record.Errored(kind, example)
	m.root.run.LogFirst(m.state.Logger, kind, example)
	return kind
}

// errorKind returns the kind of an error from the script.
func errorKind(operation string, reason sobek.Value) report.ErrorKind {
	kind := report.ErrorKind{Operation: operation, Name: "Error"}
	object, ok := reason.(*sobek.Object)
	if !ok {
		return kind
	}
	if name, ok := exported(object, "name").(string); ok {
		kind.Name = name
	}
	if status, ok := exported(object, "status").(int64); ok {
		kind.Status = int(status)
	}
	return kind
}
