package verdict_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

var (
	matches = evidence.Series{Metric: evidence.MetricMatch}
	lag     = evidence.Series{Metric: evidence.MetricLag}
	sends   = evidence.Series{Metric: evidence.MetricSend}
	events  = evidence.Series{Metric: evidence.MetricEvent}

	matchWithin = evidence.Claim{Kind: verdict.KindMatch, WithinMs: 3000}
	fewErrors   = evidence.Claim{Kind: verdict.KindErrors, Below: 0.001}
	allRight    = evidence.Claim{Kind: verdict.KindTokens}
	purchased   = evidence.Claim{Kind: verdict.KindPurchases, WithinMs: limitMs, SendWithinMs: 1000}
	sustained   = evidence.Claim{Kind: verdict.KindSessions, Least: 100, ForSeconds: 60}
)

// answered returns a cell with n answers that took this long.
func answered(n int, ms, limit float64) *evidence.Cell {
	cell := &evidence.Cell{OK: &evidence.Histogram{}, Failed: map[string]int64{}}
	cell.OK.Record(int64(ms*1000), int64(n))
	if ms > limit {
		cell.Over = int64(n)
	}
	return cell
}

func failed(cell *evidence.Cell, kind string, n int64) *evidence.Cell {
	cell.Failed[kind] = n
	return cell
}

func cut(n, ms int, limit float64) *evidence.Cell {
	cell := &evidence.Cell{Cut: &evidence.Histogram{}}
	cell.Cut.Record(int64(ms)*1000, int64(n))
	if float64(ms) > limit {
		cell.CutOver = int64(n)
	}
	return cell
}

// eachSecond calls do for each second of a run, with its index.
func eachSecond(run *evidence.Run, do func(at int, s *evidence.Second)) *evidence.Run {
	for at, last := 0, len(run.Seconds); at < last; at++ {
		do(at, run.Seconds[int64(at)])
	}
	return run
}

// stopsAnswering makes so many of 1,000 users wait for 60 s from second 80 on, in which 700 requests were answered before.
func stopsAnswering(users int64) func(at int, s *evidence.Second) {
	return func(at int, s *evidence.Second) {
		switch {
		case at == 80:
			s.Cells[joins] = failed(answered(700, 20, limitMs), "TimeoutError", users)
			s.Cells[joins].FailedAfter = &evidence.Histogram{}
			s.Cells[joins].FailedAfter.Record(60_000_000, users)
		case at > 80:
			delete(s.Cells, joins)
		}
	}
}

// healthy returns two minutes of 1,000 users with a healthy service and runner.
func healthy() *evidence.Run {
	run := ended(120)
	run.Header.PlannedUsers = 1000
	run.End.Ledger = &evidence.Ledger{Users: 500, Bought: 1000, Spent: 900, Left: 100}
	return eachSecond(run, func(at int, s *evidence.Second) {
		s.Levels[evidence.LevelPresent] = math.Min(float64(at+1)*100, 1000)
		s.Levels[evidence.LevelWaiting] = 200
		s.Levels[evidence.LevelInside] = 240
		s.Counts["operations{queue_join}"] = 50
		s.Counts[evidence.CountStarted] = 40
		s.Cells[joins] = answered(50, 20+float64(at%7), limitMs)
		s.Cells[matches] = answered(40, 1000+float64(at%9), 3000)
		s.Cells[lag] = answered(20, 1, math.Inf(1))
	})
}

// spike returns half a minute at 40 events a second.
func spike() *evidence.Run {
	run := ended(30)
	run.Header.PlannedRate = 40
	run.End.Ledger = &evidence.Ledger{Users: 100, Bought: 6000, Left: 6000}
	return eachSecond(run, func(_ int, s *evidence.Second) {
		s.Counts[evidence.CountDue] = 40
		s.Cells[sends] = answered(40, 2, math.Inf(1))
		s.Cells[events] = answered(40, 30, limitMs)
		s.Cells[lag] = answered(20, 1, math.Inf(1))
	})
}

func judged(run *evidence.Run, claim evidence.Claim) verdict.Result {
	return verdict.Judge(run, []evidence.Claim{claim}).Claims[0]
}

func TestClaims(t *testing.T) {
	t.Parallel()
	for _, test := range claimTests() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			result := judged(test.run(), test.claim)
			require.Equal(t, test.reason, result.Reason)
			require.Equal(t, test.status, result.Status.String())
			require.Equal(t, test.why, result.Why)
			require.Equal(t, test.text, result.Text)
		})
	}
}

type claimTest struct {
	name         string
	run          func() *evidence.Run
	claim        evidence.Claim
	status, why  string
	text, reason string
}

