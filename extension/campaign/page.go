package campaign

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

//go:embed assets/campaign.html.tmpl
var pageText string

//go:embed assets/campaign.css
var pageStyle string

var pageTemplate = template.Must(template.New("campaign").Parse(pageText)) //nolint:gochecknoglobals // constant

// page is the data of the template.
type page struct {
	*Record

	Title, Headline, Class string
	Facts                  [][2]string
	Targets                []targetRow
	Steps                  []stepRow
	Pauses                 []string
	From, To               string
	Events                 []eventRow
	Next                   []string
	Shared, Style          template.CSS
}

// targetRow is a target on the first screen, with the claim that decided its status.
type targetRow struct {
	report.ClaimRow

	Title, Step string
	Word        string // of its status
	Note        string
	Others      []otherClaim
}

// otherClaim is the result of another claim on the target.
type otherClaim struct{ Step, Mark, Text string }

// stepRow is a step with its position on the timeline.
type stepRow struct {
	StepRecord

	ID             string
	Mark, Class    string
	Word           string // of its state
	When           string
	X, Width       float64
	WaitX, WaitFor float64 // of the wait since the step before
	Ticks          []tick
	Claims         []report.ClaimRow
	NoClaims       string
	Links          []link
	Accounts       string
}

// tick is an event of a step, at its position on the timeline.
type tick struct {
	X    float64
	Text string
}

type link struct{ Text, Path string }

type eventRow struct {
	Event

	When, Class string
}

// Page renders campaign.html: one self-contained page.
func Page(r *Record) ([]byte, error) {
	line := newTimeline(r)
	p := page{
		Record: r, Title: r.title(), Headline: r.headline(), Class: r.class(), Facts: r.pageFacts(), Pauses: line.pauses(),
		Shared: report.PageStyle(), Style: template.CSS(pageStyle), // #nosec G203 -- embedded
	}
	for _, t := range r.targets() {
		p.Targets = append(p.Targets, t.row())
	}
	for i := range r.Steps {
		p.Steps = append(p.Steps, r.stepRow(i, line))
	}
	if len(line.spans) > 0 {
		p.From, p.To = stamp(line.spans[0].from), stamp(line.spans[len(line.spans)-1].to)
	}
	for _, event := range r.Events {
		p.Events = append(p.Events, eventRow{event, stamp(event.At), eventClass(event.Kind)})
		if event.Kind == KindNext {
			p.Next = append(p.Next, event.Text)
		}
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("writing the campaign as HTML: %w", err)
	}
	return b.Bytes(), nil
}

// stamp formats a time with its date.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

func (r *Record) title() string {
	if r.Plan.Name == "" {
		return "The safe execution plan"
	}
	return r.Plan.Name
}

// headline says how the campaign ended, or how far it has come.
func (r *Record) headline() string {
	marks := map[string]string{"pass": "✓", "fail": "✗", "open": "?"}
	text := r.Ending
	if r.Ended.IsZero() {
		text = fmt.Sprintf("Not ended: %d of %d steps have passed", r.passed(), len(r.Steps))
	}
	return marks[r.class()] + " " + text
}

func (r *Record) passed() (n int) {
	for i := range r.Steps {
		if r.Steps[i].State.Done() {
			n++
		}
	}
	return n
}

// class returns the CSS class for the colour of the whole page.
func (r *Record) class() string {
	for i := range r.Steps {
		if stateClass(r.Steps[i].State) == "fail" {
			return "fail"
		}
	}
	switch {
	case r.Ended.IsZero(), slices.ContainsFunc(r.Steps, func(s StepRecord) bool { return s.State != StatePassed && s.State != StatePending }):
		return "open"
	case r.ExitCode == 0:
		return "pass"
	}
	return "fail"
}

func stateClass(s State) string {
	switch s {
	case StatePassed:
		return "pass"
	case StateFailed, StateBroken, StateRefused:
		return "fail"
	case StatePending:
		return "pending"
	default:
		return "open"
	}
}

