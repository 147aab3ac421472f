package jsapi

import (
	"context"
	"errors"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/queue"
)

// QueueProbe is the class QueueProbe. It connects at first use.
type QueueProbe struct {
	m     *Module
	probe *queue.Probe
}

func (m *Module) newQueueProbe(call sobek.ConstructorCall) *sobek.Object {
	url, ok := export(call.Argument(0)).(string)
	if !ok {
		m.throw("the URL of QueueProbe must be a string") // it is not shown: it may hold a password
	}
	probe, err := queue.NewProbe(url)
	if wrong, ok := errors.AsType[*queue.URLError](err); ok {
		m.throwOption("url", "QueueProbe: redis URL", ": "+wrong.Fault)
	}
	if err != nil {
		m.throw("QueueProbe: %s", err)
	}
	return m.vu.Runtime().ToValue(&QueueProbe{m, probe}).ToObject(m.vu.Runtime())
}

// Depths is QueueProbe.depths.
func (p *QueueProbe) Depths() *sobek.Promise {
	p.m.vuState("depths")
	return p.m.promise(nil, func(ctx context.Context) (js, error) {
		depths, err := p.probe.Depths(ctx)
		if err != nil {
			return nil, err
		}
		return func(rt *sobek.Runtime) any {
			keys := rt.NewObject()
			for key, depth := range depths.Keys {
				set(keys, key, depth)
			}
			object := rt.NewObject()
			set(object, "total", depths.Total)
			set(object, "keys", keys)
			return object
		}, nil
	})
}

// Ghosts is QueueProbe.ghosts.
func (p *QueueProbe) Ghosts() *sobek.Promise {
	p.m.vuState("ghosts")
	return p.m.promise(nil, func(ctx context.Context) (js, error) {
		ghosts, err := p.probe.Ghosts(ctx)
		if err != nil {
			return nil, err
		}
		return func(rt *sobek.Runtime) any {
			object := rt.NewObject()
			set(object, "members", len(ghosts.Members))
			set(object, "states", len(ghosts.States))
			return object
		}, nil
	})
}

// Close is QueueProbe.close.
func (p *QueueProbe) Close() *sobek.Promise {
	p.m.vuState("close")
	return p.m.promise(nil, func(context.Context) (js, error) { return resolved(sobek.Undefined()), p.probe.Close() })
}
