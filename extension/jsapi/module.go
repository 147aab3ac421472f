// Package jsapi is the JavaScript module k6/x/verity: it turns JS values into calls of the other packages, and their results
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

	"github.com/verity-app/xk6-verity/extension/httpconn"
	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/runner"
	"github.com/verity-app/xk6-verity/extension/users"
)

// Name is the name under which a script imports the module.
const Name = "k6/x/verity"

// RootModule is the state that all VUs of this process share.
type RootModule struct {
	run       *run.Run
	process   *k6.Process
	ending    k6.Ending
	unstarted k6.Unstarted
	advised   sync.Once // the warning of a user without a socket

	requestNames platform.RequestNames

	paced   sync.Once
	forgot  sync.Once // the warning of a missing await
	command string
	share   float64 // this runner's share of the test
	part    string  // which of several runners this is, such as 1 of 2; "": k6's flags do not say

	secretSources func() []string // values of --secret-source

	layouts queue.Layouts // of shards

	mu sync.Mutex
	// lookupEnv looks up a variable in k6's copy of the process's environment.
	lookupEnv func(string) (string, bool)
}

var _ modules.Module = (*RootModule)(nil)

// New returns the module. Its output goes to out until SetOutput sets another.
func New(out io.Writer) *RootModule {
	account := run.New(out)
	return &RootModule{run: account, process: &k6.Process{Run: account}, share: 1, secretSources: func() []string { return nil }}
}

// SetCommand sets the command of k6 that this process carries out, such as run or inspect.
func (r *RootModule) SetCommand(name string) { r.command = name }

// SetInterrupter sets a function that returns why the process that started this one interrupted the run, or "" if it did not.
func (r *RootModule) SetInterrupter(reason func() string) { r.ending.InterruptedBy(reason) }

// SetSegment sets --execution-segment and its sequence as they were given, for calls before k6's options are known. What is no segment, and
// a segment without its sequence, is refused elsewhere.
func (r *RootModule) SetSegment(segment, sequence string) {
	r.share, r.part = k6.ReadSegment(segment, sequence)
}

// SetOutput sets the output, which is k6's own stdout so that lines do not mix with its progress bars, and its width in columns; 0:
// lines are not wrapped. It is called before any script runs.
func (r *RootModule) SetOutput(out io.Writer, width int) {
	r.run.SetOutput(out, width)
}

// ShowProgress makes runs show how they are going, unless isQuiet returns true when the load begins: in a line above the bars or, if they
// are nil, in lines of the output. It is called before any script runs.
func (r *RootModule) ShowProgress(bars *run.Bars, isQuiet func() bool) {
	r.run.ShowProgress(bars, isQuiet)
}

// env returns a variable of k6's copy of the process's environment; "" if it is not set.
func (r *RootModule) env(name string) string {
	if r.lookupEnv == nil {
		return ""
	}
	value, _ := r.lookupEnv(name)
	return value
}

// NewModuleInstance returns the instance of one VU.
func (r *RootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	if r.command == "run" {
		r.paced.Do(paceRunner)
	}
	r.follow(vu)
	metrics, err := k6.RegisterMetrics(vu.InitEnv().Registry)
	if err != nil {
		common.Throw(vu.Runtime(), err)
	}
	return &Module{root: r, vu: vu, metrics: metrics, secrets: vu.InitEnv().SecretsManager}
}

// paceRunner sets up this process for a load.
func paceRunner() {
	runner.PaceGC(context.Background())
	runner.PaceProcessors(context.Background())
	runner.TerminateOnHangup()
}

// follow keeps the environment of a new VU's run, and watches how the run ends.
func (r *RootModule) follow(vu modules.VU) {
	init := vu.InitEnv()
	if init.TestPreInitState == nil {
		return
	}
	r.ending.Watch(vu.Context(), init.TestStatus)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lookupEnv = init.LookupEnv
}

// Module is the instance of one VU. It is used on the VU's event loop only.
type Module struct {
	root    *RootModule
	vu      modules.VU
	metrics *k6.Metrics
	secrets k6.Secrets
	state   *k6.VU
	life    *users.Lifetime
	entered context.Context //nolint:containedctx // k6's: the last one that was passed to ending

	exports   map[string]any
	userProto *sobek.Object
	builtins  builtins
	underWay  map[*sobek.Promise]underWay // promises in flight
	seated    map[int]int                 // number of a user: how many users have had it
}

// underWay is an operation that has not ended.
type underWay struct {
	waiter waiter // to resume; nil if only the script waits
	of     *user  // nil: of no user
}

