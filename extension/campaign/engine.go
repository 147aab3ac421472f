package campaign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// Runner runs steps. An error that has its own exit code is a *StopError.
type Runner interface {
	// Check returns the error for which a step would be refused, as far as it is known without a request.
	Check(ctx context.Context, step Step) error
	// Preflight checks whether the service and this machine can run a step. It returns its findings, and an error if they cannot.
	Preflight(ctx context.Context, step Step) (found []string, err error)
	// Command returns the shell command that runs the step, without secrets.
	Command(step Step, dir string) string
	// EvidenceDir returns the folder in which the evidence of a step grows while it runs.
	EvidenceDir(step Step, dir string) string
	// Run runs a step, writes its reports and evidence to dir, and returns k6's exit code. When ctx ends, it ends the step as Ctrl-C does:
	// users leave, and the summary is printed. It calls say with lines for the log.
	Run(ctx context.Context, step Step, dir string, say func(kind Kind, text string)) (exitCode int, err error)
}

// StopError is the reason for which a campaign ends before its last step.
type StopError struct {
	Code   int    // the exit code
	Reason string // one sentence
	Next   string // what to do; "" if the reason says it
}

// Error returns the reason.
func (s *StopError) Error() string { return s.Reason }

// Options configure how an Engine runs a plan.
type Options struct {
	// Window is the time of day in which steps may run; nil means any. With Wait the campaign waits for it to open.
	Window *Window
	Wait   bool
	// Yes consents to each step that is not a dry run. Without it Ask asks the user; nil means there is no terminal to ask at.
	Yes bool
	Ask func(ctx context.Context, question string) (yes bool, err error)
	// AcceptNotProven names steps after which the campaign goes on even if they are NOT PROVEN.
	AcceptNotProven []string
	// KeepGoing continues after a step that did not pass, for a target that load cannot harm.
	KeepGoing bool
	// NoBreaker records the decision to run without a breaker.
	NoBreaker bool
	// WarnOnly turns a refusal by the preflight into a warning.
	WarnOnly bool
	// Who is the name under which decisions are logged, such as user@host.
	Who string
	// Resume is the command that resumes the campaign.
	Resume string
	// ResumeEnd ends it, after flags that are added to it.
	ResumeEnd string
}

// Engine runs the plan of a record. Runner, Folder and Record are required.
type Engine struct {
	Runner  Runner
	Folder  *Folder
	Record  *Record
	Calm    Calm    // nil: the campaign does not wait between steps
	Breaker Breaker // nil: nothing ends a step before its time
	Options Options
	// Show, unless nil, is called with each line of the log.
	Show func(Event)
	// Page renders campaign.html; nil means no page.
	Page func(*Record) ([]byte, error)
	// Now is time.Now and Sleep is Pause; tests set their own.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) bool

	mu      sync.Mutex // guards Record.Events and writing: the breaker logs from its own goroutine
	writing error      // the first error of writing the log, the record or the page
}

// Check returns the error for which the campaign must not begin, as far as it is known without a request to the service.
func (e *Engine) Check(ctx context.Context) error {
	steps := e.remaining()
	if w := e.Options.Window; w != nil {
		if err := w.check(steps); err != nil {
			return err
		}
		if why, _, fits := e.outside(steps); !fits && !e.Options.Wait {
			return fmt.Errorf("%s; give --wait to wait for it", why)
		}
	}
	for _, name := range e.Options.AcceptNotProven {
		if _, err := e.Record.Plan.index("--accept-not-proven", name, 0); err != nil {
			return err
		}
	}
	for _, step := range steps {
		if err := e.Runner.Check(ctx, step); err != nil {
			return fmt.Errorf("the step %s would be refused: %w", step.Name, err)
		}
	}
	if at := slices.IndexFunc(steps, func(s Step) bool { return !s.Dry }); at >= 0 && !e.Options.Yes && e.Options.Ask == nil {
		return fmt.Errorf("%s is no dry run, so that the campaign asks before it begins, and there is no terminal to ask at: give --yes", steps[at].Name)
	}
	if e.Breaker != nil {
		return e.Breaker.Check(ctx, steps)
	}
	return nil
}

