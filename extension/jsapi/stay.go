package jsapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/run"
)

const (
	maxUsersPerVU     = 100_000
	maxArrivalSeconds = 24 * 3600
	maxThinkSeconds   = 24 * 3600
	maxLeaveSeconds   = 60 // well below scheduleDrainLimit
	firstBackOff      = time.Second
	longestBackOff    = 30 * time.Second
	longestRetryAfter = 5 * time.Minute
	endGuard          = 10 * time.Millisecond // k6 must see the end before a stay does, or it starts another iteration
	drainedAtOnce     = 16                    // users of one VU that leave at the same time
)

// stay is the life of a VU's users in one iteration (docs/architecture.md, Lifetime). Its fields but those under mu are used on the
// event loop only.
type stay struct {
	m            *Module
	life         *lifetime
	seats        int
	arriveWithin float64 // s
	leaveWithin  float64 // s
	firstNumber  int
	turns        int // of each user; 0: until the stay ends
	think        thinkTime
	signUp       sobek.Callable
	cycle        []sobek.Callable // its steps
	open         int              // seats that are not done
	finished     chan struct{}

	mu    sync.Mutex
	users []*User
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
	return m.readStay(state, options, cycle).start()
}

// readStay reads the arguments of stay.
func (m *Module) readStay(state *vuState, options, cycle sobek.Value) *stay {
	s := &stay{m: m, life: m.lifetime(), firstNumber: -1, finished: make(chan struct{})}
	r := reader{m, "stay"}
	r.read(options, map[string]func(string, sobek.Value){
		"users":               r.whole(&s.seats, 1, maxUsersPerVU),
		"arriveWithinSeconds": r.number(&s.arriveWithin, 0, maxArrivalSeconds),
		"leaveWithinSeconds":  r.number(&s.leaveWithin, 0, maxLeaveSeconds),
		"firstNumber":         r.whole(&s.firstNumber, 0, 1<<40),
		"thinkSeconds":        r.thinkTime(&s.think),
		"signUp":              r.function(&s.signUp),
	})
	if s.seats == 0 || s.signUp == nil {
		m.throw("stay needs users and signUp")
	}
	s.cycle = r.steps(cycle)
	if s.firstNumber < 0 {
		s.firstNumber = (int(state.VUIDGlobal) - 1) * s.seats // #nosec G115 -- a VU's number is small
	}
	return s
}

// refuseStay ends the whole run for a stay that was called wrongly: as an exception it would only end the iteration, and k6
// would begin the next one at once, again and again.
func (m *Module) refuseStay(thrown any) *sobek.Promise {
	exception, ok := thrown.(*sobek.Object)
	if !ok {
		panic(thrown) // not for us
	}
	promise, _, _ := m.vu.Runtime().NewPromise()
	message, _ := exported(exception, "message").(string)
	refusal := newRefusedCall(message + m.calledAt())
	callback := m.vu.RegisterCallback()
	callback(func() error { return refusal })
	return promise
}

// calledAt names the place in the script that calls now, for a message.
func (m *Module) calledAt() string {
	for _, frame := range m.vu.Runtime().CaptureCallStack(0, nil) {
		if name := frame.SrcName(); name != "" && name != "<native>" {
			position := frame.Position()
			return fmt.Sprintf(" (%s:%d)", path.Base(name), position.Line)
		}
	}
	return ""
}

// start seats the users and holds the iteration open until they are gone.
func (s *stay) start() *sobek.Promise {
	promise, resolve, reject := s.m.vu.Runtime().NewPromise()
	release := s.m.vu.RegisterCallback()
	if !s.life.begin(nil) {
		release(func() error { return reject(s.m.jsError(errStopped)) })
		return promise
	}
	s.life.staying = true
	s.m.root.run.Begin(time.Now(), runnerFor(s.m.state.Options), s.m.state.Logger)
	s.m.root.run.Seat(s.seats)
	s.watchSchedule()
	s.open = s.seats
	for seat := range s.seats {
		s.later(s.arrival(seat), func() error { return s.arrive(seat) })
	}
	stopWatching := s.m.root.run.Runner.Hold()
	go func() {
		defer stopWatching()
		endDuties := s.awaitEnd()
		s.m.root.run.Seat(-s.seats)
		s.drain(s.life.work)
		endDuties()
		s.m.root.run.EmitSessions(s.life.report, s.m.state)
		s.m.root.run.EmitPeaks(s.life.report, s.m.state)
		if s.life.run.Err() != nil && !aborted(s.life.run) {
			s.m.root.ending.stayed()
		}
		release(func() error { return resolve(sobek.Undefined()) })
		s.life.done(nil)
	}()
	return promise
}

