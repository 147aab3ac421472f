package run

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
)

func TestAGaugeHasEachNewPeak(t *testing.T) {
	t.Parallel()
	var l level
	var values []int
	for _, changes := range [][]int{{1, 1}, {}, {5, -4}, {-1}, {3, -3}, {10, -12}} {
		for _, by := range changes {
			l.change(by)
		}
		values = append(values, l.next())
	}
	require.Equal(t, []int{2, 2, 7, 2, 2, 12}, values, "a peak that came and went between two samples is the next one")
}

func TestTheSummarySaysHowManyUsersThereWere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		run  func(r *Run)
		want string
	}{
		{"no stay", func(r *Run) { r.presence.plan(5) }, ""},
		{"all of the stays", func(r *Run) { r.Seat(4); r.Arrive(4); r.Arrive(-4); r.Seat(-4) }, "|users|4 of 4 planned were present at most"},
		{"stays one after the other", func(r *Run) {
			for range 3 {
				r.Seat(2)
				r.Arrive(2)
				r.Arrive(-2)
				r.Seat(-2)
			}
		}, "|users|2 of 2 planned were present at most"},
		{"too few VUs", func(r *Run) { r.presence.plan(1000); r.Seat(900); r.Arrive(900) },
			"!|users|900 of 1,000 planned were present at most; k6 had VUs for 900 of them"},
		{"kept away", func(r *Run) {
			r.presence.plan(1000)
			r.Seat(1000)
			r.Arrive(245)
			r.KeptAway(report.ErrorKind{Name: platform.ThrottledError, Operation: platform.OpSignUp, Status: 429})
			for range 1234 {
				r.KeptAway(report.ErrorKind{Name: platform.HTTPError, Operation: platform.OpWebhook, Status: 500})
			}
		}, "!|users|245 of 1,000 planned were present at most; kept away: stripe_webhook HTTPError 500 × 1,234, auth_signup ThrottledError 429 × 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := New(io.Discard)
			tc.run(r)
			got := ""
			for _, f := range r.Report(Summary{}).Findings {
				if f.Title == "users" {
					got = f.Mark + "|" + f.Title + "|" + f.Text
				}
			}
			require.Equal(t, tc.want, got)
		})
	}
}
