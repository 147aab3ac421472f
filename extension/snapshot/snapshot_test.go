package snapshot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

func counter(expr string) Query { return Query{"n", Counter, expr} }
func gauge() Query              { return Query{"n", Gauge, "g"} }

// The run has 60 s and begins at the epoch; scrapes are 15 s apart, the last before the run 5 s earlier.
func TestTheIncreaseOfACounter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		query    Query
		series   answer
		increase float64
		remark   string
	}{
		{"plain", counter("x_total"), series([]float64{-20, 50, -5, 100, 10, 120, 25, 120, 40, 300, 55, 400, 70, 410, 85, 999}), 310, ""},
		{"of a sum", counter("sum(x_total)"), series([]float64{-5, 1, 10, 2, 70, 4}, []float64{-3, 10, 12, 20, 69, 30}), 23, ""},
		{
			"reset once in a sum whose total never falls",
			counter("sum(x_total)"), series([]float64{-5, 100, 10, 150, 25, 20, 70, 30}, []float64{-5, 0, 10, 500, 25, 900, 70, 1000}), 1080, "reset 1 ×",
		},
		{
			"a series that begins", counter("sum(x_total)"), series([]float64{-5, 1, 70, 4}, []float64{10, 1000, 70, 1010}), 13,
			"1 of 2 series began during the run and count from their first scrape",
		},
		{
			"a series that ends", counter("sum(x_total)"), series([]float64{-5, 1, 70, 4}, []float64{-5, 0, 10, 7}), 10,
			"1 of 2 series ended before the run did",
		},
		{"a series of before", counter("sum(x_total)"), series([]float64{-5, 1, 70, 4}, []float64{-290, 7}), 3, ""},
		{"not a number in between", counter("x_total"), series([]float64{-5, 1, 10, math.NaN(), 25, math.Inf(1), 70, 4}), 3, ""},
		{"nothing happened", counter("x_total"), series([]float64{-5, 7, 70, 7}), 0, ""},
		{"huge", counter("x_total"), series([]float64{-5, 1e15, 70, 1e15 + 8}), 8, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, map[string]answer{"x_total[]": tc.series, "timestamp(x_total)": func(clock, at float64) any {
				return values(at, epoch+float64(int((clock-epoch+5)/15))*15-5)
			}})
			reading := run(t, f, 60, tc.query).Readings[0]
			require.Equal(t, tc.remark, reading.Remark)
			require.NotNil(t, reading.Increase)
			require.InDelta(t, tc.increase, *reading.Increase, 1e-9)
			require.InDelta(t, tc.increase/60, *reading.PerSecond, 1e-9)
			require.Nil(t, reading.Start)
			require.Nil(t, reading.End)
			require.Nil(t, reading.Peak)
		})
	}
}

func TestACounterWithoutAnIncreaseSaysWhy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		query  Query
		series answer
		remark string
	}{
		{"missing", counter("sum(x_total)"), series(), "no such series"},
		{"gone", counter("x_total"), series([]float64{-200, 5, -190, 6}), "not scraped during the run"},
		{"late", counter("x_total"), series([]float64{61, 5}), "scraped once only, so that its increase is unknown"},
		{"several", counter("x_total"), series([]float64{-5, 1, 70, 2}, []float64{-5, 1, 70, 2}, []float64{-5, 1, 70, 2}),
			"the expression has 3 series; aggregate it, for example with sum()"},
		{"refused", counter("x_total"), func(float64, float64) any { return refusal("1:9: parse error:\n   unknown") },
			"the expression is refused: 1:9: parse error: unknown"},
		{"no samples", counter("x_total"), constant(1), "the samples of the expression cannot be had: this Prometheus answers a range with something else"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, map[string]answer{"x_total[]": tc.series})
			reading := run(t, f, 60, tc.query).Readings[0]
			require.Equal(t, tc.remark, reading.Remark)
			require.Nil(t, reading.Increase)
			require.Nil(t, reading.PerSecond)
		})
	}
}

