package standin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

const secret = "whsec_made_up_for_the_tests"

func TestMain(m *testing.M) {
	if os.Getenv(serveVariable) != "" {
		os.Exit(serveForBenchmark())
	}
	goleak.VerifyTestMain(m)
}

// testServer is a stand-in with a client that has its own connections.
type testServer struct {
	*Server
	t      testing.TB
	client *http.Client
}

// start starts a stand-in whose matcher ticks only when the test calls it, unless the options set a tick.
func start(t testing.TB, o Options) *testServer {
	t.Helper()
	if o.WebhookSecret == "" {
		o.WebhookSecret = secret
	}
	if o.Tick == 0 {
		o.Tick = maxTick
	}
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, s.Close(context.Background()))
	})
	return &testServer{Server: s, t: t, client: &http.Client{Transport: transport}}
}

// reply is an answer with its whole body.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request. A header is "Name: value"; a body is sent as JSON unless a header says otherwise.
func (ts *testServer) do(method, path, body string, headers ...string) reply {
	ts.t.Helper()
	return ts.send(method, path, strings.NewReader(body), headers...)
}

func (ts *testServer) send(method, path string, body io.Reader, headers ...string) reply {
	ts.t.Helper()
	response, err := ts.client.Do(ts.request(context.Background(), method, path, body, headers...))
	require.NoError(ts.t, err)
	defer func() { require.NoError(ts.t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(ts.t, err)
	return reply{response.StatusCode, response.Header, string(text)}
}

func (ts *testServer) request(ctx context.Context, method, path string, body io.Reader, headers ...string) *http.Request {
	ts.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, ts.URL()+path, body)
	require.NoError(ts.t, err)
	if r.ContentLength != 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// testUser is a user that signed up.
type testUser struct {
	ts     *testServer
	id     string
	bearer string // the Authorization header
	cookie string // the Cookie header
}

func (ts *testServer) signUp(tokens int) testUser {
	ts.t.Helper()
	u := ts.userOf(ts.do("POST", "/auth/signup-anonymous", ""))
	if tokens > 0 {
		require.Equal(ts.t, 200, ts.buy(u.id, tokens).status)
	}
	return u
}

func (ts *testServer) userOf(r reply) testUser {
	ts.t.Helper()
	require.Equal(ts.t, 201, r.status, r.body)
	var body struct {
		User        struct{ ID string }
		AccessToken string
	}
	require.NoError(ts.t, json.Unmarshal([]byte(r.body), &body))
	return testUser{ts, body.User.ID, "Authorization: Bearer " + body.AccessToken, "Cookie: " + cookieOf(r)}
}

// cookieOf returns name=value of the cookie that an answer set.
func cookieOf(r reply) string {
	cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return cookie
}

func (ts *testServer) buy(userID string, tokens int) reply {
	ts.t.Helper()
	return ts.post(checkoutOf(ts.t, payments.Purchase{UserID: userID, Tokens: tokens}))
}

func checkoutOf(t testing.TB, p payments.Purchase) payments.Event {
	t.Helper()
	signer, err := payments.NewSigner(secret)
	require.NoError(t, err)
	e, err := signer.CheckoutCompleted(p)
	require.NoError(t, err)
	return e
}

func (ts *testServer) post(e payments.Event) reply {
	ts.t.Helper()
	return ts.send("POST", "/webhooks/stripe", bytes.NewReader(e.Body), "Stripe-Signature: "+e.Signature)
}

func (u testUser) join(body string) reply {
	u.ts.t.Helper()
	return u.ts.do("POST", "/queue/join", body, u.bearer)
}

func (u testUser) leave() reply {
	u.ts.t.Helper()
	return u.ts.do("DELETE", "/queue/leave", "", u.bearer)
}

func (u testUser) account() Account {
	u.ts.t.Helper()
	found := u.ts.accounts.find(u.id)
	require.NotNil(u.ts.t, found)
	return found.read()
}

// clock is a clock that the test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// withEachRedis runs a test on the embedded Redis and on a real one.
func withEachRedis(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { test(t, "") })
	t.Run("redis-server", func(t *testing.T) { test(t, startRedis(t)) })
}

// startRedis starts a redis-server of the test's own.
func startRedis(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on the PATH (apt-get install redis-server): not tested with a real Redis")
	}
	dir, err := os.MkdirTemp("", "standin") //nolint:usetesting // the path of t.TempDir may be too long for a socket
	require.NoError(t, err)
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command(program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "") //nolint:gosec,noctx // ended below
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // returns that it was killed
		require.NoError(t, os.RemoveAll(dir))
	})
	url := "unix://" + socket
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer func() { require.NoError(t, client.Close()) }()
	require.Eventually(t, func() bool { return client.Ping(t.Context()).Err() == nil }, 5*time.Second, 10*time.Millisecond)
	return url
}

// recorder is an observer that records.
type recorder struct {
	mu    sync.Mutex
	lines []string
	pairs []session
}

func (r *recorder) note(parts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, strings.Join(parts, " "))
}

func (r *recorder) joined(userID, queueKey string) { r.note("joined", userID, queueKey) }
func (r *recorder) left(userID, queueKey string)   { r.note("left", userID, queueKey) }
func (r *recorder) ended(s session)                { r.note("ended", s.UserA, s.UserB) }
func (r *recorder) decided(s session, o contract.ChoiceOutcome) {
	r.note("decided", s.UserA, s.UserB, string(o))
}

func (r *recorder) matched(s session, queueKey string) {
	r.note("matched", s.UserA, s.UserB, queueKey)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pairs = append(r.pairs, s)
}

func (r *recorder) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

func (r *recorder) sessions() []session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]session(nil), r.pairs...)
}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// rawGet returns an answer as it is on the wire.
func rawGet(t *testing.T, baseURL, path string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(baseURL, "http://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	raw, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(raw)
}
