package standin

import (
	"cmp"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// Account is the tokens of one user. Bought = Balance + Queued + Spent + Lost at all times.
type Account struct {
	ID      string `json:"id"`
	Bought  int64  `json:"bought"`  // credited by webhooks
	Balance int64  `json:"balance"` // as GET /tokens/balance answers
	Queued  int64  `json:"queued"`  // paid for the current place in the queue
	Spent   int64  `json:"spent"`   // on matches
	Lost    int64  `json:"lost"`    // paid for a place that the user left, and not refunded
}

// errOverflow is Postgres' error on a balance that exceeds an int32.
var errOverflow = errors.New("the balance does not fit an int32")

// user is one account.
type user struct {
	id        string
	operating sync.Mutex // held by the user's queue operation under way

	mu      sync.Mutex
	account Account
	banned  bool
	gone    bool     // deleted; its access tokens still work
	lossy   bool     // the next refund is lost
	access  []string // access tokens that may still be valid
}

// credit adds bought tokens.
func (u *user) credit(tokens int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.account.Balance > contract.MaxTokens-tokens {
		return errOverflow
	}
	u.account.Bought += tokens
	u.account.Balance += tokens
	return nil
}

// pay moves one token from the balance to Queued, and reports whether there was one.
func (u *user) pay() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone || u.account.Balance == 0 {
		return false
	}
	u.account.Balance--
	u.account.Queued++
	return true
}

// refund moves the token for the place in the queue back to the balance.
func (u *user) refund() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.account.Queued--
	u.account.Balance++
}

// forfeit moves the token for the place in the queue to Lost.
func (u *user) forfeit() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.account.Queued--
	u.account.Lost++
}

// spend moves the token for the place in the queue to Spent.
func (u *user) spend() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.account.Queued--
	u.account.Spent++
}

// losesRefund reports whether the next refund is to be lost, and resets that.
func (u *user) losesRefund() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	lossy := u.lossy
	u.lossy = false
	return lossy
}

func (u *user) balance() int64 { return u.read().Balance }

func (u *user) read() Account {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.account
}

func (u *user) isBanned() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.banned
}

func (u *user) isGone() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gone
}

// remove deletes the account, and reports whether it was there.
func (u *user) remove() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	wasThere := !u.gone
	u.gone = true
	return wasThere
}

// accounts holds all users.
type accounts struct {
	mu   sync.RWMutex
	byID map[string]*user
}

func newAccounts() *accounts { return &accounts{byID: make(map[string]*user)} }

func (a *accounts) signUp() *user {
	u := &user{id: newID()}
	u.account.ID = u.id
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byID[u.id] = u
	return u
}

// find returns the user with an id, or nil.
func (a *accounts) find(id string) *user {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.byID[id]
}

// all returns the accounts, sorted by id.
func (a *accounts) all() []Account {
	a.mu.RLock()
	all := make([]Account, 0, len(a.byID))
	for _, u := range a.byID {
		all = append(all, u.read())
	}
	a.mu.RUnlock()
	slices.SortFunc(all, func(x, y Account) int { return cmp.Compare(x.ID, y.ID) })
	return all
}

// newID returns a random id: c and 25 characters, as in Verity.
func newID() string { return "c" + strings.ToLower(rand.Text()[:25]) }