// The course of a counter is the increase per second of all its series, as their scrapes show it; that of a gauge is its values.
func TestTheCourseOfAReading(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{
		"x_total[]": series([]float64{-5, 100, 5, 120, 15, 10, 65, 60}, []float64{5, 0, 15, 40, 65, 40}),
		"timestamp(x_total)": func(clock, at float64) any {
			return values(at, epoch+float64(int((clock-epoch+5)/15))*15-5)
		},
		"sum(clients)": constant(4), "sum(clients) over time": series([]float64{0, 4, 30, math.NaN(), 60, 8}),
	})
	readings := run(t, f, 60, counter("sum(x_total)"), Query{"clients", Gauge, "sum(clients)"}).Readings
	course := map[time.Duration]float64{}
	for _, point := range readings[0].Course {
		course[point.After.Round(time.Second)] = point.Value
	}
	require.InDelta(t, 2, course[3*time.Second], 1e-9, "20 in 10 s, before there is a second series")
	require.InDelta(t, 1+4, course[10*time.Second], 1e-9, "one began again from zero")
	require.InDelta(t, 1, course[40*time.Second], 1e-9)
	require.Len(t, readings[0].Course, 60)
	require.Len(t, readings[1].Course, 2, "what is no number is left out")
	require.InDelta(t, 8, readings[1].Course[1].Value, 0)
}

// An expression that is no selector has no raw samples, and is evaluated over time.
func TestTheIncreaseOfAnExpression(t *testing.T) {
	t.Parallel()
	const expr = "sum(x_total) + sum(y_total)"
	f := newFake(t, map[string]answer{expr: constant(5), expr + " over time": series([]float64{0, 10, 1, 20, 2, 15, 3, 40})})
	report := run(t, f, 60, counter(expr))
	require.InDelta(t, 35, *report.Readings[0].Increase, 0)
	require.Equal(t, "at least so much: it fell 1 ×, and what it gained then is unknown", report.Readings[0].Remark)

	f = newFake(t, map[string]answer{expr: constant(5), expr + " over time": series([]float64{0, 10}, []float64{1, 10})})
	require.Equal(t, "the expression changed its labels during the run; aggregate it, for example with sum()",
		run(t, f, 60, counter(expr)).Readings[0].Remark)

	require.Equal(t, "no such series", run(t, newFake(t, nil), 60, counter(expr)).Readings[0].Remark)
}

// One note replaces the default rows of an absent exporter; a query that the user added keeps its row.
func TestAbsentExporters(t *testing.T) {
	t.Parallel()
	own := Query{"ghosts", Gauge, "missing"}
	answers := map[string]answer{}
	for _, query := range Defaults() {
		if selected, _, ok := selector(query.Expr); ok {
			answers[selected+"[]"] = series()
		}
	}
	report := run(t, newFake(t, answers), 60, append(Defaults(), own)...)
	require.Len(t, report.Readings, 1)
	require.Equal(t, own, report.Readings[0].Query)
	require.Equal(t, "no such series", report.Readings[0].Remark)
	require.Equal(t, []string{
		"no series of redis_exporter: this Prometheus scrapes none, so there is nothing of it in the table",
		"no series of postgres_exporter: this Prometheus scrapes none, so there is nothing of it in the table",
	}, report.Notes)

	answers["sum(redis_connected_clients)"] = constant(4)
	report = run(t, newFake(t, answers), 60, Defaults()...)
	require.Len(t, report.Readings, 4, "each reading of a present exporter is reported")
	require.NotContains(t, report.Notes[0], "redis_exporter")
}

func TestEndWaitsForAScrapeAfterTheRun(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{
		"x_total[]":          series([]float64{-10, 0, 50, 100, 100, 900}),
		"timestamp(x_total)": scrapedEvery(50),
	})
	report := run(t, f, 60, counter("x_total"))
	require.InDelta(t, 900, *report.Readings[0].Increase, 0)
	require.Equal(t, []string{"counters are counted between scrapes, from 10.0 s before the run to 40.0 s after it, and divided by " +
		"the length of the run"}, report.Notes)
}

