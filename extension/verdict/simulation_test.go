package verdict_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// source returns the latencies in ms of n requests in the next second of a service.
type source interface {
	second(n int) []float64
}

// shape is a kind of service: a source of latencies with a known 95th percentile.
type shape struct {
	name string
	// decides: 20,000 samples decide a true value 10 % off the limit. Correlated samples carry less information.
	decides bool
	// needs is how many seconds a run needs to contain enough of the service's slow times.
	needs  int
	source func(r *rand.Rand) source
	p95    float64 // the true one of the source
}

type drawn func(n int) []float64

func (d drawn) second(n int) []float64 { return d(n) }

func each(draw func() float64) drawn {
	return func(n int) []float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = draw()
		}
		return values
	}
}

// phi is the standard normal distribution.
func phi(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// p95 returns where a distribution function is 0.95.
func p95(cdf func(float64) float64) float64 {
	low, high := 0.0, 1e6
	for range 100 {
		if middle := (low + high) / 2; cdf(middle) < 0.95 {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

func logNormal(median, sigma float64) func(float64) float64 {
	return func(x float64) float64 { return phi(math.Log(x/median) / sigma) }
}

func mixture(share float64, slow, fast func(float64) float64) func(float64) float64 {
	return func(x float64) float64 { return share*slow(x) + (1-share)*fast(x) }
}

// ar1 returns a stationary normal series whose neighbours have this correlation.
func ar1(r *rand.Rand, rho float64) func() float64 {
	z := r.NormFloat64()
	return func() float64 {
		z = rho*z + math.Sqrt(1-rho*rho)*r.NormFloat64()
		return z
	}
}

// bursts reports for each second whether it is in a burst; bursts have 5 s and fill a share of the time.
func bursts(r *rand.Rand, share float64) func() bool {
	const length = 5
	left := 0
	if r.Float64() < share {
		left = 1 + r.IntN(length)
	}
	start := share / (length * (1 - share))
	return func() bool {
		if left > 0 {
			left--
			return true
		}
		if r.Float64() < start/(1+start) {
			left = length - 1
			return true
		}
		return false
	}
}

var shapes = []shape{
	{
		"log-normal", true, 0,
		func(r *rand.Rand) source { return each(func() float64 { return 30 * math.Exp(0.5*r.NormFloat64()) }) },
		p95(logNormal(30, 0.5)),
	},
	{
		"bimodal", true, 0,
		func(r *rand.Rand) source {
			return each(func() float64 {
				if r.Float64() < 0.1 {
					return 200 * math.Exp(0.3*r.NormFloat64())
				}
				return 20 * math.Exp(0.3*r.NormFloat64())
			})
		},
		p95(mixture(0.1, logNormal(200, 0.3), logNormal(20, 0.3))),
	},
	{
		"AR(1) between requests", true, 0,
		func(r *rand.Rand) source {
			z := ar1(r, 0.9)
			return each(func() float64 { return 30 * math.Exp(0.5*z()) })
		},
		p95(logNormal(30, 0.5)),
	},
	{
		"AR(1) between seconds", false, 600,
		func(r *rand.Rand) source {
			z := ar1(r, 0.9)
			return drawn(func(n int) []float64 {
				level := 30 * math.Exp(0.35*z())
				return each(func() float64 { return level * math.Exp(0.35*r.NormFloat64()) })(n)
			})
		},
		p95(logNormal(30, 0.35*math.Sqrt2)),
	},
	{
		"bursts of 5 s", false, 200,
		func(r *rand.Rand) source {
			inside := bursts(r, 0.1)
			return drawn(func(n int) []float64 {
				level := 30.0
				if inside() {
					level = 90
				}
				return each(func() float64 { return level * math.Exp(0.3*r.NormFloat64()) })(n)
			})
		},
		p95(mixture(0.1, logNormal(90, 0.3), logNormal(30, 0.3))),
	},
}

const limitMs = 100

var joins = evidence.Series{Metric: evidence.MetricRequest, Label: "queue_join"}

// ended returns a complete run of this many seconds, without measurements.
func ended(seconds int) *evidence.Run {
	run := &evidence.Run{Seconds: map[int64]*evidence.Second{}, Runners: []evidence.Runner{{Count: 1, Ended: true}}}
	run.Header.Limits = map[evidence.Metric]int64{evidence.MetricRequest: limitMs * 1000, evidence.MetricMatch: 3_000_000, evidence.MetricEvent: limitMs * 1000}
	run.Header.Began = time.Unix(0, 0)
	for at := range int64(seconds) {
		run.Seconds[at] = &evidence.Second{
			Cells: map[evidence.Series]*evidence.Cell{}, Levels: map[string]float64{}, Counts: map[string]int64{},
		}
	}
	run.End = &evidence.End{At: time.Unix(int64(seconds), 0), UptimeBefore: 100, UptimeAfter: 100 + float64(seconds)}
	return run
}

// simulated returns a run of a service whose true 95th percentile is this part of the limit.
func simulated(s shape, seed uint64, seconds, rate int, part float64) *evidence.Run {
	r := rand.New(rand.NewPCG(seed, 15)) // #nosec G404 -- the same numbers each time
	latencies, scale := s.source(r), part*limitMs/s.p95
	run := ended(seconds)
	for at := range seconds {
		cell := &evidence.Cell{}
		micros := make([]int64, 0, rate)
		for _, ms := range latencies.second(rate) {
			value := int64(ms * scale * 1000)
			if value > limitMs*1000 {
				cell.Over++
			}
			micros = append(micros, value)
		}
		cell.OK = evidence.HistogramOf(micros...)
		run.Seconds[int64(at)].Cells[joins] = cell
	}
	return run
}

// tried counts the verdicts of many seeds, on all processors.
func tried(seeds int, judge func(seed uint64) verdict.Result) (statuses map[verdict.Status]int, whys map[string]int) {
	statuses, whys = map[verdict.Status]int{}, map[string]int{}
	var lock sync.Mutex
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		group.Go(func() {
			for seed := worker; seed < seeds; seed += workers {
				result := judge(uint64(seed)) // #nosec G115 -- not negative
				lock.Lock()
				statuses[result.Status]++
				whys[result.Why]++
				lock.Unlock()
			}
		})
	}
	group.Wait()
	return statuses, whys
}

// everyLength makes the tests simulate runs of each length, for the table in docs/verdict.md.
var everyLength = flag.Bool("every-length", false, "simulate runs of each length, which takes some minutes")

// seeds returns the number of simulated runs. With the race detector, which makes each ten times slower, they are few and test
// only the code, not the rate of wrong verdicts.
func seeds() int {
	switch {
	case underRace:
		return 20
	case testing.Short():
		return 100
	default:
		return 1000
	}
}

var joinsWithin = []evidence.Claim{{Kind: verdict.KindLatency, Operations: []string{"queue_join"}, WithinMs: limitMs}}

// The logs of these two tests make the table in docs/verdict.md.
func TestFalseVerdictsOnQuantilesAreRare(t *testing.T) {
	for _, s := range shapes {
		for _, length := range []struct{ seconds, rate int }{{600, 33}, {200, 100}, {60, 100}} {
			if !*everyLength && length.seconds != max(s.needs, 200) {
				continue
			}
			for _, part := range []float64{0.99, 1.01, 0.9, 1.1} {
				if !*everyLength && !s.decides && math.Abs(part-1) > 0.05 {
					continue // nothing is required here, and values closer to the limit are harder
				}
				name := fmt.Sprintf("%s/%d s of %d a second/true p95 %.2f of the limit", s.name, length.seconds, length.rate, part)
				t.Run(name, func(t *testing.T) { falseOnQuantiles(t, s, length.seconds, length.rate, part) })
			}
		}
	}
}

func falseOnQuantiles(t *testing.T, s shape, seconds, rate int, part float64) {
	n := seeds()
	statuses, whys := tried(n, func(seed uint64) verdict.Result {
		return verdict.Judge(simulated(s, seed, seconds, rate, part), joinsWithin).Claims[0]
	})
	pass, fail := percentOf(statuses[verdict.Pass], n), percentOf(statuses[verdict.Fail], n)
	t.Logf("| %s | %d | %s | %.2f | %.1f %% | %.1f %% | %.1f %% |", s.name, seconds, strconv.Itoa(seconds*rate), part, pass, fail,
		percentOf(whys[verdict.CheckUnsteady], n))
	require.Equal(t, n, statuses[verdict.Pass]+statuses[verdict.Fail]+statuses[verdict.NotProven])
	if seconds < s.needs || n < 1000 {
		return // the run is too short to contain the service's slow times, or there are too few seeds
	}
	if part > 1 {
		require.LessOrEqual(t, pass, 5.0, "false PASS")
	} else {
		require.LessOrEqual(t, fail, 5.0, "false FAIL")
	}
	if s.decides && seconds >= 200 && math.Abs(part-1) > 0.05 {
		require.GreaterOrEqual(t, pass+fail, 90.0, "decided")
	}
}

// errorShapes are patterns of errors: draw returns how many of n operations of a second fail.
var errorShapes = []struct {
	name    string
	decides bool // 60,000 operations decide a rate of half or twice the limit
	draw    func(r *rand.Rand, rate float64) func(n int) int
}{
	{"independent errors", true, func(r *rand.Rand, rate float64) func(int) int {
		return func(n int) int { return binomial(r, n, rate) }
	}},
	{"errors in bursts of 5 s", false, func(r *rand.Rand, rate float64) func(int) int {
		inside := bursts(r, 0.1)
		return func(n int) int {
			if inside() {
				return binomial(r, n, rate*10)
			}
			return 0
		}
	}},
}

func binomial(r *rand.Rand, n int, p float64) int {
	hits := 0
	for range n {
		if r.Float64() < p {
			hits++
		}
	}
	return hits
}

func TestFalseVerdictsOnRatesAreRare(t *testing.T) {
	const seconds, rate = 600, 100
	claims := []evidence.Claim{{Kind: verdict.KindErrors, Below: 0.001}}
	for _, s := range errorShapes {
		for _, part := range []float64{0.99, 1.01, 0.5, 2} {
			t.Run(fmt.Sprintf("%s/true rate %.2f of the limit", s.name, part), func(t *testing.T) {
				n := seeds()
				statuses, _ := tried(n, func(seed uint64) verdict.Result {
					failing := s.draw(rand.New(rand.NewPCG(seed, 15)), part*0.001) // #nosec G404 -- the same numbers each time
					run := ended(seconds)
					for at := range run.Seconds {
						run.Seconds[at].Counts["operations{queue_join}"] = rate
					}
					for at := range int64(seconds) {
						run.Seconds[at].Counts["errors{queue_join}{HTTPError 500}"] = int64(failing(rate))
					}
					return verdict.Judge(run, claims).Claims[0]
				})
				pass, fail := percentOf(statuses[verdict.Pass], n), percentOf(statuses[verdict.Fail], n)
				t.Logf("| %s | %d | %d | %.2f | %.1f %% | %.1f %% | |", s.name, seconds, seconds*rate, part, pass, fail)
				if n < 1000 {
					return
				}
				if part > 1 {
					require.LessOrEqual(t, pass, 5.0, "false PASS")
				} else {
					require.LessOrEqual(t, fail, 5.0, "false FAIL")
				}
				if s.decides && math.Abs(part-1) > 0.05 {
					require.GreaterOrEqual(t, pass+fail, 90.0, "decided")
				}
			})
		}
	}
}

// beside returns a minute of a service, measured by a runner that delays each request and each answer as it delays its own
// timers: by mean ms on average.
func beside(seed uint64, mean float64, service func(r *rand.Rand) float64) *evidence.Run {
	return besideSeveral(1, seed, mean, service)
}

// besideSeveral is beside of so many runners, merged.
func besideSeveral(runners int, seed uint64, mean float64, service func(r *rand.Rand) float64) *evidence.Run {
	const seconds, rate = 60, 50
	r := rand.New(rand.NewPCG(seed, 15)) // #nosec G404 -- the same numbers each time
	delay := func() float64 { return mean * r.ExpFloat64() }
	run := ended(seconds)
	run.Runners = nil
	for i := range runners {
		run.Runners = append(run.Runners, evidence.Runner{Index: i, Count: runners, Ended: true})
	}
	return eachSecond(run, func(_ int, s *evidence.Second) {
		served, micros, late := &evidence.Cell{}, make([]int64, rate), make([]int64, 50*runners)
		for i := range micros {
			micros[i] = int64(1000 * (service(r) + delay() + delay()))
			if micros[i] > limitMs*1000 {
				served.Over++
			}
		}
		for i := range late {
			late[i] = int64(1000 * delay())
		}
		served.OK = evidence.HistogramOf(micros...)
		s.Cells[joins], s.Cells[lag] = served, &evidence.Cell{OK: evidence.HistogramOf(late...)}
	})
}

func TestADelayedRunnerNeverFailsAHealthyService(t *testing.T) {
	for _, mean := range []float64{0.5, 10, 30, 100, 1000} {
		t.Run(fmt.Sprintf("delays of %v ms", mean), func(t *testing.T) {
			n := max(seeds()/10, 10)
			statuses, _ := tried(n, func(seed uint64) verdict.Result {
				return verdict.Judge(beside(seed, mean, func(r *rand.Rand) float64 { return 30 * math.Exp(0.5*r.NormFloat64()) }), joinsWithin).Claims[0]
			})
			require.Zero(t, statuses[verdict.Fail])
			if mean < 1 {
				require.Equal(t, n, statuses[verdict.Pass])
			}
		})
	}
}

// The delays of several runners, each as long as that of one, make the verdict no less certain.
func TestADelayedRunnerStillFailsASlowService(t *testing.T) {
	for _, runners := range []int{1, 4, 16} {
		t.Run(fmt.Sprintf("runners: %d", runners), func(t *testing.T) {
			n := max(seeds()/10, 10)
			statuses, _ := tried(n, func(seed uint64) verdict.Result {
				return verdict.Judge(besideSeveral(runners, seed, 4, func(r *rand.Rand) float64 {
					if r.Float64() < 0.25 {
						return 130
					}
					return 20
				}), joinsWithin).Claims[0]
			})
			require.GreaterOrEqual(t, percentOf(statuses[verdict.Fail], n), 90.0)
		})
	}
}

func TestTheTrueQuantileLiesInTheInterval(t *testing.T) {
	const n = 300
	below, above := 0, 0
	for seed := range n {
		result := verdict.Judge(simulated(shapes[0], uint64(seed), 60, 50, 0.9), joinsWithin).Claims[0] // #nosec G115 -- not negative
		if result.Low > 0.9*limitMs*1.008 {
			below++
		}
		if result.High < 0.9*limitMs {
			above++
		}
	}
	require.LessOrEqual(t, percentOf(below, n), 6.0)
	require.LessOrEqual(t, percentOf(above, n), 6.0)
}

func percentOf(part, whole int) float64 { return 100 * float64(part) / float64(whole) }
