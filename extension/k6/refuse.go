package k6

import (
	"fmt"

	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// RefusalError is why a run does not begin. k6 logs an exception of a script with its stack, which here is of no use: the fault
// is in a variable and not in the script. So a RefusalError is an exception whose stack is its message.
type RefusalError string

var _ interface {
	errext.Exception
	errext.HasExitCode
} = RefusalError("")

// Error is the message.
func (r RefusalError) Error() string { return string(r) }

// StackTrace is the message too.
func (r RefusalError) StackTrace() string { return string(r) }

// AbortReason is that of a fault of the script.
func (RefusalError) AbortReason() errext.AbortReason { return errext.AbortedByScriptError }

// ExitCode is that of a refused configuration, 107.
func (RefusalError) ExitCode() exitcodes.ExitCode { return exitcodes.ScriptException }

// Abort ends the run as test.abort() does.
func Abort(err error) error {
	return &errext.InterruptError{Reason: fmt.Sprintf("%s: %s", errext.AbortTest, err)}
}

// RefuseRun ends the run as a configuration does that is refused with an exception.
func RefuseRun(err error) error {
	return errext.WithAbortReasonIfNone(errext.WithExitCodeIfNone(err, exitcodes.ScriptException), errext.AbortedByScriptError)
}

// refusedCallError ends the run, as RefuseRun does, in the midst of an iteration: there k6 goes by an InterruptError only, whose own
// exit code is another.
type refusedCallError struct{ interrupt errext.InterruptError }

// RefuseCall ends the run, as RefuseRun does, in the midst of an iteration.
func RefuseCall(message string) error {
	return &refusedCallError{errext.InterruptError{Reason: message}}
}

// Error is the message.
func (r *refusedCallError) Error() string { return r.interrupt.Error() }

// Unwrap is what k6 looks for.
func (r *refusedCallError) Unwrap() error { return &r.interrupt }

// ExitCode is that of a refused configuration, 107.
func (r *refusedCallError) ExitCode() exitcodes.ExitCode { return exitcodes.ScriptException }

// AbortReason is that of a fault of the script.
func (r *refusedCallError) AbortReason() errext.AbortReason { return errext.AbortedByScriptError }
