package jsapi

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/grafana/sobek"
	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"
	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"
	"go.k6.io/k6/v2/secretsource"
	"go.uber.org/goleak"
	"gopkg.in/guregu/null.v3"

	"github.com/verity-app/xk6-verity/extension/standin"
)

const testSecret = "whsec_test"

// A client of go-redis dials a server that is down once a second, and closing the client does not end the last wait.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// harness is a VU with the module under the global name verity.
type harness struct {
	*modulestest.Runtime
	t       testing.TB
	root    *RootModule
	out     *bytes.Buffer
	log     *logrustest.Hook
	samples chan metrics.SampleContainer
	state   *lib.State
}

// newHarness returns a VU in the init context.
func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{Runtime: modulestest.NewRuntime(t), t: t, out: &bytes.Buffer{}, samples: make(chan metrics.SampleContainer, 10_000)}
	manager, _, err := secretsource.NewManager(nil)
	require.NoError(t, err)
	h.VU.InitEnvField.SecretsManager = manager
	h.root = New(h.out)
	instance := h.root.NewModuleInstance(h.VU)
	module := h.VU.Runtime().NewObject()
	for name, value := range instance.Exports().Named {
		require.NoError(t, module.Set(name, value))
	}
	require.NoError(t, h.VU.Runtime().Set("verity", module))
	return h
}

// run moves the VU out of the init context, as in setup().
func (h *harness) run() *harness {
	registry := h.VU.InitEnvField.Registry
	logger, log := logrustest.NewNullLogger()
	logger.SetLevel(logrus.DebugLevel)
	transport := &http.Transport{MaxIdleConnsPerHost: 6}
	h.log = log
	h.state = &lib.State{
		Logger: logger, BuiltinMetrics: h.BuiltinMetrics, Samples: h.samples, Transport: transport, Dialer: &net.Dialer{},
		BufferPool: lib.NewBufferPool(), Tags: lib.NewVUStateTags(registry.RootTagSet()), TestStatus: lib.NewTestStatus(),
		VUID: 1, VUIDGlobal: 1,
		Options: lib.Options{SystemTags: &metrics.DefaultSystemTagSet, UserAgent: null.StringFrom("tests")},
	}
	h.MoveToVUContext(h.state)
	h.t.Cleanup(transport.CloseIdleConnections)
	return h
}

// iterate puts the VU into an iteration of a scenario. As in k6, cancel ends it: the context is cancelled and JavaScript
// interrupted.
func (h *harness) iterate(config lib.ExecutorConfig) (cancel func()) {
	ctx, stop := context.WithCancel(lib.WithScenarioState(h.VU.CtxField, &lib.ScenarioState{
		Name: "test", Executor: config.GetType(), StartTime: time.Now(),
	}))
	h.state.Options.Scenarios = lib.ScenarioConfigs{"test": config}
	h.VU.CtxField = ctx
	var once sync.Once
	cancel = func() {
		once.Do(func() {
			stop()
			h.VU.Runtime().Interrupt(context.Canceled)
		})
	}
	h.t.Cleanup(cancel)
	return cancel
}

// until checks every millisecond whether a condition holds, and gives up after half a minute. Any goroutine may call it.
func (h *harness) until(is func() bool) {
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Error("what the test waits for did not happen within 30 s")
			return
		}
	}
}

func constantVUs(duration time.Duration) lib.ExecutorConfig {
	config := executor.NewConstantVUsConfig("test")
	config.Duration = types.NullDurationFrom(duration)
	return config
}

// exec runs a script on the event loop, awaits the value of its last expression, and waits for all callbacks.
func (h *harness) exec(script string) (sobek.Value, error) {
	value, err := h.RunOnEventLoop(script)
	if err != nil {
		return nil, err
	}
	if promise, ok := value.Export().(*sobek.Promise); ok {
		return promise.Result(), nil
	}
	return value, nil
}

// execUntilCut runs a script whose iteration is cut. JavaScript may be interrupted while it runs or while it waits.
func (h *harness) execUntilCut(script string) {
	h.t.Helper()
	if _, err := h.exec(script); err != nil {
		require.ErrorContains(h.t, err, "context canceled")
	}
}

func (h *harness) mustExec(script string) sobek.Value {
	h.t.Helper()
	value, err := h.exec(script)
	require.NoError(h.t, err)
	return value
}

// sum adds up the samples of a metric that have all the tags.
func (h *harness) sum(metric string, tags map[string]string) (total float64, count int) {
	for _, sample := range h.drainSamples() {
		if sample.Metric.Name != metric {
			continue
		}
		have := sample.Tags.Map()
		match := true
		for name, value := range tags {
			match = match && have[name] == value
		}
		if match {
			total += sample.Value
			count++
		}
	}
	return total, count
}

// drainSamples returns all samples so far and keeps them for the next call.
func (h *harness) drainSamples() (all []metrics.Sample) {
	containers := len(h.samples)
	for range containers {
		container := <-h.samples
		all = append(all, container.GetSamples()...)
		h.samples <- container
	}
	return all
}

// startStandin serves a Verity for a test, and sets the global verity client and signer.
func (h *harness) startStandin(options standin.Options) *standin.Server {
	h.t.Helper()
	options.WebhookSecret = testSecret
	server, err := standin.Start(h.t.Context(), options)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { require.NoError(h.t, server.Close(context.Background())) })
	rt := h.VU.Runtime()
	require.NoError(h.t, rt.Set("baseUrl", server.URL()))
	require.NoError(h.t, rt.Set("secret", testSecret))
	_, err = rt.RunString(`var signer = new verity.StripeSigner(secret); var client = new verity.Verity({ baseUrl, signer });`)
	require.NoError(h.t, err)
	return server
}
