package campaign

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/verity-app/xk6-verity/extension/snapshot"
)

// lastingGauges are the gauges of snapshot.Defaults that stay high after a load although the service is calm: it remembers matched users for
// an hour.
var lastingGauges = []string{"redis_memory_bytes"} //nolint:gochecknoglobals // a constant list

// pooledGauges count connections. A service keeps pooled connections open after it needed them.
var pooledGauges = []string{"redis_clients", "postgres_connections"} //nolint:gochecknoglobals // a constant list

// pooled is how many connections may stay open beyond the highest number before the first step.
const pooled = 20

// gaugeHistory is the time before the first step over which the normal variation of a gauge is read.
const gaugeHistory = "5m"

// gaugesOf returns the gauges that a campaign checks; queries is the value of PROMETHEUS_QUERIES.
func gaugesOf(queries string) ([]snapshot.Query, error) {
	all := snapshot.Defaults()
	if queries != "" {
		changes, err := snapshot.ReadChanges(queries)
		if err != nil {
			return nil, err
		}
		if all, err = snapshot.Apply(all, changes); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(q snapshot.Query) bool {
		return q.Kind != snapshot.Gauge || slices.Contains(lastingGauges, q.Name)
	}), nil
}

// firstGauges reads the gauges and their variation before the first step. A gauge without a value has no entry.
func (c *calm) firstGauges(ctx context.Context) (map[string]Gauge, error) {
	values, err := c.readGauges(ctx, c.gauges)
	if err != nil {
		return nil, err
	}
	gauges := map[string]Gauge{}
	for _, query := range c.gauges {
		value, ok := values[query.Name]
		if !ok {
			continue
		}
		gauges[query.Name] = c.varied(ctx, query, value)
	}
	return gauges, nil
}

// varied returns a gauge with its least and most value; both are the value itself if Prometheus has no history of it.
func (c *calm) varied(ctx context.Context, query snapshot.Query, value float64) Gauge {
	least, most := query.Name+" least", query.Name+" most"
	spread, err := c.readGauges(ctx, []snapshot.Query{
		{Name: least, Kind: snapshot.Gauge, Expr: "min_over_time((" + query.Expr + ")[" + gaugeHistory + ":15s])"},
		{Name: most, Kind: snapshot.Gauge, Expr: "max_over_time((" + query.Expr + ")[" + gaugeHistory + ":15s])"},
	})
	gauge := Gauge{Value: value, Least: value, Most: value}
	if err != nil {
		return gauge
	}
	if low, ok := spread[least]; ok {
		gauge.Least = min(low, value)
	}
	if high, ok := spread[most]; ok {
		gauge.Most = max(high, value)
	}
	return gauge
}

// readGauges returns the values of queries by name; a query without a value has no entry.
func (c *calm) readGauges(ctx context.Context, queries []snapshot.Query) (map[string]float64, error) {
	reader, err := newReader(c.service, queries)
	if err != nil {
		return nil, err
	}
	read, err := reader.Read(ctx)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for name, value := range read {
		if value != nil && !math.IsNaN(*value) {
			values[name] = *value
		}
	}
	return values, nil
}

func (c *calm) lookAtGauges(ctx context.Context, base *Baseline) (unrests []unrest, text string) {
	if len(c.gauges) == 0 || len(base.Gauges) == 0 {
		return nil, ""
	}
	values, err := c.readGauges(ctx, c.gauges)
	if err != nil {
		return []unrest{{what: "prometheus", text: err.Error(), todo: "see whether Prometheus is up, or unset PROMETHEUS_URL"}}, ""
	}
	calm := map[string]Gauge{}
	for _, name := range slices.Sorted(maps.Keys(base.Gauges)) {
		value, isThere := values[name]
		start := base.Gauges[name]
		low, high := start.near(name)
		switch {
		case !isThere:
			unrests = append(unrests, unrest{
				what: "gauge " + name, text: fmt.Sprintf("%s has no value, and was %s before the first step", name, figure(start.Value)),
				todo: "see why Prometheus does not read it any more",
			})
		case value < low || value > high:
			unrests = append(unrests, unrest{
				what: "gauge " + name, text: fmt.Sprintf("%s is %s, and was %s before the first step (%s to %s is calm)",
					name, figure(value), figure(start.Value), figure(low), figure(high)),
				todo: fmt.Sprintf("see why it does not come back, or leave it out with %q: null in PROMETHEUS_QUERIES", name),
			})
		default:
			calm[name] = Gauge{Value: value}
		}
	}
	return unrests, gaugesText(calm)
}

// near returns the bounds within which a gauge counts as calm: a quarter of its least value before the first step, and twice its most. For
// negative values the factors are swapped.
func (g Gauge) near(name string) (low, high float64) {
	low, high = min(g.Least/4, 2*g.Least), max(2*g.Most, g.Most/4)
	if slices.Contains(pooledGauges, name) {
		low, high = 0, max(high, g.Most+pooled)
	}
	return low, high
}

func gaugesText(gauges map[string]Gauge) string {
	if len(gauges) == 0 {
		return "Prometheus has none of the gauges"
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(gauges)) {
		texts = append(texts, name+" "+figure(gauges[name].Value))
	}
	return strings.Join(texts, ", ")
}
