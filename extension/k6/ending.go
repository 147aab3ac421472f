package k6

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/lib"
)

// Ending collects why a run did not end as planned. k6 passes none of it to handleSummary: it keeps the reason of an abort in the context
// of the run, and that of a failed setup() nowhere.
type Ending struct {
	mu        sync.Mutex
	run       context.Context //nolint:containedctx // k6's: one of the run, which holds why it was aborted
	stopped   time.Time       // when the run was
	state     *lib.ExecutionState
	status    *lib.TestStatus
	setup     context.Context //nolint:containedctx // k6's: that of setup()
	teardown  context.Context //nolint:containedctx // k6's: that of teardown()
	refusal   error           // why this extension refused the run in setup()
	scripting bool            // an exception in a stay failed the run
	complete  uint64          // stays that the schedule ended, and that k6 has counted as interrupted
	by        func() string   // why the process that started this one interrupted it; nil, or "": it did not
}

// InterruptedBy sets a function that returns why the process that started this one interrupted it, or "" if it did not.
func (e *Ending) InterruptedBy(reason func() string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.by = reason
}

// Watch keeps what a VU that is being made knows of the run. The first one that k6 makes is of no run: it reads the options.
func (e *Ending) Watch(ctx context.Context, status *lib.TestStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
	if e.run != nil || ctx == nil || ctx == context.Background() {
		return
	}
	e.run = ctx
}

// Enter keeps the context in which a VU runs now: that of an iteration, of setup(), or of teardown().
func (e *Ending) Enter(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := lib.GetExecutionState(ctx)
	switch {
	case state == nil:
		e.teardown = ctx
		e.correctCounts()
	case lib.GetScenarioState(ctx) == nil:
		e.setup = ctx
	}
	if state != nil {
		e.state = state
		context.AfterFunc(ctx, func() { e.left(ctx) })
	}
}

// Stayed notes a stay that has ended as the schedule had it. k6 counts it as an interrupted iteration, since its context was cancelled.
func (e *Ending) Stayed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.complete++
}

// correctCounts makes stays that ended as planned complete iterations in what k6 says at the end of the run: not that no iteration was
// finished, and not that all of them were interrupted. It is done when no iteration goes on any more. The lock is held.
func (e *Ending) correctCounts() {
	if e.state == nil {
		return
	}
	complete := min(e.complete, e.state.GetPartialIterationCount())
	e.complete = 0
	e.state.AddFullIterations(complete)
	e.state.AddInterruptedIterations(-complete) // there is no other way to take some off; the count is modulo 2^64
}

// left keeps when the run was stopped: when the first of the contexts in which VUs ran ended with it.
func (e *Ending) left(ctx context.Context) {
	if !Aborted(ctx) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped.IsZero() {
		e.stopped = time.Now()
	}
}

// Refuse keeps why this extension ends the run in setup().
func (e *Ending) Refuse(reason error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refusal == nil {
		e.refusal = reason
	}
}

// Refused reports whether the run ended before its load: this extension refused it, setup() failed, or it was stopped in setup().
func (e *Ending) Refused() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusal != nil || e.setup != nil && !e.began()
}

// ScriptFailed notes that an exception in a stay failed the run.
func (e *Ending) ScriptFailed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scripting = true
}

// Text says why a run that took so long did not end as planned; "" where it did. The order is that of k6's exit codes.
func (e *Ending) Text(took time.Duration) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.run != nil && abortReason(e.run) != nil:
		return abortText(abortReason(e.run), e.runningFor(took), e.interrupter())
	case timedOut(e.setup):
		return "stopped before the load: setup() took longer than setupTimeout"
	case e.refusal != nil:
		return "stopped before the load: " + e.refusal.Error()
	case e.setup != nil && !e.began():
		return "stopped before the load: setup() failed, or no iteration could begin"
	case timedOut(e.teardown):
		return "stopped after the load: teardown() took longer than teardownTimeout"
	case e.scripting:
		return "failed by an exception that the script threw in a stay"
	case e.status != nil && e.status.Failed():
		return "failed by the script, with test.fail()"
	}
	return ""
}

// Aborted reports whether the run was stopped before its time.
func (e *Ending) Aborted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.run != nil && abortReason(e.run) != nil
}

// runningFor is how long the run had been going on when it was stopped.
func (e *Ending) runningFor(took time.Duration) time.Duration {
	if !e.stopped.IsZero() {
		took -= time.Since(e.stopped)
	}
	return max(0, took)
}

func (e *Ending) began() bool {
	return e.state == nil || e.state.GetFullIterationCount()+e.state.GetPartialIterationCount() > 0
}

func timedOut(ctx context.Context) bool {
	return ctx != nil && errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// interrupter is why the process that started this one interrupted it, or "". The lock is held.
func (e *Ending) interrupter() string {
	if e.by == nil {
		return ""
	}
	return e.by()
}

// abortText says what aborted a run after some time. interrupter is the reason of the process that interrupted it, or "".
func abortText(reason error, after time.Duration, interrupter string) string {
	when := fmt.Sprintf("after %.0f s", after.Seconds())
	var code errext.HasExitCode
	errors.As(reason, &code)
	var by errext.HasAbortReason
	errors.As(reason, &by)
	switch {
	case code != nil && code.ExitCode() == exitcodes.ScriptStoppedFromRESTAPI:
		return "stopped over k6's REST API " + when
	case by == nil:
	case by.AbortReason() == errext.AbortedByUser && interrupter != "":
		return "stopped " + when + ": " + interrupter
	case by.AbortReason() == errext.AbortedByUser:
		return "stopped by " + signalOf(reason) + " " + when
	case by.AbortReason() == errext.AbortedByThreshold:
		return "stopped " + when + " by a threshold with abortOnFail"
	case by.AbortReason() == errext.AbortedByScriptAbort:
		return "stopped by test.abort() " + when + messageOf(reason)
	}
	return "stopped " + when + ": " + reason.Error()
}

// placeInScript is what k6 puts after a message of test.abort(), such as: at default (file:///a.js:18:18(6)).
var placeInScript = regexp.MustCompile(`\s+at (\S+ )?\(?\S+:\d+:\d+\(\d+\)\)?$`)

// messageOf is what a script handed to test.abort(), after a colon.
func messageOf(reason error) string {
	return strings.TrimPrefix(placeInScript.ReplaceAllString(reason.Error(), ""), errext.AbortTest)
}

// signalOf names the signal of a reason such as: test run was aborted because k6 received a 'terminated' signal.
func signalOf(reason error) string {
	switch text := reason.Error(); {
	case strings.Contains(text, "'interrupt'"):
		return "Ctrl-C"
	case strings.Contains(text, "'terminated'"):
		return "SIGTERM"
	case strings.Contains(text, "'hangup'"):
		return "SIGHUP"
	default:
		return "a signal"
	}
}