// awaitEnd waits for the end of the stay. If the duties fall to this stay meanwhile, it carries them out until
// the function that is returned is called.
func (s *stay) awaitEnd() (endDuties func()) {
	endDuties = func() {}
	duty := s.m.root.run.Duty()
	for {
		select {
		case <-s.finished:
			return endDuties
		case <-s.life.over:
			return endDuties
		case <-duty:
			duty = nil
			endDuties = s.m.root.run.DoDuties(s.life.work, s.m.state, s.m.state.Logger)
		}
	}
}

// watchSchedule makes the stay end by itself where the executor's schedule allows it: at the end of a constant-vus
// scenario, and after one turn where iterations are counted.
func (s *stay) watchSchedule() {
	scenario := lib.GetScenarioState(s.life.run)
	switch config := s.m.state.Options.Scenarios[scenario.Name].(type) {
	case executor.ConstantVUsConfig:
		end := scenario.StartTime.Add(config.Duration.TimeDuration() + endGuard)
		s.m.after(time.Until(end), false, func() error { s.life.windUp(); return nil })
	case executor.PerVUIterationsConfig, executor.SharedIterationsConfig:
		s.turns = 1
	}
}

// steps reads a cycle: one function, or one for each step.
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

// arrival spreads the seats evenly, each at a random moment of its share of the time.
func (s *stay) arrival(seat int) time.Duration {
	share := s.arriveWithin / float64(s.seats)
	return seconds(share * (float64(seat) + rand.Float64())) // #nosec G404 -- spreads load, guards nothing
}

// seat is one user's place in a stay.
type seat struct {
	*stay
	number   int
	user     *User
	turn     int
	step     int // of the cycle
	failures int // in a row

	fulfilled func(sobek.Value) error // of the promise that is awaited now
	// The functions that a promise of the script calls are made once, for each takes a kilobyte to make.
	onFulfilled, onRejected sobek.Value
}

func (s *stay) arrive(n int) error {
	return (&seat{stay: s, number: s.firstNumber + n}).next()
}

// next makes the user sign up or take its next step, unless the stay is over. At the end of a constant-vus scenario a cycle that
// has begun goes on to its end; k6 cuts it in all others.
func (s *seat) next() error {
	if s.step == 0 && (s.life.isWindingUp() || (s.turns > 0 && s.turn >= s.turns)) {
		return s.leaveSeat()
	}
	rt := s.m.vu.Runtime()
	if s.user == nil {
		return s.settle(func() (sobek.Value, error) { return s.signUp(sobek.Undefined(), rt.ToValue(s.number)) }, s.signedUp)
	}
	return s.settle(func() (sobek.Value, error) {
		return s.cycle[s.step](sobek.Undefined(), s.user.object(), rt.ToValue(s.turn))
	}, s.tookStep)
}

func (s *seat) signedUp(value sobek.Value) error {
	user, ok := userOf(value)
	if !ok {
		return s.failed(s.m.vu.Runtime().NewTypeError("signUp of stay must resolve to a User, got %s", show(value)))
	}
	user.setNumber(s.number)
	s.m.seat(s.number)
	s.m.root.run.Enroll(user.user)
	if s.life.run.Err() == nil {
		user.arrive()
	}
	s.user = user
	s.onFulfilled, s.onRejected = nil, nil // signing up may be all that they were for
	s.mu.Lock()
	s.users = append(s.users, user)
	s.mu.Unlock()
	s.later(0, s.next)
	return nil
}

