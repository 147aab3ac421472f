package jsapi

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"

	"github.com/grafana/sobek"
	"github.com/sirupsen/logrus"

	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
)

func asException(err error, into **sobek.Exception) bool { return errors.As(err, into) }

func asPlatformError(err error) (*platform.Error, bool) {
	var e *platform.Error
	ok := errors.As(err, &e)
	return e, ok
}

func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

var numbers = regexp.MustCompile(`\b\d+`)

// scriptFailed tells of an error in the script itself, once for each, and marks the run as failed.
func (m *Module) scriptFailed(reason sobek.Value) {
	text := reason.String()
	if object, ok := reason.(*sobek.Object); ok {
		if stack, ok := exported(object, "stack").(string); ok {
			text = stack
		}
	}
	m.state.TestStatus.MarkFailed()
	m.root.ending.scriptFailed()
	// Messages that differ in a number only, such as a user's, are one fault.
	kind := numbers.ReplaceAllString(reason.String(), "#")
	if m.root.record.Errored(report.ErrorKind{Operation: "script", Name: kind}, reason.String()) {
		m.state.Logger.Error("the script failed in a stay: " + text)
	}
}

// noteError counts an error that the script hands over, under its operation and name, and logs the first of its kind.
func (m *Module) noteError(operation string, reason sobek.Value) report.ErrorKind {
	kind, example := m.errorKind(operation, reason), reason.String()
	if object, ok := reason.(*sobek.Object); ok {
		if message, ok := exported(object, "message").(string); ok {
			example = message
		}
	}
	example = plain.Short(example, plain.Most)
	m.root.record.Errored(kind, example)
	m.root.logged.first(m.state.Logger, kind, example)
	return kind
}

// errorKind is that of an error that the script hands over.
func (m *Module) errorKind(operation string, reason sobek.Value) report.ErrorKind {
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

// kindOf is that of an operation's error.
func kindOf(operation string, err error) report.ErrorKind {
	kind := report.ErrorKind{Operation: operation, Name: "Error"}
	if e, ok := asPlatformError(err); ok {
		kind.Name, kind.Status = e.Name, e.Status
	}
	return kind
}

// loggedErrors are the kinds of errors that were logged.
type loggedErrors struct {
	mu   sync.Mutex
	seen map[report.ErrorKind]bool
}

// first logs the first error of its kind in this process as a warning, as k6/http logs a request that failed.
func (l *loggedErrors) first(logger logrus.FieldLogger, kind report.ErrorKind, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[kind] {
		return
	}
	if l.seen == nil {
		l.seen = make(map[report.ErrorKind]bool)
	}
	l.seen[kind] = true
	logger.Warn(text + " (others of this kind are not logged)")
}