func TestGaugesOfARunBetweenTwoScrapes(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{
		"x_total[]": series([]float64{-40, 0, -10, 0, 20, 0, 50, 100}), "timestamp(x_total)": scrapedEvery(30),
	})
	require.Contains(t, run(t, f, 20, counter("x_total")).Notes,
		"the run was shorter than the time between two scrapes, about 30 s: gauges may be those of before it")
}

// Postgres counts late, so its counters need a later scrape.
func TestEndWaitsLongerForPostgres(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{
		"pg_stat_database_xact_commit[]":          series([]float64{-1, 0, 61, 0, 70, 0, 71, 500, 72, 505, 80, 999}),
		"timestamp(pg_stat_database_xact_commit)": scrapedEvery(1),
	})
	require.InDelta(t, 500, *run(t, f, 60, counter("sum(pg_stat_database_xact_commit)")).Readings[0].Increase, 0)
}

func TestEndGivesUpWaiting(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{
		"x_total[]": series([]float64{-5, 0, 10, 7}), "timestamp(x_total)": func(_, at float64) any { return values(at, epoch+10) },
	})
	report := run(t, f, 60, counter("x_total"))
	require.InDelta(t, 7, *report.Readings[0].Increase, 0)
	require.Empty(t, report.Readings[0].Remark)
	require.Contains(t, report.Notes, "not scraped in time after the run, so that its last part may be missing: n")
}

