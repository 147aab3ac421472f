package campaign

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// The tests run in bubbles of testing/synctest, whose clock begins at midnight and runs as fast as the test.

// fakeService answers GET /health with a function of the test, without a network.
type fakeService func(request *http.Request) (*http.Response, error)

func (f fakeService) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/health" || request.Method != http.MethodGet {
		return nil, fmt.Errorf("%s %s", request.Method, request.URL)
	}
	return f(request)
}

// answers returns an HTTP response.
func answers(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"30"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// healthyFor returns the answer of a process with this uptime.
func healthyFor(uptime time.Duration) (*http.Response, error) {
	return answers(http.StatusOK, fmt.Sprintf(`{"status":"ok","timestamp":"now","uptimeSeconds":%g}`, uptime.Seconds()))
}

func healthyAlways(*http.Request) (*http.Response, error) { return healthyFor(time.Hour) }

// hangs does not answer before the request is cancelled.
func hangs(request *http.Request) (*http.Response, error) {
	<-request.Context().Done()
	return nil, request.Context().Err()
}

var errRefused = errors.New("connect: connection refused")

func refuses(*http.Request) (*http.Response, error) { return nil, errRefused }

func breakerOf(service fakeService) *breaker {
	return &breaker{
		health: healthClient{client: &http.Client{Transport: service}, baseURL: "http://verity.example.com"}, readEvery: readEvery,
	}
}

// said collects the texts that a breaker or a calm reports.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, text)
}

func (s *said) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines
}

// watchFor watches for at most this time. It returns what was found, how long that took, and the lines reported.
func watchFor(t *testing.T, b *breaker, dir string, most time.Duration) (found Break, took time.Duration, lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	began := time.Now()
	var heard said
	found = b.Watch(ctx, Step{}, dir, began, heard.say)
	return found, time.Since(began), heard.all()
}

func TestAServiceThatIsDownEndsTheStep(t *testing.T) {
	t.Parallel()
	// Each service is healthy for 61 s.
	for _, tc := range []struct {
		name string
		then fakeService
		want Break
	}{
		{"refused", refuses, Break{Down: true, Reason: "the service has had no healthy answer to GET /health for 15 s, since 00:01:00 UTC; " +
			"the last try got no answer: connect: connection refused"}},
		{"hangs", hangs, Break{Down: true, Reason: "the service has had no healthy answer to GET /health for 15 s, since 00:01:00 UTC; " +
			"the last try got no answer within 10s"}},
		{
			"an ingress without a service behind it",
			func(*http.Request) (*http.Response, error) { return answers(http.StatusBadGateway, "<html>") },
			Break{Down: true, Reason: "the service has had no healthy answer to GET /health for 15 s, since 00:01:00 UTC; " +
				"the last try got the answer 502 with a page of HTML"},
		},
		{
			"unwell",
			func(*http.Request) (*http.Response, error) {
				return answers(http.StatusOK, `{"status":"degraded","uptimeSeconds":70}`)
			},
			Break{Down: true, Reason: "the service has had no healthy answer to GET /health for 15 s, since 00:01:00 UTC; " +
				`the last try got the status "degraded"`},
		},
		{
			"a firewall",
			func(*http.Request) (*http.Response, error) { return answers(http.StatusForbidden, "<html>blocked") },
			Break{Down: true, Reason: "something in front of the service, such as a firewall, answers GET /health with 403 for 15 s, since " +
				"00:01:00 UTC, so that nothing is known of the service; have this machine's address let through"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				found, took, lines := watchFor(t, breakerOf(func(request *http.Request) (*http.Response, error) {
					if time.Since(began) < 61*time.Second {
						return healthyFor(time.Hour + time.Since(began))
					}
					return tc.then(request)
				}), t.TempDir(), time.Hour)
				require.Equal(t, tc.want, found)
				require.Less(t, took-61*time.Second, 20*time.Second)
				require.Empty(t, lines)
			})
		})
	}
}

func TestAServiceThatNeverAnsweredIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		found, took, _ := watchFor(t, breakerOf(refuses), t.TempDir(), time.Hour)
		require.Equal(t, Break{Down: true, Reason: "the service has had no healthy answer to GET /health for 15 s, since 00:00:00 UTC; the last " +
			"try got no answer: connect: connection refused"}, found)
		require.Equal(t, 15*time.Second, took)
	})
}

