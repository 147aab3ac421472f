package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

func summaryOf(t *testing.T, text string) Summary {
	t.Helper()
	var s Summary
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	return s
}

// ghostsOf returns n ghosts whose ids are the prefix and a number from 0.
func ghostsOf(prefix string, n int) []queue.Ghost {
	list := make([]queue.Ghost, n)
	for i := range list {
		list[i].User = fmt.Sprintf("%s%d", prefix, i)
	}
	return list
}

func TestTheSentencesOfARecord(t *testing.T) {
	t.Parallel()
	const none = "    ✗ operations   none: nothing was measured, so this run says nothing about the service\n"
	for name, tc := range map[string]struct {
		fill   func(r *Record)
		result Result
		want   string
	}{
		"nothing": {func(*Record) {}, Result{}, none},
		"operations": {func(*Record) {}, Result{Summary: summaryOf(t, `{"metrics":{
				"operations":{"values":{"count":1234}},"error_rate":{"values":{"rate":0.02}},"cycles":{"values":{"count":2000}}}}`)},
			"    ✗ operations   1,234, of which 2.00 % did not do what the scenario wanted\n      cycles       2,000 finished\n"},
		"throttled": {func(r *Record) {
			r.Throttled("queue_join")
			r.Throttled("auth_signup")
			r.Throttled("queue_join")
		}, Result{}, none + "    ✗ throttled    3 answers were 429: auth_signup 1, queue_join 2. Their latency is not the service's; have the " +
			"rate limit lifted for this runner and run again\n"},
		"errors, the most frequent first": {func(r *Record) {
			require.True(t, r.Errored(ErrorKind{"queue_join", "ConnectionError", 0}, "refused"))
			require.True(t, r.Errored(ErrorKind{"queue_leave", "HTTPError", 502}, "bad gateway"))
			require.False(t, r.Errored(ErrorKind{"queue_leave", "HTTPError", 502}, "another"))
		}, Result{}, none + "    ✗ error        queue_leave HTTPError 502 × 2, for example: bad gateway\n" +
			"    ✗ error        queue_join ConnectionError × 1, for example: refused\n"},
		"video is not configured": {func(r *Record) {
			r.Errored(ErrorKind{Operation: "session", Name: "token_error"}, "session s of user u")
		},
			Result{}, none + "    ✗ error        session token_error × 1, for example: session s of user u. The service ends a session so " +
				"when it can make no token for the call: video is not configured on it\n"},
		"tokens lost": {func(r *Record) { r.TokenLost("already_matched") }, Result{}, none + "    ! tokens lost  1 refund did not come: " +
			"already_matched 1. This is a finding about the service, kept out of error_rate\n"},
		"more tokens lost": {func(r *Record) {
			r.TokenLost("already_matched")
			r.TokenLost("left_without_refund")
		}, Result{}, none + "    ! tokens lost  2 refunds did not come: already_matched 1, left_without_refund 1. This is a finding about the service, " +
			"kept out of error_rate\n"},
		"users left behind": {func(r *Record) {
			for i := range 1012 {
				r.LeftBehind(fmt.Sprintf("u%d", i))
			}
		}, Result{}, none + "    ! left behind  1,012 users may still be queued: they could not leave at the end: " +
			"u0, u1, u2, u3, u4, u5, u6, u7, u8, u9 and 1,002 more\n"},
		"events": {func(r *Record) { r.EventSent(false) }, Result{}, none + "      events       1 sent\n"},
		"events sent again": {func(r *Record) {
			r.EventSent(false)
			r.EventSent(true)
			r.CopyRefused()
		}, Result{}, none + "      events       1 sent, and 1 sent again; 1 answers were 500 for a copy that came while another one was " +
			"under way, which the contract allows\n"},
		"sessions": {func(*Record) {}, Result{Sessions: Sessions{
			Totals:  sessions.Totals{Planned: 4, Started: 4, Held: 3, Dropped: 1, Peak: 2, Mean: 1.5, Window: time.Minute},
			HeldFor: 3 * time.Minute, HeldN: 3, Broken: []sessions.Finding{{Rule: "no_partner", Count: 2, Example: "session s"}},
		}}, none + "    ✗ sessions     4 planned, 4 started, 3 held to the end, 1 dropped, 0 stopped by the end of the run (of users: a session " +
			"has two)\n      at once      2 sessions at the peak, 1.5 on average; arrivals × hold makes 1.5, 0 % off\n" +
			"    ✗ rule broken  no_partner × 2, for example: session s\n"},
		"more sessions than pairs": {func(*Record) {}, Result{Sessions: Sessions{Totals: sessions.Totals{Peak: 706, Mean: 400, Window: time.Minute}}},
			none + "      at once      706 sessions at the peak, 400.0 on average; there can be more than pairs of users, for a matched user " +
				"goes on without waiting for the end of its session\n"},
		"queue depth": {func(r *Record) {
			r.WatchDepth()
			require.False(t, r.Depth(1200, nil))
			require.False(t, r.Depth(3, nil))
			r.Ghosts(queue.Ghosts{})
		}, Result{}, none + "      queue depth  1,200 at the peak, 3 at the end\n"},
		"queue depth unknown": {func(r *Record) {
			r.WatchDepth()
			r.Depth(3, nil)
			require.True(t, r.Depth(0, errors.New("gone")))
			require.False(t, r.Depth(0, errors.New("still gone")))
		}, Result{}, none + "    ! queue depth  unknown: still gone\n"},
		"ghosts": {func(r *Record) {
			r.WatchDepth()
			r.Depth(0, nil)
			r.Ghosts(queue.Ghosts{Members: ghostsOf("m", 12), States: ghostsOf("s", 1)})
		}, Result{}, none + "      queue depth  0 at the peak, 0 at the end\n    ! ghosts       12 queued without a state (m0, m1, m2, m3, m4, m5, " +
			"m6, m7, m8, m9 and 2 more), 1 with a state but not queued (s0): the service lost track of them\n"},
		"readings that another runner takes": {func(r *Record) {
			r.SetReadings(ReadingsElsewhere)
			r.SetReadings(ReadingsWanted)
		}, Result{}, none + "      Prometheus   is read by the runner of the first execution segment only\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Record
			tc.fill(&r)
			var text string
			for _, f := range r.Report(tc.result).Findings {
				text += f.Terminal(0)
			}
			require.Equal(t, tc.want, text)
		})
	}
}