func (s *seat) tookStep(sobek.Value) error {
	s.m.noticeForgotten(s.user)
	s.step++
	if s.step == len(s.cycle) {
		s.step, s.failures = 0, 0
		s.turn++
		s.m.state.Emit(s.life.work, run.Cycles, 1, "", "")
	}
	s.later(s.think.next(), s.next)
	return nil
}

// failed backs off. A user whose session is lost makes room for a new one.
func (s *seat) failed(reason sobek.Value) error {
	name, retryAfter, ours := describeFailure(reason)
	if !ours {
		s.m.scriptFailed(reason)
	}
	s.step = 0
	s.failures++
	goOn := func() error { s.later(backOff(s.failures, retryAfter), s.next); return nil }
	if s.turns > 0 {
		goOn = s.leaveSeat
	}
	switch {
	case s.user == nil:
		s.noteKeptAway(reason)
	case name == platform.AuthError:
		user := s.user
		s.user = nil
		s.retire(user, goOn)
		return nil
	default:
		s.turn++
	}
	return goOn()
}

// noteKeptAway notes why a user has not arrived. What a persistent purchase met is noted already, and it does not fail.
func (s *seat) noteKeptAway(reason sobek.Value) {
	object, ok := reason.(*sobek.Object)
	if !ok {
		return
	}
	operation, _ := exported(object, "operation").(string)
	name, _ := exported(object, "name").(string)
	status, _ := exported(object, "status").(int64)
	if operation != "" && name != platform.StoppedError {
		s.m.root.run.KeptAway(report.ErrorKind{Operation: operation, Name: name, Status: int(status)})
	}
}

// retire takes a user away whose session is lost, and then goes on. It forgets one that need not be drained any more: where each
// new one is refused, there are many.
func (s *stay) retire(user *User, goOn func() error) {
	callback := s.m.vu.RegisterCallback()
	s.m.root.run.Expel(user.user)
	user.gone()
	user.retire(s.life.work, func(stillQueued bool) {
		if !stillQueued {
			s.mu.Lock()
			s.users = slices.DeleteFunc(s.users, func(u *User) bool { return u == user })
			s.mu.Unlock()
		}
		callback(goOn)
	})
}

// seat notes that a new user has this number.
func (m *Module) seat(number int) {
	if m.seated == nil {
		m.seated = make(map[int]int)
	}
	m.seated[number]++
}

// predecessors is how many users have had this number before. One of them may still be queued, so that its key is not for
// another.
func (m *Module) predecessors(number int) int { return max(0, m.seated[number]-1) }

// noticeForgotten warns, once in a run, of a step that has returned while an operation of its user is under way.
func (m *Module) noticeForgotten(user *User) {
	if user.ops.pending == 0 {
		return
	}
	m.root.forgot.Do(func() {
		m.state.Logger.Warnf("a step of the cycle returned while %s of user %d was under way: await it, or return its promise, or "+
			"the think time and the next step do not wait for it, and its error is lost", user.ops.last, user.Number)
	})
}

func (s *seat) leaveSeat() error {
	s.open--
	if s.open == 0 {
		close(s.finished)
	}
	return nil
}

// backOff is how long a user waits after a failure: what the server asks for, otherwise 1 s, 2 s, 4 s … 30 s; always with
// some spread, so that users who failed together do not return together.
func backOff(failures int, retryAfter time.Duration) time.Duration {
	spread := rand.Float64() // #nosec G404 -- spreads load, guards nothing
	if retryAfter > 0 {
		return min(retryAfter, longestRetryAfter) + time.Duration(spread*float64(time.Second))
	}
	wait := longestBackOff
	if shift := failures - 1; shift < 5 {
		wait = min(firstBackOff<<shift, longestBackOff)
	}
	return time.Duration((0.5 + spread) * float64(wait))
}

