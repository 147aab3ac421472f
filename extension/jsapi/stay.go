package jsapi

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"

	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/users"
)

const (
	maxUsersPerVU     = 100_000
	maxArrivalSeconds = 24 * 3600
	maxThinkSeconds   = 24 * 3600
)

// stay is the script's part of a stay: its functions.
type stay struct {
	m      *Module
	signUp sobek.Callable
	cycle  []sobek.Callable // its steps
}

// stay is the function stay of the module.
func (m *Module) stay(options, cycle sobek.Value) (promise *sobek.Promise) {
	state := m.vuState("stay")
	if lib.GetScenarioState(m.vu.Context()) == nil {
		m.throw("stay can be called in a scenario only, not in setup or teardown")
	}
	defer func() {
		if thrown := recover(); thrown != nil {
			promise = m.refuseStay(thrown)
		}
	}()
	s := &stay{m: m}
	return s.start(state, s.read(state, options, cycle))
}

// read reads the arguments of stay.
func (s *stay) read(state *k6.VU, options, cycle sobek.Value) users.StayOptions {
	o := users.StayOptions{FirstNumber: -1}
	r := reader{s.m, "stay"}
	r.read(options, map[string]func(string, sobek.Value){
		"users":               r.whole(&o.Seats, 1, maxUsersPerVU),
		"arriveWithinSeconds": r.number(&o.ArriveWithin, 0, maxArrivalSeconds),
		"leaveWithinSeconds":  r.number(&o.LeaveWithin, 0, users.MaxLeaveSeconds),
		"firstNumber":         r.whole(&o.FirstNumber, 0, 1<<40),
		"thinkSeconds":        r.thinkTime(&o.Think),
		"signUp":              r.function(&s.signUp),
	})
	if o.Seats == 0 || s.signUp == nil {
		s.m.throw("stay needs users and signUp")
	}
	s.cycle = r.steps(cycle)
	o.Steps = len(s.cycle)
	if o.FirstNumber < 0 {
		o.FirstNumber = (int(state.VUIDGlobal) - 1) * o.Seats // #nosec G115 -- a VU's number is small
	}
	o.End, o.Cycles = s.schedule(state)
	return o
}

// schedule returns when a stay ends by itself: at the end of a constant-vus scenario, or after one cycle if the executor counts
// iterations.
func (s *stay) schedule(state *k6.VU) (end time.Time, cycles int) {
	scenario := lib.GetScenarioState(s.m.vu.Context())
	switch config := state.Options.Scenarios[scenario.Name].(type) {
	case executor.ConstantVUsConfig:
		return scenario.StartTime.Add(config.Duration.TimeDuration()), 0
	case executor.PerVUIterationsConfig, executor.SharedIterationsConfig:
		return time.Time{}, 1
	}
	return time.Time{}, 0
}

// refuseStay ends the whole run after a wrong call of stay: an exception would only end the iteration, and k6 would begin the next
// one at once, with the same error.
func (m *Module) refuseStay(thrown any) *sobek.Promise {
	exception, ok := thrown.(*sobek.Object)
	if !ok {
		panic(thrown) // not a JavaScript exception
	}
	promise, _, _ := m.vu.Runtime().NewPromise()
	message, _ := exported(exception, "message").(string)
	refusal := k6.RefuseCall(message + m.calledAt())
	callback := m.vu.RegisterCallback()
	callback(func() error { return refusal })
	return promise
}

// calledAt returns the place in the script of the current call, for a message.
func (m *Module) calledAt() string {
	for _, frame := range m.vu.Runtime().CaptureCallStack(0, nil) {
		if name := frame.SrcName(); name != "" && name != "<native>" {
			position := frame.Position()
			return fmt.Sprintf(" (%s:%d)", path.Base(name), position.Line)
		}
	}
	return ""
}

