package run

import (
	"sync"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
)

// KindOf returns the kind of an operation's error.
func KindOf(operation string, err error) report.ErrorKind {
	kind := report.ErrorKind{Operation: operation, Name: "Error"}
	if e, ok := platform.AsError(err); ok {
		kind.Name, kind.Status = e.Name, e.Status
	}
	return kind
}

// loggedErrors keeps the kinds of errors that were logged.
type loggedErrors struct {
	mu   sync.Mutex
	seen map[report.ErrorKind]bool
}

// LogFirst logs the first error of its kind in this process as a warning, as k6/http logs a request that failed.
func (r *Run) LogFirst(log Logger, kind report.ErrorKind, text string) {
	l := &r.logged
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[kind] {
		return
	}
	if l.seen == nil {
		l.seen = make(map[report.ErrorKind]bool)
	}
	l.seen[kind] = true
	log.Warn(text + " (others of this kind are not logged)")
}