// remaining returns the steps that are not done.
func (e *Engine) remaining() []Step {
	var steps []Step
	for _, s := range e.Record.Steps {
		if !s.State.Done() {
			steps = append(steps, s.Step)
		}
	}
	return steps
}

// Run runs the steps that are not done, and returns nil when all have passed or were accepted. Otherwise the error is a *StopError.
// When ctx ends, the campaign ends as interrupted. command is the command that started the campaign, without secrets.
func (e *Engine) Run(ctx context.Context, command string) error {
	e.begin(command)
	err := e.run(ctx)
	var stop *StopError
	switch {
	case err == nil:
		stop = &StopError{ExitPassed, e.passed(), ""}
	case ctx.Err() != nil:
		stop = &StopError{ExitInterrupted, "interrupted" + e.during(), "go on with: " + e.resume()}
	case !errors.As(err, &stop):
		stop = &StopError{ExitRefused, err.Error(), ""}
	}
	e.end(stop)
	if stop.Code != ExitPassed {
		return stop
	}
	if err := e.written(); err != nil {
		return &StopError{ExitRefused, "all steps passed, but " + err.Error(), ""}
	}
	return nil
}

// written returns the first error of writing the log, the record or the page.
func (e *Engine) written() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.writing
}

func (e *Engine) begin(command string) {
	names := make([]string, 0, len(e.Record.Steps))
	for _, step := range e.remaining() {
		names = append(names, step.Name)
	}
	began := "begins"
	if len(e.Record.Events) > 0 {
		began = "goes on after " + e.lastDone()
	} else {
		e.writing = e.Folder.head(e.Record)
	}
	e.Record.Ended, e.Record.Ending, e.Record.ExitCode = time.Time{}, "", 0
	e.say(KindCampaign, "", "%s, by %s: `%s`", began, e.Options.Who, command)
	e.say(KindCampaign, "", "target %s; %s", e.Record.Target, toGo(names))
	if e.Record.Window != "" {
		e.say(KindCampaign, "", "steps run within the window %s only", e.Record.Window)
	}
	if e.Options.NoBreaker {
		e.say(KindDecision, "", "%s decided with --no-breaker that nothing ends a step before its time", e.Options.Who)
	}
	e.save()
}

// toGo says which steps are to be run.
func toGo(names []string) string {
	if len(names) == 0 {
		return "no step is left to do"
	}
	return fmt.Sprintf("%s to go: %s", counted(len(names), "step"), strings.Join(names, ", "))
}

// lastDone names the last step that is done, for the log; without one it names the beginning.
func (e *Engine) lastDone() string {
	for _, s := range slices.Backward(e.Record.Steps) {
		if s.State.Done() {
			return s.Name
		}
	}
	return "its beginning, for no step is done"
}

func (e *Engine) end(stop *StopError) {
	e.Record.Ended, e.Record.ExitCode, e.Record.Ending = e.Now().UTC(), stop.Code, e.Folder.Said(stop.Reason)
	e.say(KindCampaign, "", "ends with exit code %d: %s", stop.Code, stop.Reason)
	if stop.Next != "" {
		e.say(KindNext, "", "%s", stop.Next)
	}
	e.save()
}

func (e *Engine) passed() string {
	accepted := 0
	for _, s := range e.Record.Steps {
		if s.State == StateAccepted {
			accepted++
		}
	}
	if accepted > 0 {
		return fmt.Sprintf("%s done, %d of them accepted as NOT PROVEN", counted(len(e.Record.Steps), "step"), accepted)
	}
	return fmt.Sprintf("%s passed", counted(len(e.Record.Steps), "step"))
}