// An answer that is slow, late or a 429 shows that the service is up.
func TestAServiceThatAnswersIsWatchedToTheEnd(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		service fakeService
	}{
		{"healthy", healthyAlways},
		{"throttled", func(*http.Request) (*http.Response, error) {
			return answers(http.StatusTooManyRequests, `{"statusCode":429}`)
		}},
		{"slow", func(request *http.Request) (*http.Response, error) {
			select {
			case <-time.After(9 * time.Second):
				return healthyFor(time.Hour)
			case <-request.Context().Done():
				return nil, request.Context().Err()
			}
		}},
		{"away for 12 s", func(request *http.Request) (*http.Response, error) {
			if time.Now().Second() < 12 {
				return refuses(request)
			}
			return healthyFor(time.Hour)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				found, took, lines := watchFor(t, breakerOf(tc.service), t.TempDir(), 10*time.Minute)
				require.Equal(t, Break{}, found)
				require.Equal(t, 10*time.Minute, took)
				require.Empty(t, lines)
			})
		})
	}
}

func TestHealthIsAskedForLessOftenThanTheServiceAllows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := 0
		_, _, _ = watchFor(t, breakerOf(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return healthyFor(time.Hour)
		}), t.TempDir(), time.Minute-time.Second)
		require.Equal(t, 30, asked)
	})
}

func TestARestartIsNoticedAndEndsTheStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		found, took, lines := watchFor(t, breakerOf(func(request *http.Request) (*http.Response, error) {
			switch since := time.Since(began); {
			case since < 31*time.Second:
				return healthyFor(time.Hour + since)
			case since < 40*time.Second:
				return refuses(request)
			default:
				return healthyFor(since - 39*time.Second)
			}
		}), t.TempDir(), time.Hour)
		require.Equal(t, []string{
			"a process of the service began at 00:00:39 UTC, after this step had begun: the service has restarted, or has one more replica",
		}, lines)
		require.Equal(t, Break{Reason: "the service restarted while the step ran: of the processes that answered before, none has answered " +
			"GET /health since 00:00:30 UTC, and one began at 00:00:39 UTC"}, found)
		require.Equal(t, 90*time.Second, took.Truncate(2*time.Second))
	})
}

// Replicas answer in turn, and more of them come under load.
func TestOneMoreReplicaIsNoRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, asked := time.Now(), 0
		found, _, lines := watchFor(t, breakerOf(func(*http.Request) (*http.Response, error) {
			asked++
			since := time.Since(began)
			if asked%2 == 0 && since > time.Minute {
				return healthyFor(since - time.Minute)
			}
			return healthyFor(24*time.Hour + since)
		}), t.TempDir(), 10*time.Minute)
		require.Equal(t, Break{}, found)
		require.Equal(t, []string{
			"a process of the service began at 00:01:00 UTC, after this step had begun: the service has restarted, or has one more replica",
		}, lines)
	})
}

// load is what a runner records in a second.
type load struct {
	ok         int64
	failed     map[string]int64 // queue_join, by kind
	unanswered float64
}

// record writes the evidence of a runner second by second until the context ends: 0.1 s after the seconds at which the file is written.
func record(ctx context.Context, t *testing.T, dir, name string, offset time.Duration, at func(second int) load) {
	t.Helper()
	r := evidence.New(nil)
	err := r.Describe(evidence.Header{}, evidence.Runner{Count: 1, ClockOffset: offset})
	if err == nil {
		err = r.Open(filepath.Join(dir, name+evidence.Extension), func(err error) { t.Error(err) })
	}
	if err != nil {
		t.Error(err)
		return
	}
	time.Sleep(100 * time.Millisecond)
	for second := 0; ctx.Err() == nil; second++ {
		now, l := time.Now(), at(second)
		r.Level(evidence.LevelPresent, now, 10)
		r.Level(evidence.LevelUnanswered, now, l.unanswered)
		all := l.ok
		for kind, n := range l.failed {
			all += n
			r.Count(evidence.Labelled(evidence.CountErrors, "queue_join", kind), now, n)
		}
		r.Count(evidence.Labelled(evidence.CountOperations, "queue_join"), now, all)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	if err := r.Close(evidence.End{}); err != nil {
		t.Error(err)
	}
}

// watchLoad watches a step with one runner of this load against a healthy service.
func watchLoad(t *testing.T, offset time.Duration, at func(second int) load) (found Break, took time.Duration, lines []string) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		record(ctx, t, dir, "match-dry", offset, at)
	}()
	time.Sleep(300 * time.Millisecond) // the checks come after the evidence was recorded and written
	found, took, lines = watchFor(t, breakerOf(healthyAlways), dir, 5*time.Minute)
	cancel()
	<-recorded
	return found, took, lines
}

