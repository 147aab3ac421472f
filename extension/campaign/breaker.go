package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/snapshot"
)

const (
	// askEvery is the interval between requests for /health: 30 a minute, of the 120 that the service allows an address.
	askEvery = 2 * time.Second
	// lookEvery is the interval between checks of the answers and the evidence.
	lookEvery = time.Second
	// readEvery is the interval between readings of an expression.
	readEvery = 5 * time.Second
)

// breaker is a Breaker that watches the service's /health, its Prometheus, and the evidence of the step.
type breaker struct {
	service   Service
	health    healthClient
	readEvery time.Duration
}

// NewBreaker returns a Breaker for a service.
func NewBreaker(service Service) Breaker {
	return &breaker{service: service, health: newHealthClient(service), readEvery: readEvery}
}

// Check implements Breaker. It reads each expression once.
func (b *breaker) Check(ctx context.Context, steps []Step) error {
	var queries []snapshot.Query
	for _, step := range steps {
		for _, limit := range step.Limits {
			query := queryOf(limit)
			if !slices.ContainsFunc(queries, func(q snapshot.Query) bool { return q.Name == query.Name && q.Expr == query.Expr }) {
				queries = append(queries, query)
			}
		}
	}
	switch {
	case len(queries) == 0:
		return nil
	case b.service.PrometheusURL == "":
		return errors.New("the plan has limits, which are read from Prometheus, and PROMETHEUS_URL is not set; set it, or decide with --no-breaker " +
			"that nothing ends a step before its time")
	}
	reader, err := newReader(b.service, queries)
	if err == nil {
		_, err = reader.Read(ctx)
	}
	if err != nil {
		return fmt.Errorf("the limits of the plan cannot be watched: %w", err)
	}
	return nil
}

func queryOf(limit Limit) snapshot.Query {
	return snapshot.Query{Name: limit.Name, Kind: snapshot.Gauge, Expr: limit.Query}
}

// Watch implements Breaker.
func (b *breaker) Watch(ctx context.Context, step Step, dir string, since time.Time, say func(text string)) Break {
	watching, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	say = oneAtATime(say)

	pulse := newPulse(time.Now())
	running.Go(func() { b.askHealth(watching, pulse, say) })
	crossed := make(chan Break, len(step.Limits))
	for _, limit := range step.Limits {
		running.Go(func() { b.watchLimit(watching, limit, crossed, say) })
	}
	operations := newOperations(dir, since, say)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return Break{}
		case found := <-crossed:
			return found
		case <-ticker.C:
		}
		if found := pulse.look(time.Now()); found.Reason != "" {
			return found
		}
		if found := operations.look(time.Now()); found.Reason != "" {
			return found
		}
	}
}

// oneAtATime makes say safe for concurrent use.
func oneAtATime(say func(text string)) func(text string) {
	var mu sync.Mutex
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		say(text)
	}
}

// askHealth requests /health at each interval, even while an earlier request is unanswered: one that hangs must not delay the next.
func (b *breaker) askHealth(ctx context.Context, pulse *pulse, say func(text string)) {
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		running.Go(func() {
			answer := b.health.ask(ctx)
			if ctx.Err() == nil {
				pulse.note(answer, say)
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watchLimit reads an expression at each interval until its value has been beyond the bound for long enough.
func (b *breaker) watchLimit(ctx context.Context, limit Limit, crossed chan<- Break, say func(text string)) {
	reader, err := b.readerOf(limit)
	if err != nil {
		say(fmt.Sprintf("the limit %q is not watched: %s", limit.Name, err))
		return
	}
	watch := limitWatch{limit: limit}
	ticker := time.NewTicker(b.readEvery)
	defer ticker.Stop()
	for {
		values, err := reader.Read(ctx)
		if ctx.Err() != nil {
			return
		}
		found, problem := watch.look(time.Now(), values[limit.Name], err)
		if problem != "" {
			say(problem)
		}
		if found.Reason != "" {
			crossed <- found
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (b *breaker) readerOf(limit Limit) (*snapshot.Reader, error) {
	return newReader(b.service, []snapshot.Query{queryOf(limit)})
}

// operations follows the operations of all runners whose evidence grows in a folder.
type operations struct {
	dir       string
	since     time.Time
	say       func(text string)
	followers map[string]*followed // by path
}

// followed is the evidence of one runner; follower is nil once the file cannot be read.
type followed struct {
	follower *evidence.Follower
	recent   recentOperations
}

func newOperations(dir string, since time.Time, say func(text string)) *operations {
	// File systems store times less precisely than the clock.
	return &operations{dir: dir, since: since.Add(-2 * time.Second), say: say, followers: map[string]*followed{}}
}

// look reads new evidence, and judges the last 30 s of all runners together.
func (o *operations) look(now time.Time) Break {
	o.find()
	var sum operationCounts
	for _, f := range o.followers {
		o.read(f)
		sum.add(f.recent.counts(now))
	}
	return sum.judge(now)
}

// find starts to follow new files.
func (o *operations) find() {
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return // the folder does not exist before the step writes to it
	}
	for _, entry := range entries {
		path := filepath.Join(o.dir, entry.Name())
		if o.followers[path] != nil || !strings.HasSuffix(path, evidence.Extension) {
			continue
		}
		info, err := entry.Info()
		if err != nil || info.ModTime().Before(o.since) {
			continue
		}
		o.followers[path] = &followed{follower: evidence.Follow(path)}
	}
}

func (o *operations) read(f *followed) {
	if f.follower == nil {
		return
	}
	run, err := f.follower.Next()
	if err != nil {
		o.say(fmt.Sprintf("the operations of the step are not watched any more, for its evidence cannot be read: %s", err))
		f.follower = nil
		f.recent = recentOperations{}
		return
	}
	if run != nil {
		f.recent.take(run)
	}
}
