package campaign

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/verity-app/xk6-verity/extension/report"
)

// cleanupVariable has a run delete the accounts that it made.
const cleanupVariable = "DELETE_ACCOUNTS"

// A run deletes 20 accounts a second, for 10 minutes at most; that of few takes no longer than leastCleanup.
const (
	deletedPerSecond = 20
	mostCleanup      = 10 * time.Minute
	leastCleanup     = 30 * time.Second
)

// Cleaning returns the plan with steps whose runs delete the accounts that they made.
func (p Plan) Cleaning() Plan {
	p.Steps = slices.Clone(p.Steps)
	for i := range p.Steps {
		variables := map[string]string{cleanupVariable: "1"}
		maps.Copy(variables, p.Steps[i].Variables)
		p.Steps[i].Variables = variables
	}
	return p
}

// cleanupMargin is how long a step needs beside its load to delete accounts.
func (s Step) cleanupMargin() time.Duration {
	if s.Variables[cleanupVariable] != "1" {
		return 0
	}
	return min(leastCleanup+time.Duration(s.Users)*time.Second/deletedPerSecond, mostCleanup)
}

// Accounts says how many accounts the runs have deleted and how many they have left; "" where none was to be deleted.
func (r *Record) Accounts() string {
	facts := map[string]int64{}
	for i := range r.Steps {
		for name, n := range r.Steps[i].Facts {
			facts[name] += n
		}
	}
	return accountsText(facts)
}

func accountsText(facts map[string]int64) string {
	deleted, isThere := facts[report.FactAccountsDeleted]
	if !isThere {
		return ""
	}
	return fmt.Sprintf("%s accounts deleted, %s left on the service", report.Thousands(int(deleted)),
		report.Thousands(int(facts[report.FactAccountsKept])))
}
