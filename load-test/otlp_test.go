package loadtest_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// otlpReceiver takes metrics over OTLP/HTTP and serves them to a Prometheus that scrapes it, under the names that the specification of
// OpenTelemetry gives them (Prometheus and OpenMetrics Compatibility): what no name of Prometheus may have becomes _, the unit is written
// out behind the name, and a sum that only grows ends in _total.
type otlpReceiver struct {
	t *testing.T

	mu     sync.Mutex
	values map[string]float64 // by name and labels, as Prometheus writes them
}

// startOTLP starts a receiver and returns its address.
func startOTLP(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(&otlpReceiver{t: t, values: map[string]float64{}})
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func (o *otlpReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/metrics" {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, series := range slices.Sorted(maps.Keys(o.values)) {
			_, _ = fmt.Fprintf(w, "%s %g\n", series, o.values[series])
		}
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		body, err = unzipped(body)
	}
	var request collector.ExportMetricsServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/metrics" {
		o.t.Errorf("%s: %v", r.URL.Path, err)
		return
	}
	for _, resource := range request.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				o.take(metric)
			}
		}
	}
	answer, _ := proto.Marshal(&collector.ExportMetricsServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func unzipped(body []byte) ([]byte, error) {
	reader, err := gzip.NewReader(strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}

// take keeps the values of a metric.
func (o *otlpReceiver) take(metric *otlp.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := prometheusName(metric)
	for _, point := range metric.GetGauge().GetDataPoints() {
		o.values[name+labelsOf(point.GetAttributes())] = numberOf(point)
	}
	for _, point := range metric.GetSum().GetDataPoints() {
		o.values[name+labelsOf(point.GetAttributes())] = numberOf(point)
	}
	for _, point := range metric.GetHistogram().GetDataPoints() {
		sum := uint64(0)
		for i, n := range point.GetBucketCounts() {
			sum += n
			le := math.Inf(1)
			if i < len(point.GetExplicitBounds()) {
				le = point.GetExplicitBounds()[i]
			}
			o.values[name+"_bucket"+labelsOf(point.GetAttributes(), "le", strconv.FormatFloat(le, 'g', -1, 64))] = float64(sum)
		}
		o.values[name+"_sum"+labelsOf(point.GetAttributes())] = point.GetSum()
		o.values[name+"_count"+labelsOf(point.GetAttributes())] = float64(point.GetCount())
	}
	for _, kind := range []otlp.AggregationTemporality{metric.GetSum().GetAggregationTemporality(), metric.GetHistogram().GetAggregationTemporality()} {
		if kind == otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
			o.t.Errorf("%s is a delta, which Prometheus does not add up", name)
		}
	}
}

// notInNames are the characters that a name of Prometheus cannot have.
var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_:]`)

func prometheusName(metric *otlp.Metric) string {
	name := notInNames.ReplaceAllString(metric.GetName(), "_")
	unit := map[string]string{"ms": "milliseconds", "s": "seconds", "By": "bytes"}[metric.GetUnit()]
	if unit != "" && !strings.HasSuffix(name, "_"+unit) {
		name += "_" + unit
	}
	if metric.GetSum().GetIsMonotonic() && !strings.HasSuffix(name, "_total") {
		name += "_total"
	}
	return name
}

// labelsOf writes attributes, and one label more, as Prometheus does.
func labelsOf(attributes []*common.KeyValue, more ...string) string {
	labels := map[string]string{}
	for _, attribute := range attributes {
		labels[notInNames.ReplaceAllString(attribute.GetKey(), "_")] = attribute.GetValue().GetStringValue()
	}
	if len(more) == 2 {
		labels[more[0]] = more[1]
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func numberOf(point *otlp.NumberDataPoint) float64 {
	if _, isInt := point.GetValue().(*otlp.NumberDataPoint_AsInt); isInt {
		return float64(point.GetAsInt())
	}
	return point.GetAsDouble()
}
