package evidence

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"sync"
	"time"
)

// foldEvery is how many seconds of samples are kept as they came before they are packed, and how often a file is written.
const foldEvery = 5

// longest is how far from its beginning a run may have seconds.
const longest = 31 * 24 * time.Hour

// DefaultLimits are those of a run that names no others.
func DefaultLimits() map[Metric]int64 {
	return map[Metric]int64{MetricRequest: 100_000, MetricEvent: 100_000, MetricMatch: 3_000_000}
}

// Recorder keeps what a run measures. It is safe for concurrent use.
//
// Samples are first appended to lists, one for each second and series. Every 5 s the lists are packed and added to what is
// kept, and what was packed is appended to the file, if there is one. A second may be added to again and again: a
// request that began a minute ago still counts for the second in which it began.
//
// The seconds are those of the wall clock when the recorder was made, and of the monotonic clock since then, so that a
// step of the wall clock in the middle of a run neither empties a second nor counts it twice.
type Recorder struct {
	clock func() time.Time
	start time.Time

	hot sync.Mutex // guards what is below
	// offset is what this runner's clock shows less what the target's shows.
	offset   time.Duration
	limits   map[Metric]int64
	names    names
	seconds  map[int64]*hotSecond
	spare    []*hotSecond // emptied, to be used again
	foldAt   int64        // the second from which on it is time to fold
	isClosed bool

	// cold guards what is below, and is taken before hot where both are needed.
	cold        sync.Mutex
	packed      map[int64][]byte
	header      Header
	runner      Runner
	isDescribed bool
	end         *End
	file        *file
	stopped     chan struct{} // closed when nothing writes the file any more
	stop        chan struct{}
}

// New makes a recorder. The clock is time.Now where it is nil.
func New(clock func() time.Time) *Recorder {
	if clock == nil {
		clock = time.Now
	}
	start := clock()
	return &Recorder{
		clock: clock, start: start, limits: DefaultLimits(), names: newNames(),
		seconds: map[int64]*hotSecond{}, packed: map[int64][]byte{},
		header: Header{Version: Version, Began: start.Round(0).UTC(), Limits: DefaultLimits()},
		runner: Runner{ID: rand.Text(), Began: start.Round(0).UTC()},
	}
}

// Describe says what the run is, once, when that is known and the load is about to begin. Samples from before it are kept: a
// clock offset moves them by whole seconds. Where the header names no limits, they are DefaultLimits; others than those are
// refused for a metric that has samples, for they were counted against the default. The runner's ID, where it
// has none, is made up, and the times when header and runner began, which the caller's clock shows, are put on the target's.
func (r *Recorder) Describe(header Header, runner Runner) error {
	r.cold.Lock()
	defer r.cold.Unlock()
	if r.isDescribed {
		return errors.New("evidence: the run is described already")
	}
	if header.Limits == nil {
		header.Limits = DefaultLimits()
	}
	if runner.ID == "" {
		runner.ID = r.runner.ID
	}
	if header.Began.IsZero() {
		header.Began = r.clock()
	}
	if runner.Began.IsZero() {
		runner.Began = header.Began
	}
	r.fold()
	if err := r.setLimits(header.Limits); err != nil {
		return err
	}
	r.setOffset(runner.ClockOffset)
	header.Version = Version
	header.Began, runner.Began = r.onTarget(header.Began), r.onTarget(runner.Began)
	header.Target = withoutSecrets(header.Target)
	header.Limits = maps.Clone(header.Limits)
	runner.Ended = false
	r.header, r.runner, r.isDescribed = header, runner, true
	r.beginFile()
	return nil
}

// withoutSecrets leaves out what an address may carry besides: a password, a query.
func withoutSecrets(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
	return parsed.String()
}

func (r *Recorder) setLimits(limits map[Metric]int64) error {
	for metric, limit := range limits {
		if limit < 1 || limit > MaxMicros {
			return fmt.Errorf("evidence: the limit of %s is %d µs; set 1 to %d", metric, limit, MaxMicros)
		}
	}
	r.hot.Lock()
	defer r.hot.Unlock()
	for _, s := range r.names.series {
		was, is := r.limits[s.Metric], limits[s.Metric]
		if was != is {
			return fmt.Errorf("evidence: the limit of %s is %d µs, but samples were counted against %d µs already; "+
				"describe the run before the first", s.Metric, is, was)
		}
	}
	r.limits = maps.Clone(limits)
	return nil
}

// setOffset moves what was packed by as many whole seconds as the offset has, for their samples are not told apart any more.
func (r *Recorder) setOffset(offset time.Duration) {
	r.hot.Lock()
	defer r.hot.Unlock()
	r.offset = offset
	r.foldAt = 0
	by := int64(offset.Round(time.Second) / time.Second)
	moved := make(map[int64][]byte, len(r.packed))
	for second, blob := range r.packed {
		moved[second-by] = blob
	}
	r.packed = moved
}

