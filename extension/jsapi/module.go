// Package jsapi is the JavaScript module k6/x/verity: it turns JS values into calls on the other rooms, and their results
// into promises. index.d.ts at the root of the project is its reference.
package jsapi

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/runner"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// Name is the name under which a script imports the module.
const Name = "k6/x/verity"

// RootModule is what all VUs of this process share.
type RootModule struct {
	record   report.Record
	logged   loggedErrors
	ending   ending
	presence presence
	evidence *evidence.Recorder
	depth    depthWatch
	sessions *sessions.Tracker
	sockets  sockets
	advised  sync.Once // that a match is heard on a socket only
	held     holdTimes
	runner   runner.Monitor
	urls     urls

	requestNames requestNames
	unstarted    unstarted

	paced   sync.Once
	forgot  sync.Once     // an await; told
	turn    chan struct{} // held by the one stay that does what is done once for the whole process
	command string
	share   float64 // of the test, that this runner makes
	part    string  // which of several runners this is, such as 1 of 2, where k6's flags say so

	secretSources func() []string // values of --secret-source

	prometheus prometheusRun
	progress   progress

	mu       sync.Mutex
	run      runState
	arrivals arrivals
	enrolled map[string]*platform.User // users of stays, by id
	seeded   map[string]*platform.User // users that setup() signed up, by id
	shards   map[string]*queue.Shards  // by their options
	prepared preparedReports
	// lookupEnv reads the environment of the process, as k6 has it.
	lookupEnv func(string) (string, bool)
	out       io.Writer
	width     int // of the terminal, in columns; 0: lines are not broken
}

var _ modules.Module = (*RootModule)(nil)

// New returns the module. Lines for the reader go to out, until SetOutput says otherwise.
func New(out io.Writer) *RootModule {
	r := &RootModule{
		seeded: make(map[string]*platform.User), enrolled: make(map[string]*platform.User), shards: make(map[string]*queue.Shards), out: out,
		sessions: sessions.NewTracker(), turn: make(chan struct{}, 1), share: 1, secretSources: func() []string { return nil },
	}
	r.evidence = evidence.New(nil)
	r.depth.record, r.depth.level = &r.record, r.recordDepth
	r.run.uptime = -1
	r.runner.Late, r.runner.Used = r.recordLag, r.recordLevels
	r.turn <- struct{}{}
	return r
}

// SetCommand tells which command of k6 this process carries out, such as run or inspect.
func (r *RootModule) SetCommand(name string) { r.command = name }

// SetSegment tells which part of the test this runner makes, where the options are not known yet: --execution-segment and its sequence
// as they were given. What is no segment, and a segment without its sequence, is refused elsewhere.
func (r *RootModule) SetSegment(segment, sequence string) {
	own, err := lib.NewExecutionSegmentFromString(segment)
	if err != nil || own == nil {
		return
	}
	r.share = own.FloatLength()
	if all, err := lib.NewExecutionSegmentSequenceFromString(sequence); err == nil {
		r.part = partOf(own, &all)
	}
}

// SetOutput sets where lines for the reader go, k6's own stdout, which keeps them clear of its progress bars, and how many columns that
// has; 0: lines are not broken. It is called before any script runs.
func (r *RootModule) SetOutput(out io.Writer, width int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out, r.width = out, width
}

func (r *RootModule) write(text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := io.WriteString(r.out, text)
	return err
}

func (r *RootModule) remember(user *platform.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seeded[user.ID()] = user
}

func (r *RootModule) recall(id string) (*platform.User, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	user, ok := r.seeded[id]
	return user, ok
}

