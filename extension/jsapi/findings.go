package jsapi

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// findings are what the run came across and the summary tells: counts by kind, each with one example.
type findings struct {
	mu      sync.Mutex
	throttl map[string]int
	lost    map[string]int
	locks   map[string]int
	errs    map[errorKind]*errorFinding
	undone  int
}

// errorKind groups errors that are the same to a reader.
type errorKind struct {
	operation, name string
	status          int
}

type errorFinding struct {
	errorKind
	count   int
	example string
}

func (f *findings) throttled(operation string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.throttl == nil {
		f.throttl = make(map[string]int)
	}
	f.throttl[operation]++
}

// locked notes a join or leave that met the matcher's lock on its user.
func (f *findings) locked(operation string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locks == nil {
		f.locks = make(map[string]int)
	}
	f.locks[operation]++
}

// lockRetries returns how often that was, by operation.
func (f *findings) lockRetries() []count {
	f.mu.Lock()
	defer f.mu.Unlock()
	return counts(f.locks)
}

func (f *findings) tokenLost(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil {
		f.lost = make(map[string]int)
	}
	f.lost[why]++
}

// errored notes an error and tells whether it is the first of its kind.
func (f *findings) errored(kind errorKind, example string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.errs == nil {
		f.errs = make(map[errorKind]*errorFinding)
	}
	if finding, seen := f.errs[kind]; seen {
		finding.count++
		return false
	}
	f.errs[kind] = &errorFinding{errorKind: kind, count: 1, example: example}
	return true
}

// leftBehind notes a user who could not be taken out of the queue at the end.
func (f *findings) leftBehind() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.undone++
}

// count is one line of findings.
type count struct {
	name string
	n    int
}

func counts(of map[string]int) []count {
	list := make([]count, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, count{name, of[name]})
	}
	return list
}

// snapshot returns the findings, errors by how often they came.
func (f *findings) snapshot() (throttled, lost []count, errs []errorFinding, undone int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, finding := range f.errs {
		errs = append(errs, *finding)
	}
	slices.SortFunc(errs, func(a, b errorFinding) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.operation, b.operation), cmp.Compare(a.name, b.name),
			cmp.Compare(a.status, b.status))
	})
	return counts(f.throttl), counts(f.lost), errs, f.undone
}

func asPlatformError(err error) (*platform.Error, bool) {
	var e *platform.Error
	ok := errors.As(err, &e)
	return e, ok
}

func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
