package jsapi

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/standin"
)

// through makes the client of the harness go through a proxy that answers some requests itself.
func (h *harness) through(fault func(w http.ResponseWriter, r *http.Request) (answered bool)) {
	h.t.Helper()
	behind, err := url.Parse(h.VU.Runtime().Get("baseUrl").String())
	require.NoError(h.t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }, Transport: &http.Transport{DisableKeepAlives: true}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	h.t.Cleanup(server.Close)
	require.NoError(h.t, h.VU.Runtime().Set("baseUrl", server.URL))
	_, err = h.VU.Runtime().RunString(`var client = new verity.Verity({ baseUrl, signer, countOperations: true });`)
	require.NoError(h.t, err)
}

func TestUsersAreCountedWhileTheyAreThere(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{Tick: 10 * time.Second})
	cancel := h.iterate(rampingVUs())
	seen := make(chan run.Users, 1)
	go func() {
		h.until(func() bool { return server.Stats().Tokens.Queued >= 3 && h.root.run.Users().Waiting >= 3 })
		seen <- h.root.run.Users()
		cancel()
	}()
	h.execUntilCut(`verity.stay({ users: 3, signUp: () => client.signUp({ tokens: 1 }) }, async (user) => {
			await user.connect();
			await user.match({ place: { city: 'Perth' } });
		})`)
	require.Equal(t, run.Users{Present: 3, Waiting: 3}, <-seen)
	require.Equal(t, run.Users{}, h.root.run.Users())
	for _, metric := range []string{"users_present", "users_waiting"} {
		peak := 0.0
		for _, sample := range h.drainSamples() {
			if sample.Metric.Name == metric {
				require.Positive(t, sample.Value, "no sample is of after the end")
				peak = max(peak, sample.Value)
			}
		}
		require.InDelta(t, 3, peak, 0, metric)
	}
}

// A user whose purchases all fail keeps its account, and the run still ends.
func TestAUserWithoutTokensKeepsItsAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	var asked atomic.Int32
	h.through(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/webhooks/stripe" {
			return false
		}
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	h.iterate(constantVUs(3 * time.Second))
	h.mustExec(`verity.stay({ users: 2, signUp: async (number) => {
		if (number === 0) { return client.signUp({ tokens: 1 }); }
		const user = await client.signUp(); // the long way
		await user.buyTokens(1);
		return user;
	} }, () => {})`)
	require.Equal(t, 2, server.Stats().Users)
	require.GreaterOrEqual(t, asked.Load(), int32(4))
	failed, count := h.sum("error_rate", map[string]string{"name": "stripe_webhook"})
	require.EqualValues(t, asked.Load(), count)
	require.EqualValues(t, asked.Load(), failed)
	signUps, _ := h.sum("operations", map[string]string{"name": "auth_signup"})
	require.InDelta(t, 2, signUps, 0)
}

func TestOutsideOfAStayAPurchaseThatFailsRejectsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.through(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/webhooks/stripe" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return r.URL.Path == "/webhooks/stripe"
	})
	h.iterate(perVUIterations())
	require.Equal(t, "HTTPError 500", h.mustExec(`client.signUp({ tokens: 1 }).catch((e) => e.name + ' ' + e.status)`).String())
}

// A user whose account is suspended leaves its queue before another user takes its number, with another key.
func TestAReplacementDoesNotMeetItsPredecessor(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	var leaves atomic.Int32
	h.through(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			leaves.Add(1)
		}
		return false
	})
	require.NoError(t, h.VU.Runtime().Set("ban", server.Ban))
	h.iterate(constantVUs(3 * time.Second))
	got := h.mustExec(`var shards = new verity.QueueShards({ mode: 'isolated', users: 1 }), keys = [], ids = [], turns = 0;
		verity.stay({ users: 1, signUp: () => client.signUp({ tokens: 2 }), thinkSeconds: { min: 0.02, max: 0.02 } }, async (user) => {
			const place = shards.place(user.number);
			if (ids[ids.length - 1] !== user.id) { ids.push(user.id); keys.push(place.queueKey); }
			await user.join(place, { expect: 'queued' });
			if (ids.length === 1) {
				ban(user.id);
				await user.join(place); // 401, while the user is queued
			}
			await user.leave({ expect: 'left' });
			turns++;
		}).then(() => [ids.length, keys.length, new Set(keys).size, turns > 0].join())`).String()
	require.Equal(t, "2,2,2,true", got)
	require.Zero(t, server.Stats().Tokens.Queued, "the predecessor has left with the token that it still had")
	require.Positive(t, leaves.Load())
}

func TestAForgottenAwaitIsToldOnce(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`(user) => { user.join({}); }`: "queue_join",
		`async (user) => { const a = user.balance(); await a; user.leave().catch(() => {}); }`: "queue_leave",
		`async (user) => { await user.join({}); await user.leave(); }`:                         "",
		`(user) => user.join({})`: "",
		`async (user) => { await Promise.all([user.balance(), user.balance()]); }`: "",
		`(user) => user.balance().then(() => user.balance())`:                      "",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t).run()
			h.startStandin(standin.Options{Latency: 50 * time.Millisecond})
			h.iterate(constantVUs(600 * time.Millisecond))
			h.mustExec(`verity.stay({ users: 2, thinkSeconds: { max: 0.2 }, signUp: () => client.signUp({ tokens: 2 }) }, ` + script + `)`)
			var warnings []string
			for _, entry := range h.log.AllEntries() {
				if strings.Contains(entry.Message, "a step of the cycle returned") {
					warnings = append(warnings, entry.Message)
				}
			}
			if want == "" {
				require.Empty(t, warnings)
				return
			}
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0], "returned while "+want+" of user ")
		})
	}
}
