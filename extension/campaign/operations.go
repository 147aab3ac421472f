package campaign

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

const (
	// judgedSeconds is the length of the interval over which operations are judged.
	judgedSeconds = 30
	// leastOperations is how many there must be in it: with fewer, the share of failures is not significant.
	leastOperations = 20
	// staleAfter is the age above which evidence is ignored. It is written every 5 s, so older evidence is of a run that is over or has not begun.
	staleAfter = 15 * time.Second
	// shownFailures is how many kinds of failures a message names.
	shownFailures = 3
)

// recentOperations are the recent operations of one runner.
type recentOperations struct {
	offset  time.Duration // the runner's clock minus the target's clock
	first   int64         // the first and the last second with data
	last    int64
	seconds map[int64]*operationCounts
	isOver  bool
}

// operationCounts counts the operations of an interval.
type operationCounts struct {
	all, failed   int64
	failures      map[string]int64 // failed, by operation and kind
	unanswered    int64            // requests that have waited for long and are not yet counted as operations
	hasUnanswered bool             // whether unanswered was read
	isWhole       bool             // the counts cover the whole judged interval
}

// take adds new evidence, and drops seconds before the judged interval.
func (r *recentOperations) take(run *evidence.Run) {
	if r.seconds == nil {
		r.seconds = map[int64]*operationCounts{}
	}
	for _, runner := range run.Runners {
		r.offset = runner.ClockOffset
	}
	r.isOver = run.End != nil
	for at, second := range run.Seconds {
		if len(second.Levels) == 0 && len(second.Counts) == 0 {
			continue // the second has only a request that began in it and was answered later
		}
		if r.first == 0 || at < r.first {
			r.first = at
		}
		r.last = max(r.last, at)
		counts := r.seconds[at]
		if counts == nil {
			counts = &operationCounts{}
			r.seconds[at] = counts
		}
		counts.take(second)
	}
	maps.DeleteFunc(r.seconds, func(at int64, _ *operationCounts) bool { return at <= r.last-judgedSeconds })
}

func (c *operationCounts) take(second *evidence.Second) {
	for name, n := range second.Counts {
		metric, labels, _ := strings.Cut(name, "{")
		switch metric {
		case evidence.CountOperations:
			c.all += n
		case evidence.CountErrors:
			c.fail(strings.NewReplacer("}{", " ", "}", "").Replace(labels), n)
		}
	}
	if waiting, ok := second.Levels[evidence.LevelUnanswered]; ok {
		c.unanswered, c.hasUnanswered = int64(waiting), true
	}
}

func (c *operationCounts) fail(kind string, n int64) {
	if c.failures == nil {
		c.failures = map[string]int64{}
	}
	c.failures[kind] += n
	c.failed += n
}

// counts returns the counts of the last 30 s of the evidence; none for a run that is over.
func (r *recentOperations) counts(now time.Time) operationCounts {
	age := now.Add(-r.offset).Sub(time.Unix(r.last, 0))
	if r.isOver || r.last == 0 || age > staleAfter {
		return operationCounts{}
	}
	sum := operationCounts{isWhole: r.last-r.first >= judgedSeconds-1}
	for at := r.last - judgedSeconds + 1; at <= r.last; at++ {
		second := r.seconds[at]
		if second == nil {
			continue
		}
		sum.addEnded(second)
		if second.hasUnanswered {
			sum.unanswered = second.unanswered // a level: the last reading counts
		}
	}
	return sum
}

// addEnded adds operations that have ended.
func (c *operationCounts) addEnded(other *operationCounts) {
	c.all += other.all
	for kind, n := range other.failures {
		c.fail(kind, n)
	}
}

// add adds the counts of another runner.
func (c *operationCounts) add(other operationCounts) {
	c.addEnded(&other)
	c.unanswered += other.unanswered
	c.isWhole = c.isWhole || other.isWhole
}

// judge returns a Break if more than half of the operations failed or have waited long for an answer.
func (c *operationCounts) judge(now time.Time) Break {
	all, bad := c.all+c.unanswered, c.failed+c.unanswered
	if !c.isWhole || all < leastOperations || 2*bad <= all {
		return Break{}
	}
	return Break{Reason: fmt.Sprintf("%d of %d operations within %d s failed, as was seen at %s: %s",
		bad, all, judgedSeconds, clock(now), c.worst())}
}

// worst names the most frequent kinds of failures.
func (c *operationCounts) worst() string {
	kinds := slices.SortedFunc(maps.Keys(c.failures), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.failures[b], c.failures[a]), cmp.Compare(a, b))
	})
	var parts []string
	others := int64(0)
	for i, kind := range kinds {
		if i < shownFailures {
			parts = append(parts, fmt.Sprintf("%s (%d)", kind, c.failures[kind]))
		} else {
			others += c.failures[kind]
		}
	}
	if others > 0 {
		parts = append(parts, fmt.Sprintf("others (%d)", others))
	}
	if c.unanswered > 0 {
		parts = append(parts, fmt.Sprintf("no answer for %.0f s and longer (%d)", evidence.LongUnanswered.Seconds(), c.unanswered))
	}
	return strings.Join(parts, ", ")
}
