package loadtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// before puts a proxy in front of a target. It forwards the requests that fault does not answer.
func before(t *testing.T, behind *target, fault func(w http.ResponseWriter, r *http.Request) (answered bool)) *target {
	t.Helper()
	address, err := url.Parse(behind.url)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(address) },
		// A client that disconnects during a request is not an error here.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return &target{url: server.URL, secret: behind.secret, observe: behind.observe, kill: behind.kill}
}

func isLeave(r *http.Request) bool {
	return r.Method == http.MethodDelete && r.URL.Path == "/queue/leave"
}
func isWebhook(r *http.Request) bool { return r.URL.Path == "/webhooks/stripe" }

// refuse answers with an error in Verity's form.
func refuse(w http.ResponseWriter, status int, message string) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"message": message, "statusCode": status})
	return true
}

// hang holds a request until its client disconnects.
func hang(r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	return true
}

// timesOf counts by key.
type timesOf struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *timesOf) next(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[key]++
	return c.n[key]
}

// The matcher's lock on a user is within the contract and no failure, in the middle of a run and at its end.
func TestTheMatchersLockIsNoFailure(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, behind *target) {
		var asked timesOf
		target := before(t, behind, func(w http.ResponseWriter, r *http.Request) bool {
			isQueue := isLeave(r) || r.URL.Path == "/queue/join"
			if !isQueue || r.Header.Get("Authorization") == "" || asked.next(r.URL.Path+r.Header.Get("Authorization"))%3 == 0 {
				return false
			}
			return refuse(w, http.StatusConflict, "Queue operation in progress")
		})
		r := k6Run(queueConcurrency, target, "TARGET_VUS=20", "RAMP_UP=1s", "HOLD=4s", "RAMP_DOWN=1s", "THINK_TIME_MIN=1").run(t)
		r.requirePassed(t)
		require.Zero(t, target.state(t).queued(), "nobody may be queued after a run")
		require.NotContains(t, r.stdout, "left behind")
		require.Positive(t, r.count("queue_join_latency"))
		require.Greater(t, r.count("lock_retries"), 80, "each of 20 users meets it twice in each join and leave")
		require.Regexp(t, `locked +\d+ answers were 409, .*: queue_join \d+, queue_leave \d+`, r.stdout)
	})
}

func TestALockThatIsNeverGivenFreeIsAnError(t *testing.T) {
	t.Parallel()
	target := before(t, startStandin(t, conditions{}), func(w http.ResponseWriter, r *http.Request) bool {
		return isLeave(r) && r.Header.Get("Authorization") != "" && refuse(w, http.StatusConflict, "Queue operation in progress")
	})
	r := k6Run(queueConcurrency, target, "TARGET_VUS=4", "RAMP_UP=0s", "HOLD=8s", "RAMP_DOWN=0s").run(t)
	r.requireCrossed(t, "error_rate rate<0.001")
	require.Regexp(t, `queue_leave ConflictError 409 × \d+, for example: queue_leave was answered 409: Queue operation in progress; `+
		`one operation of a user at a time; all of 12 tries within \d\.\d s were answered so`, r.stdout)
	require.Contains(t, r.stdout, "4 users may still be queued")
}

// eventID returns the id of the event of a webhook, which can still be read afterwards.
func eventID(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	var event struct{ ID, Type string }
	if json.Unmarshal(body, &event) != nil || event.Type != "checkout.session.completed" {
		return ""
	}
	return event.ID
}

// If an exhausted pool fails the first purchases, the same events are sent again, for the same accounts.
func TestASeedPurchaseThatFailsIsSentAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, behind *target) {
		var events timesOf
		target := before(t, behind, func(w http.ResponseWriter, r *http.Request) bool {
			if !isWebhook(r) {
				return false
			}
			id := eventID(r)
			return id != "" && events.next(id) <= 2 && refuse(w, http.StatusInternalServerError, "Internal server error")
		})
		r := k6Run(queueConcurrency, target, "TARGET_VUS=20", "RAMP_UP=1s", "HOLD=11s", "RAMP_DOWN=1s").run(t)
		s := target.state(t)
		require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit, "the answers 500 count")
		require.Len(t, s.Users, 20, "nobody signs up a second time")
		require.Zero(t, s.queued())
		require.Len(t, events.n, 20)
		require.Contains(t, r.stdout, "20 of 20 planned were present at most; kept away: stripe_webhook HTTPError 500 × 40")
		require.Contains(t, r.stdout, "stripe_webhook HTTPError 500 × 40")
		require.InDelta(t, 40/float64(r.count("http_reqs")), r.summary.Metrics["http_req_failed"].Value, 1e-6)
	})
}