func with(run *evidence.Run, change func(run *evidence.Run)) func() *evidence.Run {
	return func() *evidence.Run {
		change(run)
		return run
	}
}

func seconds(run *evidence.Run, do func(at int, s *evidence.Second)) func() *evidence.Run {
	return func() *evidence.Run { return eachSecond(run, do) }
}

func claimTests() []claimTest {
	joinsClaim := joinsWithin[0]
	return []claimTest{
		{"healthy latency", healthy, joinsClaim, "PASS", "",
			"API p95 26 ms (queue_join, n 5,600)",
			""},
		{"healthy match", healthy, matchWithin, "PASS", "",
			"match p95 1.01 s (n 4,480)",
			""},
		{"healthy errors", healthy, fewErrors, "PASS", "",
			"errors 0 to 0.05 % (n 6,000)",
			""},
		{"healthy tokens", healthy, allRight, "PASS", "",
			"tokens 500 of 500 accounts right",
			""},
		{"healthy sessions", healthy, sustained, "PASS", "",
			"120 sessions at once for 1m0s, 0 of 4,800 dropped",
			""},
		{"users present", healthy, evidence.Claim{Kind: verdict.KindUsers, Least: 900}, "PASS", "",
			"1,000 users present at once, 900 or more for 1m52s",
			""},
		{"users waiting", healthy, evidence.Claim{Kind: verdict.KindWaiting, Least: 200}, "PASS", "",
			"200 users waiting at once for 1m52s",
			""},
		{"healthy purchases", spike, purchased, "PASS", "",
			"events answered, p95 30 ms after they were due (n 1,200)",
			""},

		// The rows of the table in the issue.
		{"one sample", with(ended(1), func(run *evidence.Run) {
			run.Seconds[0].Cells[joins] = answered(1, 20, limitMs)
		}), joinsClaim, "NOT PROVEN", "samples",
			"API p95 20 ms or more (queue_join, n 1)",
			"there are too few samples (1): 59 are the least that can show it, if none misses; run longer"},
		{"58 samples", with(ended(1), func(run *evidence.Run) {
			run.Seconds[0].Cells[joins] = answered(58, 20, limitMs)
		}), joinsClaim, "NOT PROVEN", "samples",
			"API p95 20 ms or more (queue_join, n 58)",
			"there are too few samples (58): 59 are the least that can show it, if none misses; run longer"},
		{"59 samples", with(ended(1), func(run *evidence.Run) {
			run.Seconds[0].Cells[joins] = answered(59, 20, limitMs)
		}), joinsClaim, "PASS", "",
			"API p95 20 ms (queue_join, n 59)",
			""},
		{"2,994 operations", with(ended(1), func(run *evidence.Run) {
			run.Seconds[0].Counts["operations{queue_join}"] = 2994
		}), fewErrors, "NOT PROVEN", "samples",
			"errors 0 to 0.1 % (n 2,994)",
			"there are too few samples (2,994): 2,995 are the least that can show it, if none misses; run longer"},
		{"2,995 operations", with(ended(1), func(run *evidence.Run) {
			run.Seconds[0].Counts["operations{queue_join}"] = 2995
		}), fewErrors, "PASS", "",
			"errors 0 to 0.1 % (n 2,995)",
			""},
		{"killed at second 4 of 10", seconds(ended(10), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 20, limitMs)
			if at >= 4 {
				s.Cells[joins] = failed(answered(0, 0, 0), "ConnectionError", 50)
			}
		}), joinsClaim, "FAIL", "",
			"API p95 20 ms or more (queue_join, n 500)",
			"300 of 500 queue_join requests took longer than 100 ms or failed: 300 ConnectionError; from 4s into the judged part to its end most of them did: look at what the service did then"},
		{"stops answering", seconds(ended(60), func(at int, s *evidence.Second) {
			switch {
			case at < 40:
				s.Cells[joins] = answered(100, 20, limitMs)
			case at < 42:
				s.Cells[joins] = cut(50, (60-at)*1000, limitMs)
			}
		}), joinsClaim, "FAIL", "",
			"API p95 20 ms or more (queue_join, n 4,100)",
			"100 of 4,100 queue_join requests took longer than 100 ms or failed; from 40s into the judged part to its end most of them did: look at what the service did then"},
		{"stops answering within a second", seconds(healthy(), stopsAnswering(600)), joinsClaim, "FAIL", "",
			"API p95 26 ms or more (queue_join, n 4,900)",
			"600 of 4,900 queue_join requests took longer than 100 ms or failed: 600 TimeoutError; from 1m13s into the judged part to its end most of them did: look at what the service did then"},
		{"does not answer the last requests of a few users", seconds(healthy(), stopsAnswering(400)), joinsClaim, "NOT PROVEN", "unsteady",
			"API p95 26 ms or more (queue_join, n 4,700)",
			"in 39 of 112 seconds there were no queue_join requests, where half of the seconds had 50 or more: users waited for something else; see what is still waiting, and the errors"},
		{"a few users wait for long after the load", with(ended(200), func(run *evidence.Run) {
			for at, second := range run.Seconds {
				if second.Levels[evidence.LevelPresent] = 8; at < 100 {
					second.Levels[evidence.LevelPresent] = 1000
					second.Counts["operations{queue_join}"] = 400
				}
			}
			run.Seconds[99].Counts["errors{queue_join}{TimeoutError}"] = 8
			run.Seconds[99].Cells[joins] = failed(answered(392, 20, limitMs), "TimeoutError", 8)
			run.Seconds[99].Cells[joins].FailedAfter = &evidence.Histogram{}
			run.Seconds[99].Cells[joins].FailedAfter.Record(99_000_000, 8)
		}), fewErrors, "PASS", "",
			"errors 0.0009 to 0.097 % (n 40,000)",
			""},
		{"the last requests after the load fail", with(ended(200), func(run *evidence.Run) {
			run.Header.PlannedUsers = 1000
			for at, second := range run.Seconds {
				if at < 100 {
					second.Levels[evidence.LevelPresent] = 1000
					second.Counts["operations{queue_leave}"] = 600
				}
			}
			run.Seconds[110].Counts["operations{queue_leave}"] = 6
			run.Seconds[110].Counts["errors{queue_leave}{TimeoutError}"] = 6
		}), fewErrors, "PASS", "",
			"errors 0.0001 to 0.069 % (n 60,006)",
			""},
		{"seems to stop answering a runner that stands still", seconds(healthy(), func(at int, s *evidence.Second) {
			stopsAnswering(600)(at, s)
			if at >= 80 {
				s.Cells[lag] = answered(1, 1000, math.Inf(1))
			}
		}), joinsClaim, "NOT PROVEN", "unsteady",
			"API p95 26 ms or more (queue_join, n 4,900)",
			"in 39 of 112 seconds there were no queue_join requests, where half of the seconds had 50 or more: users waited for something else; see what is still waiting, and the errors"},
		{"stands still in between", seconds(healthy(), func(at int, s *evidence.Second) {
			if at > 50 && at < 70 {
				delete(s.Cells, joins)
			}
		}), joinsClaim, "NOT PROVEN", "unsteady",
			"API p95 26 ms (queue_join, n 4,650)",
			"in 19 of 112 seconds there were no queue_join requests, where half of the seconds had 50 or more: users waited for something else; see what is still waiting, and the errors"},
		{"starved runner", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 150+float64(at%7), limitMs)
			s.Cells[lag] = answered(10, 90, math.Inf(1))
		}), joinsClaim, "NOT PROVEN", "runner",
			"API p95 157 ms (queue_join, n 5,600)",
			"the runner's own timers were late by 90 ms (p95), more than half of the limit of 100 ms: what it reports is its own delay; use a machine with more processors, or several runners, and nothing else beside them"},
		{"delayed runner", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 110, limitMs)
			s.Cells[lag] = answered(20, 30, math.Inf(1))
		}), joinsClaim, "NOT PROVEN", "runner",
			"API p95 110 ms (queue_join, n 5,600)",
			"100 % of the queue_join requests took longer than 100 ms or failed, but the runner's own delay (p95 30 ms) may be why: use a machine with more processors, or several runners, and nothing else beside them"},
		{"slow service beside a quiet runner", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 150+float64(at%7), limitMs)
		}), joinsClaim, "FAIL", "",
			"API p95 157 ms (queue_join, n 5,600)",
			"5,600 of 5,600 queue_join requests took longer than 100 ms or failed (100 % with 95 % confidence; less than 5 % may); look at the service's own metrics for that time"},
		{"slow service beside a runner that reads its delay every other second", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 150+float64(at%7), limitMs)
			if at%2 == 0 {
				delete(s.Cells, lag)
			}
		}), joinsClaim, "FAIL", "",
			"API p95 157 ms (queue_join, n 5,600)",
			"5,600 of 5,600 queue_join requests took longer than 100 ms or failed (100 % with 95 % confidence; less than 5 % may); look at the service's own metrics for that time"},
		{"slow service beside a runner that stood still", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 150+float64(at%7), limitMs)
			if at > 5 {
				delete(s.Cells, lag)
			}
		}), joinsClaim, "NOT PROVEN", "runner",
			"API p95 157 ms (queue_join, n 5,600)",
			"100 % of the queue_join requests took longer than 100 ms or failed, but the runner's own delay (p95 0 ms, and no reading in 112 seconds) may be why: use a machine with more processors, or several runners, and nothing else beside them"},
		{"errors that the service answers a starved runner", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Counts["errors{queue_join}{HTTPError 500}"] = 2
			s.Cells[lag] = answered(10, 90, math.Inf(1))
		}), fewErrors, "FAIL", "",
			"errors 3.6 to 4.4 % (n 6,000)",
			"240 of 6,000 operations did not do what was wanted (3.6 to 4.4 % with 95 % confidence; less than 0.1 % may): 240 HTTPError 500; see the errors in the summary"},
		{"connections that a starved runner loses", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Counts["errors{queue_join}{TimeoutError}"] = 2
			s.Cells[lag] = answered(10, 90, math.Inf(1))
		}), fewErrors, "NOT PROVEN", "runner",
			"errors 3.6 to 4.4 % (n 6,000)",
			"4 % of the operations did not do what was wanted, but the runner's own delay (p95 90 ms) may be why: use a machine with more processors, or several runners, and nothing else beside them"},
		{"sign-ups that failed", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Levels[evidence.LevelPresent] = 245
		}), evidence.Claim{Kind: verdict.KindUsers, Least: 1000}, "NOT PROVEN", "level",
			"245 users present at once",
			"at most 245 of the 1,000 users were present at once: see the errors of auth_signup, and run until all have arrived"},
		{"latency where sign-ups failed", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Levels[evidence.LevelPresent] = 245
		}), joinsClaim, "NOT PROVEN", "level",
			"API p95 26 ms (queue_join, n 6,000)",
			"at most 245 of the 1,000 planned users were present, and the judged part begins at 900: see the errors of auth_signup, and run until all have arrived"},
		{"sockets that are never answered", with(healthy(), func(run *evidence.Run) {
			eachSecond(run, func(_ int, s *evidence.Second) { delete(s.Cells, matches) })
			run.End.Waiting = []evidence.Waiting{{What: "their socket", Users: 20, Longest: 10_100 * time.Millisecond}}
		}), matchWithin, "NOT PROVEN", "samples",
			"match p95 nothing measured (n 0)",
			"there were no waits for a match in the judged part of the run; still waiting at its end: 20 users for their socket (10.1 s at the longest); find out why the service does not answer them"},
		{"a third of the events sent", seconds(spike(), func(_ int, s *evidence.Second) {
			s.Cells[sends] = answered(14, 2, math.Inf(1))
			s.Cells[events] = answered(14, 30, limitMs)
		}), purchased, "NOT PROVEN", "send rate",
			"events answered, p95 30 ms after they were due (n 420)",
			"420 of 1,200 planned events were sent within 1 s of their time (35 %; 95 % needed): give the runner more VUs (MAX_VUS) or processors, or use several runners"},
		{"matches that nobody hears of", with(healthy(), func(run *evidence.Run) {
			eachSecond(run, func(_ int, s *evidence.Second) { s.Cells[matches] = failed(answered(0, 0, 0), "no_match", 2) })
			run.End.Facts = map[string]int64{"matched_unheard": 170}
		}), matchWithin, "FAIL", "",
			"match p95 not reached (n 224)",
			"224 of 224 waits for a match took longer than 3 s or failed (99 to 100 % with 95 % confidence; less than 5 % may): 224 no_match; look at the service's own metrics for that time; 170 users were matched by the service and heard nothing of it: its events do not reach the sockets"},

		{"matches of which few users do not hear", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Cells[matches] = failed(answered(50, 900, 3000), evidence.KindUnheard, 1)
		}), matchWithin, "FAIL", "",
			"match p95 901 ms (n 5,712)",
			"112 of 5,712 waits for a match ended with a match that the user did not hear of (1.7 to 2.3 % with 95 % confidence; less than 0.1 % may): " +
				"112 matched_unheard; see the errors in the summary; the service's events do not reach all sockets"},

		// Defective services.
		{"6 % of joins after 150 ms", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Cells[joins] = answered(47, 20, limitMs)
			s.Cells[joins].OK.Record(150_000, 4)
			s.Cells[joins].Over = 4
		}), joinsClaim, "FAIL", "",
			"API p95 151 ms (queue_join, n 5,712)",
			"448 of 5,712 queue_join requests took longer than 100 ms or failed (7.3 to 8.5 % with 95 % confidence; less than 5 % may); look at the service's own metrics for that time"},
		{"slows down to just above the limit", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 30+float64(at)*0.6, limitMs)
		}), joinsClaim, "NOT PROVEN", "unsteady",
			"API p95 79 ms or more (queue_join, n 5,600)",
			"the queue_join requests grew slower all the time, from 37 ms to 102 ms (p95): if that goes on, they cross the limit; run longer, to see where it ends"},
		{"slows down to far above the limit", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 30+float64(at), limitMs)
		}), joinsClaim, "FAIL", "",
			"API p95 38 ms or more (queue_join, n 5,600)",
			"2,450 of 5,600 queue_join requests took longer than 100 ms or failed; from 1m8s into the judged part to its end most of them did: look at what the service did then"},
		{"slows down towards the limit", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 30+float64(at)*0.5, limitMs)
		}), joinsClaim, "NOT PROVEN", "unsteady",
			"API p95 71 ms or more (queue_join, n 5,600)",
			"the queue_join requests grew slower all the time, from 36 ms to 90 ms (p95): if that goes on, they cross the limit; run longer, to see where it ends"},
		{"slows down far below the limit", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 2+float64(at)*0.02, limitMs)
		}), joinsClaim, "PASS", "",
			"API p95 4.29 ms (queue_join, n 5,600)",
			""},
		{"slow only at first", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 200-float64(at)*1.2, limitMs)
		}), joinsClaim, "NOT PROVEN", "unsteady",
			"API p95 57 ms or more (queue_join, n 5,600)",
			"the queue_join requests were slow at first and grew faster all the time, and at the end they kept the limit: ramp up more slowly or run longer, so that the judged part is steady"},
		{"a queue that grows", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Levels[evidence.LevelWaiting] = 200 + 10*float64(at)
			s.Cells[matches] = answered(40, 2000+float64(at%9), 3000)
		}), matchWithin, "NOT PROVEN", "unsteady",
			"match p95 2.02 s (n 4,480)",
			"the queue grew all the time, from 299 to 1,363 users: if that goes on, the wait crosses the limit; use more queue keys (QUEUE_SHARDS), or run longer, to see where it ends"},
		{"too close to call", seconds(healthy(), func(at int, s *evidence.Second) {
			s.Cells[joins] = answered(48, 20, limitMs)
			s.Cells[joins].OK.Record(150_000, 2)
			s.Cells[joins].Over = 2
			if at%9 == 0 {
				s.Cells[joins].OK.Record(150_000, 4)
				s.Cells[joins].Over += 4
			}
		}), joinsClaim, "NOT PROVEN", "too close",
			"API p95 20 to 151 ms (queue_join, n 5,652)",
			"too close to call: 4.4 to 5.4 % of the queue_join requests took longer than 100 ms or failed with 95 % confidence, and less than 5 % may; run about 18 times as long"},
		{"another limit than that which the run counted against", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 150, limitMs)
		}), evidence.Claim{Kind: verdict.KindLatency, Operations: []string{"queue_join"}, WithinMs: 160}, "PASS", "",
			"API p95 151 ms (queue_join, n 5,600)", ""},
		{"all failed", seconds(ended(1), func(_ int, s *evidence.Second) {
			s.Cells[joins] = failed(answered(0, 0, 0), "HTTPError 500", 30)
		}), joinsClaim, "FAIL", "",
			"API p95 not reached (queue_join, n 30)",
			"30 of 30 queue_join requests took longer than 100 ms or failed (90 to 100 % with 95 % confidence; less than 5 % may): 30 HTTPError 500; look at the service's own metrics for that time"},
		{"another operation is slow", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Cells[evidence.Series{Metric: evidence.MetricRequest, Label: "queue_leave"}] = answered(20, 200, limitMs)
		}), joinsClaim, "FAIL", "",
			"API p95 201 ms (queue_leave, n 2,240)",
			"2,240 of 2,240 queue_leave requests took longer than 100 ms or failed (100 % with 95 % confidence; less than 5 % may); look at the service's own metrics for that time"},
		{"another operation has few samples", with(healthy(), func(run *evidence.Run) {
			run.Seconds[60].Cells[evidence.Series{Metric: evidence.MetricRequest, Label: "queue_leave"}] = answered(20, 200, limitMs)
		}), joinsClaim, "PASS", "",
			"API p95 26 ms (queue_join, n 5,600)",
			""},
		{"a balance is wrong", with(healthy(), func(run *evidence.Run) {
			run.End.Ledger.Wrong, run.End.Ledger.Examples = 1, []string{"user c1: bought 5, spent 2, left 2"}
		}), allRight, "FAIL", "",
			"tokens 499 of 500 accounts right",
			"1 balance is not what was bought less what was spent and lost, such as user c1: bought 5, spent 2, left 2: look for these accounts in the service's ledger"},
		{"balances unread", with(healthy(), func(run *evidence.Run) { run.End.Ledger.Unread = 3 }), allRight, "NOT PROVEN", "samples",
			"tokens 500 of 500 accounts right",
			"3 balances could not be read after the load: see the errors of tokens_balance, and run again"},
		{"accounts left open", with(healthy(), func(run *evidence.Run) { run.End.Ledger.Unknown = 1 }), allRight, "NOT PROVEN", "samples",
			"tokens 499 of 500 accounts right",
			"requests without an answer left open what 1 account must have: see the errors, and run again"},
		{"no ledger", with(healthy(), func(run *evidence.Run) { run.End.Ledger = nil }), allRight, "NOT PROVEN", "samples",
			"tokens no balance read",
			"no balance was read after the load: let the run go on to its end, teardown() included"},
		{"an event credited twice", with(spike(), func(run *evidence.Run) { run.End.Ledger.Wrong = 2 }), purchased, "FAIL", "",
			"events answered, p95 30 ms after they were due (n 1,200), 98 of 100 accounts right",
			"2 balances are not what was bought less what was spent and lost: look for these accounts in the service's ledger"},
		{"events answered late", seconds(spike(), func(_ int, s *evidence.Second) { s.Cells[events] = answered(40, 130, limitMs) }), purchased, "FAIL", "",
			"events answered, p95 130 ms after they were due (n 1,200)",
			"1,200 of 1,200 events took longer than 100 ms or failed (100 % with 95 % confidence; less than 5 % may); look at the service's own metrics for that time"},
		{"events answered late for they were sent late", seconds(spike(), func(_ int, s *evidence.Second) {
			s.Cells[sends], s.Cells[events] = answered(40, 100, math.Inf(1)), answered(40, 130, limitMs)
		}), purchased, "NOT PROVEN", "send rate",
			"events answered, p95 130 ms after they were due (n 1,200)",
			"100 % of the events took longer than 100 ms or failed, but the runner sent them late (p95 100 ms): give it more VUs (MAX_VUS) or processors, or use several runners"},
		{"fewer sessions", seconds(healthy(), func(_ int, s *evidence.Second) { s.Levels[evidence.LevelInside] = 180 }), sustained, "FAIL", "",
			"90 sessions at once for 1m0s, 0 of 4,800 dropped",
			"no more than 90 sessions were held at once for 1m0s, with all users there who were planned: see how long a match takes, and which sessions were dropped"},
		{"nearly as many sessions", seconds(healthy(), func(_ int, s *evidence.Second) { s.Levels[evidence.LevelInside] = 198 }), sustained, "NOT PROVEN", "too close",
			"99 sessions at once for 1m0s, 0 of 4,800 dropped",
			"99 of 100 sessions, which may be chance: use more users (SESSION_VUS)"},
		{"sessions for too short a time", healthy, evidence.Claim{Kind: verdict.KindSessions, Least: 100, ForSeconds: 300}, "NOT PROVEN", "samples",
			"120 sessions at once for 1m52s, 0 of 4,800 dropped",
			"the planned users were present for 1m52s, and 5m0s are needed: hold longer (HOLD)"},
		{"sessions that drop", seconds(healthy(), func(_ int, s *evidence.Second) { s.Counts["sessions_dropped{socket lost}"] = 1 }), sustained, "FAIL", "",
			"120 sessions at once for 1m0s, 120 of 4,800 dropped",
			"120 of 4,800 sessions that began were not held to their end (2.1 to 2.9 % with 95 % confidence; less than 0.1 % may): 120 socket lost; see the errors in the summary"},
		{"fewer sessions, as they drop", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Levels[evidence.LevelInside] = 180
			s.Counts["sessions_dropped{socket lost}"] = 1
		}), sustained, "FAIL", "",
			"90 sessions at once for 1m0s, 120 of 4,800 dropped",
			"no more than 90 sessions were held at once for 1m0s, with all users there who were planned: see how long a match takes, and which sessions were dropped; " +
				"120 of 4,800 sessions that began were not held to their end (2.1 to 2.9 % with 95 % confidence; less than 0.1 % may): 120 socket lost; see the errors in the summary"},
		{"fewer waiting", seconds(healthy(), func(at int, s *evidence.Second) {
			if at%20 == 0 {
				s.Levels[evidence.LevelWaiting] = 150
			}
		}), evidence.Claim{Kind: verdict.KindWaiting, Least: 200}, "NOT PROVEN", "level",
			"150 users waiting at once for 1m52s",
			"in more than one of a hundred seconds fewer than 200 were waiting (150 at the least, those seconds left out): use fewer queue keys (QUEUE_SHARDS) or more users"},

		// The fitness of the evidence.
		{"throttled", with(healthy(), func(run *evidence.Run) { run.Seconds[5].Counts[evidence.CountThrottled] = 3 }), joinsClaim, "NOT PROVEN", "throttled",
			"API p95 26 ms (queue_join, n 5,600)",
			"3 answers were 429, for the throttle is on for this runner: have it lifted for the runner's address on the target, and run again"},
		{"failed by the throttle", seconds(healthy(), func(_ int, s *evidence.Second) {
			s.Counts[evidence.CountThrottled], s.Counts["errors{queue_join}{ThrottledError 429}"] = 20, 20
		}), fewErrors, "NOT PROVEN", "throttled",
			"errors 39 to 41 % (n 6,000)",
			"2,400 answers were 429, for the throttle is on for this runner: have it lifted for the runner's address on the target, and run again"},
		{"restarted", with(healthy(), func(run *evidence.Run) { run.End.UptimeAfter = 30 }), joinsClaim, "NOT PROVEN", "restarted",
			"API p95 26 ms (queue_join, n 5,600)",
			"the service restarted during the run: it was up for 30s at the end of a run of 2m0s; find out from its logs why, and run again"},
		{"another replica answered", with(healthy(), func(run *evidence.Run) { run.End.UptimeBefore, run.End.UptimeAfter = 5000, 400 }), joinsClaim, "PASS", "",
			"API p95 26 ms (queue_join, n 5,600)",
			""},
		{"slow and restarted", with(healthy(), func(run *evidence.Run) {
			eachSecond(run, func(_ int, s *evidence.Second) { s.Cells[joins] = answered(50, 200, limitMs) })
			run.End.UptimeAfter = 30
		}), joinsClaim, "NOT PROVEN", "restarted",
			"API p95 201 ms (queue_join, n 5,600)",
			"the service restarted during the run: it was up for 30s at the end of a run of 2m0s; find out from its logs why, and run again"},
		{"errors and restarted", with(healthy(), func(run *evidence.Run) {
			eachSecond(run, func(_ int, s *evidence.Second) { s.Counts["errors{queue_join}{HTTPError 500}"] = 5 })
			run.End.UptimeAfter = 30
		}), fewErrors, "FAIL", "",
			"errors 9.4 to 11 % (n 6,000)",
			"600 of 6,000 operations did not do what was wanted (9.4 to 11 % with 95 % confidence; less than 0.1 % may): 600 HTTPError 500; see the errors in the summary"},
		{"overridden", with(healthy(), func(run *evidence.Run) { run.Header.Overridden = []string{"open files: 1,024 of 4,200"} }), joinsClaim, "NOT PROVEN", "overridden",
			"API p95 26 ms (queue_join, n 5,600)",
			"the preflight would have refused the run and was overridden (open files: 1,024 of 4,200): mend what it names, and run without SKIP_PREFLIGHT"},
		{"interrupted", with(healthy(), func(run *evidence.Run) { run.End.Interrupted = "stopped by Ctrl-C" }), joinsClaim, "NOT PROVEN", "interrupted",
			"API p95 26 ms (queue_join, n 5,600)",
			"the run ended before its time (stopped by Ctrl-C): run again to the end"},
		{"runner killed", with(healthy(), func(run *evidence.Run) { run.End = nil }), joinsClaim, "NOT PROVEN", "interrupted",
			"API p95 26 ms (queue_join, n 5,600)",
			"the evidence ends early, for the runner was killed: run again"},
		{"one of four runners missing", with(healthy(), func(run *evidence.Run) {
			run.Runners = []evidence.Runner{{Index: 0, Count: 4, Ended: true}, {Index: 1, Count: 4, Ended: true}, {Index: 3, Count: 4, Ended: true}}
		}), joinsClaim, "NOT PROVEN", "interrupted",
			"API p95 26 ms (queue_join, n 5,600)",
			"the evidence of 1 of 4 runners is missing (runner 3): merge that of all of them"},
		{"one of two runners killed", with(healthy(), func(run *evidence.Run) {
			run.Runners = []evidence.Runner{{Index: 0, Count: 2, Ended: true}, {Index: 1, Count: 2}}
		}), joinsClaim, "NOT PROVEN", "interrupted",
			"API p95 26 ms (queue_join, n 5,600)",
			"1 of 2 runners did not go on to their end (runner 2): run again"},
		{"users of the runners that are there", with(healthy(), func(run *evidence.Run) {
			run.Runners = []evidence.Runner{{Index: 0, Count: 2, Ended: true}}
		}), evidence.Claim{Kind: verdict.KindUsers, Least: 900}, "PASS", "",
			"1,000 users present at once, 900 or more for 1m52s",
			""},
		{"slow though interrupted", with(healthy(), func(run *evidence.Run) {
			eachSecond(run, func(_ int, s *evidence.Second) { s.Cells[joins] = answered(50, 200, limitMs) })
			run.End = nil
		}), joinsClaim, "FAIL", "",
			"API p95 201 ms (queue_join, n 5,600)",
			"5,600 of 5,600 queue_join requests took longer than 100 ms or failed (100 % with 95 % confidence; less than 5 % may); look at the service's own metrics for that time"},
		{"empty", func() *evidence.Run { return &evidence.Run{} }, joinsClaim, "NOT PROVEN", "level",
			"API p95 nothing measured (queue_join, n 0)",
			"the evidence has no second in it: nothing was measured; run again"},
		{"empty spike", func() *evidence.Run { return &evidence.Run{} }, purchased, "NOT PROVEN", "level",
			"events answered, p95 nothing measured after they were due (n 0)",
			"the evidence has no second in it: nothing was measured; run again"},
		{"nothing measured", func() *evidence.Run { return ended(60) }, joinsClaim, "NOT PROVEN", "samples",
			"API p95 nothing measured (queue_join, n 0)",
			"there were no queue_join requests in the judged part of the run, and 59 are the least that can show it: run longer, with users who do that"},
	}
}