// during names the step in which, or before which, the campaign was interrupted.
func (e *Engine) during() string {
	for _, s := range e.Record.Steps {
		if !s.State.Done() && s.State != StatePending {
			return " during " + s.Name
		}
	}
	for _, s := range e.Record.Steps {
		if !s.State.Done() {
			return " before " + s.Name
		}
	}
	return ""
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (e *Engine) run(ctx context.Context) error {
	e.acceptEarlier()
	steps := e.remaining()
	if len(steps) == 0 {
		return nil
	}
	if err := e.awaitWindow(ctx, steps[0]); err != nil {
		return err
	}
	if err := e.preflight(ctx, steps); err != nil {
		return err
	}
	isFirst := e.Record.Baseline == nil
	if err := e.readBaseline(ctx); err != nil {
		return err
	}
	for i := range e.Record.Steps {
		s := &e.Record.Steps[i]
		if s.State.Done() {
			continue
		}
		if err := e.ready(ctx, s.Step, isFirst); err != nil {
			return err
		}
		isFirst = false
		if err := e.step(ctx, s); err != nil && (!e.Options.KeepGoing || ctx.Err() != nil) {
			return err
		}
	}
	return e.firstFailure()
}

// acceptEarlier accepts steps that were NOT PROVEN when the campaign was stopped.
func (e *Engine) acceptEarlier() {
	for i := range e.Record.Steps {
		if s := &e.Record.Steps[i]; s.State == StateNotProven && slices.Contains(e.Options.AcceptNotProven, s.Name) {
			e.accept(s)
		}
	}
}

func (e *Engine) accept(s *StepRecord) {
	with := "--accept-not-proven " + s.Name
	if !slices.Contains(e.Options.AcceptNotProven, s.Name) {
		with = "accept-not-proven in the plan file"
	}
	s.State = StateAccepted
	e.say(KindDecision, s.Name, "%s decided with %s that the campaign goes on although this is NOT PROVEN", e.Options.Who, with)
	e.save()
}

// firstFailure returns the error of the first step that is not done, after a campaign with KeepGoing.
func (e *Engine) firstFailure() error {
	for i := range e.Record.Steps {
		if s := &e.Record.Steps[i]; !s.State.Done() {
			return e.stopAt(s)
		}
	}
	return nil
}

// preflight runs the preflight of each scenario's largest step before the first load, so that obstacles of later steps are found now.
func (e *Engine) preflight(ctx context.Context, steps []Step) error {
	for _, step := range largest(steps) {
		found, err := e.Runner.Preflight(ctx, step)
		for _, text := range found {
			e.say(KindPreflight, step.Name, "%s", text)
		}
		var stop *StopError
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case e.Options.WarnOnly && errors.As(err, &stop) && stop.Code == ExitRefused:
			e.say(KindDecision, step.Name, "%s decided with SKIP_PREFLIGHT=1 that the campaign goes on: %s", e.Options.Who, err)
		case errors.As(err, &stop):
			return &StopError{stop.Code, fmt.Sprintf("the preflight of %s: %s", step.Name, stop.Reason), "mend this, then go on with: " + e.resume()}
		default:
			return &StopError{ExitRefused, fmt.Sprintf("the preflight of %s: %s", step.Name, err), "mend this, then go on with: " + e.resume()}
		}
	}
	return nil
}

// largest returns, for each scenario, the step with the most users, in the order of the plan.
func largest(steps []Step) []Step {
	var of []Step
	for _, step := range steps {
		at := slices.IndexFunc(of, func(s Step) bool { return s.Scenario == step.Scenario })
		if at < 0 {
			of = append(of, step)
		} else if step.Users > of[at].Users {
			of[at] = step
		}
	}
	return of
}

func (e *Engine) readBaseline(ctx context.Context) error {
	if e.Calm == nil || e.Record.Baseline != nil {
		return nil
	}
	baseline, err := e.Calm.Baseline(ctx)
	if err != nil {
		return e.calmStop(err, "before the first step")
	}
	e.Record.Baseline = baseline
	e.say(KindCampaign, "", "the service before the first step: %s", baseline.Text)
	e.save()
	return nil
}