func TestARunSaysWhoWasKeptAway(t *testing.T) {
	t.Parallel()
	target := before(t, startStandin(t, conditions{}), func(w http.ResponseWriter, r *http.Request) bool {
		return isWebhook(r) && eventID(r) != "" && refuse(w, http.StatusInternalServerError, "Internal server error")
	})
	r := k6Run(queueConcurrency, target, "USERS_PER_VU=10").simple("2", "5s").run(t)
	require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
	require.Len(t, target.state(t).Users, 20, "the accounts are kept")
	require.Regexp(t, `! users +0 of 20 planned were present at most; kept away: stripe_webhook HTTPError 500 × \d+\n`, r.stdout)
}

// The summary of k6 shows the peak number of users, although all have left at the end.
func TestTheUsersOfARunAreSeen(t *testing.T) {
	t.Parallel()
	onBoth(t, whole, func(t *testing.T, target *target) {
		points := filepath.Join(t.TempDir(), "points.json")
		run := sustain(target, 20, "6s", "QUEUE_SHARDS=2", "USERS_PER_VU=5", "RAMP_DOWN=2s").flags("--out", "json="+points)
		run.debug = true // its points are looked at here
		r := run.run(t)
		r.requirePassed(t)
		require.Regexp(t, `users +20 of 20 planned were present at most\n`, r.stdout)
		require.InDelta(t, 20, r.summary.Metrics["users_present"].Max, 0)
		require.InDelta(t, 20, r.summary.Metrics["users_waiting"].Max, 12, "they come one after the other, and match in pairs")
		require.Greater(t, r.summary.Metrics["active_sessions"].Max, 5.0)
		require.Regexp(t, `users_present\.*: [\d]+ +min=\d+ +max=20`, r.stdout)
		var peak float64
		text, err := os.ReadFile(points) //nolint:gosec // a file of this test
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			var point struct {
				Type, Metric string
				Data         struct{ Value float64 }
			}
			require.NoError(t, json.Unmarshal([]byte(line), &point))
			if point.Type == "Point" && point.Metric == "users_present" {
				peak = max(peak, point.Data.Value)
			}
		}
		require.InDelta(t, 20, peak, 0, "the peak is in the outputs too")
	})
}

// Upgrades that are never answered count as timeouts, not as cut off by the end of the run.
func TestWhatHungBeforeTheEndIsATimeout(t *testing.T) {
	t.Parallel()
	var upgrades, hanging atomic.Int32
	target := before(t, startStandin(t, whole), func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/socket.io") || upgrades.Add(1)%5 != 0 {
			return false
		}
		hanging.Add(1)
		return hang(r)
	})
	run := sustain(target, 20, "60s", "QUEUE_SHARDS=2").start(t)
	require.Eventually(t, func() bool { return hanging.Load() == 4 }, 20*time.Second, 20*time.Millisecond)
	time.Sleep(7 * time.Second) // longer than what counts as hung
	r, took := run.interrupt(t)
	require.Less(t, took, drainLimit+5*time.Second)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	require.Regexp(t, `socket TimeoutError × 4, for example: socket had no answer for \d+\.\d s when the run ended`, r.stdout)
	require.Positive(t, r.summary.Metrics["error_rate"].Value)
	require.Contains(t, r.crossed(), "error_rate rate<0.001")
	require.Zero(t, target.state(t).queued())
}