func stateMark(s State) string {
	return map[string]string{"pass": "✓", "fail": "✗", "open": "?", "pending": "·"}[stateClass(s)]
}

func stateWord(s State) string {
	if s == StatePending {
		return "not begun"
	}
	return string(s)
}

func (r *Record) pageFacts() [][2]string {
	facts := [][2]string{
		{"Target", r.Target}, {"Began", stamp(r.Began)}, {"Ended", "not yet, or it was killed"}, {"Window", r.Window},
		{"Before the first step", ""}, {"Version", strings.TrimSpace("xk6-verity " + r.Tool + ", k6 " + r.K6)}, {"Campaign", r.ID},
	}
	if !r.Ended.IsZero() {
		facts[2][1] = fmt.Sprintf("%s, after %s", stamp(r.Ended), r.Ended.Sub(r.Began).Round(time.Second))
	}
	if r.Baseline != nil {
		facts[4][1] = r.Baseline.Text
	}
	return slices.DeleteFunc(facts, func(fact [2]string) bool { return fact[1] == "" })
}

// row returns the row of a target on the page.
func (t Target) row() targetRow {
	worst, found := t.worst()
	row := targetRow{Title: t.Title}
	if !found {
		row.Mark, row.Class, row.Word, row.Note = "·", "pending", "not measured", "claimed by "+strings.Join(t.Open, ", ")
		return row
	}
	row.ClaimRow, row.Step, row.Word = report.RowOf(worst.Result), worst.Step, worst.Status.String()
	if len(t.Open) > 0 {
		row.Note = "not measured yet in " + strings.Join(t.Open, ", ")
	}
	if t.Status == verdict.Pass && !t.passed() {
		row.Mark, row.Class, row.Word = "?", "open", "PASS so far"
	}
	for _, c := range t.Of {
		if c.Step != worst.Step || c.Text != worst.Text {
			row.Others = append(row.Others, otherClaim{c.Step, report.RowOf(c.Result).Mark, c.Text})
		}
	}
	return row
}

// stepRow returns the row of step i on the page.
func (r *Record) stepRow(i int, line timeline) stepRow {
	s := r.Steps[i]
	row := stepRow{
		StepRecord: s, ID: fmt.Sprintf("step-%d", i+1), Mark: stateMark(s.State), Class: stateClass(s.State), Word: stateWord(s.State),
		Accounts: s.accounts(),
	}
	if s.Verdict != nil {
		row.NoClaims = s.Verdict.NoClaims
	}
	for _, c := range s.results() {
		row.Claims = append(row.Claims, report.RowOf(c))
	}
	for _, file := range s.Files {
		row.Links = append(row.Links, link{path.Base(file), file})
	}
	if s.Began.IsZero() {
		return row
	}
	end := r.endOf(&s)
	row.When = fmt.Sprintf("%s, %s", stamp(s.Began), end.Sub(s.Began).Round(time.Second))
	row.X = line.at(s.Began)
	row.Width = max(leastWidth, line.at(end)-row.X)
	row.X = min(row.X, timelineWidth-row.Width)
	if before := r.endBefore(s.Began); !before.IsZero() && s.Began.Sub(before) <= longPause {
		row.WaitX = line.at(before)
		row.WaitFor = max(0, row.X-row.WaitX)
	}
	for _, event := range r.Events {
		if event.Step == s.Name && (event.Kind == KindBreak || event.Kind == KindDecision) {
			row.Ticks = append(row.Ticks, tick{line.at(event.At), clock(event.At) + ": " + event.Text})
		}
	}
	return row
}

// endBefore returns the latest end of a step up to a time; zero if there is none.
func (r *Record) endBefore(at time.Time) (end time.Time) {
	for i := range r.Steps {
		if s := &r.Steps[i]; !s.Ended.IsZero() && !s.Ended.After(at) {
			end = later(end, s.Ended)
		}
	}
	return end
}

func eventClass(kind Kind) string {
	switch kind {
	case KindBreak:
		return "fail"
	case KindDecision, KindNext:
		return "open"
	default:
		return ""
	}
}