func TestTheFactsOfAReport(t *testing.T) {
	t.Parallel()
	var r Record
	r.SetPlan("10 users")
	r.SetRunner("1 of 2")
	r.Warn("a warning")
	table := r.Preflight([]preflight.Check{
		{Name: "clock", Verdict: preflight.Warning, Found: "70 s behind"}, {Name: "ports", Verdict: preflight.Failed, Found: "too few"},
	}, true)
	require.Equal(t, Table{
		Title: "Preflight", Columns: []string{"", "check", "found"}, Rows: [][]string{{"!", "clock", "70 s behind"}, {"✗", "ports", "too few"}},
		Notes: []string{"SKIP_PREFLIGHT=1: the run goes on all the same"}, Shown: true,
	}, table)
	ended := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
	got := r.Report(Result{Scenario: "queue-concurrency", Profile: "queue-dry", Target: "here", Ending: "stopped", Ended: ended,
		Summary: summaryOf(t, `{"state":{"testRunDurationMs":1500},"metrics":{
			"a":{"type":"trend","contains":"time","values":{"p(95)":12.34,"count":7},"thresholds":{"p(95)<100":{"ok":true}}},
			"b":{"type":"rate","values":{"rate":0.5,"passes":1,"fails":1},"thresholds":{"rate<0.001":{"ok":false}}}}}`)})
	got.Findings = nil
	require.Equal(t, &Report{
		Checks: []Finding{{"!", "clock", "70 s behind"}, {"✗", "ports", "too few"}},
		Name:   "queue-dry-runner-1-of-2", Scenario: "queue-concurrency", Profile: "queue-dry", Target: "here", Plan: "10 users", Runner: "1 of 2",
		Ending: "stopped", Ended: ended, Took: 1500 * time.Millisecond,
		Thresholds: []Threshold{{"a", "p(95)<100", true, "p(95)=12.34 ms", 7}, {"b", "rate<0.001", false, "rate=0.5", 2}},
		Warnings:   []string{"a warning", "preflight, clock: 70 s behind", "preflight, ports: too few"},
		Tables:     []Table{table},
	}, got)
}
