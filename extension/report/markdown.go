package report

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// Markdown renders the report as Markdown.
func (r *Report) Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s: %s\n\n", escape(r.Name), escape(r.headline()))
	r.writeClaims(&b)
	r.writeLatencies(&b)
	r.writeFacts(&b)
	r.writeThresholds(&b)
	if len(r.Findings) > 0 {
		b.WriteString("\n## Findings\n\n")
		for _, f := range r.Findings {
			fmt.Fprintf(&b, "- %s\n", strings.TrimSpace(fmt.Sprintf("%s **%s** %s", escape(f.Mark), escape(f.Title), escape(f.Text))))
		}
	}
	if len(r.Warnings) > 0 {
		b.WriteString("\n## Warnings\n\n")
		for _, warning := range r.Warnings {
			fmt.Fprintf(&b, "- %s\n", escape(warning))
		}
	}
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n## %s\n\n", escape(t.Title))
		rows := make([][]string, len(t.Rows))
		for i, row := range t.Rows {
			rows[i] = escaped(row)
		}
		if len(rows) > 0 {
			writeRows(&b, escaped(t.Columns), rows)
		}
		for _, note := range t.Notes {
			fmt.Fprintf(&b, "\n%s\n", escape(note))
		}
	}
	return b.Bytes()
}

// writeThresholds lists the thresholds. Without their conditions it lists only the crossed ones, and the number of all.
func (r *Report) writeThresholds(b *bytes.Buffer) {
	if r.Refused {
		return
	}
	b.WriteString("\n## Thresholds\n\n")
	if len(r.Thresholds) == 0 && r.counted > 0 {
		fmt.Fprintf(b, "%d of %d crossed\n", len(r.crossed), r.counted)
		for _, crossed := range r.crossed {
			fmt.Fprintf(b, "\n- %s", code(crossed))
		}
		b.WriteString("\n")
		return
	}
	rows := make([][]string, len(r.Thresholds))
	for i, t := range r.Thresholds {
		rows[i] = []string{mark(t.Passed), code(t.Metric), code(t.Condition), escape(t.Measured), t.samples()}
	}
	writeRows(b, []string{"", "metric", "condition", "measured", "samples"}, rows)
}

func (r *Report) writeClaims(b *bytes.Buffer) {
	if !r.claims() {
		return
	}
	rows := make([][]string, len(r.Verdict.Claims))
	for i, c := range r.Verdict.Claims {
		rows[i] = escaped([]string{statusMark(c.Status) + " " + c.Status.String(), c.Text, inColumn(c.Needed), c.Reason})
	}
	writeRows(b, []string{"verdict", "measured", "needed", "reason"}, rows)
	b.WriteString("\n")
}

func (r *Report) writeLatencies(b *bytes.Buffer) {
	if len(r.Latencies) == 0 {
		return
	}
	rows := make([][]string, len(r.Latencies))
	for i, l := range r.Latencies {
		rows[i] = escaped(l.Cells())
	}
	writeRows(b, latencyColumns(), rows)
	b.WriteString("\n")
}

func (r *Report) writeFacts(b *bytes.Buffer) {
	facts := [][]string{
		{"target", r.Target}, {"scenario", r.Scenario}, {"profile", r.Profile}, {"runner", r.Runner}, {"plan", r.Plan},
		{"judged part", r.judgedPart(time.RFC3339)}, {"verdict", r.noClaimsText()}, {"ended", r.Ended.UTC().Format(time.RFC3339)}, {"took", r.Took.Round(time.Second).String()},
	}
	var rows [][]string
	for _, fact := range facts {
		if fact[1] != "" {
			rows = append(rows, escaped(fact))
		}
	}
	writeRows(b, []string{"", ""}, rows)
}

func (t Threshold) samples() string {
	if t.Samples < 0 {
		return ""
	}
	return strconv.FormatInt(t.Samples, 10)
}

func mark(passed bool) string {
	if passed {
		return "✓"
	}
	return "✗"
}

func writeRows(b *bytes.Buffer, columns []string, rows [][]string) {
	writeRow(b, columns)
	b.WriteString("|" + strings.Repeat(" --- |", len(columns)) + "\n")
	for _, row := range rows {
		writeRow(b, row)
	}
}

func writeRow(b *bytes.Buffer, cells []string) {
	b.WriteByte('|')
	for _, cell := range cells {
		fmt.Fprintf(b, " %s |", cell)
	}
	b.WriteByte('\n')
}

// code returns a name as inline code, in which only a bar needs an escape. A backquote, which would end the code, becomes an apostrophe.
func code(text string) string {
	return "`" + strings.NewReplacer("|", `\|`, "`", "'").Replace(plain.Text(text)) + "`"
}

func escaped(cells []string) []string {
	list := make([]string, len(cells))
	for i, cell := range cells {
		list[i] = escape(cell)
	}
	return list
}

// escape escapes text from outside, such as the text of an error, so that Markdown and HTML show it literally, without links, images, code,
// emphasis or elements.
func escape(text string) string {
	text = plain.Text(text)
	var b strings.Builder
	b.Grow(len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case c == '&':
			b.WriteString("&amp;")
			continue
		case c == '<':
			b.WriteString("&lt;")
			continue
		case c == '>':
			b.WriteString("&gt;")
			continue
		case strings.IndexByte("\\`*[]|~", c) >= 0, c == '_' && !within(text, i), opensLink(text, i):
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// within reports whether an underscore is inside a word, as in queue_join, where it does not mark emphasis.
func within(text string, i int) bool {
	return i > 0 && i+1 < len(text) && isWord(text[i-1]) && isWord(text[i+1])
}

func isWord(c byte) bool {
	return c == '_' || ('0' <= c && c <= '9') || ('A' <= c && c <= 'Z') || ('a' <= c && c <= 'z')
}

// opensLink reports whether the character is part of an address that some renderers of Markdown turn into a link.
func opensLink(text string, i int) bool {
	switch text[i] {
	case ':':
		return strings.HasPrefix(text[i:], "://")
	case '@':
		return true
	case '.':
		return i >= 3 && strings.EqualFold(text[i-3:i], "www")
	default:
		return false
	}
}
