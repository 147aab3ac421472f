package jsapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/snapshot"
	"github.com/verity-app/xk6-verity/extension/users"
)

// prometheusToken is the name of the bearer token, in the environment and in a k6 secret source.
const prometheusToken = "PROMETHEUS_BEARER_TOKEN" // #nosec G101 -- its name, not its value

// prometheusOptions are the options of both snapshot and PrometheusWatch. They are checked in the init context.
type prometheusOptions struct {
	url, token     string
	timeoutSeconds float64
	queries        []snapshot.Query
}

// read reads the options of a call; queries reads its option queries.
func (o *prometheusOptions) read(r reader, options sobek.Value, queries func(string, sobek.Value)) {
	o.timeoutSeconds, o.queries = 5, snapshot.Defaults()
	r.read(options, map[string]func(string, sobek.Value){
		"url": r.text(&o.url),
		"bearerToken": func(_ string, value sobek.Value) {
			token, ok := export(value).(string)
			if !ok {
				r.throw("bearerToken", "must be a string") // it is not shown: it is a secret
			}
			o.token = token
		},
		"timeoutSeconds": r.number(&o.timeoutSeconds, 0.001, 60),
		"queries":        queries,
	})
	if _, err := snapshot.ParseURL(o.url); err != nil {
		r.throw("url", "%s", err)
	}
	if err := snapshot.CheckToken(o.token); err != nil {
		r.throw("bearerToken", "%s", err)
	}
}

// prometheus returns a reader that connects as k6 does, with the token of the options or of a k6 secret source, if there is one.
func (m *Module) prometheus(o prometheusOptions, state *k6.VU) (*snapshot.Reader, error) {
	token := o.token
	if token == "" {
		if found, err := m.secret(prometheusToken); err == nil {
			token = found
		}
	}
	return snapshot.New(snapshot.Options{
		URL: o.url, BearerToken: token, Queries: o.queries, Timeout: users.Seconds(o.timeoutSeconds), Transport: state.QuietTransport(),
		UserAgent: k6.UserAgent(state.Options),
	})
}

// snapshot is the function snapshot of the module.
func (m *Module) snapshot(options sobek.Value) *sobek.Promise {
	state := m.vuState("snapshot")
	var o prometheusOptions
	r := reader{m, "snapshot"}
	o.read(r, options, func(name string, value sobek.Value) {
		o.queries = r.applyQueries(name, nil, r.expressions(name, value))
	})
	prometheus, err := m.prometheus(o, state)
	if err != nil {
		common.Throw(m.vu.Runtime(), err)
	}
	return m.promise(nil, func(ctx context.Context) (js, error) {
		values, err := prometheus.Read(ctx)
		if errors.Is(err, snapshot.ErrStopped) {
			return nil, users.ErrStopped
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			for _, query := range o.queries {
				var value any // null: no series
				if number := values[query.Name]; number != nil {
					value = *number
				}
				set(object, query.Name, value)
			}
			return object
		}, nil
	})
}

// applyQueries applies changes to a list of queries.
func (r reader) applyQueries(name string, queries []snapshot.Query, changes []snapshot.Change) []snapshot.Query {
	result, err := snapshot.Apply(queries, changes)
	if err != nil {
		r.throw(name, "%s", err)
	}
	return result
}

// expressions reads { name: expression }.
func (r reader) expressions(name string, value sobek.Value) (changes []snapshot.Change) {
	r.eachQuery(name, value, "a string", func(key string, value sobek.Value) bool {
		expr, ok := export(value).(string)
		changes = append(changes, snapshot.Change{Name: key, Expr: expr})
		return ok
	})
	return changes
}

// changes reads { name: expression | null | { expr, kind } }.
func (r reader) changes(name string, value sobek.Value) (changes []snapshot.Change) {
	const takes = `a string, { "expr": "…", "kind": "counter" or "gauge" }, or null to turn it off`
	r.eachQuery(name, value, takes, func(key string, value sobek.Value) bool {
		change, ok := snapshot.ReadChange(key, export(value))
		changes = append(changes, change)
		return ok && !sobek.IsUndefined(value)
	})
	return changes
}

// eachQuery reads the properties of an object of queries.
func (r reader) eachQuery(name string, value sobek.Value, takes string, read func(key string, value sobek.Value) bool) {
	object, ok := value.(*sobek.Object)
	if !ok || object.ClassName() != "Object" {
		r.throw(name, "must be an object of expressions by name, got %s", show(value))
	}
	for _, key := range object.Keys() {
		if query := object.Get(key); !read(key, query) {
			r.throw(name, "has %s for %q; it takes %s", show(query), key, takes)
		}
	}
}

// PrometheusWatch is the class PrometheusWatch. The run's account keeps the readings of the start, since teardown() has an instance
// of its own.
type PrometheusWatch struct {
	m       *Module
	options prometheusOptions
}

func (m *Module) newPrometheusWatch(call sobek.ConstructorCall) *sobek.Object {
	p := &PrometheusWatch{m: m}
	r := reader{m, "PrometheusWatch"}
	p.options.read(r, call.Argument(0), func(name string, value sobek.Value) {
		p.options.queries = r.applyQueries(name, snapshot.Defaults(), r.changes(name, value))
	})
	m.root.run.Record.SetReadings(report.ReadingsWanted)
	return m.vu.Runtime().ToValue(p).ToObject(m.vu.Runtime())
}

// Start is PrometheusWatch.start.
func (p *PrometheusWatch) Start() *sobek.Promise {
	return p.read("start", "setup", func(ctx context.Context, prometheus *snapshot.Reader, state *k6.VU) {
		p.m.root.run.BeginReadings(ctx, prometheus, k6.IsFirst(state.Options), state.Logger)
	})
}

// End is PrometheusWatch.end.
func (p *PrometheusWatch) End() *sobek.Promise {
	return p.read("end", "teardown", func(ctx context.Context, prometheus *snapshot.Reader, state *k6.VU) {
		p.m.root.run.EndReadings(ctx, prometheus, p.options.url, state.Logger)
	})
}

// read runs a call that is allowed in one place only.
func (p *PrometheusWatch) read(call, where string, work func(context.Context, *snapshot.Reader, *k6.VU)) *sobek.Promise {
	state := p.m.vuState(call)
	if lib.GetScenarioState(p.m.vu.Context()) != nil {
		p.m.throw("%s of PrometheusWatch can be called in %s only", call, where)
	}
	prometheus, err := p.m.prometheus(p.options, state)
	if err != nil {
		common.Throw(p.m.vu.Runtime(), err)
	}
	return p.m.promise(nil, func(ctx context.Context) (js, error) {
		work(ctx, prometheus, state)
		return resolved(sobek.Undefined()), nil
	})
}
