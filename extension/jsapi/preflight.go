package jsapi

import (
	"context"
	"errors"
	"math"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/users"
)

const maxPerMinute = 1e12

// lookOptions are the arguments of Verity.preflight.
type lookOptions struct {
	plan     preflight.Plan
	override bool // a ✗ does not stop the run
	trial    bool // let two users match before the load
	json     bool // print JSON instead of a table
}

// Preflight is Verity.preflight. A target that is not a healthy Verity aborts the run, as with CheckHealth, and so does a ✗
// unless it is overridden.
func (v *Verity) Preflight(plan sobek.Value) *sobek.Promise {
	options := v.readLook(plan)
	state := v.ready("preflight")
	runner := k6.RunnerFor(state.Options)
	options.plan.Runner, options.plan.Runners, options.plan.Share = runner.Index+1, runner.Count, v.m.runnerShare()
	service := preflight.Service{BaseURL: v.service.BaseURL}
	if _, isPlanned := options.plan.Requests[platform.OpWebhook]; isPlanned {
		service.Signer = v.m.signerOf(v.signer)
	}
	client := state.Client(v.service.Timeout)
	machine := preflight.ThisMachine(k6.Sources(state.Options.LocalIPs))
	trial := preflight.Trial{Service: v.service.Service, Client: client, Body: preflight.TrialBody(), Socket: state.SocketOptions()}
	trial.Socket.URL, trial.Socket.Timeout = v.service.BaseURL, v.service.Timeout
	return v.m.look(func(ctx context.Context) (judge func() error) {
		health, err := platform.CheckHealth(ctx, client, v.service.BaseURL)
		if err != nil {
			return func() error { return v.m.abortTest(err) }
		}
		service.Health, service.Addresses = health, k6.Addresses(ctx, v.service.BaseURL, state.Options)
		checks := preflight.Look(ctx, client, service, options.plan, machine)
		if options.trial && preflight.Refusal(checks) == nil {
			checks = append(checks, trial.Run(ctx))
		}
		clock := platform.ClockReading{}
		if options.plan.Runners > 1 {
			clock = platform.MeasureClock(ctx, client, v.service.BaseURL, health)
		}
		return func() error {
			if ctx.Err() != nil {
				return users.ErrStopped
			}
			v.m.root.run.Preflighted(health, clock, preflight.Failures(checks))
			return v.m.judgePreflight(checks, options)
		}
	})
}

// CheckHealth is Verity.checkHealth. A base URL or a secret that is missing refuses the run, and a target that is not a healthy Verity
// aborts it.
func (v *Verity) CheckHealth() *sobek.Promise {
	state := v.m.vuState("checkHealth")
	if err := v.missing(); err != nil {
		v.m.refuseWith(err.Error())
		promise, _, _ := v.m.vu.Runtime().NewPromise()
		return promise
	}
	client := state.Client(v.service.Timeout)
	return v.m.look(func(ctx context.Context) (judge func() error) {
		_, err := platform.CheckHealth(ctx, client, v.service.BaseURL)
		return func() error {
			if err != nil {
				return v.m.abortTest(err)
			}
			return nil
		}
	})
}

// look runs work that is no load off the event loop, and the function that it returns on it. An error of that function ends the run;
// ErrStopped rejects the promise.
func (m *Module) look(work func(ctx context.Context) (judge func() error)) *sobek.Promise {
	promise, resolve, reject := m.vu.Runtime().NewPromise()
	callback := m.vu.RegisterCallback()
	ctx := m.vu.Context()
	go func() {
		judge := work(ctx)
		callback(func() error {
			err := judge()
			if errors.Is(err, users.ErrStopped) {
				return reject(m.jsError(err))
			}
			if err != nil {
				return err
			}
			return resolve(sobek.Undefined())
		})
	}()
	return promise
}

// judgePreflight shows the checks, and refuses the run for a ✗ unless that is overridden.
func (m *Module) judgePreflight(checks []preflight.Check, options lookOptions) error {
	err := m.root.run.ShowPreflight(checks, options.override, options.json)
	if err == nil && !options.override {
		err = preflight.Refusal(checks)
	}
	if err == nil {
		return nil
	}
	m.root.ending.Refuse(err)
	return k6.RefuseRun(err)
}

func (v *Verity) readLook(value sobek.Value) lookOptions {
	options := lookOptions{plan: preflight.Plan{Requests: map[string]preflight.Load{}}}
	r := reader{v.m, "preflight"}
	r.read(value, map[string]func(string, sobek.Value){
		"requests":        r.loads(options.plan.Requests),
		"connections":     r.whole(&options.plan.Connections, 0, math.MaxInt32),
		"closedPerMinute": r.whole(&options.plan.ClosedPerMinute, 0, math.MaxInt32),
		"override":        r.yesOrNo(&options.override),
		"trial":           r.yesOrNo(&options.trial),
		"json":            r.yesOrNo(&options.json),
	})
	return options
}

// loads reads an object of { perMinute, arithmetic } by operation.
func (r reader) loads(into map[string]preflight.Load) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		keys := map[string]func(string, sobek.Value){}
		for _, operation := range preflight.Operations() {
			keys[operation] = func(_ string, value sobek.Value) {
				var load preflight.Load
				of := reader{r.m, operation + " of " + r.what}
				of.read(value, map[string]func(string, sobek.Value){
					"perMinute":  of.number(&load.PerMinute, 0, maxPerMinute),
					"arithmetic": of.text(&load.Arithmetic),
					"ofEach":     of.yesOrNo(&load.OfEach),
				})
				into[operation] = load
			}
		}
		reader{r.m, name + " of " + r.what}.read(value, keys)
	}
}

// abortTest ends the run as test.abort() does.
func (m *Module) abortTest(err error) error {
	if lib.GetScenarioState(m.vu.Context()) == nil {
		m.root.ending.Refuse(err) // k6 keeps the reason only for an abort in an iteration
	}
	return k6.Abort(err)
}

// runnerShare is the function runnerShare of the module: this runner's share of the test.
func (m *Module) runnerShare() float64 { return k6.Share(m.vuState("runnerShare").Options) }

// refuse is the function refuse of the module. It interrupts the runtime, since a script cannot catch that.
func (m *Module) refuse(message sobek.Value) {
	text, ok := export(message).(string)
	if !ok || text == "" {
		m.throw("refuse takes a message, got %s", show(message))
	}
	m.refuseWith(text)
}

func (m *Module) refuseWith(text string) {
	if m.vu.State() == nil {
		m.root.run.ReportRefusal(text, m.root.env(stepSummary))
	} else if lib.GetScenarioState(m.vu.Context()) == nil {
		m.root.ending.Refuse(k6.RefusalError(text))
	}
	m.vu.Runtime().Interrupt(k6.RefusalError(text))
}
