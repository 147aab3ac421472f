package standin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/payments"
)

func TestStartRefusesOptionsThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		options Options
		want    string
	}{
		{Options{}, "the webhook secret is empty: give the stand-in the secret that signs the webhooks"},
		{Options{WebhookSecret: " x"}, "the webhook secret has white space around it: give the stand-in the secret that signs the webhooks"},
		{Options{WebhookSecret: secret, Addr: "localhost"}, `the address must be host:port, got "localhost"`},
		{Options{WebhookSecret: secret, Tick: -1}, "the tick must be from 1ms to 1m0s, got -1ns"},
		{Options{WebhookSecret: secret, Tick: 2 * time.Minute}, "the tick must be from 1ms to 1m0s, got 2m0s"},
		{Options{WebhookSecret: secret, PairsPerTick: -1}, "the pairs per tick must be from 1 to 10000, got -1"},
		{Options{WebhookSecret: secret, PairsPerTick: 10_001}, "the pairs per tick must be from 1 to 10000, got 10001"},
		{Options{WebhookSecret: secret, LoneKey: time.Second}, "the time of a lone key must be from 0s to 100ms, got 1s"},
		{Options{WebhookSecret: secret, Session: time.Hour}, "the session must be from 1ms to 30m0s, got 1h0m0s"},
		{Options{WebhookSecret: secret, TokenTTL: -time.Second}, "the token TTL must be from 1s to 24h0m0s, got -1s"},
		{Options{WebhookSecret: secret, TokenTTL: 1500 * time.Millisecond}, "the token TTL must be in whole seconds, got 1.5s"},
		{Options{WebhookSecret: secret, KeepAlive: time.Hour}, "the keep-alive must be from 1ms to 10m0s, got 1h0m0s"},
		{Options{WebhookSecret: secret, Latency: 3 * time.Second}, "the latency must be from 0s to 2s, got 3s"},
		{Options{WebhookSecret: secret, WebhookLatency: -1}, "the webhook latency must be from 0s to 2s, got -1ns"},
		{Options{WebhookSecret: secret, Tick: -1, Latency: -1},
			"the tick must be from 1ms to 1m0s, got -1ns\nthe latency must be from 0s to 2s, got -1ns"},
	} {
		_, err := Start(t.Context(), tc.options)
		require.EqualError(t, err, tc.want)
	}
}

func TestStartOnAnAddressInUse(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	_, err = Start(t.Context(), Options{WebhookSecret: secret, Addr: listener.Addr().String()})
	require.EqualError(t, err, "the stand-in cannot listen: listen tcp "+listener.Addr().String()+": bind: address already in use")
}

func TestDefaultsAreVeritys(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{WebhookSecret: secret})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(context.Background())) }()
	o := s.options
	require.Equal(t, []time.Duration{500 * time.Millisecond, 45 * time.Second, 900 * time.Second, 5 * time.Second},
		[]time.Duration{o.Tick, o.Session, o.TokenTTL, o.KeepAlive})
	require.Equal(t, 10, o.PairsPerTick)
	require.True(t, strings.HasPrefix(s.URL(), "http://127.0.0.1:"), s.URL())
}

func TestURLOfAWildcardAddressCanBeReached(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Addr: ":0"})
	require.True(t, strings.HasPrefix(ts.URL(), "http://127.0.0.1:"), ts.URL())
	require.Equal(t, 200, ts.do("GET", "/health", "").status)
}

func TestContextOfStartIsNotTheLifeOfTheServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Options{WebhookSecret: secret})
	require.NoError(t, err)
	cancel()
	ts := &testServer{Server: s, t: t, client: start(t, Options{}).client}
	require.Equal(t, 201, ts.signUp(1).join("").status)
	require.NoError(t, s.Close(t.Context()))
}

func TestCloseFinishesTheRequestsUnderWay(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Latency: 300 * time.Millisecond})
	u := ts.signUp(1)
	joined := make(chan reply)
	go func() { joined <- u.join("") }()
	require.Eventually(t, func() bool { return ts.store.embedded.Exists("queue:lock:" + u.id) }, 5*time.Second, time.Millisecond)
	closed := make(chan error)
	go func() { closed <- ts.Close(context.Background()) }()
	require.Equal(t, queuedBody("canberra"+emptyHash, 0), (<-joined).body)
	require.NoError(t, <-closed)
	require.NoError(t, ts.Close(context.Background()), "once more")

	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(ts.URL(), "http://"))
	require.ErrorContains(t, err, "connection refused")
	require.Equal(t, int64(1), ts.Stats().Tokens.Queued, "the account can still be read")
}