func (e *Engine) calmStop(err error, when string) error {
	code, next := ExitNotProven, "mend this, then go on with: "
	if errors.Is(err, errDown) {
		code, next = ExitDown, "once the service is well again, go on with: "
	}
	return &StopError{code, fmt.Sprintf("%s: %s", when, err), next + e.resume()}
}

// ready returns when a step may begin: within the window, with a calm service, and with the user's consent.
func (e *Engine) ready(ctx context.Context, step Step, isFirst bool) error {
	for {
		if err := e.awaitWindow(ctx, step); err != nil {
			return err
		}
		if err := e.awaitCalm(ctx, step, isFirst); err != nil {
			return err
		}
		if err := e.confirm(ctx, step); err != nil {
			return err
		}
		if err := e.written(); err != nil {
			return &StopError{ExitRefused, fmt.Sprintf("before %s: %s", step.Name, err), "make room or mend the folder, then go on with: " + e.resume()}
		}
		if _, _, fits := e.window(step); fits {
			return ctx.Err()
		}
	}
}

func (e *Engine) awaitCalm(ctx context.Context, step Step, isFirst bool) error {
	if e.Calm == nil || e.Record.Baseline == nil || isFirst {
		return nil
	}
	err := e.Calm.Wait(ctx, e.Record.Baseline, func(text string) { e.say(KindWait, step.Name, "%s", text) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return e.calmStop(err, "before "+step.Name)
	default:
		return nil
	}
}

func (e *Engine) confirm(ctx context.Context, step Step) error {
	if step.Dry {
		return nil
	}
	what := fmt.Sprintf("%s on %s: %s", step.Name, e.Record.Target, step.load())
	if e.Options.Yes {
		e.say(KindDecision, step.Name, "%s decided with --yes that this step begins", e.Options.Who)
		return nil
	}
	yes, err := e.Options.Ask(ctx, "Begin "+what+"?")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &StopError{ExitRefused, fmt.Sprintf("before %s: asking whether it may begin: %s", step.Name, err), ""}
	case !yes:
		e.say(KindDecision, step.Name, "%s decided that this step does not begin", e.Options.Who)
		return &StopError{ExitInterrupted, fmt.Sprintf("%s was not to begin", step.Name), "go on with: " + e.resume()}
	}
	e.say(KindDecision, step.Name, "%s decided that this step begins", e.Options.Who)
	return nil
}

// load returns the number of users and the length of a step, for the log.
func (s Step) load() string {
	if s.Users == 0 {
		return short(s.Length())
	}
	return fmt.Sprintf("%s users, %s", report.Thousands(s.Users), short(s.Length()))
}

// window returns when the open window, or else the next one, opens and closes, and reports whether a step that begins now ends within it.
func (e *Engine) window(step Step) (opens, closes time.Time, fits bool) {
	if e.Options.Window == nil {
		return time.Time{}, time.Time{}, true
	}
	opens, closes, isOpen := e.Options.Window.around(e.Now())
	return opens, closes, isOpen && !e.Now().Add(step.Needs()).After(closes)
}

// patience is the longest single sleep while waiting for the window: after a machine was suspended its clock jumps.
const patience = 20 * time.Second

// outside says why the first of the steps, which are in order, would not end within the window if it began now, and when the next window opens.
func (e *Engine) outside(steps []Step) (why string, next time.Time, fits bool) {
	if len(steps) == 0 {
		return "", time.Time{}, true
	}
	step := steps[0]
	opens, closes, fits := e.window(step)
	if fits {
		return "", time.Time{}, true
	}
	if opens.After(e.Now()) {
		return fmt.Sprintf("before %s: the window %s opens at %s", step.Name, e.Options.Window, moment(opens)), opens, false
	}
	opens, _, _ = e.Options.Window.around(closes)
	return fmt.Sprintf("before %s: the window %s closes at %s, and the step needs %s, setup and end included",
		step.Name, e.Options.Window, moment(closes), short(step.Needs())), opens, false
}