func TestHowLongEndWaits(t *testing.T) {
	t.Parallel()
	scrapes := func(samples ...float64) *measurement {
		reader, err := New(Options{URL: newFake(t, map[string]answer{"x_total[]": series([]float64{-299, 1, -298, 1}, samples)}).URL})
		require.NoError(t, err)
		reader.queries = []Query{counter("sum(x_total)")}
		t.Cleanup(reader.close)
		return &measurement{
			r: reader, readings: []Reading{{Query: reader.queries[0]}}, notes: newNotes(), to: time.Unix(epoch, 0),
		}
	}
	require.Equal(t, 20*time.Second, scrapes().patience(t.Context()))
	require.Equal(t, 20*time.Second, scrapes(-5, 1).patience(t.Context()), "one scrape says nothing")
	require.Equal(t, 20*time.Second, scrapes(-9, 1, -8, 1).patience(t.Context()))
	require.Equal(t, 60*time.Second, scrapes(-200, 1, -60, 1, -30, 1, 0, 1).patience(t.Context()), "a pause does not count")
	require.Equal(t, 2*time.Minute, scrapes(-150, 1, 0, 1).patience(t.Context()))

	require.Equal(t, time.Minute, timeLeft(t.Context(), time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.InDelta(t, 45, timeLeft(ctx, time.Minute).Seconds(), 1)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.Zero(t, timeLeft(ctx, time.Minute))
}

func TestAGauge(t *testing.T) {
	t.Parallel()
	overTime := func(at ...float64) answer { return series(at) }
	for _, tc := range []struct {
		name             string
		value, between   answer
		start, end, peak float64 // NaN: none
		remark           string
	}{
		{"up and down", func(_, at float64) any { return values(at, at-epoch) }, overTime(0, 0, 30, 77, 60, 60), 0, 60, 77, ""},
		{"highest at the end", func(_, at float64) any { return values(at, at-epoch) }, overTime(0, 0, 30, 30), 0, 60, 60, ""},
		{"below zero", constant(-5), overTime(0, -5, 30, -3), -5, -5, -3, ""},
		{"not a number in between", constant(5), overTime(0, 5, 30, math.NaN()), 5, 5, 5, ""},
		{"missing", nil, nil, math.NaN(), math.NaN(), math.NaN(), "no such series"},
		{"there for a while", nil, overTime(30, 9), math.NaN(), math.NaN(), 9, "no such series at the start"},
		{
			"gone", func(_, at float64) any { return values(at, []float64{4}[:map[bool]int{true: 1}[at == epoch]]...) },
			overTime(0, 4), 4, math.NaN(), 4, "no such series at the end",
		},
		{"several", constant(1, 2, 3), nil, math.NaN(), math.NaN(), math.NaN(), "the expression has 3 series; aggregate it, for example with sum()"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			answers := map[string]answer{}
			if tc.value != nil {
				answers["g"] = tc.value
			}
			if tc.between != nil {
				answers["g over time"] = tc.between
			} else {
				answers["g over time"] = series()
			}
			reading := run(t, newFake(t, answers), 60, gauge()).Readings[0]
			require.Equal(t, tc.remark, reading.Remark)
			for want, got := range map[*float64]*float64{&tc.start: reading.Start, &tc.end: reading.End, &tc.peak: reading.Peak} {
				if math.IsNaN(*want) {
					require.Nil(t, got)
					continue
				}
				require.NotNil(t, got)
				require.Equal(t, *want, *got)
			}
			require.Nil(t, reading.Increase)
		})
	}
}

func TestStepsStayBelowPrometheusLimit(t *testing.T) {
	t.Parallel()
	for length, want := range map[time.Duration]time.Duration{
		0: time.Second, time.Minute: time.Second, 10_000 * time.Second: time.Second, 17 * time.Minute: time.Second,
		24 * time.Hour: 9 * time.Second, 10_001 * time.Second: 2 * time.Second,
	} {
		require.Equal(t, want, stepOf(length), length)
		require.Less(t, length/stepOf(length), time.Duration(11_000))
	}
}

// A long run is read in parts; Prometheus 2 has the sample at a border in both.
func TestLongRunsAreReadInParts(t *testing.T) {
	t.Parallel()
	const hour = 3600
	f := newFake(t, map[string]answer{"x_total[]": func(clock, at float64) any {
		all := []float64{}
		for s := at - epoch - 6*hour; s <= at-epoch && epoch+s <= clock; s += 300 {
			all = append(all, s, s/300+1000)
		}
		return series(all)(clock, at)
	}, "timestamp(x_total)": scrapedEvery(1)})
	reading := run(t, f, 24*hour, counter("x_total")).Readings[0]
	require.InDelta(t, 24*hour/300, *reading.Increase, 2)
	requests := 0
	for _, query := range f.asked {
		if strings.HasPrefix(query, "x_total[") {
			requests++
		}
	}
	require.Equal(t, 6, requests, "five parts, and a look at the time between scrapes")
}

func TestARunWhoseStartCouldNotBeRead(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{"x_total[]": series([]float64{-100, 0, -50, 5, -1, 7, 1, 9}), "timestamp(x_total)": scrapedEvery(1)})
	reader := newReader(t, f, counter("x_total"))
	report, err := reader.End(t.Context(), Mark{taken: time.Now().Add(-40 * time.Second)})
	require.NoError(t, err)
	require.InDelta(t, 40, report.Length.Seconds(), 1)
	require.InDelta(t, 4, *report.Readings[0].Increase, 0, "from the sample 50 s ago on")
	require.Contains(t, report.Notes, "Prometheus could not be read at the start; what it had then is taken from what it has stored")
}

func TestAClockThatGoesBack(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	reader := newReader(t, f, gauge())
	mark, _, err := reader.Begin(t.Context())
	require.NoError(t, err)
	f.advance(-5)
	_, err = reader.End(t.Context(), mark)
	require.EqualError(t, err, "the clock of "+f.URL+" went back during the run")
}

func TestWarningsOfPrometheusAreNotes(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{"g": func(float64, float64) any { return warned("a store is down") }, "g over time": series()})
	require.Equal(t, []string{"Prometheus warns: a store is down"}, run(t, f, 60, gauge()).Notes)
}

func TestReadReadsEachQueryOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{"a": constant(1.5), "b": constant(math.NaN()), "d": constant(1, 2)})
	got, err := newReader(t, f, Query{"A", Gauge, "a"}, Query{"B", Gauge, "b"}, Query{"C", Counter, "c"}).Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1.5, *got["A"])
	require.True(t, math.IsNaN(*got["B"]))
	require.Nil(t, got["C"])
	require.Len(t, got, 3)
	_, err = newReader(t, f, Query{"D", Gauge, "d"}).Read(t.Context())
	require.EqualError(t, err, "D: the expression has 2 series; aggregate it, for example with sum()")
}

func TestBeginReturnsProblemsOfSingleQueries(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{"bad": func(float64, float64) any { return refusal("no") }, "two": constant(1, 2)})
	_, problems, err := newReader(t, f, Query{"a", Gauge, "bad"}, Query{"b", Gauge, "missing"}, Query{"c", Gauge, "two"}).Begin(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{
		"a: the expression is refused: no", "c: the expression has 2 series; aggregate it, for example with sum()",
	}, problems)
}

// Errors that concern a Prometheus as a whole. None of the messages has the token.
func TestAPrometheusThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const token = "KeepThisToYourself"
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, tc := range []struct {
		name, token string
		handler     http.HandlerFunc
		want        string // after the URL
	}{
		{"refused token", token, status(401, "no "+token), " refuses the bearer token (PROMETHEUS_BEARER_TOKEN): it answered 401 Unauthorized"},
		{"forbidden", token, status(403, ""), " refuses the bearer token (PROMETHEUS_BEARER_TOKEN): it answered 403 Forbidden"},
		{"no token", "", status(401, ""), " wants a bearer token (PROMETHEUS_BEARER_TOKEN): it answered 401 Unauthorized"},
		{"elsewhere", token, status(302, ""), " answered 302 Found, a redirect, which is not followed; give the address that it leads to"},
		{"no API", token, status(404, "<html>"), " answered 404 Not Found; the URL must be the one under which /api/v1/query is served"},
		{"broken", token, status(502, token), " answered 502 Bad Gateway"},
		{"HTML", token, status(200, "<html>"), " is not a Prometheus: it answered 200 with something else than the JSON of Prometheus' API"},
		{"other JSON", token, status(200, `{"ok":true}`), " is not a Prometheus: it answered 200 with something else than the JSON of Prometheus' API"},
		{"an echo", token, status(400, `{"status":"error","errorType":"bad_data","error":"no `+token+`"}`), ""},
		{"cut", token, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			_, _ = w.Write([]byte(`{"status":`))
		}, " broke off its answer"},
		{"hanging", token, func(_ http.ResponseWriter, r *http.Request) { waitFor(r) },
			" did not answer in time: a request may take 200ms, and all of a reading 10s"},
		{"hanging halfway", token, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"status":`))
			_ = http.NewResponseController(w).Flush()
			waitFor(r)
		}, " did not answer in time: a request may take 200ms, and all of a reading 10s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.handler)
			t.Cleanup(server.Close)
			reader, err := New(Options{URL: server.URL, BearerToken: tc.token, Queries: Defaults(), Timeout: 200 * time.Millisecond})
			require.NoError(t, err)
			want := server.URL + tc.want
			if tc.want == "" {
				want = "the expression is refused: no [bearer token]"
			}
			_, _, err = reader.Begin(t.Context())
			require.EqualError(t, err, want)
			_, err = reader.End(t.Context(), Mark{})
			require.EqualError(t, err, want)
			_, err = reader.Read(t.Context())
			require.EqualError(t, err, want)
			require.NotContains(t, err.Error(), token)
		})
	}
}

// waitFor reads the request, as net/http notices its end only then, and waits for that end.
func waitFor(r *http.Request) {
	_ = r.ParseForm()
	<-r.Context().Done()
}

func TestAPrometheusThatIsDown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	reader, err := New(Options{URL: server.URL, BearerToken: "secret", Queries: Defaults()})
	require.NoError(t, err)
	_, _, err = reader.Begin(t.Context())
	require.ErrorContains(t, err, server.URL+" cannot be reached: dial tcp ")
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "api/v1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = reader.Begin(ctx)
	require.ErrorIs(t, err, ErrStopped)
}

// A Prometheus that hangs after its first answer delays a run only briefly.
func TestAPrometheusThatBeginsToHang(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	var hang atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hang.Load() && r.PostFormValue("query") != "time()" {
			waitFor(r)
			return
		}
		f.serve(w, r)
	}))
	t.Cleanup(server.Close)
	reader, err := New(Options{URL: server.URL, Queries: Defaults(), Timeout: 200 * time.Millisecond})
	require.NoError(t, err)
	mark, _, err := reader.Begin(t.Context())
	require.NoError(t, err)
	hang.Store(true)
	f.advance(60)
	begun := time.Now()
	report, err := reader.End(t.Context(), mark)
	require.NoError(t, err)
	require.Less(t, time.Since(begun), 5*time.Second)
	for _, reading := range report.Readings {
		require.Contains(t, reading.Remark, "did not answer in time", reading.Name)
	}
}

// The token is sent only to the given address, with its base path and over verified TLS, and never to the target of a redirect.
func TestTheTokenGoesToItsAddressOnly(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]answer{"g": constant(1)})
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer abc" || !strings.HasPrefix(r.URL.Path, "/base/path/api/v1/") {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
			return
		}
		http.StripPrefix("/base/path", http.HandlerFunc(f.serve)).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	read := func(path, token string, config *tls.Config) error {
		reader, err := New(Options{
			URL: server.URL + path, BearerToken: token, Queries: []Query{gauge()}, Transport: &http.Transport{TLSClientConfig: config},
		})
		require.NoError(t, err)
		values, err := reader.Read(t.Context())
		if err == nil {
			require.Equal(t, 1.0, *values["n"])
		}
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	require.NoError(t, read("/base/path", "abc", &tls.Config{RootCAs: pool}))
	require.NoError(t, read("/base/path/", "abc", &tls.Config{InsecureSkipVerify: true}))    //nolint:gosec // as k6's insecureSkipTLSVerify
	require.ErrorContains(t, read("/base/path", "abc", nil), "failed to verify certificate") // it is self-signed
	require.ErrorContains(t, read("/other", "abc", &tls.Config{RootCAs: pool}), "answered 307 Temporary Redirect, a redirect, which is not followed")
	require.Zero(t, elsewhere.Load())
}

// endless is a transport whose answers never end.
type endless struct{}

func (endless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: endless{}}, nil
}
func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (endless) Close() error               { return nil }

func TestAnAnswerThatIsTooLongIsCut(t *testing.T) {
	t.Parallel()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", http.NoBody)
	require.NoError(t, err)
	response, err := (&authorized{base: endless{}}).RoundTrip(request)
	require.NoError(t, err)
	read, err := io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.EqualValues(t, maxAnswer, read)
}

func TestARiseAddsUp(t *testing.T) {
	t.Parallel()
	w := window{start: 0, end: 100, until: 100}
	require.Zero(t, history{}.riseOf(w))
	require.Zero(t, history{{Timestamp: -5, Value: 3}}.riseOf(w))
	one := history{{Timestamp: -5, Value: 3}, {Timestamp: 100, Value: 5}, {Timestamp: 101, Value: 50}}.riseOf(w)
	require.Equal(t, rise{value: 2, series: 1, first: -5, last: 100}, one)
	require.Equal(t, rise{value: 4, series: 2, first: -5, last: 100}, one.add(rise{}).add(one))
	require.Equal(t, one, rise{}.add(one))
	require.Len(t, history{{Timestamp: 1}}.join([]model.SamplePair{{Timestamp: 1}, {Timestamp: 2}}), 2)
}
