package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/verity-app/xk6-verity/extension/plain"
)

const (
	// leastText is the minimum number of columns for a text beside its prefix; with fewer, the text begins below the prefix.
	leastText = 20
	// belowIndent is the indent of a text that begins below its prefix.
	belowIndent = 8
)

// Terminal renders the report for the end-of-run summary, beside k6's own. Lines are broken at width, but not within a word; with width 0
// they are not broken.
func (r *Report) Terminal(width int) string {
	var b strings.Builder
	b.WriteString(r.Heading(width))
	for _, line := range r.lines() {
		b.WriteString(line.Terminal(width))
	}
	for _, t := range r.Tables {
		if !t.Shown && !r.Refused {
			b.WriteString(t.Terminal(width))
		}
	}
	return b.String()
}

// Heading returns the part of the summary with the verdict: a heading, and one line per claim.
func (r *Report) Heading(width int) string {
	return "\n\n" + Wrap("  █ ", fmt.Sprintf("VERITY %s on %s%s", r.title(), r.Target, r.verdictText()), width) + "\n" + r.claimLines(width)
}

// lines returns the lines of the summary, in order.
func (r *Report) lines() []Finding {
	if r.Refused {
		return slices.Concat(r.ending(), r.Findings)
	}
	lines := slices.Concat(r.ending(), r.noClaims(), r.Findings, []Finding{r.judged()})
	for _, warning := range r.Warnings {
		lines = append(lines, Finding{"!", "warning", warning})
	}
	return lines
}

// ending says why the run did not end as planned, if it did not.
func (r *Report) ending() []Finding {
	if r.Ending == "" {
		return nil
	}
	return []Finding{{"✗", "run", r.Ending}}
}

// judged says how many thresholds passed, or which did not.
func (r *Report) judged() Finding {
	crossed, all := r.CrossedThresholds()
	switch {
	case all == 0 && r.claims():
		return Finding{"", "thresholds", "there were none"}
	case all == 0:
		return Finding{"✗", "thresholds", "there were none, so nothing was judged"}
	case len(crossed) > 0:
		return finding("✗", "thresholds", "%d of %d crossed: %s", len(crossed), all, strings.Join(crossed, "; "))
	default:
		return finding("✓", "thresholds", "all %d passed", all)
	}
}

// CrossedThresholds returns the thresholds that did not pass, and the number of all.
func (r *Report) CrossedThresholds() (crossed []string, all int) {
	for _, t := range r.Thresholds {
		if !t.Passed {
			crossed = append(crossed, t.Metric+" "+t.Condition)
		}
	}
	if len(r.Thresholds) == 0 {
		return r.crossed, r.counted
	}
	return crossed, len(r.Thresholds)
}

// Terminal renders the finding as a line of the summary, broken at width.
func (f Finding) Terminal(width int) string {
	return Wrap(fmt.Sprintf("    %-1s %-12s ", f.Mark, f.Title), f.Text, width)
}

// Terminal renders the table, indented like the lines of the summary. Text that does not fit in the last column continues below.
func (t Table) Terminal(width int) string {
	var b strings.Builder
	b.WriteString("\n" + Wrap("    ", t.Title, width) + "\n")
	if len(t.Rows) > 0 {
		rows := append([][]string{t.Columns}, t.Rows...)
		widths := columnWidths(rows)
		for _, row := range rows {
			last := len(row) - 1
			b.WriteString(Wrap("      "+padded(row[:last], widths), row[last], width))
		}
	}
	for _, note := range t.Notes {
		b.WriteString(Wrap("      ", note, width))
	}
	return b.String()
}

// padded returns cells padded to the widths of their columns.
func padded(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		b.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
	}
	return b.String()
}

func columnWidths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// Wrap returns a prefix and a text in lines of at most width columns. Further lines are indented to the start of the text; if that leaves too
// little room, the text begins on a line of its own. Longer words are not broken. With width 0 it returns one line.
func Wrap(before, text string, width int) string {
	words := strings.Fields(text)
	line := strings.TrimRight(before+strings.Join(words, " "), " ")
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line + "\n"
	}
	var b strings.Builder
	line = before
	indent := strings.Repeat(" ", utf8.RuneCountInString(before))
	if width-len(indent) < leastText && len(indent) > belowIndent {
		indent = strings.Repeat(" ", belowIndent)
		b.WriteString(strings.TrimRight(before, " ") + "\n")
		line = indent
	}
	for i, word := range words {
		switch {
		case i == 0:
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			b.WriteString(line + "\n")
			line = indent
		default:
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

// Thousands formats 12345 as 12,345.
func Thousands(n int) string { return plain.Count(n) }