func TestAStepWhoseOperationsFailIsEnded(t *testing.T) {
	t.Parallel()
	// Each service is well for 120 s, with 10 operations a second.
	for _, tc := range []struct {
		name   string
		offset time.Duration
		bad    load
		want   string
	}{
		{
			"six of ten", 0, load{ok: 4, failed: map[string]int64{"HTTPError 500": 5, "TimeoutError": 1}},
			"180 of 300 operations within 30 s failed, as was seen at 00:02:30 UTC: queue_join HTTPError 500 (150), queue_join TimeoutError (30)",
		},
		{
			"all, on a runner whose clock is an hour behind", -time.Hour, load{failed: map[string]int64{"HTTPError 500": 10}},
			"200 of 300 operations within 30 s failed, as was seen at 00:02:20 UTC: queue_join HTTPError 500 (200)",
		},
		{
			"of five kinds", 0, load{failed: map[string]int64{"A": 1, "B": 2, "C": 3, "D": 4, "E": 5}},
			"225 of 375 operations within 30 s failed, as was seen at 00:02:15 UTC: queue_join E (75), queue_join D (60), queue_join C (45), others (45)",
		},
		{
			"by hanging", 0, load{unanswered: 50},
			"50 of 50 operations within 30 s failed, as was seen at 00:02:30 UTC: no answer for 10 s and longer (50)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				found, took, lines := watchLoad(t, tc.offset, func(second int) load {
					if second < 120 {
						return load{ok: 10}
					}
					return tc.bad
				})
				require.Equal(t, Break{Reason: tc.want}, found)
				require.Less(t, took, 160*time.Second)
				require.Empty(t, lines)
			})
		})
	}
}

func TestAStepWhoseOperationsSucceedGoesOn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		at   func(second int) load
	}{
		{"half of them", func(int) load { return load{ok: 5, failed: map[string]int64{"HTTPError 500": 5}} }},
		{"few, all of which fail", func(second int) load {
			if second%2 == 0 {
				return load{failed: map[string]int64{"HTTPError 500": 1}}
			}
			return load{}
		}},
		{"a burst of failures", func(second int) load {
			if second > 60 && second < 75 {
				return load{failed: map[string]int64{"HTTPError 500": 10}}
			}
			return load{ok: 10}
		}},
		{"a few that hang", func(int) load { return load{ok: 2, unanswered: 50} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				found, took, lines := watchLoad(t, 0, tc.at)
				require.Equal(t, Break{}, found)
				require.Equal(t, 5*time.Minute, took)
				require.Empty(t, lines)
			})
		})
	}
}

func TestSeveralRunnersAreJudgedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		var recording sync.WaitGroup
		recording.Go(func() { record(ctx, t, dir, "match-dry-runner-1-of-2", 0, func(int) load { return load{ok: 10} }) })
		recording.Go(func() {
			record(ctx, t, dir, "match-dry-runner-2-of-2", 0, func(int) load { return load{failed: map[string]int64{"HTTPError 500": 30}} })
		})
		time.Sleep(300 * time.Millisecond)
		found, _, _ := watchFor(t, breakerOf(healthyAlways), dir, 5*time.Minute)
		cancel()
		recording.Wait()
		require.Equal(t, "900 of 1200 operations within 30 s failed, as was seen at 00:00:30 UTC: queue_join HTTPError 500 (900)", found.Reason)
	})
}

