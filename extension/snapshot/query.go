package snapshot

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Kind is the type of a query's values, as in Prometheus.
type Kind string

// A counter only grows, except for resets, and a run has its increase. A gauge goes up and down, and a run has its values.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
)

// Query is a named PromQL expression whose value is one number.
type Query struct {
	Name string
	Kind Kind
	Expr string
}

// maxQueries limits the load that a run puts on Prometheus.
const maxQueries = 100

// Defaults returns the default queries of a run, with the series of redis_exporter and postgres_exporter. Each is the sum over
// all instances and databases that the Prometheus scrapes.
func Defaults() []Query {
	return []Query{
		{"redis_clients", Gauge, "sum(redis_connected_clients)"},
		{"redis_memory_bytes", Gauge, "sum(redis_memory_used_bytes)"},
		{"redis_evicted_keys", Counter, "sum(redis_evicted_keys_total)"},
		{"redis_commands", Counter, "sum(redis_commands_processed_total)"},
		{"postgres_connections", Gauge, "sum(pg_stat_database_numbackends)"},
		{"postgres_commits", Counter, "sum(pg_stat_database_xact_commit)"},
		{"postgres_rollbacks", Counter, "sum(pg_stat_database_xact_rollback)"},
		{"postgres_blocks_read", Counter, "sum(pg_stat_database_blks_read)"},
		{"postgres_deadlocks", Counter, "sum(pg_stat_database_deadlocks)"},
	}
}

// Change adds a query, replaces the query of the same name or, without an expression, removes it.
type Change struct {
	Name string
	Expr string
	Kind Kind // empty: that of the replaced query, or for a new one guessed from the expression
}

// ReadChange returns the change of a query from a value of JSON: an expression, nil, or an object of "expr" and "kind".
func ReadChange(name string, value any) (change Change, ok bool) {
	change.Name = name
	switch value := value.(type) {
	case nil:
		return change, true
	case string:
		change.Expr = value
		return change, true
	case map[string]any:
		for part, of := range value {
			text, isText := of.(string)
			switch {
			case isText && part == "expr":
				change.Expr = text
			case isText && part == "kind":
				change.Kind = Kind(text)
			default:
				return change, false
			}
		}
		return change, change.Expr != ""
	}
	return change, false
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:/ -]{0,59}$`)

// Apply applies changes to a list of queries. Its errors follow the name of the option or variable.
func Apply(queries []Query, changes []Change) ([]Query, error) {
	result := append([]Query(nil), queries...)
	for _, change := range changes {
		if !nameForm.MatchString(change.Name) {
			return nil, fmt.Errorf("has the name %q; a name is 1 to 60 letters, digits, spaces and _ . : / -, "+
				"and begins with a letter or a digit", change.Name)
		}
		var err error
		if result, err = apply(result, change); err != nil {
			return nil, err
		}
	}
	if len(result) == 0 {
		return nil, errors.New("leaves nothing to read")
	}
	if len(result) > maxQueries {
		return nil, fmt.Errorf("has %d expressions together with the defaults, and may have %d", len(result), maxQueries)
	}
	return result, nil
}

func apply(queries []Query, change Change) ([]Query, error) {
	at := indexOf(queries, change.Name)
	expr := strings.TrimSpace(change.Expr)
	if expr == "" {
		if at < 0 {
			return nil, fmt.Errorf("turns off %q, which is none of %s", change.Name, strings.Join(names(queries), ", "))
		}
		return append(queries[:at], queries[at+1:]...), nil
	}
	kind := change.Kind
	switch kind {
	case Counter, Gauge:
	case "":
		kind = guess(expr)
		if at >= 0 {
			kind = queries[at].Kind
		}
	default:
		return nil, fmt.Errorf(`has the kind %q for %q; it takes "counter" or "gauge"`, string(kind), change.Name)
	}
	query := Query{change.Name, kind, expr}
	if at < 0 {
		return append(queries, query), nil
	}
	queries[at] = query
	return queries, nil
}

func indexOf(queries []Query, name string) int {
	for i, query := range queries {
		if query.Name == name {
			return i
		}
	}
	return -1
}

func names(queries []Query) []string {
	all := make([]string, len(queries))
	for i, query := range queries {
		all[i] = query.Name
	}
	return all
}

// The parts of a PromQL selector: a name, and matchers in braces, whose strings may contain anything.
const (
	metricName = `[a-zA-Z_:][a-zA-Z0-9_:]*`
	matchers   = `\{(?:[^{}"'` + "`" + `#]|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|` + "`[^`]*`" + `)*\}`
)

var (
	plainForm = regexp.MustCompile(`^(?:(` + metricName + `)\s*(?:` + matchers + `)?|` + matchers + `)$`)
	sumForm   = regexp.MustCompile(`^(?i:sum)\s*\((?s:(.*))\)$`)
)

// selector returns the selector of an expression that is one, such as x_total{job="a"}, or the sum of one. The series of any
// other expression are unknown until it is evaluated.
func selector(expr string) (selected string, summed, ok bool) {
	selected = strings.TrimSpace(expr)
	if match := sumForm.FindStringSubmatch(selected); match != nil {
		selected, summed = strings.TrimSpace(match[1]), true
	}
	if !plainForm.MatchString(selected) {
		return "", false, false
	}
	return selected, summed, true
}

// guess returns Counter for a selector, or the sum of one, whose name ends in _total, and Gauge for any other expression.
func guess(expr string) Kind {
	selected, _, ok := selector(expr)
	if ok && strings.HasSuffix(plainForm.FindStringSubmatch(selected)[1], "_total") {
		return Counter
	}
	return Gauge
}
