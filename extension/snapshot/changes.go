package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// ReadChanges reads changes as PROMETHEUS_QUERIES has them: a JSON object of expressions by name. Messages go after that name.
func ReadChanges(text string) ([]Change, error) {
	var values map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &values) != nil || values == nil {
		return nil, errors.New(`must be a JSON object of PromQL expressions by name, such as {"logins": "sum(logins_total)"}, got ` +
			fmt.Sprintf("%q", plain.Short(text, maxShown)))
	}
	changes := make([]Change, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		change, err := readChange(name, values[name])
		if err != nil {
			return nil, fmt.Errorf(`has %s for %q; it takes a string, { "expr": "…", "kind": "counter" or "gauge" }, or null to turn it off`,
				plain.Short(string(values[name]), maxShown), name)
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func readChange(name string, value json.RawMessage) (Change, error) {
	change := Change{Name: name}
	if len(value) == 0 || value[0] != '{' {
		return change, json.Unmarshal(value, &change.Expr) // null leaves it empty
	}
	var parts struct {
		Expr string `json:"expr"`
		Kind Kind   `json:"kind"`
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&parts); err != nil {
		return change, err
	}
	if parts.Expr == "" {
		return change, errors.New("no expression")
	}
	change.Expr, change.Kind = parts.Expr, parts.Kind
	return change, nil
}