func TestCloseDoesNotWaitLongerThanItsContext(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{WebhookSecret: secret, WebhookLatency: maxLatency})
	require.NoError(t, err)
	ts := &testServer{Server: s, t: t, client: start(t, Options{}).client}
	u := ts.signUp(0)
	event := checkoutOf(t, payments.Purchase{UserID: u.id, Tokens: 5})
	cut := make(chan error)
	go func() {
		cut <- ts.mustFail(ts.request(context.Background(), "POST", "/webhooks/stripe", bytes.NewReader(event.Body),
			"Stripe-Signature: "+event.Signature))
	}()
	state := func() eventState {
		s.till.mu.Lock()
		defer s.till.mu.Unlock()
		return s.till.events[event.ID]
	}
	require.Eventually(t, func() bool { return state() == claimed }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err = s.Close(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "requests were still under way: ")
	require.Less(t, time.Since(begun), time.Second)
	require.ErrorContains(t, <-cut, "EOF")
	require.Eventually(t, func() bool { return state() == credited }, time.Second, time.Millisecond, "its wait was cut short")
}

func TestRequestIsCarriedOutAfterItsClientHungUp(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Latency: 100 * time.Millisecond})
	u := ts.signUp(1)
	ctx, cancel := context.WithCancel(t.Context())
	hungUp := make(chan error)
	go func() { hungUp <- ts.mustFail(ts.request(ctx, "POST", "/queue/join", http.NoBody, u.bearer)) }()
	require.Eventually(t, func() bool { return ts.store.embedded.Exists("queue:lock:" + u.id) }, 5*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-hungUp, context.Canceled)
	require.Eventually(t, func() bool { return u.account().Queued == 1 }, 5*time.Second, time.Millisecond)
}

// mustFail returns why a request had no answer.
func (ts *testServer) mustFail(r *http.Request) error {
	response, err := ts.client.Do(r)
	if err != nil {
		return err
	}
	return errors.Join(errors.New("there is an answer: "+response.Status), response.Body.Close())
}

func TestStatsOfARun(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	a, b, c, d := ts.signUp(2), ts.signUp(2), ts.signUp(2), ts.signUp(2)
	a.join("")
	b.join("")
	ts.matcher.match(t.Context())
	c.join("")
	require.NoError(t, ts.LoseRefund(d.id))
	d.join("")
	d.leave()
	d.leave()
	ts.do("GET", "/nope", "")
	e := checkoutOf(t, payments.Purchase{UserID: a.id, Tokens: 5})
	ts.post(e)
	ts.post(e)
	ts.do("POST", "/webhooks/stripe", "{}")

	var text bytes.Buffer
	stats := ts.Stats()
	for name, route := range stats.Requests {
		route.Latency = Latency{P50: 0.25, P95: 12.4}
		stats.Requests[name] = route
	}
	require.NoError(t, stats.Write(&text))
	require.Equal(t, strings.TrimPrefix(`
users     4
tokens    13 bought = 9 left + 1 queued + 2 spent + 1 lost
sessions  1 made, 0 ended
events    5 credited, 1 repeated, 0 ignored, 1 refused
requests  2 DELETE /queue/leave: 200×2, 0.2 ms (p50), 12.4 ms (p95)
requests  4 POST /auth/signup-anonymous: 201×4, 0.2 ms (p50), 12.4 ms (p95)
requests  4 POST /queue/join: 201×4, 0.2 ms (p50), 12.4 ms (p95)
requests  7 POST /webhooks/stripe: 200×6 400×1, 0.2 ms (p50), 12.4 ms (p95)
requests  1 unknown: 404×1, 0.2 ms (p50), 12.4 ms (p95)
`, "\n"), text.String())

	require.Equal(t, map[string]int64{a.id: 6, b.id: 1, c.id: 1, d.id: 1}, balances(ts.Users()))
	require.Contains(t, ts.Users(), Account{ID: d.id, Bought: 2, Balance: 1, Lost: 1})
	inJSON, err := json.Marshal(ts.Stats().Tokens)
	require.NoError(t, err)
	require.Equal(t, `{"bought":13,"balance":9,"queued":1,"spent":2,"lost":1}`, string(inJSON))
	require.EqualError(t, ts.Stats().Write(fullDisk{}), "writing the stand-in's account: disk full")
}

func TestLatencyOfEachRouteAndOfAll(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Latency: 30 * time.Millisecond})
	a := ts.signUp(1)
	for range 10 {
		ts.do("GET", "/health", "")
	}
	a.join("")
	require.Eventually(t, func() bool { return ts.Stats().Requests["POST /queue/join"].Latency.Max > 0 }, time.Second, time.Millisecond)
	stats := ts.Stats()
	join, health := stats.Requests["POST /queue/join"].Latency, stats.Requests["GET /health"].Latency
	require.True(t, 30 <= join.P50 && join.P50 <= join.P95 && join.P95 <= join.Max && join.Max < 5000, "%+v", join)
	require.Less(t, health.P50, 30.0)
	require.Less(t, stats.Latency.P50, 30.0)
	require.GreaterOrEqual(t, stats.Latency.Max, join.Max)
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }
