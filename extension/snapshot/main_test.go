package snapshot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epoch is when the clock of the fake Prometheus begins.
const epoch = 1_700_000_000.0

// fake is a Prometheus whose answers and clock a test controls.
type fake struct {
	*httptest.Server

	mu      sync.Mutex
	clock   float64           // Unix time in seconds
	answers map[string]answer // by expression; raw samples: by name and "[]"; a range: by expression and " over time"
	asked   []string
}

// answer returns the result, given the clock and the evaluation time.
type answer func(clock, at float64) any

func newFake(t *testing.T, answers map[string]answer) *fake {
	t.Helper()
	f := &fake{clock: epoch, answers: answers}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) advance(seconds float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock += seconds
}

// serve answers a request. Each request for a timestamp advances the clock by a second, so that tests do not wait in real time.
func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	query := r.PostFormValue("query")
	f.asked = append(f.asked, query)
	at := f.clock
	if text := r.PostFormValue("time"); text != "" {
		at, _ = strconv.ParseFloat(text, 64)
	}
	switch {
	case query == "time()":
		respond(w, "scalar", point(f.clock, f.clock))
		return
	case strings.HasPrefix(query, "timestamp("):
		f.clock++
	}
	key, none := query, "vector"
	if name, _, isRange := strings.Cut(query, "["); isRange && !strings.Contains(name, "(") {
		key = name + "[]"
	}
	if r.URL.Path == "/api/v1/query_range" {
		key, none = query+" over time", "matrix"
	}
	given, ok := f.answers[key]
	if !ok {
		respond(w, none, []any{})
		return
	}
	switch data := given(f.clock, at).(type) {
	case refusal:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"status":"error","errorType":"bad_data","error":%q}`, string(data))
	case warned:
		_, _ = fmt.Fprintf(w, `{"status":"success","warnings":[%q],"data":{"resultType":"vector","result":[]}}`, string(data))
	case matrix:
		respond(w, "matrix", []any(data))
	default:
		respond(w, "vector", data)
	}
}

type (
	refusal string
	warned  string
	matrix  []any
)

func respond(w http.ResponseWriter, kind string, result any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
}

func point(at, value float64) []any { return []any{at, strconv.FormatFloat(value, 'f', -1, 64)} }

// values returns a vector with one series for each value.
func values(at float64, all ...float64) []any {
	vector := []any{}
	for i, value := range all {
		vector = append(vector, map[string]any{"metric": map[string]string{"series": strconv.Itoa(i)}, "value": point(at, value)})
	}
	return vector
}

// constant answers with the same vector always.
func constant(all ...float64) answer { return func(_, at float64) any { return values(at, all...) } }

// series answers with a matrix. Each series is given as pairs of a time after the epoch and a value; a sample exists once the
// clock has reached its time.
func series(all ...[]float64) answer {
	return func(clock, _ float64) any {
		streams := matrix{}
		for i, samples := range all {
			points := []any{}
			for j := 0; j < len(samples); j += 2 {
				if at := epoch + samples[j]; at <= clock {
					points = append(points, point(at, samples[j+1]))
				}
			}
			if len(points) > 0 {
				streams = append(streams, map[string]any{"metric": map[string]string{"series": strconv.Itoa(i)}, "values": points})
			}
		}
		return streams
	}
}

// scrapedEvery answers with the time of the last scrape of a series that is scraped at this interval, in seconds.
func scrapedEvery(interval float64) answer {
	return func(clock, at float64) any {
		return values(at, epoch+float64(int((clock-epoch)/interval))*interval)
	}
}

// newReader returns a Reader of a fake that waits and polls briefly.
func newReader(t *testing.T, f *fake, queries ...Query) *Reader {
	t.Helper()
	reader, err := New(Options{URL: f.URL, Queries: queries})
	require.NoError(t, err)
	reader.pace = pace{least: 500 * time.Millisecond, most: time.Second, every: 5 * time.Millisecond}
	return reader
}

// run calls Begin, advances the fake's clock, and calls End.
func run(t *testing.T, f *fake, seconds float64, queries ...Query) Report {
	t.Helper()
	reader := newReader(t, f, queries...)
	mark, _, err := reader.Begin(t.Context())
	require.NoError(t, err)
	f.advance(seconds)
	report, err := reader.End(t.Context(), mark)
	require.NoError(t, err)
	require.InDelta(t, seconds, report.Length.Seconds(), 0.001)
	return report
}