// start begins the stay and holds the iteration open until its users are gone.
func (s *stay) start(state *k6.VU, o users.StayOptions) *sobek.Promise {
	m, life := s.m, s.m.lifetime()
	promise, resolve, reject := m.vu.Runtime().NewPromise()
	release := m.vu.RegisterCallback()
	register := func() users.Enqueue { return m.vu.RegisterCallback() }
	script := func(of *users.Seat) users.Script { return &seat{stay: s, Seat: of} }
	crowd := users.NewStay(m.root.run, state, life, register, script, o)
	if !crowd.Begin() {
		release(func() error { return reject(m.jsError(users.ErrStopped)) })
		return promise
	}
	// The plan begins with the scenario. The first VU of one of several runners may begin much later.
	m.root.run.Begin(lib.GetScenarioState(m.vu.Context()).StartTime, k6.RunnerFor(state.Options), state.Logger)
	go crowd.Await(func() {
		if life.Ended() && !life.Aborted() {
			m.root.ending.Stayed()
		}
		release(func() error { return resolve(sobek.Undefined()) })
	})
	return promise
}

// steps reads a cycle: a function, or an array with one for each step.
func (r reader) steps(cycle sobek.Value) []sobek.Callable {
	var list []sobek.Value
	if object, ok := cycle.(*sobek.Object); !ok || object.ClassName() != "Array" {
		list = []sobek.Value{cycle}
	} else if err := r.m.vu.Runtime().ExportTo(cycle, &list); err != nil || len(list) == 0 {
		r.m.throw("the cycle of %s must be a function or an array of them, one for each step; the array is empty", r.what)
	}
	steps := make([]sobek.Callable, len(list))
	for i, step := range list {
		r.function(&steps[i])("the cycle", step)
	}
	return steps
}

// seat calls the script for one user of a stay, and awaits the promises that the script returns.
type seat struct {
	*stay
	*users.Seat
	user *user

	fulfilled func(sobek.Value) error // of the promise that is awaited now
	// The handlers for the script's promises. They are made once, since each takes a kilobyte.
	onFulfilled, onRejected sobek.Value
}

// SignUp calls signUp.
func (s *seat) SignUp(number int) error {
	rt := s.m.vu.Runtime()
	return s.settle(func() (sobek.Value, error) { return s.signUp(sobek.Undefined(), rt.ToValue(number)) }, func(value sobek.Value) error {
		signedUp, ok := export(value).(*user)
		if !ok {
			return s.failed(rt.NewTypeError("signUp of stay must resolve to a User, got %s", show(value)))
		}
		signedUp.Number = number
		s.m.seat(number)
		s.user = signedUp
		s.onFulfilled, s.onRejected = nil, nil // perhaps only signing up needed them
		return s.SignedUp(signedUp.user)
	})
}

// Step calls a step of the cycle.
func (s *seat) Step(step, cycle int) error {
	rt := s.m.vu.Runtime()
	return s.settle(func() (sobek.Value, error) {
		return s.cycle[step](sobek.Undefined(), s.user.object, rt.ToValue(cycle))
	}, s.tookStep)
}

func (s *seat) tookStep(sobek.Value) error {
	s.m.noticeForgotten(s.user)
	return s.Stepped()
}

// settle calls a function of the script and passes its result on; that of a promise when it is settled.
func (s *seat) settle(call func() (sobek.Value, error), fulfilled func(sobek.Value) error) error {
	rt := s.m.vu.Runtime()
	value, err := call()
	if err != nil {
		return s.thrown(err)
	}
	promise, isPromise := export(value).(*sobek.Promise)
	if !isPromise {
		return fulfilled(value)
	}
	s.fulfilled = fulfilled
	if s.m.await(promise, s) {
		return nil
	}
	if s.onFulfilled == nil {
		s.onFulfilled = handler(rt, s.goOn)
		s.onRejected = handler(rt, s.failed)
	}
	_, err = s.m.builtins.then(rt)(value, s.onFulfilled, s.onRejected)
	return err
}

