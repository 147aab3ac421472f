package jsapi

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is a part of what a run tells its reader that has rows. It is printed for the terminal here; whoever writes the
// results into a file reads the fields.
type table struct {
	title   string
	columns []string
	rows    [][]string // as many cells as columns each
	notes   []string   // sentences below it
	shown   bool       // printed already, so that the summary need not
}

// text writes the table for a terminal, indented like the lines of the summary.
func (t table) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n    %s\n\n", t.title)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.columns}, t.rows...) {
		_, _ = fmt.Fprintf(w, "      %s\n", strings.Join(row, "\t")) // it writes to memory
	}
	_ = w.Flush()
	for _, note := range t.notes {
		fmt.Fprintf(&b, "      %s\n", note)
	}
	return b.String()
}

// addTable keeps a table for the end of the run: the summary prints it unless it was shown, and a report in a file has it.
func (r *RootModule) addTable(t table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tables = append(r.tables, t)
}

func (r *RootModule) reportTables() []table {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tables)
}

// warn keeps a warning about the run for its end. It does not log it.
func (r *RootModule) warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, text)
}

func (r *RootModule) reportWarnings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.warnings)
}