// describeFailure reads what a rejection says. Errors of operations have an operation; anything else is a fault of the
// script.
func describeFailure(reason sobek.Value) (name string, retryAfter time.Duration, ours bool) {
	object, ok := reason.(*sobek.Object)
	if !ok {
		return "", 0, false
	}
	operation, ours := exported(object, "operation").(string)
	if !ours || operation == "" {
		name, _ = exported(object, "name").(string)
		return name, 0, name == platform.StoppedError
	}
	name, _ = exported(object, "name").(string)
	if value := object.Get("retryAfter"); !common.IsNullish(value) {
		after, _ := toNumber(value)
		retryAfter = seconds(after)
	}
	return name, retryAfter, true
}

// settle calls a function of the script and passes its result on, a promise's when it is settled.
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

// goOn is told the result of what the seat awaits.
func (s *seat) goOn(result sobek.Value) error { return s.fulfilled(result) }

// handler makes a function for a promise's then.
func handler(rt *sobek.Runtime, f func(sobek.Value) error) sobek.Value {
	return rt.ToValue(func(call sobek.FunctionCall) sobek.Value {
		if err := f(call.Argument(0)); err != nil {
			common.Throw(rt, err)
		}
		return sobek.Undefined()
	})
}

// thrown treats an exception like a rejection; an interrupt ends the iteration.
func (s *seat) thrown(err error) error {
	var exception *sobek.Exception
	if !asException(err, &exception) {
		return err
	}
	return s.failed(exception.Value())
}

// later calls f on the event loop in d, or as soon as the stay winds up.
func (s *stay) later(d time.Duration, f func() error) { s.m.after(d, true, f) }

func (m *Module) after(d time.Duration, early bool, f func() error) {
	m.lifetime().after(d, m.vu.RegisterCallback(), early, f)
}

// drain takes the users out of their queues, a few at a time, and closes their connections; a session that is held is held
// to its end first, where the schedule ended the stay.
func (s *stay) drain(ctx context.Context) {
	s.mu.Lock()
	users := slices.Clone(s.users)
	s.mu.Unlock()
	slots := make(chan struct{}, drainedAtOnce)
	step := s.leaveStep(len(users))
	var wg sync.WaitGroup
	for i, user := range users {
		wg.Go(func() {
			pause(ctx, time.Duration(i)*step)
			user.ops.wait()
			slots <- struct{}{}
			user.drain(ctx, s.life)
			<-slots
		})
	}
	wg.Wait()
}

// leaveStep is the time between two users who leave. A VU that is ramped down carries many, and they go one by one until the
// ramp takes the next VU, as they would with a VU each.
func (s *stay) leaveStep(users int) time.Duration {
	if users == 0 || s.life.run.Err() == nil || aborted(s.life.run) {
		return 0
	}
	return seconds(s.leaveWithin / float64(users))
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// thinkTime is how long a user waits after what it did: a random time between the two, in seconds.
type thinkTime struct{ least, most float64 }

func (t thinkTime) next() time.Duration {
	return seconds(t.least + (t.most-t.least)*rand.Float64()) // #nosec G404 -- a think time guards nothing
}

// thinkTime reads { min, max }.
func (r reader) thinkTime(into *thinkTime) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		of := reader{r.m, name + " of " + r.what}
		into.most = -1
		of.read(value, map[string]func(string, sobek.Value){
			"min": of.number(&into.least, 0, maxThinkSeconds), "max": of.number(&into.most, 0, maxThinkSeconds),
		})
		if into.most < into.least {
			r.m.throw("%s must be { min, max } in seconds, min no more than max", of.what)
		}
	}
}

// think is the function think of the module. Its arguments are read by hand, for users call it all the time.
func (m *Module) think(call sobek.FunctionCall) sobek.Value {
	m.vuState("think")
	minSeconds, maxSeconds := call.Argument(0), call.Argument(1)
	var t thinkTime
	r := reader{m, "think"}
	r.number(&t.least, 0, maxThinkSeconds)("the least time", minSeconds)
	t.most = t.least
	if !common.IsNullish(maxSeconds) {
		r.number(&t.most, t.least, maxThinkSeconds)("the longest time", maxSeconds)
	}
	promise, resolve, _ := m.vu.Runtime().NewPromise()
	m.after(t.next(), true, func() error { return resolve(sobek.Undefined()) })
	return m.vu.Runtime().ToValue(promise)
}
