package jsapi

import "testing"

func TestATableForTheTerminal(t *testing.T) {
	got := table{
		title: "Prometheus", columns: []string{"query", "start"},
		rows: [][]string{{"commits", "1"}, {"a longer name", "2"}}, notes: []string{"read twice"},
	}.text()
	want := `
    Prometheus

      query          start
      commits        1
      a longer name  2
      read twice
`
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
