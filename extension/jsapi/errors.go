package jsapi

import (
	"errors"
	"regexp"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/plain"
)

func asException(err error, into **sobek.Exception) bool { return errors.As(err, into) }

var numbers = regexp.MustCompile(`\d+`)

// scriptFailed tells of an error in the script itself, once for each, and marks the run as failed.
func (m *Module) scriptFailed(reason sobek.Value) {
	text := reason.String()
	if object, ok := reason.(*sobek.Object); ok {
		if stack, ok := exported(object, "stack").(string); ok {
			text = stack
		}
	}
	m.state.TestStatus.MarkFailed()
	// Messages that differ in a number only, such as a user's, are one fault.
	kind := numbers.ReplaceAllString(reason.String(), "#")
	if m.root.findings.errored(errorKind{operation: "script", name: kind}, reason.String()) {
		m.state.Logger.Error("the script failed in a stay: " + text)
	}
}

// noteError counts an error for the summary, under its operation and name.
func (m *Module) noteError(operation string, reason sobek.Value) {
	kind, example := errorKind{operation: operation, name: "Error"}, reason.String()
	if object, ok := reason.(*sobek.Object); ok {
		if name, ok := exported(object, "name").(string); ok {
			kind.name = name
		}
		if message, ok := exported(object, "message").(string); ok {
			example = message
		}
		if status, ok := exported(object, "status").(int64); ok {
			kind.status = int(status)
		}
	}
	m.root.findings.errored(kind, plain.Short(example, plain.Most))
}