// onTarget puts a time of this runner's clock on the target's.
func (r *Recorder) onTarget(t time.Time) time.Time { return t.Add(-r.offset).Round(0).UTC() }

// Time records something that began then and took so long, in the second in which it began. The kind says how it failed,
// such as "HTTPError 500"; it counts for Failed only.
func (r *Recorder) Time(series Series, begin time.Time, took time.Duration, outcome Outcome, kind string) {
	bucket := bucketOf(took.Microseconds())
	r.hot.Lock()
	if r.isClosed {
		r.hot.Unlock()
		return
	}
	id := r.names.idOfSeries(series)
	limit, hasLimit := r.limits[series.Metric]
	over := hasLimit && took > time.Duration(limit)*time.Microsecond
	second := r.secondOf(begin)
	cell := r.at(second).cell(id)
	switch outcome {
	case OK:
		cell.ok = append(cell.ok, bucket)
		if over {
			cell.over++
		}
	case Failed:
		cell.fail(r.names.idOf(kind))
	case Cut:
		cell.cut = append(cell.cut, bucket)
		if over {
			cell.cutOver++
		}
	}
	r.unlockAndFold(second + int64(took/time.Second))
}

// Count adds n to a count, in the second of that time. An n of 0 or less is left out.
func (r *Recorder) Count(name string, at time.Time, n int64) {
	r.hot.Lock()
	if r.isClosed || n <= 0 {
		r.hot.Unlock()
		return
	}
	second := r.secondOf(at)
	r.at(second).count(r.names.idOf(name), n)
	r.unlockAndFold(second)
}

// Level records how many of something there were at that time; the last reading of a second stands. What is not a number
// is left out.
func (r *Recorder) Level(name string, at time.Time, value float64) {
	r.hot.Lock()
	if r.isClosed || math.IsNaN(value) || math.IsInf(value, 0) {
		r.hot.Unlock()
		return
	}
	second := r.secondOf(at)
	r.at(second).level(r.names.idOf(name), value)
	r.unlockAndFold(second)
}

// secondOf is the second of a time on the target's clock. A time before the recorder was made belongs to its first second.
func (r *Recorder) secondOf(t time.Time) int64 {
	since := min(max(t.Sub(r.start), 0), longest)
	return r.start.Add(since - r.offset).Unix()
}

func (r *Recorder) at(second int64) *hotSecond {
	if hot := r.seconds[second]; hot != nil {
		return hot
	}
	hot := &hotSecond{}
	if last := len(r.spare) - 1; last >= 0 {
		hot, r.spare = r.spare[last], r.spare[:last]
	}
	r.seconds[second] = hot
	return hot
}

// unlockAndFold packs what is kept as it came, if it is time for it at that second and nothing else does so.
func (r *Recorder) unlockAndFold(now int64) {
	if r.foldAt == 0 {
		r.foldAt = now + foldEvery
	}
	isTime := now >= r.foldAt
	if isTime {
		r.foldAt = now + foldEvery
	}
	r.hot.Unlock()
	if isTime && r.cold.TryLock() {
		r.fold()
		r.cold.Unlock()
	}
}

// fold packs what is kept as it came. It is called with cold locked.
func (r *Recorder) fold() {
	r.hot.Lock()
	hot := r.seconds
	r.seconds = make(map[int64]*hotSecond, len(hot))
	r.hot.Unlock()

	known := r.known()
	for _, second := range slices.Sorted(maps.Keys(hot)) {
		delta := hot[second].appendTo(nil)
		r.packed[second] = append(r.packed[second], delta...)
		if r.file != nil && r.isDescribed {
			r.file.addSecond(second, known.unpack(delta))
		}
		hot[second].reset()
	}

	r.hot.Lock()
	defer r.hot.Unlock()
	for _, emptied := range hot {
		if len(r.spare) < 4*foldEvery {
			r.spare = append(r.spare, emptied)
		}
	}
}

// known are the names so far. They are only ever appended to.
func (r *Recorder) known() *names {
	r.hot.Lock()
	defer r.hot.Unlock()
	known := r.names
	return &known
}

// Run is what was recorded so far. Nothing that is recorded later changes it.
func (r *Recorder) Run() *Run { return r.since(math.MinInt64) }

// Recent is what was recorded of the last seconds, this one included: that many, and what it costs depends on them alone.
func (r *Recorder) Recent(seconds int) *Run {
	r.hot.Lock()
	now := r.secondOf(r.clock())
	r.hot.Unlock()
	return r.since(now - int64(seconds) + 1)
}

func (r *Recorder) since(first int64) *Run {
	r.cold.Lock()
	defer r.cold.Unlock()
	r.fold()
	runner := r.runner
	runner.Ended = r.end != nil
	run := &Run{Header: r.header, Seconds: map[int64]*Second{}, End: r.end, Runners: []Runner{runner}}
	known := r.known()
	for second, blob := range r.packed {
		if second >= first {
			run.Seconds[second] = known.unpack(blob)
		}
	}
	return run
}
