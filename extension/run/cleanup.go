package run

import (
	"context"
	"errors"
	"time"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
)

const (
	// deleteEvery is the interval between deletions: 20 accounts a second, far below a load.
	deleteEvery = 50 * time.Millisecond
	// deletedAtOnce is the maximum number of deletions in flight, and deleteTimeout the time that each may take.
	deletedAtOnce = 10
	deleteTimeout = 10 * time.Second
	// cleanupLimit is the time that the whole cleanup may take: enough for 12,000 accounts.
	cleanupLimit = 10 * time.Minute
	// abortedCleanupLimit and abortedDeleteTimeout apply after the user stopped the run and waits for its end.
	abortedCleanupLimit  = 10 * time.Second
	abortedDeleteTimeout = 3 * time.Second
	// silentDeletions is the number of consecutive deletions without an answer after which the cleanup gives up: the service hangs.
	silentDeletions = 10
)

// NoteAccount records an account that this run created, to be deleted at the end.
func (r *Run) NoteAccount(user *platform.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts.made = append(r.accounts.made, user.Through(nil))
}

// DeleteAccounts deletes the accounts that NoteAccount recorded, each with its user's own token, at a low rate. The requests are not load.
func (r *Run) DeleteAccounts(ctx context.Context, connection platform.HTTP, isAborted bool) report.Cleanup {
	limit, timeout := cleanupLimit, deleteTimeout
	if isAborted {
		limit, timeout = abortedCleanupLimit, abortedDeleteTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r.mu.Lock()
	users := r.accounts.made
	r.accounts.made = nil
	r.mu.Unlock()
	c := cleanup{connection: connection, timeout: timeout, users: users, ended: make(chan deletion)}
	c.found.Accounts = len(users)
	c.run(ctx)
	r.Record.CleanedUp(c.found)
	return c.found
}

// cleanup is the state of the deletion of accounts.
type cleanup struct {
	connection platform.HTTP
	timeout    time.Duration    // for one account
	users      []*platform.User // still to be deleted
	underWay   int
	silent     int       // consecutive deletions without an answer
	pause      time.Time // no deletion before this time, as the service asked
	ended      chan deletion
	found      report.Cleanup
}

// deletion is the result of deleting one account.
type deletion struct {
	user    *platform.User
	wasGone bool
	err     error
}

func (c *cleanup) run(ctx context.Context) {
	ticker := time.NewTicker(deleteEvery)
	defer ticker.Stop()
	for len(c.users) > 0 || c.underWay > 0 {
		isStopped := ctx.Err() != nil || c.silent >= silentDeletions
		if isStopped && c.underWay == 0 {
			break
		}
		tick := ticker.C
		if isStopped || len(c.users) == 0 || c.underWay >= deletedAtOnce {
			tick = nil
		}
		done := ctx.Done()
		if isStopped {
			done = nil
		}
		select {
		case <-done:
		case at := <-tick:
			if !at.Before(c.pause) {
				c.begin(ctx)
			}
		case ended := <-c.ended:
			c.note(ended)
		}
	}
	why := report.KeptNoTime
	if c.silent >= silentDeletions {
		why = report.KeptSilent
	}
	c.keep(why, len(c.users))
}

// begin starts the deletion of the next account.
func (c *cleanup) begin(ctx context.Context) {
	user := c.users[0]
	c.users = c.users[1:]
	c.underWay++
	go func() {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		wasGone, err := user.Through(c.connection).Delete(ctx)
		c.ended <- deletion{user, wasGone, err}
	}()
}

// note records the result of a deletion. One that was throttled or cut off by the end remains to be done.
func (c *cleanup) note(d deletion) {
	c.underWay--
	var e *platform.Error
	isAnswered := !errors.As(d.err, &e) || e.Status != 0
	if isAnswered {
		c.silent = 0
	}
	switch {
	case d.err == nil && d.wasGone:
		c.found.Gone++
	case d.err == nil:
		c.found.Deleted++
	case platform.IsStopped(d.err):
		c.users = append(c.users, d.user)
	case e != nil && e.Name == platform.ThrottledError:
		c.users = append(c.users, d.user)
		c.pause = time.Now().Add(e.RetryAfter)
	default:
		if !isAnswered {
			c.silent++
		}
		c.keep(errorKind(d.err), 1)
	}
}

func (c *cleanup) keep(why string, n int) {
	if n == 0 {
		return
	}
	if c.found.Kept == nil {
		c.found.Kept = map[string]int{}
	}
	c.found.Kept[why] += n
}

// errorKind returns the name of an error in the summary, such as users_me_delete HTTPError 500.
func errorKind(err error) string {
	kind := KindOf(platform.OpDelete, err)
	return kind.Operation + " " + KindName(kind)
}
