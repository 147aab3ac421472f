package snapshot

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChangesOfTheQueries(t *testing.T) {
	t.Parallel()
	base := []Query{{"a", Counter, "sum(a)"}, {"b", Gauge, "sum(b)"}}
	for _, tc := range []struct {
		name    string
		changes []Change
		want    []Query
	}{
		{"none", nil, base},
		{"added", []Change{{Name: "c d/e", Expr: " up "}}, append(append([]Query(nil), base...), Query{"c d/e", Gauge, "up"})},
		{"replaced, which keeps the kind", []Change{{Name: "a", Expr: "x"}}, []Query{{"a", Counter, "x"}, base[1]}},
		{"replaced with another kind", []Change{{Name: "a", Expr: "x", Kind: Gauge}}, []Query{{"a", Gauge, "x"}, base[1]}},
		{"turned off", []Change{{Name: "a"}}, base[1:]},
		{"turned off and added", []Change{{Name: "a"}, {Name: "a", Expr: "x_total"}}, []Query{base[1], {"a", Counter, "x_total"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Apply(base, tc.changes)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, []Query{{"a", Counter, "sum(a)"}, {"b", Gauge, "sum(b)"}}, base, "the list that was given stays as it is")
		})
	}
	many := make([]Change, 99)
	for i := range many {
		many[i] = Change{Name: strconv.Itoa(i), Expr: "up"}
	}
	for _, tc := range []struct {
		changes []Change
		want    string
	}{
		{[]Change{{Name: "c"}}, `turns off "c", which is none of a, b`},
		{[]Change{{Name: "a"}, {Name: "b"}}, "leaves nothing to read"},
		{[]Change{{Name: "c", Expr: "x", Kind: "total"}}, `has the kind "total" for "c"; it takes "counter" or "gauge"`},
		{[]Change{{Name: "", Expr: "x"}}, `has the name ""; a name is 1 to 60 letters, digits, spaces and _ . : / -, and begins with a letter or a digit`},
		{[]Change{{Name: "a\nb", Expr: "x"}}, `has the name "a\nb"; a name is 1 to 60 letters, digits, spaces and _ . : / -, and begins with a letter or a digit`},
		{many, "has 101 expressions together with the defaults, and may have 100"},
	} {
		_, err := Apply(base, tc.changes)
		require.EqualError(t, err, tc.want)
	}
}

func TestDefaultsAreWellFormed(t *testing.T) {
	t.Parallel()
	for _, query := range Defaults() {
		require.Regexp(t, nameForm, query.Name)
		_, summed, ok := selector(query.Expr)
		require.True(t, ok && summed, "%s is the sum over all series, each of which may be reset", query.Name)
	}
}

func TestDefaultsAreInTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../load-test/README.md")
	require.NoError(t, err)
	for _, query := range Defaults() {
		require.Contains(t, string(readme), "| `"+query.Name+"` | "+string(query.Kind)+" | `"+query.Expr+"` |\n")
	}
}

func TestSelectorsAndTheirKinds(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]struct {
		selected string
		summed   bool
		kind     Kind
	}{
		`x_total`:                              {`x_total`, false, Counter},
		` x `:                                  {`x`, false, Gauge},
		`job:x_total{a="b"}`:                   {`job:x_total{a="b"}`, false, Counter},
		`sum(x_total)`:                         {`x_total`, true, Counter},
		"SUM (\n x_total {a=~\"(b|c){2}\",} )": {"x_total {a=~\"(b|c){2}\",}", true, Counter},
		`sum({__name__="x_total"})`:            {`{__name__="x_total"}`, true, Gauge},
		"{a='}', b=`{\"`}":                     {"{a='}', b=`{\"`}", false, Gauge},
		`{"my.metric", a="\"}"}`:               {`{"my.metric", a="\"}"}`, false, Gauge},
		`sum(x_total{a="1"}) / sum(y_total{b="2"})`: {kind: Gauge},
		`sum by (a) (x_total)`:                      {kind: Gauge},
		`sum(rate(x_total[1m]))`:                    {kind: Gauge},
		`x_total offset 1m`:                         {kind: Gauge},
		`x_total[5m]`:                               {kind: Gauge},
		`max(x_total)`:                              {kind: Gauge},
		`x_total # of all`:                          {kind: Gauge},
		`5`:                                         {kind: Gauge},
		``:                                          {kind: Gauge},
	} {
		selected, summed, ok := selector(expr)
		require.Equal(t, want.selected, selected, expr)
		require.Equal(t, want.selected != "", ok, expr)
		require.Equal(t, want.summed, summed, expr)
		require.Equal(t, want.kind, guess(expr), expr)
	}
}