func TestNumbersSurviveJSON(t *testing.T) {
	t.Parallel()
	before := verdict.Judge(healthy(), []evidence.Claim{joinsWithin[0], matchWithin, fewErrors, allRight, sustained})
	before.Claims[0].High = verdict.Number(math.Inf(1))
	text, err := json.Marshal(before)
	require.NoError(t, err)
	require.Contains(t, string(text), `"high":null`)
	after := verdict.Verdict{}
	require.NoError(t, json.Unmarshal(text, &after))
	require.Equal(t, before, after)
}

func TestReasonsThatAskForALongerRun(t *testing.T) {
	t.Parallel()
	asking := 0
	for _, tc := range claimTests() {
		result := judged(tc.run(), tc.claim)
		asks := strings.Contains(result.Reason, "run longer") || strings.Contains(result.Reason, " as long")
		require.Equal(t, asks && result.Status == verdict.NotProven, result.AsksLongerRun(), result.Reason)
		if asks {
			asking++
		}
	}
	require.GreaterOrEqual(t, asking, 8)
	failed := verdict.Result{Status: verdict.Fail, Reason: "run longer"}
	require.False(t, failed.AsksLongerRun())
}

func TestNoClaims(t *testing.T) {
	t.Parallel()
	run := healthy()
	require.Equal(t, verdict.Verdict{NoClaims: "no claim is made: the run has no profile that makes one, and is judged by its thresholds"},
		verdict.Judge(run, nil))
	run.Header.NoClaims = "no claim is made: the run has 4 users, and sessions-1000 has 2,200"
	found := verdict.Judge(run, nil)
	require.Equal(t, run.Header.NoClaims, found.NoClaims)
	require.Equal(t, "NO CLAIM", found.Status.String())
}