// NewModuleInstance returns the instance of one VU.
func (r *RootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	if r.command == "run" {
		r.paced.Do(func() {
			runner.PaceGC(context.Background())
			runner.PaceProcessors(context.Background())
			runner.TerminateOnHangup()
		})
	}
	if init := vu.InitEnv(); init.TestPreInitState != nil {
		r.ending.watch(vu.Context(), init.TestStatus)
		r.mu.Lock()
		r.lookupEnv = init.LookupEnv
		r.mu.Unlock()
	}
	metrics, err := registerMetrics(vu.InitEnv().Registry)
	if err != nil {
		common.Throw(vu.Runtime(), err)
	}
	return &Module{root: r, vu: vu, metrics: metrics, secrets: vu.InitEnv().SecretsManager}
}

// Module is the instance of one VU. It is used on the VU's event loop only.
type Module struct {
	root    *RootModule
	vu      modules.VU
	metrics *verityMetrics
	secrets secretSource
	state   *vuState
	life    *lifetime
	entered context.Context //nolint:containedctx // k6's: the one that the ending of the run knows of

	exports   map[string]any
	userProto *sobek.Object
	builtins  builtins
	underWay  map[*sobek.Promise]underWay // of promise
	seated    map[int]int                 // how many users each number has had
}

// underWay is an operation that has yet to end.
type underWay struct {
	waiter waiter      // who goes on then; nil: nobody but the script, if anyone
	of     *operations // of its user; nil: of none
}

// secretSource is k6's secrets manager.
type secretSource interface {
	Get(source, key string) (string, error)
}

// Exports returns what a script can import. k6 asks for it each time that a script touches an imported name, so everything
// is made once.
func (m *Module) Exports() modules.Exports {
	if m.exports == nil {
		m.exports = m.namedExports()
		for name, value := range m.exports {
			m.exports[name] = m.vu.Runtime().ToValue(value)
		}
	}
	return modules.Exports{Named: m.exports}
}

func (m *Module) namedExports() map[string]any {
	return map[string]any{
		"StripeSigner":    m.newStripeSigner,
		"QueueShards":     m.newQueueShards,
		"QueueProbe":      m.newQueueProbe,
		"Verity":          m.newVerity,
		"queueKey":        m.queueKey,
		"planQueue":       m.planQueue,
		"watchDepth":      m.watchDepth,
		"endDepthWatch":   m.endDepthWatch,
		"stay":            m.stay,
		"think":           m.think,
		"runnerShare":     m.runnerShare,
		"countOperation":  m.countOperation,
		"print":           m.print,
		"printSummary":    m.printSummary,
		"prepareReports":  m.prepareReports,
		"describeRun":     m.describeRun,
		"arrival":         m.arrival,
		"refuse":          m.refuse,
		"planMemory":      m.planMemory,
		"snapshot":        m.snapshot,
		"PrometheusWatch": m.newPrometheusWatch,
		"willRun":         m.root.command == "run",
	}
}

// lifetime returns that of the current iteration.
func (m *Module) lifetime() *lifetime {
	ctx := m.vu.Context()
	if m.life == nil || m.life.run != ctx {
		m.life = newLifetime(ctx)
		m.underWay = make(map[*sobek.Promise]underWay)
	}
	return m.life
}

// vuState returns the VU's state with a transport for each user, or throws in the init context.
func (m *Module) vuState(what string) *vuState {
	if m.vu.State() == nil {
		common.Throw(m.vu.Runtime(), common.NewInitContextError(what+" cannot be called in the init context"))
	}
	if ctx := m.vu.Context(); m.entered != ctx {
		m.entered = ctx
		m.root.ending.enter(ctx)
	}
	if m.state == nil {
		state, err := newVUState(m.vu.State())
		if err != nil {
			common.Throw(m.vu.Runtime(), err)
		}
		m.state = state
		m.root.noteRunner(state.Options)
		m.root.unstarted.watch(state.State)
	}
	return m.state
}

// js is a result that becomes a JS value on the event loop.
type js func(rt *sobek.Runtime) any