// awaitWindow returns once the step would end within the window. Without Wait it does not wait, and the campaign ends.
func (e *Engine) awaitWindow(ctx context.Context, step Step) error {
	why, opens, fits := e.outside([]Step{step})
	if fits {
		return nil
	}
	if !e.Options.Wait {
		return &StopError{ExitNotProven, why, fmt.Sprintf("from %s on, go on with: %s", moment(opens), e.resume())}
	}
	e.say(KindWait, step.Name, "%s; waiting until %s", strings.TrimPrefix(why, "before "+step.Name+": "), moment(opens))
	for ctx.Err() == nil && e.Now().Before(opens) {
		e.Sleep(ctx, min(patience, opens.Sub(e.Now())))
	}
	return ctx.Err()
}

// resume is the command that goes on with the campaign, with more flags.
func (e *Engine) resume(more ...string) string {
	return strings.Join(append([]string{e.Options.Resume}, more...), " ") + e.Options.ResumeEnd
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// errWindow is the cause with which a step is ended if it still runs when the window closes.
var errWindow = errors.New("the window closed")

// step runs a step, judges it and logs its result.
func (e *Engine) step(ctx context.Context, s *StepRecord) error {
	dir, aside, err := e.Folder.stepFolder(s.Name)
	if err != nil {
		return &StopError{ExitRefused, fmt.Sprintf("before %s: making its folder: %s", s.Name, err), "mend this, then go on with: " + e.resume()}
	}
	if aside != "" {
		e.say(KindStep, s.Name, "the folder %s was not empty; its files are now in %s", dir, aside)
	}
	*s = StepRecord{Step: s.Step, State: StateRunning, Began: e.Now().UTC(), Command: e.Folder.Said(e.Runner.Command(s.Step, dir))}
	e.say(KindStep, s.Name, "begins (%s): `%s`", s.load(), s.Command)
	e.save()
	broken, cause, err := e.carryOut(ctx, s, dir)
	s.Ended, s.Files = e.Now().UTC(), e.Folder.files(s.Name)
	e.conclude(ctx, s, dir, broken, cause, err)
	s.Reason = e.Folder.Said(s.Reason)
	for _, line := range s.lines() {
		e.say(KindVerdict, s.Name, "%s", line)
	}
	ends := fmt.Sprintf("ends after %s: %s", short(s.Ended.Sub(s.Began)), s.State)
	if accounts := s.accounts(); accounts != "" {
		ends += "; " + accounts
	}
	e.say(KindStep, s.Name, "%s", ends)
	e.save()
	if s.State == StateNotProven && (s.AcceptNotProven || slices.Contains(e.Options.AcceptNotProven, s.Name)) {
		e.accept(s)
	}
	if s.State.Done() {
		return nil
	}
	return e.stopAt(s)
}

// carryOut runs the step while the breaker watches. cause is the reason for which the step was ended early, if it was.
func (e *Engine) carryOut(ctx context.Context, s *StepRecord, dir string) (broken Break, cause, err error) {
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	if e.Options.Window != nil {
		_, closes, _ := e.window(s.Step)
		timer := time.AfterFunc(closes.Sub(e.Now()), func() { end(errWindow) })
		defer timer.Stop()
	}
	watching, stopWatching := context.WithCancel(running)
	breaks := make(chan Break, 1)
	go func() {
		defer close(breaks)
		if e.Breaker == nil {
			return
		}
		found := e.Breaker.Watch(watching, s.Step, e.Runner.EvidenceDir(s.Step, dir), s.Began, func(text string) { e.say(KindBreak, s.Name, "%s", text) })
		if found.Reason != "" && watching.Err() == nil {
			e.say(KindBreak, s.Name, "the breaker ends the step: %s", found.Reason)
			end(errors.New(found.Reason))
			breaks <- found
		}
	}()
	s.ExitCode, err = e.Runner.Run(running, s.Step, dir, func(kind Kind, text string) { e.say(kind, s.Name, "%s", text) })
	stopWatching()
	broken = <-breaks
	return broken, context.Cause(running), err
}

// conclude sets the state of a step that has ended, and the reason for it.
func (e *Engine) conclude(ctx context.Context, s *StepRecord, dir string, broken Break, cause, err error) {
	s.judge(dir)
	switch {
	case broken.Reason != "":
		s.State, s.Reason = StateBroken, broken.Reason
		if broken.Down {
			s.ExitCode = ExitDown
		}
	case ctx.Err() != nil:
		s.State, s.Reason = StateInterrupted, "stopped by Ctrl-C"
	case errors.Is(cause, errWindow):
		s.State, s.Reason = StateInterrupted, errWindow.Error()
	case err != nil:
		s.State, s.Reason = StateRefused, err.Error()
		if stop, ok := errors.AsType[*StopError](err); ok {
			s.ExitCode = stop.Code
		}
	}
}

// stopAt returns the error that ends the campaign at a step that is not done.
func (e *Engine) stopAt(s *StepRecord) *StopError {
	stop := &StopError{s.ExitCode, fmt.Sprintf("%s: %s", s.Name, s.Reason), e.look(s) + "; then go on with: " + e.resume()}
	switch s.State {
	case StateFailed:
		stop.Code, stop.Reason = ExitFailed, fmt.Sprintf("%s is FAIL: %s", s.Name, s.Reason)
	case StateNotProven:
		stop.Code, stop.Reason = ExitNotProven, fmt.Sprintf("%s is NOT PROVEN: %s", s.Name, s.Reason)
		stop.Next = e.afterNotProven(s)
	case StateBroken:
		stop.Reason = fmt.Sprintf("%s was ended by the breaker: %s", s.Name, s.Reason)
		if stop.Code != ExitDown {
			stop.Code = ExitFailed
		}
	case StateInterrupted:
		stop.Code = ExitInterrupted
		if s.Reason == errWindow.Error() {
			stop.Code = ExitNotProven
		}
	default:
		if stop.Code == ExitPassed {
			stop.Code = ExitNotProven
		}
	}
	return stop
}

// look says where to look for why a step ended.
func (e *Engine) look(s *StepRecord) string {
	if len(s.Files) == 1 && strings.HasSuffix(s.Files[0], evidence.Extension) {
		return "make the reports with: k6 x verity report " + e.Folder.Path(s.Files[0])
	}
	return "look into the reports in " + e.Folder.Path(s.Name)
}

// afterNotProven says what can be done. More load or a longer one is another plan, with which this campaign cannot go on.
func (e *Engine) afterNotProven(s *StepRecord) string {
	again := "mend what the reason names and go on with: " + e.resume()
	if s.Verdict != nil && slices.ContainsFunc(s.Verdict.Claims, func(claim verdict.Result) bool { return claim.AsksLongerRun() }) {
		again = fmt.Sprintf("for a longer step write a plan file, and begin a new campaign with it and --from %s in a new --report-dir", s.Name)
	}
	return fmt.Sprintf("%s; or decide that it need not be proven, with: %s", again, e.resume("--accept-not-proven", s.Name))
}

// say writes a line of the log and adds it to the record.
func (e *Engine) say(kind Kind, step, format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	event := Event{At: e.Now().UTC(), Kind: kind, Step: step, Text: e.Folder.Said(fmt.Sprintf(format, args...))}
	e.Record.Events = append(e.Record.Events, event)
	e.note(e.Folder.append(event))
	if e.Show != nil {
		e.Show(event)
	}
}

// save writes the record and the page.
func (e *Engine) save() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.note(e.Folder.save(e.Record))
	if e.Page == nil {
		return
	}
	text, err := e.Page(e.Record)
	if err == nil {
		err = e.Folder.replace(PageFile, text)
	}
	e.note(err)
}

// note keeps the first error of writing. The caller holds the lock.
func (e *Engine) note(err error) {
	if e.writing == nil {
		e.writing = err
	}
}
