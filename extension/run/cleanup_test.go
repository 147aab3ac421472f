package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
)

// accountsOf is a platform.HTTP of a service with accounts; a test says what becomes of a DELETE.
type accountsOf struct {
	remove func(ctx context.Context, user string) (*platform.Answer, error)

	mu      sync.Mutex
	signed  int
	asked   []time.Time // of each DELETE
	atOnce  int
	highest int
}

func (a *accountsOf) Do(ctx context.Context, request platform.Request) (*platform.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if request.Operation == platform.OpSignUp {
		a.signed++
		return &platform.Answer{
			Status: 201, Body: fmt.Appendf(nil, `{"user":{"id":"c%d","tokenBalance":0},"accessToken":"token-c%d"}`, a.signed, a.signed),
			Cookies: map[string]string{"refresh_token": "cookie"},
		}, nil
	}
	a.asked = append(a.asked, time.Now())
	a.atOnce++
	a.highest = max(a.highest, a.atOnce)
	a.mu.Unlock()
	answer, err := a.remove(ctx, request.Header.Get("Authorization"))
	a.mu.Lock()
	a.atOnce--
	return answer, err
}

// removed answers after so long.
func removed(ctx context.Context, took time.Duration) (*platform.Answer, error) {
	select {
	case <-time.After(took):
		return &platform.Answer{Status: 204}, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, platform.ErrTimeout
		}
		return nil, platform.ErrStopped
	}
}

// cleanUp makes so many accounts and deletes them. It returns what became of them and how long that took.
func cleanUp(t *testing.T, a *accountsOf, accounts int, isAborted bool) (found report.Cleanup, took time.Duration, r *Run) {
	t.Helper()
	r = New(io.Discard)
	service := platform.NewService("http://verity.example.com", nil)
	service.NotifySignUps(r.NoteAccount)
	for range accounts {
		_, err := service.SignUp(t.Context(), a)
		require.NoError(t, err)
	}
	began := time.Now()
	found = r.DeleteAccounts(t.Context(), a, isAborted)
	return found, time.Since(began), r
}

func TestAccountsAreDeletedAtAGentleRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &accountsOf{remove: func(ctx context.Context, _ string) (*platform.Answer, error) {
			return removed(ctx, 10*time.Millisecond)
		}}
		found, took, r := cleanUp(t, a, 100, false)
		require.Equal(t, report.Cleanup{Accounts: 100, Deleted: 100}, found)
		require.Equal(t, 5010*time.Millisecond, took)
		for i := 20; i < len(a.asked); i++ {
			require.GreaterOrEqual(t, a.asked[i].Sub(a.asked[i-20]), time.Second)
		}
		require.Equal(t, map[string]int64{"accounts_deleted": 100, "accounts_kept": 0}, r.Record.Facts())
		require.Equal(t, report.Cleanup{}, r.DeleteAccounts(t.Context(), a, false), "none is deleted twice")
	})
}

func TestAccountsThatCannotBeDeletedAreKeptAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &accountsOf{remove: func(_ context.Context, token string) (*platform.Answer, error) {
			switch token {
			case "Bearer token-c1", "Bearer token-c2":
				return &platform.Answer{Status: 500}, nil
			case "Bearer token-c3":
				return &platform.Answer{Status: 404, Body: []byte(`{"message":"User not found","statusCode":404}`)}, nil
			case "Bearer token-c4":
				return nil, platform.ErrTimeout
			}
			return &platform.Answer{Status: 200}, nil
		}}
		found, _, r := cleanUp(t, a, 8, false)
		require.Equal(t, report.Cleanup{
			Accounts: 8, Deleted: 4, Gone: 1, Kept: map[string]int{"users_me_delete HTTPError 500": 2, "users_me_delete TimeoutError": 1},
		}, found)
		require.Contains(t, r.Summarize(Summary{}), "! accounts     4 of the 8 that this run made were deleted; gone already: 1; left on the "+
			"service: 3 (users_me_delete HTTPError 500 × 2, users_me_delete TimeoutError × 1)")
	})
}

func TestADeletionThatIsThrottledIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		a := &accountsOf{remove: func(context.Context, string) (*platform.Answer, error) {
			if since := time.Since(began); since > time.Second && since < 31*time.Second {
				return &platform.Answer{Status: 429, Header: map[string]string{"Retry-After": "30"}}, nil
			}
			return &platform.Answer{Status: 204}, nil
		}}
		found, took, _ := cleanUp(t, a, 60, false)
		require.Equal(t, report.Cleanup{Accounts: 60, Deleted: 60}, found)
		require.Len(t, a.asked, 61, "one was throttled, and the others waited")
		require.Less(t, took, 40*time.Second)
	})
}

func TestAServiceThatHangsIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &accountsOf{remove: func(ctx context.Context, _ string) (*platform.Answer, error) { return removed(ctx, time.Hour) }}
		found, took, _ := cleanUp(t, a, 1000, false)
		require.Equal(t, 0, found.Deleted)
		require.Equal(t, 10, a.highest)
		require.Less(t, took, 25*time.Second)
		require.Equal(t, 1000, found.Kept["users_me_delete TimeoutError"]+found.Kept["the service did not answer"])
		require.LessOrEqual(t, found.Kept["users_me_delete TimeoutError"], 20)

		_, took, _ = cleanUp(t, a, 1000, true)
		require.Less(t, took, 7*time.Second, "somebody waits")
	})
}

func TestTheDeletionOfAccountsEnds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		isAborted bool
		accounts  int
		deleted   int
		most      time.Duration
	}{
		{"after ten minutes", false, 13_000, 12_000, 10 * time.Minute},
		{"after ten seconds where somebody waits", true, 1000, 200, 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &accountsOf{remove: func(context.Context, string) (*platform.Answer, error) { return &platform.Answer{Status: 204}, nil }}
				found, took, _ := cleanUp(t, a, tc.accounts, tc.isAborted)
				require.Equal(t, tc.most, took)
				require.InDelta(t, tc.deleted, found.Deleted, 1)
				require.Equal(t, map[string]int{"no time was left": tc.accounts - found.Deleted}, found.Kept)
			})
		})
	}
}

func TestTheDeletionOfAccountsStopsWithTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(io.Discard)
		a := &accountsOf{remove: func(ctx context.Context, _ string) (*platform.Answer, error) {
			return removed(ctx, 200*time.Millisecond)
		}}
		service := platform.NewService("http://verity.example.com", nil)
		service.NotifySignUps(r.NoteAccount)
		for range 100 {
			_, err := service.SignUp(t.Context(), a)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second+time.Millisecond, cancel)
		found := r.DeleteAccounts(ctx, a, false)
		require.Equal(t, 100, found.Deleted+found.Kept["no time was left"])
		require.Positive(t, found.Deleted)
	})
}
