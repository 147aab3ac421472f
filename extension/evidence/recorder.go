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

// foldEvery is the number of seconds between packing samples, and between writes to a file.
const foldEvery = 5

// longest is how far from its beginning a run may have seconds.
const longest = 31 * 24 * time.Hour

// DefaultLimits returns the limits of a run that sets no others.
func DefaultLimits() map[Metric]int64 {
	return map[Metric]int64{MetricRequest: 100_000, MetricEvent: 100_000, MetricMatch: 3_000_000}
}

// Recorder records the samples of a run. It is safe for concurrent use.
//
// Samples are first appended to lists, one for each second and series. Every 5 s the lists are packed, added to the packed
// seconds, and appended to the file, if there is one. A second may be added to several times: a request that began a minute ago
// counts for the second in which it began.
//
// Seconds are by the wall clock at the time the recorder was made, and by the monotonic clock from then on, so that a step of
// the wall clock during a run neither skips a second nor counts it twice.
type Recorder struct {
	clock func() time.Time
	start time.Time

	hot sync.Mutex // guards the fields below, up to cold
	// offset is this runner's clock minus the target's.
	offset   time.Duration
	limits   map[Metric]int64
	names    names
	seconds  map[int64]*hotSecond
	spare    []*hotSecond // emptied, to be reused
	foldAt   int64        // the second in which samples are packed next
	isClosed bool

	// cold guards the fields below. It is locked before hot if both are needed.
	cold        sync.Mutex
	packed      map[int64][]byte
	header      Header
	runner      Runner
	isDescribed bool
	end         *End
	file        *file
	stopped     chan struct{} // closed when keepWriting has returned
	stop        chan struct{} // closing it ends keepWriting
}

// New returns a Recorder. A nil clock means time.Now.
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

// Describe sets the header and the runner. It is called once, before the load begins. Earlier samples are kept, and moved by the
// clock offset in whole seconds. Without limits in the header, DefaultLimits apply; other limits are refused for a metric that
// has samples, as those were counted against the default. A runner without an ID gets one. The times at which header and runner
// began are given by this runner's clock and converted to the target's.
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

// withoutSecrets removes user, password, query and fragment from an address.
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
		if limit < 1 || limit > maxMicros {
			return fmt.Errorf("evidence: the limit of %s is %d µs; set 1 to %d", metric, limit, maxMicros)
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

// setOffset sets the offset, and moves the packed seconds by it in whole seconds, as their samples have no times any more.
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

// onTarget converts a time of this runner's clock to the target's.
func (r *Recorder) onTarget(t time.Time) time.Time { return t.Add(-r.offset).Round(0).UTC() }

// Time records a sample in the second in which it began. kind is the kind of failure, such as "HTTPError 500", for Failed only.
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
		cell.failedAfter = append(cell.failedAfter, bucket)
	case Cut:
		cell.cut = append(cell.cut, bucket)
		if over {
			cell.cutOver++
		}
	}
	r.unlockAndFold(second + int64(took/time.Second))
}

// Count adds n to a count in the second of a time. An n of 0 or less is ignored.
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

// Level records the reading of a level at a time; the last reading of a second is kept. A value that is not finite is ignored.
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

// secondOf returns the second of a time, by the target's clock. A time before the recorder was made belongs to its first second.
func (r *Recorder) secondOf(t time.Time) int64 {
	since := min(max(t.Sub(r.start), 0), longest)
	return r.start.Add(since - r.offset).Unix()
}

// at returns the lists of a second, and makes them if there are none. The lock hot is held.
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

// unlockAndFold unlocks hot and packs the samples, if they are due at this second and nothing else is packing.
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

// fold packs the samples. The lock cold is held.
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

// known returns the names so far. Names are only ever added.
func (r *Recorder) known() *names {
	r.hot.Lock()
	defer r.hot.Unlock()
	known := r.names
	return &known
}

// Run returns the record so far, as a copy that later samples do not change.
func (r *Recorder) Run() *Run { return r.since(math.MinInt64) }

// Recent returns the record of this many last seconds, the current one included. Its cost depends only on that number.
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
