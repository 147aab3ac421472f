package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTerminal(t *testing.T) {
	t.Parallel()
	r := example()
	r.Ending = "stopped by Ctrl-C after 12 s"
	r.Tables = append(r.Tables, Table{Title: "Preflight", Columns: []string{"check"}, Rows: [][]string{{"clock"}}, Shown: true})
	require.Equal(t, `

  █ VERITY queue-concurrency on https://staging.example.com

    ✗ run          stopped by Ctrl-C after 12 s
    ✗ error        queue_join HTTPError 500 × 94, for example: it said <oops> |
                   done and more
      cycles       2,300 finished
    ✗ thresholds   1 of 3 crossed: error_rate rate<0.001
    ! warning      the queue depth is unknown

    Prometheus

      reading  start
      commits  7
      read twice
`, r.Terminal(80))
	r.Thresholds = r.Thresholds[:1]
	require.Contains(t, r.Terminal(80), "    ✓ thresholds   all 1 passed\n")
	r.Thresholds = nil
	require.Contains(t, r.Terminal(80), "    ✗ thresholds   there were none, so nothing was judged\n")
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, text string
		width        int
		want         string
	}{
		"fits":                 {"  ✓ a  ", "one two", 14, "  ✓ a  one two\n"},
		"one column short":     {"", "ab cd ef gh ij kl mnop", 21, "ab cd ef gh ij kl\nmnop\n"},
		"hangs":                {"  ✓ a  ", "one two three four five", 27, "  ✓ a  one two three four\n       five\n"},
		"without a width":      {"  ✓ a  ", "one two  three\nfour", 0, "  ✓ a  one two three four\n"},
		"a long word is whole": {"  ", "see https://staging.example.com/very/long now", 24, "  see\n  https://staging.example.com/very/long\n  now\n"},
		"too little room beside": {"    a rather long beginning  ", "one two three four", 40,
			"    a rather long beginning\n        one two three four\n"},
		"nothing": {"  ✓ a  ", "", 80, "  ✓ a\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, Wrap(tc.before, tc.text, tc.width))
		})
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("    ✗ error        ", "queue_join HTTPError 500 × 94, for example", 40)
	f.Add("", "", 0)
	f.Fuzz(func(t *testing.T, before, text string, width int) {
		if before != "" && !strings.HasSuffix(before, " ") {
			t.Skip()
		}
		got := Wrap(before, text, width)
		require.Equal(t, append(strings.Fields(before), strings.Fields(text)...), strings.Fields(got), "no word is lost or broken")
	})
}

func TestATableForTheTerminal(t *testing.T) {
	t.Parallel()
	table := Table{
		Title: "Prometheus", Columns: []string{"query", "start", "remark"},
		Rows: [][]string{{"commits", "1", ""}, {"✓ longer", "2", "1 of 2 series began during the run"}}, Notes: []string{"read twice, as it was"},
	}
	require.Equal(t, `
    Prometheus

      query     start  remark
      commits   1
      ✓ longer  2      1 of 2 series began
                       during the run
      read twice, as it was
`, table.Terminal(43))
	require.Equal(t, `
    Prometheus

      query     start  remark
      commits   1
      ✓ longer  2
        1 of 2 series began during
        the run
      read twice, as it was
`, table.Terminal(34), "too little room beside the other columns")
	require.Equal(t, "\n    Empty\n\n      nothing there\n", Table{Title: "Empty", Columns: []string{"a"}, Notes: []string{"nothing there"}}.Terminal(80))
}
