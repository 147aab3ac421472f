package run

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// accounts are the users of this process whose balances can be read at the end, by id. Run.mu guards it.
type accounts struct {
	seeded   map[string]*platform.User // that setup() signed up
	enrolled map[string]*platform.User // of stays
	made     []*platform.User          // all that are to be deleted at the end
}

func newAccounts() accounts {
	return accounts{seeded: make(map[string]*platform.User), enrolled: make(map[string]*platform.User)}
}

// Remember keeps a user that setup() signed up.
func (r *Run) Remember(user *platform.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts.seeded[user.ID()] = user
}

// Recall returns the user with this id that setup() signed up.
func (r *Run) Recall(id string) (*platform.User, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	user, ok := r.accounts.seeded[id]
	return user, ok
}

// Enroll keeps a user of a stay for the audit at the end.
func (r *Run) Enroll(user *platform.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts.enrolled[user.ID()] = user.Through(nil)
}

// Expel removes a user that lost its session from the audit, since its balance cannot be read.
func (r *Run) Expel(user *platform.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.accounts.enrolled, user.ID())
}

// known returns the users, those of setup() first, in the order of their ids.
func (r *Run) known() []*platform.User {
	r.mu.Lock()
	defer r.mu.Unlock()
	var users []*platform.User
	for _, of := range []map[string]*platform.User{r.accounts.seeded, r.accounts.enrolled} {
		for _, id := range slices.Sorted(maps.Keys(of)) {
			users = append(users, of[id])
		}
	}
	return users
}

// MaxAudited is the largest number of users whose balances an audit reads.
const MaxAudited = 1_000_000

const (
	// auditedAtOnce is the number of balances that are read at the same time.
	auditedAtOnce = 10
	// auditTimeout limits the reading of one balance, and auditLimit that of all: k6 gives teardown() ten minutes.
	auditTimeout = 4 * time.Second
	auditLimit   = 4 * time.Minute
	// abortedAuditLimit is auditLimit after an abort, when the person at the terminal waits.
	abortedAuditLimit = 3 * time.Second
	// silentReads is the number of unanswered readings after which the service is taken to hang.
	silentReads = 10
)

// Audit describes how the balances of users are read after the load.
type Audit struct {
	AtMost    int  // users
	IsAborted bool // the run was aborted: abortedAuditLimit applies
	// Open makes a connection for one user, with this timeout of a request.
	Open func(timeout time.Duration) (connection platform.HTTP, closeIt func())
	// Count counts the reading of one balance, with an error if it failed or the balance does not add up.
	Count   func(err error)
	Client  *http.Client // for requests that are no load
	BaseURL string
}

// Audit reads the balances of the users, compares them with their accounts, and reads how long the service has been up.
func (r *Run) Audit(ctx context.Context, a Audit) *evidence.Ledger {
	limit := auditLimit
	if a.IsAborted {
		limit = abortedAuditLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ledger := a.read(ctx, sampleOf(r.known(), a.AtMost))
	uptime := time.Duration(-1)
	if health, err := platform.CheckHealth(ctx, a.Client, a.BaseURL); err == nil {
		uptime = health.Uptime
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.ledger, r.state.uptime, r.state.ended = ledger, uptime, time.Now()
	return ledger
}

// read reads the balances.
func (a Audit) read(ctx context.Context, users []*platform.User) *evidence.Ledger {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var silent atomic.Int64
	read := make([]error, len(users))
	inParallel(len(users), auditedAtOnce, func(i int) {
		if read[i] = errUnread; silent.Load() >= silentReads || ctx.Err() != nil {
			return
		}
		connection, closeIt := a.Open(auditTimeout)
		defer closeIt()
		_, err := users[i].Through(connection).Balance(ctx)
		if e, ok := platform.AsError(err); ok && e.Name == platform.TimeoutError && silent.Add(1) >= silentReads {
			cancel() // the others would hang as long
		}
		if !platform.IsStopped(err) {
			read[i] = err
		}
	})
	ledger := &evidence.Ledger{}
	for i, user := range users {
		err := read[i]
		if err == nil {
			err = enter(ledger, user)
		} else {
			ledger.Unread++
		}
		a.Count(err)
	}
	return ledger
}

var errUnread = &platform.Error{
	Name: platform.TimeoutError, Operation: platform.OpBalance,
	Message: platform.OpBalance + ": the balance was not read after the load: too many readings before it took too long",
}

// enter adds a user's statement to the ledger, and returns an error if it does not add up.
func enter(ledger *evidence.Ledger, user *platform.User) error {
	s := user.Statement()
	ledger.Users++
	ledger.Bought += int64(s.Bought)
	ledger.Spent += int64(s.Spent)
	ledger.Lost += int64(s.Lost)
	ledger.Left += int64(s.Left)
	if s.Missing == 0 {
		return nil
	}
	ledger.Wrong++
	example := fmt.Sprintf("user %s has %d, and bought %d, spent %d, lost %d", user.ID(), s.Left, s.Bought, s.Spent, s.Lost)
	if len(ledger.Examples) < 10 {
		ledger.Examples = append(ledger.Examples, example)
	}
	return platform.Unexpected(platform.OpBalance, http.StatusOK, "the balance after the load does not add up: %s", example)
}

// sampleOf returns at most this many elements, spread evenly.
func sampleOf[T any](all []T, most int) []T {
	if len(all) <= most {
		return all
	}
	sample := make([]T, most)
	for i := range sample {
		sample[i] = all[i*len(all)/most]
	}
	return sample
}

// inParallel calls f for 0 to n-1, atOnce at a time, and waits for all.
func inParallel(n, atOnce int, f func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, atOnce) {
		workers.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}