func TestTheRunIsTheWorstOfItsClaims(t *testing.T) {
	t.Parallel()
	run := healthy()
	claims := []evidence.Claim{joinsWithin[0], allRight, {Kind: verdict.KindUsers, Least: 900}}
	found := verdict.Judge(run, claims)
	require.Equal(t, verdict.Pass, found.Status)
	require.Equal(t, time.Unix(8, 0).UTC(), found.From, "the first second with 900 of 1,000 users")
	require.Equal(t, time.Unix(119, 0).UTC(), found.To)
	for _, check := range found.Checks {
		require.True(t, check.Fit, check.Name)
	}

	run.End.Interrupted = "stopped by Ctrl-C"
	found = verdict.Judge(run, claims)
	require.Equal(t, verdict.NotProven, found.Status)
	require.Contains(t, found.Checks, verdict.Fitness{
		Name: "interrupted", Fit: false, Text: "the run ended before its time (stopped by Ctrl-C): run again to the end",
	})

	run.End.Ledger.Wrong = 1
	require.Equal(t, verdict.Fail, verdict.Judge(run, claims).Status)
}

func TestTheJudgedPartBeginsWithThePlannedLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		run      *evidence.Run
		from, to int64
	}{
		{"users", eachSecond(ended(60), func(at int, s *evidence.Second) {
			s.Levels[evidence.LevelPresent] = map[bool]float64{true: 100, false: 50}[at >= 10 && at < 50 && at != 30]
		}), 10, 49},
		{"a rate", eachSecond(ended(60), func(at int, s *evidence.Second) {
			s.Counts[evidence.CountDue] = int64(min(at, 60-at))
		}), 27, 33},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.name == "users" {
				test.run.Header.PlannedUsers = 100
			} else {
				test.run.Header.PlannedRate = 30
			}
			found := verdict.Judge(test.run, []evidence.Claim{fewErrors})
			require.Equal(t, test.from, found.From.Unix())
			require.Equal(t, test.to, found.To.Unix())
		})
	}
}