// Evidence that an earlier run left in the folder is not the step's, and evidence of a run that is over is not judged.
func TestEvidenceOfAnotherRunIsLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		record(ctx, t, dir, "match-dry", 0, func(int) load { return load{failed: map[string]int64{"HTTPError 500": 30}} })
		found, _, lines := watchFor(t, breakerOf(healthyAlways), dir, time.Minute)
		require.Equal(t, Break{}, found, "the run is over")
		require.Empty(t, lines)

		path := filepath.Join(dir, "other"+evidence.Extension)
		var damaged bytes.Buffer
		gz := gzip.NewWriter(&damaged)
		_, err := gz.Write([]byte("hello\n"))
		require.NoError(t, err)
		require.NoError(t, gz.Close())
		require.NoError(t, os.WriteFile(path, damaged.Bytes(), 0o600))
		old := time.Now().Add(-time.Hour)
		require.NoError(t, os.Chtimes(path, old, old))
		_, _, lines = watchFor(t, breakerOf(healthyAlways), dir, time.Minute)
		require.Empty(t, lines)

		require.NoError(t, os.Chtimes(path, time.Now(), time.Now()))
		_, _, lines = watchFor(t, breakerOf(healthyAlways), dir, time.Minute)
		require.Equal(t, []string{"the operations of the step are not watched any more, for its evidence cannot be read: " + path +
			": record 1: no evidence: invalid character 'h' looking for beginning of value"}, lines)
	})
}

