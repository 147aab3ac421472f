package jsapi

import (
	"strings"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/queue"
)

// plannedPlace is the result of QueueShards.place: an object for the script, with the body of the join. Users get one before each
// join, so its preferences are made only when a script reads them.
type plannedPlace struct {
	m *Module
	queue.Place
	preferences sobek.Value // nil: the script has not read them
}

var _ sobek.DynamicObject = (*plannedPlace)(nil)

// Get returns a property of the place.
func (p *plannedPlace) Get(key string) sobek.Value {
	rt := p.m.vu.Runtime()
	switch {
	case key == "city" && p.City != nil:
		return rt.ToValue(*p.City)
	case key == "region" && p.Region != nil:
		return rt.ToValue(*p.Region)
	case key == "preferences":
		if p.preferences == nil {
			p.preferences = p.m.parse(p.Preferences)
		}
		return p.preferences
	case key == "queueKey":
		return rt.ToValue(p.QueueKey)
	case key == "shard":
		return rt.ToValue(p.Shard)
	default:
		return nil
	}
}

// Set refuses: a script makes a different place as a new object, { ...place, city }.
func (p *plannedPlace) Set(string, sobek.Value) bool { return false }

// Has reports whether there is such a property.
func (p *plannedPlace) Has(key string) bool { return p.Get(key) != nil }

// Delete refuses, as Set does.
func (p *plannedPlace) Delete(string) bool { return false }

// Keys returns the names of the properties.
func (p *plannedPlace) Keys() []string {
	keys := make([]string, 0, 5)
	if p.City != nil {
		keys = append(keys, "city")
	}
	if p.Region != nil {
		keys = append(keys, "region")
	}
	return append(keys, "preferences", "queueKey", "shard")
}

// plannedFields are the fields of a planned place that describe it, and are not sent.
var plannedFields = map[string]bool{"queueKey": true, "shard": true} //nolint:gochecknoglobals // a constant set

// joinBody returns the body of POST /queue/join for a place, without plannedFields, and the planned queue key, "" for none.
func (m *Module) joinBody(place sobek.Value) (body []byte, queueKey string) {
	object, ok := place.(*sobek.Object)
	if !ok {
		m.throw("join takes a place { city?, region?, preferences? }, got %s", show(place))
	}
	// The script may have changed preferences that it has read.
	if planned, ok := object.Export().(*plannedPlace); ok && planned.preferences == nil {
		return planned.Body(), planned.QueueKey
	}
	sent := m.vu.Runtime().NewObject()
	for _, key := range object.Keys() {
		if plannedFields[key] {
			continue
		}
		if err := sent.Set(key, object.Get(key)); err != nil {
			common.Throw(m.vu.Runtime(), err)
		}
	}
	queueKey, _ = exported(object, "queueKey").(string)
	return m.stringify(sent), queueKey
}

// parse is JSON.parse.
func (m *Module) parse(text []byte) sobek.Value {
	rt := m.vu.Runtime()
	value, err := m.builtins.parse(rt)(sobek.Undefined(), rt.ToValue(strings.ToValidUTF8(string(text), "\uFFFD")))
	if err != nil {
		common.Throw(rt, err)
	}
	return value
}