// SetSecretSources sets the function that returns the names of k6's secret sources: the values of --secret-source.
func (r *RootModule) SetSecretSources(configured func() []string) { r.secretSources = configured }

// secret looks a secret up in k6's secret sources.
func (m *Module) secret(name string) (string, error) {
	return k6.Secret(m.secrets, m.root.secretSources(), name)
}

// Exports returns the module's exports. k6 calls it each time that a script uses an imported name, so they are made once.
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
		"planRun":         m.planRun,
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

// lifetime returns the lifetime of the current iteration.
func (m *Module) lifetime() *users.Lifetime {
	ctx := m.vu.Context()
	if m.life == nil || m.life.Iteration != ctx {
		m.life = users.NewLifetime(ctx, lib.GetScenarioState(ctx) != nil, k6.Aborted)
		m.underWay = make(map[*sobek.Promise]underWay)
	}
	return m.life
}

// transportVariable is the environment variable of the HTTP protocol for users.
const transportVariable = "VERITY_TRANSPORT"

// vuState returns the VU's state with a transport for each user, or throws in the init context.
func (m *Module) vuState(what string) *k6.VU {
	if m.vu.State() == nil {
		common.Throw(m.vu.Runtime(), common.NewInitContextError(what+" cannot be called in the init context"))
	}
	if ctx := m.vu.Context(); m.entered != ctx {
		m.entered = ctx
		m.root.ending.Enter(ctx)
	}
	if m.state == nil {
		over, err := httpconn.ParseProtocol(m.root.env(transportVariable))
		if err != nil {
			common.Throw(m.vu.Runtime(), fmt.Errorf("%s %w", transportVariable, err))
		}
		state, err := k6.NewVU(m.vu.State(), m.metrics, m.root.process, over)
		if err != nil {
			common.Throw(m.vu.Runtime(), err)
		}
		m.state = state
		if here := k6.RunnerFor(state.Options); here.Segment != "" {
			m.root.run.SetRunner(k6.PartOf(here))
		}
		m.root.unstarted.Watch(state.State)
	}
	return m.state
}

// js is a result that becomes a JS value on the event loop.
type js func(rt *sobek.Runtime) any

// promise runs work off the event loop and settles the promise on it. All operations go through it.
func (m *Module) promise(of *user, work func(ctx context.Context) (js, error)) *sobek.Promise {
	promise, resolve, reject := m.vu.Runtime().NewPromise()
	callback := m.vu.RegisterCallback()
	life := m.lifetime()
	var operations *users.Operations
	if of != nil {
		operations = &of.user.Operations
	}
	if !life.Begin(operations) {
		callback(func() error { return reject(m.jsError(users.ErrStopped)) })
		return promise
	}
	m.underWay[promise] = underWay{of: of}
	if of != nil {
		of.pending++
	}
	release, state := m.root.run.Runner.Hold(), m.state
	go func() {
		defer release()
		growStack()
		result, err := work(life.Work)
		m.root.run.EmitPending(life.Work, state)
		callback(func() error {
			if err != nil {
				return m.rejectOperation(promise, reject, m.jsError(err))
			}
			return m.resolveOperation(promise, resolve, m.vu.Runtime().ToValue(result(m.vu.Runtime())))
		})
		life.Done(operations)
	}()
	return promise
}

// waiter resumes when an operation is done.
type waiter interface {
	goOn(result sobek.Value) error
	failed(reason sobek.Value) error
}

// await resumes a waiter when an operation is done. It returns false if the promise does not belong to an operation under way, or
// already has a waiter. Promise.then would take several kilobytes.
func (m *Module) await(promise *sobek.Promise, w waiter) bool {
	operation, isOperation := m.underWay[promise]
	if !isOperation || operation.waiter != nil {
		return false
	}
	operation.waiter = w
	m.underWay[promise] = operation
	return true
}

// awaited removes an operation that is done, and returns its waiter.
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

// rejectOperation rejects a promise. One with a waiter counts as handled, whether or not the script handles it too.
func (m *Module) rejectOperation(promise *sobek.Promise, reject func(any) error, reason *sobek.Object) error {
	w := m.awaited(promise)
	if w == nil {
		return reject(reason)
	}
	m.ignoreRejection(promise)
	if err := reject(reason); err != nil {
		return err
	}
	return w.failed(reason)
}

// growStack grows the stack of a new goroutine in one step to the size that a request through k6's HTTP client needs. Growing it
// stepwise, with a copy each time, took a twentieth of the processor time of a request.
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
	if e, ok := platform.AsError(err); ok {
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