// prometheusOf serves the API of a Prometheus; values returns the value of an expression as JSON text.
func prometheusOf(t *testing.T, values func(query string) (value string, ok bool)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		query, result := r.PostFormValue("query"), []any{}
		if query == "time()" {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{
				"resultType": "scalar", "result": []any{1.7e9, "1700000000"},
			}})
			return
		}
		value, ok := values(query)
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"bad_data","error":"no"}`)
			return
		}
		if value != "" {
			result = append(result, map[string]any{"metric": map[string]string{}, "value": []any{1.7e9, value}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestALimitThatIsCrossedEndsTheStep(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	read := 0
	url := prometheusOf(t, func(query string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		read++
		if query == "pool" && read > 10 {
			return "97", true
		}
		return "12", true
	})
	ninety := 90.0
	b := NewBreaker(Service{BaseURL: "http://127.0.0.1:1", PrometheusURL: url}).(*breaker) //nolint:forcetypeassert // its own
	b.readEvery = time.Millisecond
	var heard said
	found := b.Watch(t.Context(), Step{Limits: []Limit{
		{Name: "free", Query: "free", Below: new(5.0)}, {Name: "connections", Query: "pool", Above: &ninety},
	}}, t.TempDir(), time.Now(), heard.say)
	require.Regexp(t, `^the limit "connections" was crossed at \d\d:\d\d:\d\d UTC: pool is 97, above 90$`, found.Reason)
	require.False(t, found.Down)
	require.Empty(t, heard.all())
}

// Limits that cannot be watched are told before the first step.
func TestLimitsAreReadBeforeTheFirstStep(t *testing.T) {
	t.Parallel()
	url := prometheusOf(t, func(query string) (string, bool) { return map[string]string{"pool": "12"}[query], query != "up(" })
	pool, broken, none := Limit{Name: "pool", Query: "pool", Above: new(90.0)}, Limit{Name: "replicas", Query: "up(", Below: new(1.0)},
		Limit{Name: "none", Query: "none", Below: new(1.0)}
	for _, tc := range []struct {
		prometheus string
		steps      []Step
		want       string
	}{
		{"", []Step{{}, {}}, ""},
		{url, []Step{{Limits: []Limit{pool}}, {Limits: []Limit{pool, none}}}, ""},
		{"", []Step{{}, {Limits: []Limit{pool}}}, "the plan has limits, which are read from Prometheus, and PROMETHEUS_URL is not set; set it, or decide with " +
			"--no-breaker that nothing ends a step before its time"},
		{url, []Step{{Limits: []Limit{pool}}, {Limits: []Limit{pool, broken}}}, "the limits of the plan cannot be watched: replicas: the expression is refused: no"},
	} {
		err := NewBreaker(Service{BaseURL: "http://127.0.0.1:1", PrometheusURL: tc.prometheus}).Check(t.Context(), tc.steps)
		if tc.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, tc.want)
	}
	err := NewBreaker(Service{PrometheusURL: "http://127.0.0.1:1"}).Check(t.Context(), []Step{{Limits: []Limit{pool}}})
	require.ErrorContains(t, err, "the limits of the plan cannot be watched: http://127.0.0.1:1 cannot be reached: ")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)
	above, below := Limit{Name: "lag", Query: "max(lag)", Above: new(0.5)}, Limit{Name: "free", Query: "free", Below: new(1000.0)}
	held := Limit{Name: "lag", Query: "max(lag)", Above: new(0.5), ForSeconds: 10}
	for _, tc := range []struct {
		name   string
		limit  Limit
		values []string // one each 5 s
		want   string
	}{
		{"at the bound", above, []string{"0.5", "0.4"}, ""},
		{"above", above, []string{"0.5", "0.51234"}, `the limit "lag" was crossed at 06:00:05 UTC: max(lag) is 0.5123, above 0.5`},
		{"below", below, []string{"1000", "999.4"}, `the limit "free" was crossed at 06:00:05 UTC: free is 999.4, below 1000`},
		{"not for long enough", held, []string{"1", "1", "0", "1", "1"}, ""},
		{"unknown between", held, []string{"1", "1", "", "1", "1"}, ""},
		{"for long enough", held, []string{"0", "1", "1", "123456"},
			`the limit "lag" was crossed at 06:00:05 UTC: max(lag) is 123456, above 0.5, for 10 s`},
		{"not a number", above, []string{"NaN", "NaN"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, found := limitWatch{limit: tc.limit}, Break{}
			for i, text := range tc.values {
				require.Empty(t, found.Reason, "not before the last")
				var value *float64
				if number, err := strconv.ParseFloat(text, 64); err == nil {
					value = &number
				}
				found, _ = w.look(now.Add(time.Duration(i)*5*time.Second), value, nil)
			}
			require.Equal(t, Break{Reason: tc.want}, found)
		})
	}
}

func TestALimitThatCannotBeReadIsSaidOnceAndEndsNothing(t *testing.T) {
	t.Parallel()
	url := prometheusOf(t, func(query string) (string, bool) {
		return map[string]string{"none": "", "nan": "NaN"}[query], query != "bad("
	})
	for _, tc := range []struct{ prometheus, query, want string }{
		{"", "pool", `the limit "pool" is not watched: PROMETHEUS_URL is not set`},
		{url, "bad(", `the limit "pool" is not watched while its expression has no value: pool: the expression is refused: no`},
		{url, "none", `the limit "pool" is not watched while its expression has no value: no such series`},
		{url, "nan", `the limit "pool" is not watched while its expression has no value: it is not a number`},
	} {
		b := NewBreaker(Service{BaseURL: "http://127.0.0.1:1", PrometheusURL: tc.prometheus}).(*breaker) //nolint:forcetypeassert // its own
		b.readEvery = time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		var heard said
		found := b.Watch(ctx, Step{Limits: []Limit{{Name: "pool", Query: tc.query, Above: new(1.0)}}}, t.TempDir(), time.Now(), heard.say)
		cancel()
		require.Equal(t, Break{}, found)
		require.Equal(t, []string{tc.want}, heard.all())
	}
}

// The real client meets answers, a redirect and a refused connection.
func TestTheHealthOfARealServer(t *testing.T) {
	t.Parallel()
	status, location := http.StatusOK, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"status":"ok","uptimeSeconds":12.5}`)
	}))
	client := newHealthClient(Service{BaseURL: server.URL})
	answer := client.ask(t.Context())
	require.True(t, answer.isHealthy())
	require.Equal(t, 12500*time.Millisecond, answer.uptime)
	require.Positive(t, answer.took)

	status = http.StatusTooManyRequests
	answer = client.ask(t.Context())
	require.True(t, answer.isAlive)
	require.False(t, answer.isHealthy())
	require.Equal(t, 7*time.Second, answer.retryAfter)

	status, location = http.StatusFound, "https://user:hunter2@login.example.com/?token=hunter2"
	answer = client.ask(t.Context())
	require.False(t, answer.isAlive)
	require.Equal(t, `the answer 302, which sends to "https://login.example.com/"`, answer.why)

	server.Close()
	answer = client.ask(t.Context())
	require.False(t, answer.isAlive)
	require.Regexp(t, `^no answer: dial tcp 127\.0\.0\.1:\d+: connect: connection refused$`, answer.why)
}
