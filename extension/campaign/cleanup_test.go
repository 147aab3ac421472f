package campaign

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestACleaningPlanHasTheVariableInEachStep(t *testing.T) {
	t.Parallel()
	plan := Plan{Steps: []Step{{Name: "a"}, {Name: "b", Variables: map[string]string{"HOLD": "1m"}}, {Name: "c", Variables: map[string]string{"DELETE_ACCOUNTS": "0"}}}}
	cleaning := plan.Cleaning()
	require.Equal(t, map[string]string{"DELETE_ACCOUNTS": "1"}, cleaning.Steps[0].Variables)
	require.Equal(t, map[string]string{"DELETE_ACCOUNTS": "1", "HOLD": "1m"}, cleaning.Steps[1].Variables)
	require.Equal(t, map[string]string{"DELETE_ACCOUNTS": "0"}, cleaning.Steps[2].Variables, "what the plan says of a step counts")
	require.Nil(t, plan.Steps[0].Variables, "the plan stays as it was")
}

func TestAStepThatDeletesAccountsNeedsALongerWindow(t *testing.T) {
	t.Parallel()
	for users, want := range map[int]time.Duration{0: 30 * time.Second, 2000: 130 * time.Second, 1_000_000: 10 * time.Minute} {
		step := Step{Users: users, LengthSeconds: 60}
		kept := step.Needs()
		step.Variables = map[string]string{"DELETE_ACCOUNTS": "1"}
		require.Equal(t, want, step.Needs()-kept)
	}
}

func TestTheAccountsOfAllStepsAreAddedUp(t *testing.T) {
	t.Parallel()
	record := &Record{Steps: []StepRecord{{}, {Facts: map[string]int64{"left_behind": 1}}}}
	require.Empty(t, record.Accounts())
	record.Steps[0].Facts = map[string]int64{"accounts_deleted": 1200, "accounts_kept": 0}
	record.Steps[1].Facts = map[string]int64{"accounts_deleted": 300, "accounts_kept": 7}
	require.Equal(t, "1,500 accounts deleted, 7 left on the service", record.Accounts())
}