// A selector is a part of its expression, consists of a name and matchers only, and is the selector of itself.
func FuzzSelector(f *testing.F) {
	for _, seed := range []string{"x_total", `sum(x{a="b"})`, "sum({a='}'})", `sum(a) / sum(b)`, "sum(sum(x))", "x # {"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		selected, _, ok := selector(expr)
		if !ok {
			require.Empty(t, selected)
			return
		}
		require.Contains(t, expr, selected)
		again, summed, ok := selector(selected)
		require.True(t, ok && !summed)
		require.Equal(t, selected, again)
		sum, summed, ok := selector("sum(" + selected + ")")
		require.True(t, ok && summed)
		require.Equal(t, selected, sum)
		name, _, _ := strings.Cut(selected, "{")
		require.NotContains(t, name, "(")
		require.NotContains(t, name, "[")
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://localhost:9090":           "http://localhost:9090",
		"https://example.com/prometheus/": "https://example.com/prometheus",
		"https://example.com/a/b//":       "https://example.com/a/b",
		"http://[::1]:9090":               "http://[::1]:9090",
	} {
		got, err := ParseURL(raw)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	const noScheme = ", got a value that does not begin with http:// or https:// (it is not shown, for it may be a secret)"
	for raw, want := range map[string]string{
		"":                          "is not set; it " + errAddress,
		"localhost:9090":            errAddress + noScheme,
		"eyJhbGciOi.pa55word.c2ln":  errAddress + noScheme,
		"u:pa55word@h:9090/p":       errAddress + noScheme,
		"pa55word@h?x=1":            errAddress + noScheme,
		"ftp://pa55word.com":        errAddress + `, got the scheme "ftp"`,
		"http://":                   errAddress + ", got a value without a host",
		"http://:9090":              errAddress + ", got a value without a host",
		"http://h:70000":            errAddress + ", got the port 70000, and a port is from 1 to 65535",
		"http://[::1":               errAddress + ", got a value that does not parse",
		"http://u:pa55word@h":       "must not contain credentials (they would be shown in logs and results); a bearer token has a place of its own",
		"http://h/p?key=pa55word":   errAddress + "; take off what follows the path",
		"http://h/p#/graph":         errAddress + "; take off what follows the path",
		"http://u:pa55word%zz@h/?x": errAddress + ", got a value that does not parse",
	} {
		_, err := ParseURL(raw)
		require.EqualError(t, err, want, raw)
	}
	_, err := New(Options{URL: "nowhere"})
	require.EqualError(t, err, "the URL of Prometheus "+errAddress+noScheme)
	for _, token := range []string{"two words", "line\n", "sch\u00f6n"} {
		_, err = New(Options{URL: "http://h", BearerToken: token})
		require.EqualError(t, err, "the bearer token of Prometheus must be visible ASCII characters without a space or a line break; "+
			"it is not shown here, for it is a secret")
	}
}

func TestReadChange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		value any
		want  Change
		ok    bool
	}{
		"an expression":       {"up", Change{Name: "a", Expr: "up"}, true},
		"nothing":             {nil, Change{Name: "a"}, true},
		"an object":           {map[string]any{"expr": "up", "kind": "counter"}, Change{"a", "up", Counter}, true},
		"without expression":  {map[string]any{"kind": "counter"}, Change{Name: "a", Kind: Counter}, false},
		"with something else": {map[string]any{"expr": "up", "unit": "s"}, Change{}, false},
		"a number in it":      {map[string]any{"expr": 5}, Change{}, false},
		"a number":            {int64(5), Change{Name: "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change, ok := ReadChange("a", tc.value)
			require.Equal(t, tc.ok, ok)
			if tc.want.Name != "" {
				require.Equal(t, tc.want, change)
			}
		})
	}
}
