package campaign

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/report"
)

// cleanupVariable makes a run delete the accounts that it created.
const cleanupVariable = "DELETE_ACCOUNTS"

// A run deletes 20 accounts a second, for 10 minutes at most; the margin for it is at least leastCleanup.
const (
	deletedPerSecond = 20
	mostCleanup      = 10 * time.Minute
	leastCleanup     = 30 * time.Second
)

// Cleaning returns a copy of the plan in which each run deletes the accounts that it created, unless its step sets the variable.
func (p Plan) Cleaning() Plan {
	p.Steps = slices.Clone(p.Steps)
	for i := range p.Steps {
		variables := map[string]string{cleanupVariable: "1"}
		maps.Copy(variables, p.Steps[i].Variables)
		p.Steps[i].Variables = variables
	}
	return p
}

// cleanupMargin returns the time that a step needs after its load to delete accounts.
func (s Step) cleanupMargin() time.Duration {
	if s.Variables[cleanupVariable] != "1" {
		return 0
	}
	return min(leastCleanup+time.Duration(s.Users)*time.Second/deletedPerSecond, mostCleanup)
}

// Accounts says how many accounts the runs deleted and how many they left; "" if no run was to delete any.
func (r *Record) Accounts() string {
	facts := map[string]int64{}
	for i := range r.Steps {
		for name, n := range r.Steps[i].Facts {
			facts[name] += n
		}
	}
	text := accountsText(facts)
	var kept []string
	for i := range r.Steps {
		if r.Steps[i].keptAll() {
			kept = append(kept, r.Steps[i].Name)
		}
	}
	if len(kept) == 0 {
		return text
	}
	if text != "" {
		text += ". "
	}
	return text + "All accounts of " + strings.Join(kept, ", ") + " left on the service: the run was cut before it deleted them"
}

// keptAll reports whether a step was to delete its accounts and did not come to it.
func (s *StepRecord) keptAll() bool { return s.Cut && s.Variables[cleanupVariable] == "1" }

// accounts says the same as Record.Accounts of one step.
func (s *StepRecord) accounts() string {
	if s.keptAll() {
		return "all of its accounts left on the service: the run was cut before it deleted them"
	}
	return accountsText(s.Facts)
}

func accountsText(facts map[string]int64) string {
	deleted, isThere := facts[report.FactAccountsDeleted]
	if !isThere {
		return ""
	}
	return fmt.Sprintf("%s accounts deleted, %s left on the service", report.Thousands(int(deleted)),
		report.Thousands(int(facts[report.FactAccountsKept])))
}
