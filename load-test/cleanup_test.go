package loadtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/campaign"
	"github.com/verity-app/xk6-verity/extension/evidence"
)

const routeDelete = "DELETE /users/me"

// deleted returns the number of accounts that the service was asked to delete, and did delete.
func (s state) deleted(t *testing.T) int {
	t.Helper()
	n := s.Answers[routeDelete][http.StatusOK] + s.Answers[routeDelete][http.StatusNoContent]
	require.Equal(t, n, s.requests(routeDelete), "%v", s.Answers[routeDelete])
	return n
}

// requireCleanedUp requires that every account created was deleted, and that the deletions count neither as load nor as operations.
func requireCleanedUp(t *testing.T, target *target, r result, dir, name string) {
	t.Helper()
	s := target.state(t)
	made := s.Answers[routeSignUp][http.StatusCreated]
	require.Positive(t, made)
	require.Equal(t, made, s.deleted(t))
	require.Regexp(t, fmt.Sprintf(`accounts +%d of the %d that this run made were deleted\n`, made, made), r.stdout)
	run, err := evidence.ReadFile(filepath.Join(dir, name+evidence.Extension))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"accounts_deleted": int64(made), "accounts_kept": 0}, run.End.Facts)
	for _, second := range run.Seconds {
		for series := range second.Cells {
			require.NotContains(t, series.Label, "delete")
		}
		for count := range second.Counts {
			require.NotContains(t, count, "delete")
		}
	}
	require.Equal(t, s.allRequests()-made, r.count("http_reqs"), "the deletions are no requests of the load")
}

func TestAccountsAreDeletedAfterTheLoad(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		dir := t.TempDir()
		r := k6Run(queueConcurrency, target, append(brief, "DELETE_ACCOUNTS=1", "REPORT_DIR="+dir)...).run(t)
		r.requirePassed(t)
		requireCleanedUp(t, target, r, dir, "queue-concurrency")
		require.Zero(t, target.state(t).queued())
	})
}

// The accounts of the preflight's trial match are deleted too; its requests are not load either.
func TestAccountsOfUsersInSessionsAreDeleted(t *testing.T) {
	t.Parallel()
	target := startStandin(t, whole)
	r := sustain(target, 6, "4s", "TRIAL=1", "DELETE_ACCOUNTS=1").run(t)
	r.requirePassed(t)
	s := target.state(t)
	require.Equal(t, 6+2, s.Answers[routeSignUp][http.StatusCreated])
	require.Equal(t, 6+2, s.deleted(t))
	require.Contains(t, r.stdout, "8 of the 8 that this run made were deleted\n")
}

func TestAccountsOfBuyersAreDeletedAfterTheirBalancesWereRead(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		dir := t.TempDir()
		r := spike(target, "SEED_USER_COUNT=30", "DELETE_ACCOUNTS=1", "REPORT_DIR="+dir).run(t)
		require.NotEqual(t, exitcodes.ScriptException, r.exit, r.stderr)
		requireCleanedUp(t, target, r, dir, "token-purchase-spike")
		require.Equal(t, map[int]int{200: 30}, target.state(t).Answers[routeBalance], "a balance of an account that is gone would be 404")
	})
}

func TestNoAccountIsDeletedUnlessThatIsWanted(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	r := k6Run(queueConcurrency, target, brief...).run(t)
	r.requirePassed(t)
	require.Positive(t, target.state(t).Answers[routeSignUp][http.StatusCreated])
	require.Zero(t, target.state(t).requests(routeDelete))
	require.NotContains(t, r.stdout, "were deleted")
}

// A failed cleanup is reported but does not fail the run, as it is not what the run measures.
func TestAccountsThatCannotBeDeletedAreToldAndFailNothing(t *testing.T) {
	t.Parallel()
	behind := startStandin(t, conditions{})
	target := before(t, behind, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && r.URL.Path == "/users/me" && refuse(w, http.StatusNotFound, "Cannot DELETE /users/me")
	})
	r := k6Run(queueConcurrency, target, append(brief, "DELETE_ACCOUNTS=1")...).run(t)
	r.requirePassed(t)
	made := behind.state(t).Answers[routeSignUp][http.StatusCreated]
	require.Contains(t, r.stdout, fmt.Sprintf("0 of the %d that this run made were deleted; left on the service: %d (users_me_delete HTTPError 404 × %d)",
		made, made, made))
}

func TestAccountsOfARunThatIsStoppedAreDeletedFor10Seconds(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	p := k6Run(queueConcurrency, target, "TARGET_VUS=20", "USERS_PER_VU=5", "RAMP_UP=1s", "HOLD=5m", "RAMP_DOWN=1s", "DELETE_ACCOUNTS=1").start(t)
	require.Eventually(t, func() bool { return target.observe(t).Answers[routeSignUp][http.StatusCreated] == 20 }, time.Minute, 50*time.Millisecond)
	r, took := p.interrupt(t)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	require.Less(t, took, 25*time.Second)
	require.Equal(t, 20, target.observe(t).Answers[routeDelete][http.StatusNoContent])
	require.Contains(t, r.stdout, "20 of the 20 that this run made were deleted\n")
}

// The two users of the preflight's trial match are deleted by the preflight, which has no teardown.
func TestAPreflightDeletesTheAccountsOfItsTrial(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	for variable, deleted := range map[string]int{"DELETE_ACCOUNTS=1": 2, "DELETE_ACCOUNTS=0": 0} {
		before := target.state(t)
		c := k6("x", "verity", "preflight", "--scenario", "queue-concurrency", "--trial", "--json")
		c.env = []string{"BASE_URL=" + target.url, "STRIPE_WEBHOOK_SECRET=" + target.secret, "TARGET_VUS=20", "QUEUE_MODE=shared", variable}
		r := c.run(t)
		require.Zero(t, r.exit, r.stdout+r.stderr)
		require.True(t, json.Valid([]byte(r.stdout)), r.stdout)
		after := target.state(t)
		require.Equal(t, 2, after.Answers[routeSignUp][http.StatusCreated]-before.Answers[routeSignUp][http.StatusCreated])
		require.Equal(t, deleted, after.Answers[routeDelete][http.StatusNoContent]-before.Answers[routeDelete][http.StatusNoContent])
	}
}

// A campaign reports how many accounts its runs deleted, in its log, on its page and at its end.
func TestACampaignDeletesTheAccountsOfItsRuns(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	e := newExpedition(t, target, "steps:\n  - profile: small-queue\n  - profile: small-spike\n").with("--cleanup")
	r := e.run(t)
	require.Equal(t, exitcodes.ExitCode(0), r.exit, r.stdout+r.stderr)
	require.Equal(t, "passed|passed", e.states(t))
	s := target.state(t)
	require.Equal(t, 20+10, s.Answers[routeSignUp][http.StatusCreated])
	require.Equal(t, 20+10, s.deleted(t))
	require.Contains(t, r.stdout, "\n30 accounts deleted, 0 left on the service.\n")
	require.Regexp(t, `\*\*small-queue\*\* ends after \d+s: passed; 20 accounts deleted, 0 left on the service\n`, e.log(t))
	page, err := os.ReadFile(filepath.Join(e.dir, campaign.PageFile)) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.Contains(t, string(page), "10 accounts deleted, 0 left on the service")
}