// promise runs work off the event loop and settles the promise on it. It is the one bridge between the two.
func (m *Module) promise(user *operations, work func(ctx context.Context) (js, error)) *sobek.Promise {
	promise, resolve, reject := m.vu.Runtime().NewPromise()
	callback := m.vu.RegisterCallback()
	life := m.lifetime()
	if !life.begin(user) {
		callback(func() error { return reject(m.jsError(errStopped)) })
		return promise
	}
	m.underWay[promise] = underWay{of: user}
	if user != nil {
		user.pending++
	}
	release, state := m.root.runner.Hold(), m.state
	go func() {
		defer release()
		growStack()
		result, err := work(life.work)
		m.pushLag(life.work, state)
		m.pushSockets(life.work, state)
		callback(func() error {
			if err != nil {
				return m.rejectOperation(promise, reject, m.jsError(err))
			}
			return m.resolveOperation(promise, resolve, m.vu.Runtime().ToValue(result(m.vu.Runtime())))
		})
		life.done(user)
	}()
	return promise
}

// waiter goes on once an operation is done.
type waiter interface {
	goOn(result sobek.Value) error
	failed(reason sobek.Value) error
}

// await makes a waiter go on once an operation is done, and returns false where the promise is not that of an operation under
// way. A promise's own then takes several kilobytes.
func (m *Module) await(promise *sobek.Promise, w waiter) bool {
	operation, isOperation := m.underWay[promise]
	if !isOperation || operation.waiter != nil {
		return false
	}
	operation.waiter = w
	m.underWay[promise] = operation
	return true
}

// awaited returns who awaits an operation that is done now.
func (m *Module) awaited(promise *sobek.Promise) waiter {
	operation := m.underWay[promise]
	delete(m.underWay, promise)
	if operation.of != nil {
		operation.of.pending--
	}
	return operation.waiter
}

func (m *Module) resolveOperation(promise *sobek.Promise, resolve func(any) error, result sobek.Value) error {
	w := m.awaited(promise)
	if err := resolve(result); err != nil || w == nil {
		return err
	}
	return w.goOn(result)
}

// rejectOperation lets a promise that is awaited count as handled, whether or not the script handles it too.
func (m *Module) rejectOperation(promise *sobek.Promise, reject func(any) error, reason *sobek.Object) error {
	w := m.awaited(promise)
	if w == nil {
		return reject(reason)
	}
	rt := m.vu.Runtime()
	ignore := handler(rt, func(sobek.Value) error { return nil })
	if _, err := m.builtins.then(rt)(rt.ToValue(promise), sobek.Undefined(), ignore); err != nil {
		return err
	}
	if err := reject(reason); err != nil {
		return err
	}
	return w.failed(reason)
}

// growStack makes the stack of a new goroutine as large as a request through k6's HTTP machinery needs, at one go. Growing by
// halves on the way down, and copying each time, took a twentieth of the processor time of a request.
//
//go:noinline
func growStack() {
	var space [12 << 10]byte
	runtime.KeepAlive(&space)
}

// jsError turns an error into a JavaScript Error with the name, operation, status and, of a ThrottledError, retryAfter.
func (m *Module) jsError(err error) *sobek.Object {
	rt := m.vu.Runtime()
	object, newErr := rt.New(rt.Get("Error"), rt.ToValue(err.Error()))
	if newErr != nil {
		return rt.NewGoError(err)
	}
	if e, ok := asPlatformError(err); ok {
		set(object, "name", e.Name)
		set(object, "operation", e.Operation)
		set(object, "status", e.Status)
		if e.Name == platform.ThrottledError {
			set(object, "retryAfter", e.RetryAfter.Seconds())
		}
	}
	return object
}

// set sets a property of an object that was just made, where that cannot fail.
func set(object *sobek.Object, name string, value any) {
	if err := object.Set(name, value); err != nil {
		panic(fmt.Errorf("setting %s: %w", name, err))
	}
}

func resolved(value any) js { return func(*sobek.Runtime) any { return value } }

// throw throws a TypeError.
func (m *Module) throw(format string, args ...any) {
	panic(m.vu.Runtime().NewTypeError(append([]any{format}, args...)...))
}
