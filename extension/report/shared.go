package report

import (
	"html/template"

	"github.com/verity-app/xk6-verity/extension/verdict"
)

// PageStyle returns the stylesheet of the HTML report, for other pages with the same look.
func PageStyle() template.CSS { return template.CSS(pageStyle) } // #nosec G203 -- embedded

// ClaimRow is the row of a claim in the HTML report.
type ClaimRow struct {
	verdict.Result

	Mark, Class, Says, Interval, Needs, Samples string
}

// RowOf returns the row of a claim.
func RowOf(c verdict.Result) ClaimRow {
	return ClaimRow{
		c, statusMark(c.Status), statusClass(c.Status), c.Text, interval(c), inColumn(c.Needed), Thousands(int(c.N)),
	}
}
