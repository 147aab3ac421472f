package jsapi

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/types"

	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/sessions"
	"github.com/verity-app/xk6-verity/extension/users"
)

const (
	maxPerMinute = 1e12
	// maxSources bounds the look for how many addresses --local-ips has.
	maxSources = 4096
	// lookupLimit bounds the look for how many addresses the target has.
	lookupLimit = 5 * time.Second
)

// lookOptions are the arguments of Verity.preflight.
type lookOptions struct {
	plan     preflight.Plan
	override bool // a ✗ does not stop the run
	trial    bool // two users match before the load
	json     bool // print JSON instead of a table
}

// Preflight is Verity.preflight. A target that is not a healthy Verity aborts the run, as CheckHealth does, and a ✗ ends it
// unless it is overridden.
func (v *Verity) Preflight(plan sobek.Value) *sobek.Promise {
	options := v.readLook(plan)
	state := v.ready("preflight")
	runner := runnerFor(state.Options)
	options.plan.Runner, options.plan.Runners, options.plan.Share = runner.Index+1, runner.Count, v.m.runnerShare()
	service := preflight.Service{BaseURL: v.service.BaseURL}
	if _, isPlanned := options.plan.Requests[platform.OpWebhook]; isPlanned {
		service.Signer = v.mustSigner()
	}
	client := v.client(state)
	machine := preflight.ThisMachine(sources(state.Options.LocalIPs))
	rt := v.m.vu.Runtime()
	promise, resolve, reject := rt.NewPromise()
	callback := v.m.vu.RegisterCallback()
	ctx := v.m.vu.Context()
	go func() {
		health, err := platform.CheckHealth(ctx, client, v.service.BaseURL)
		if err != nil {
			callback(func() error { return v.m.abortTest(err) })
			return
		}
		service.Health, service.Addresses = health, addresses(ctx, v.service.BaseURL, state.Options)
		checks := preflight.Look(ctx, client, service, options.plan, machine)
		if options.trial && preflight.Refusal(checks) == nil {
			checks = append(checks, v.trial(client, state).Run(ctx))
		}
		clock := platform.ClockReading{}
		if options.plan.Runners > 1 {
			clock = platform.MeasureClock(ctx, client, v.service.BaseURL, health)
		}
		callback(func() error {
			if ctx.Err() != nil {
				return reject(v.m.jsError(users.ErrStopped))
			}
			v.m.root.run.Preflighted(health, clock, preflight.Failures(checks))
			err := v.m.showPreflight(checks, options)
			if err == nil && !options.override {
				err = preflight.Refusal(checks)
			}
			if err != nil {
				v.m.root.ending.refuse(err)
				return refuseRun(err)
			}
			return resolve(sobek.Undefined())
		})
	}()
	return promise
}

// trial is that of two users who match, with the VU's dialer, TLS and proxy.
func (v *Verity) trial(client *http.Client, state *vuState) preflight.Trial {
	return preflight.Trial{
		Service: v.service.Service, Client: client, Body: preflight.TrialBody(),
		Open: func(ctx context.Context, user *platform.User, tracker *sessions.Tracker) (*sessions.Socket, error) {
			token, err := user.AccessToken(ctx)
			if err != nil {
				return nil, err
			}
			options := state.SocketOptions()
			options.URL, options.UserID, options.Token = v.service.BaseURL, user.ID(), token
			options.Tracker, options.Timeout = tracker, v.service.Timeout
			return sessions.Open(ctx, options)
		},
	}
}

func (v *Verity) mustSigner() *payments.Signer {
	signer, err := v.signer()
	if err != nil {
		common.Throw(v.m.vu.Runtime(), err)
	}
	return signer
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

// showPreflight keeps what was found for the report, and prints it.
func (m *Module) showPreflight(checks []preflight.Check, options lookOptions) error {
	table := m.root.run.Record.Preflight(checks, options.override)
	text := preflight.JSON(checks)
	if !options.json {
		text = m.root.run.Rendered(table)
	}
	if err := m.root.run.Write(text); err != nil {
		return fmt.Errorf("writing the preflight: %w", err)
	}
	return nil
}

// sources counts the addresses that connections come from: those of --local-ips, each of which has ports of its own.
func sources(localIPs types.NullIPPool) int {
	if !localIPs.Valid {
		return 1
	}
	first := localIPs.Pool.GetIP(0)
	n := 1
	for n < maxSources && !localIPs.Pool.GetIP(uint64(n)).Equal(first) { // the pool begins anew after its last
		n++
	}
	return n
}

// addresses counts those of the target over which k6 spreads connections.
func addresses(ctx context.Context, baseURL string, options lib.Options) int {
	target, err := url.Parse(baseURL)
	if err != nil || options.DNS.Select.DNSSelect == types.DNSfirst {
		return 1
	}
	if options.Hosts.Trie != nil && options.Hosts.Trie.Match(target.Hostname()) != nil {
		return 1
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", target.Hostname())
	if err != nil {
		return 1 // k6 has reached it by other means
	}
	v4 := 0
	for _, address := range found {
		if address.Unmap().Is4() {
			v4++
		}
	}
	if v4 > 0 {
		return v4 // k6 prefers them
	}
	return max(1, len(found))
}

// client is one for what is no load: its requests emit no metrics. It has the VU's dialer, TLS and DNS options.
func (v *Verity) client(state *vuState) *http.Client {
	return &http.Client{
		Transport: platform.Named(state.base, userAgent(state.Options)), Timeout: v.service.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// abortTest ends the run as test.abort() does.
func (m *Module) abortTest(err error) error {
	if lib.GetScenarioState(m.vu.Context()) == nil {
		m.root.ending.refuse(err) // k6 keeps the reason of an iteration only
	}
	return &errext.InterruptError{Reason: fmt.Sprintf("%s: %s", errext.AbortTest, err)}
}

// refuseRun ends the run as a configuration does that is refused with an exception.
func refuseRun(err error) error {
	return errext.WithAbortReasonIfNone(errext.WithExitCodeIfNone(err, exitcodes.ScriptException), errext.AbortedByScriptError)
}

// refusedCallError ends the run, as refuseRun does, in the midst of an iteration: there k6 goes by an InterruptError only, whose own
// exit code is another.
type refusedCallError struct{ interrupt errext.InterruptError }

func newRefusedCall(message string) error {
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

// runnerShare is the function runnerShare of the module: the part of the test that this runner makes.
func (m *Module) runnerShare() float64 {
	segment := m.vuState("runnerShare").Options.ExecutionSegment
	if segment == nil {
		return 1
	}
	return segment.FloatLength()
}
