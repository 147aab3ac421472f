package k6

import (
	"context"
	_ "unsafe" // for go:linkname

	_ "go.k6.io/k6/v2/lib/executor" // has the function linked
)

// abortReason returns why the whole run was aborted (Ctrl-C, a threshold, test.abort()), or nil where the context ended
// on schedule, as by a ramp-down.
//
// A drain must tell the two apart (docs/architecture.md, Lifetime), and k6 keeps the reason in an internal package without a public
// way to it. The link fails at build time if k6 moves the function.
//
//go:linkname abortReason go.k6.io/k6/v2/internal/execution.GetCancelReasonIfTestAborted
func abortReason(ctx context.Context) error

// Aborted reports whether the context ended with an aborted run.
func Aborted(ctx context.Context) bool { return abortReason(ctx) != nil }