// goOn takes the result of the operation that the seat awaits.
func (s *seat) goOn(result sobek.Value) error { return s.fulfilled(result) }

// failed takes the error of the operation that the seat awaits.
func (s *seat) failed(reason sobek.Value) error {
	failure, isOperation := failureOf(reason)
	if !isOperation {
		s.m.scriptFailed(reason)
	}
	return s.Failed(failure)
}

// thrown treats an exception like a rejection; an interrupt ends the iteration.
func (s *seat) thrown(err error) error {
	exception, ok := errors.AsType[*sobek.Exception](err)
	if !ok {
		return err
	}
	return s.failed(exception.Value())
}

// failureOf reads the reason of a rejection. Errors of operations have an operation; anything else is an error of the script, unless
// it is that the run has ended.
func failureOf(reason sobek.Value) (f users.Failure, isOperation bool) {
	object, ok := reason.(*sobek.Object)
	if !ok {
		return f, false
	}
	operation, _ := exported(object, "operation").(string)
	f.ErrorKind = errorKind(operation, reason)
	if value := object.Get("retryAfter"); operation != "" && !common.IsNullish(value) {
		after, _ := toNumber(value)
		f.RetryAfter = users.Seconds(after)
	}
	return f, operation != "" || f.Name == platform.StoppedError
}

// handler makes a function for a promise's then.
func handler(rt *sobek.Runtime, f func(sobek.Value) error) sobek.Value {
	return rt.ToValue(func(call sobek.FunctionCall) sobek.Value {
		if err := f(call.Argument(0)); err != nil {
			common.Throw(rt, err)
		}
		return sobek.Undefined()
	})
}

// seat notes that a new user has this number.
func (m *Module) seat(number int) {
	if m.seated == nil {
		m.seated = make(map[int]int)
	}
	m.seated[number]++
}

// predecessors returns how many earlier users have had this number. One of them may still be queued, so its key must not be used
// again.
func (m *Module) predecessors(number int) int { return max(0, m.seated[number]-1) }

// noticeForgotten warns, once in a run, about a step that returned while an operation of its user is under way.
func (m *Module) noticeForgotten(of *user) {
	if of.pending == 0 {
		return
	}
	m.root.forgot.Do(func() {
		m.state.Logger.Warnf("a step of the cycle returned while %s of user %d was under way: await it, or return its promise, or "+
			"the think time and the next step do not wait for it, and its error is lost", of.last, of.Number)
	})
}

// after calls f on the event loop in d; if early is set, also as soon as the iteration winds up.
func (m *Module) after(d time.Duration, early bool, f func() error) {
	m.lifetime().After(d, m.vu.RegisterCallback(), early, f)
}

// thinkTime reads { min, max }.
func (r reader) thinkTime(into *users.ThinkTime) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		of := reader{r.m, name + " of " + r.what}
		into.Most = -1
		of.read(value, map[string]func(string, sobek.Value){
			"min": of.number(&into.Least, 0, maxThinkSeconds), "max": of.number(&into.Most, 0, maxThinkSeconds),
		})
		if into.Most < into.Least {
			r.m.throw("%s must be { min, max } in seconds, min no more than max", of.what)
		}
	}
}

// think is the function think of the module. It reads its arguments without a reader, since users call it often.
func (m *Module) think(call sobek.FunctionCall) sobek.Value {
	m.vuState("think")
	minSeconds, maxSeconds := call.Argument(0), call.Argument(1)
	var t users.ThinkTime
	r := reader{m, "think"}
	r.number(&t.Least, 0, maxThinkSeconds)("the least time", minSeconds)
	t.Most = t.Least
	if !common.IsNullish(maxSeconds) {
		r.number(&t.Most, t.Least, maxThinkSeconds)("the longest time", maxSeconds)
	}
	promise, resolve, _ := m.vu.Runtime().NewPromise()
	m.after(t.Next(), true, func() error { return resolve(sobek.Undefined()) })
	return m.vu.Runtime().ToValue(promise)
}