// The leaves at the end count as operations, so failed ones fail the run.
func TestLeavesThatFailAtTheEndFailTheRun(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter){
		"502":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"no JSON": func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := startStandin(t, conditions{})
			target := before(t, behind, func(w http.ResponseWriter, r *http.Request) bool {
				if !isLeave(r) || r.Header.Get("Authorization") == "" {
					return false
				}
				answer(w)
				return true
			})
			// They think longer than the run lasts, so that the only leaves are those of its end.
			r := k6Run(queueConcurrency, target, "TARGET_VUS=10", "RAMP_UP=0s", "HOLD=5s", "RAMP_DOWN=0s", "THINK_TIME_MIN=30",
				"THINK_TIME_MAX=40").run(t)
			require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
			require.Contains(t, r.crossed(), "error_rate rate<0.001")
			require.Contains(t, r.stdout, "10 users may still be queued")
			require.Regexp(t, `queue_leave (HTTPError 502|ProtocolError 200) × 10`, r.stdout)
			require.Equal(t, 10, target.state(t).queued())
		})
	}
}

// Requests to a service that hangs from the middle of the run on count as timeouts, and cross error_rate.
func TestAServiceThatHangsFromTheMiddleOn(t *testing.T) {
	t.Parallel()
	var hangs atomic.Bool
	target := before(t, startStandin(t, conditions{}), func(_ http.ResponseWriter, r *http.Request) bool {
		return hangs.Load() && r.URL.Path != "/health" && hang(r)
	})
	run := k6Run(queueConcurrency, target, "TARGET_VUS=20", "RAMP_UP=1s", "HOLD=60s", "RAMP_DOWN=0s").start(t)
	require.Eventually(t, func() bool { return target.state(t).requests(routeLeave) > 20 }, 20*time.Second, 20*time.Millisecond)
	hangs.Store(true)
	time.Sleep(8 * time.Second) // their think times, and longer than what counts as hung
	r, took := run.interrupt(t)
	require.Less(t, took, drainLimit+5*time.Second)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	require.Contains(t, r.crossed(), "error_rate rate<0.001")
	require.Regexp(t, `queue_(join|leave) TimeoutError × \d+, for example: queue_(join|leave) had no answer for \d+\.\d s when the run ended`,
		r.stdout)
}

// Reading the balances at the end is limited in time.
func TestASpikeWhoseServiceHangsAtTheEnd(t *testing.T) {
	t.Parallel()
	target := before(t, startStandin(t, conditions{}), func(_ http.ResponseWriter, r *http.Request) bool {
		return r.URL.Path == "/tokens/balance" && r.Header.Get("Authorization") != "" && hang(r)
	})
	started := time.Now()
	r := spike(target, "SEED_USER_COUNT=30").run(t)
	require.Less(t, time.Since(started), time.Minute)
	r.requireCrossed(t, "error_rate rate<0.001", "error_rate{name:tokens_balance} rate==0", "http_req_failed rate<0.001")
	require.Contains(t, r.stdout, "tokens_balance TimeoutError × 30")
}

// SIGHUP, sent when the terminal is closed, stops a run like Ctrl-C.
func TestAHangupStopsARunAsCtrlCDoes(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	run := k6Run(queueConcurrency, target, "THINK_TIME_MIN=1").simple("40", "30s").start(t)
	require.Eventually(t, func() bool { return target.state(t).queued() > 10 }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, run.cmd.Process.Signal(syscall.SIGHUP))
	require.NoError(t, run.cmd.Process.Signal(syscall.SIGHUP), "a shell and its terminal may both send one")
	r := run.wait(t)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	requireWoundUp(t, r, target.state(t))
}

func TestAStayThatIsCalledWronglyEndsTheRun(t *testing.T) {
	t.Parallel()
	started := time.Now()
	r := k6("run", filepath.Join("testdata", "wrong-stay.js")).run(t)
	require.Less(t, time.Since(started), 9*time.Second)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, `unknown option \"signup\" of stay; it takes `, "(wrong-stay.js:6)")
	require.Less(t, len(r.stderr), 1000)
}

func TestAForgottenAwaitIsNoticed(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	r := k6Run(filepath.Join("testdata", "forgotten-await.js"), target).run(t)
	require.Zero(t, r.exit)
	require.Equal(t, 1, strings.Count(r.stderr, "level=warning"))
	require.Contains(t, r.stderr, "a step of the cycle returned while tokens_balance of user ")
}
