package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// Cleanup is the result of deleting the accounts that a run created.
type Cleanup struct {
	Accounts int
	Deleted  int
	Gone     int            // did not exist any more
	Kept     map[string]int // those that still exist, by reason
}

// The reasons of accounts that were kept because no deletion was requested.
const (
	KeptNoTime = "no time was left"
	KeptSilent = "the service did not answer"
)

// The facts of a cleanup.
const (
	FactAccountsDeleted = "accounts_deleted"
	FactAccountsKept    = "accounts_kept"
)

// CleanedUp records the result of a cleanup.
func (r *Record) CleanedUp(found Cleanup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanup = &found
}

func (c *Cleanup) facts() map[string]int {
	if c == nil {
		return nil
	}
	return map[string]int{FactAccountsDeleted: c.Deleted, FactAccountsKept: evidence.Total(c.Kept)}
}

func (c *Cleanup) findings() []Finding {
	if c == nil || c.Accounts == 0 {
		return nil
	}
	mark, parts := "", []string{fmt.Sprintf("%s of the %s that this run made were deleted", Thousands(c.Deleted), Thousands(c.Accounts))}
	if c.Gone > 0 {
		parts = append(parts, fmt.Sprintf("gone already: %s", Thousands(c.Gone)))
	}
	if kept := evidence.Total(c.Kept); kept > 0 {
		mark = "!"
		var why []string
		for _, reason := range slices.Sorted(maps.Keys(c.Kept)) {
			why = append(why, fmt.Sprintf("%s × %s", reason, Thousands(c.Kept[reason])))
		}
		parts = append(parts, fmt.Sprintf("left on the service: %s (%s)", Thousands(kept), strings.Join(why, ", ")))
	}
	return []Finding{{Mark: mark, Title: "accounts", Text: strings.Join(parts, "; ")}}
}
