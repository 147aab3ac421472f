package snapshot

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChangesAreReadFromJSON(t *testing.T) {
	t.Parallel()
	changes, err := ReadChanges(`{"b": "sum(b)", "a": {"expr": "a_total", "kind": "gauge"}, "c": null, "d": {"expr": "d"}}`)
	require.NoError(t, err)
	require.Equal(t, []Change{
		{Name: "a", Expr: "a_total", Kind: Gauge}, {Name: "b", Expr: "sum(b)"}, {Name: "c"}, {Name: "d", Expr: "d"},
	}, changes)
	changes, err = ReadChanges(`{}`)
	require.NoError(t, err)
	require.Empty(t, changes)

	const takes = `; it takes a string, { "expr": "…", "kind": "counter" or "gauge" }, or null to turn it off`
	const object = `must be a JSON object of PromQL expressions by name, such as {"logins": "sum(logins_total)"}, got `
	for text, want := range map[string]string{
		``: object + `""`, `up`: object + `"up"`, `["up"]`: object + `"[\"up\"]"`, `null`: object + `"null"`, `{"a": "b"`: object + `"{\"a\": \"b\""`,
		`{"a": 1}`:                            `has 1 for "a"` + takes,
		`{"a": {"kind": "gauge"}}`:            `has {"kind": "gauge"} for "a"` + takes,
		`{"a": {"expr": "x", "unit": "s"}}`:   `has {"expr": "x", "unit": "s"} for "a"` + takes,
		`{"a": "x", "b": ["y"]}`:              `has ["y"] for "b"` + takes,
		`{"a": {"expr": "x", "kind": false}}`: `has {"expr": "x", "kind": false} for "a"` + takes,
	} {
		_, err := ReadChanges(text)
		require.EqualError(t, err, want)
	}
}
