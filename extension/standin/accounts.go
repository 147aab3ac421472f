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

// Account is the account of one user's tokens. Bought = Balance + Queued + Spent + Lost, at every moment.
type Account struct {
	ID      string `json:"id"`
	Bought  int64  `json:"bought"`  // credited by webhooks
	Balance int64  `json:"balance"` // what GET /tokens/balance answers
	Queued  int64  `json:"queued"`  // paid for the place in the queue where the user waits
	Spent   int64  `json:"spent"`   // on matches
	Lost    int64  `json:"lost"`    // paid for a place that the user left, and not refunded
}

// errOverflow is Postgres': a balance is an int32.
var errOverflow = errors.New("the balance does not fit an int32")

// user is one account.
type user struct {
	id        string
	operating sync.Mutex // held by the user's one queue operation

	mu      sync.Mutex
	account Account
	banned  bool
	gone    bool     // deleted, while its access tokens still work
	lossy   bool     // the next refund gets lost
	access  []string // tokens that may still work
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

// pay moves one token from the balance to the place in the queue, if there is one.
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

// refund gives the token for the place in the queue back.
func (u *user) refund() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.account.Queued--
	u.account.Balance++
}

// forfeit loses the token.
func (u *user) forfeit() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.account.Queued--
	u.account.Lost++
}

// spend uses the token for a match.
func (u *user) spend() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.account.Queued--
	u.account.Spent++
}

// losesRefund tells once that the next refund is to get lost.
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

// accounts are all users.
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

// find returns nil for an unknown id.
func (a *accounts) find(id string) *user {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.byID[id]
}

// all are the accounts, by id.
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

// newID is c and 25 characters, as Verity's ids are.
func newID() string { return "c" + strings.ToLower(rand.Text()[:25]) }
