package loadtest_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// The names of Verity's routes as both servers count them.
const (
	routeHealth  = "GET /health"
	routeSignUp  = "POST /auth/signup-anonymous"
	routeRefresh = "POST /auth/refresh"
	routeJoin    = "POST /queue/join"
	routeLeave   = "DELETE /queue/leave"
	routeBalance = "GET /tokens/balance"
	routeWebhook = "POST /webhooks/stripe"
)

// secret signs the webhooks of both servers. No output may contain it.
const secret = "whsec_KeepThisToYourself"

// target is a Verity under test, with its record of the requests.
type target struct {
	url, secret string
	observe     func(t *testing.T) state
	kill        func() // ends the service abruptly
	redis       string // URL of its queue; of the stand-in only

	mu     sync.Mutex
	looked map[string]int // how often preflights asked a route, by operation
}

// preflightAnswers are what a preflight is answered, by operation: a refusal, or for the webhook an event that credits nothing.
var preflightAnswers = map[string]struct { //nolint:gochecknoglobals // constant
	route  string
	status int
}{
	"auth_signup": {routeSignUp, 400}, "auth_refresh": {routeRefresh, 401}, "queue_join": {routeJoin, 401},
	"queue_leave": {routeLeave, 401}, "tokens_balance": {routeBalance, 401}, "stripe_webhook": {routeWebhook, 200},
}

// preflightRow matches the operations in the table of a preflight.
var preflightRow = regexp.MustCompile(`(?m)^ +[✓✗!] +([a-z]+_[a-z]+) `)

// noteLooks counts the requests of a run's preflight, as its output shows them.
func (t *target) noteLooks(stdout string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, row := range preflightRow.FindAllStringSubmatch(stdout, -1) {
		if t.looked == nil {
			t.looked = map[string]int{}
		}
		t.looked[row[1]]++
	}
}

// state returns the service's record of the load, without the requests of preflights.
func (t *target) state(tt *testing.T) state {
	tt.Helper()
	s := t.observe(tt)
	t.mu.Lock()
	defer t.mu.Unlock()
	for operation, n := range t.looked {
		look := preflightAnswers[operation]
		s.Answers[look.route][look.status] -= n
		maps.DeleteFunc(s.Answers[look.route], func(_, n int) bool { return n == 0 })
		if len(s.Answers[look.route]) == 0 {
			delete(s.Answers, look.route)
		}
	}
	return s
}

// state is a server's record of its users and answers.
type state struct {
	Users       map[string]account
	Answers     map[string]map[int]int // by route and status
	Sessions    int                    // that the matcher made
	Live        int                    // sessions now
	MedianWait  float64                // ms from the place in the queue to the match
	Heard       map[string]int         // socket events that were sent, by name
	Connections int                    // of the Node server only
	Remotes     map[string]int         // of the Node server only: connections by address of the client
}

// account is the account of a user on the server.
type account struct {
	Balance, Bought int64
	Spent           int64 // on matches
	Lost            int64 // not refunded
	Queued          bool
}

// conditions configure either server for a test. Zero values mean Verity's own behaviour.
type conditions struct {
	secret   string // of the stand-in only; "" for that of all tests
	throttle bool
	session  time.Duration // of whole seconds
	tokenTTL time.Duration // of whole seconds
	latency  time.Duration
	sockets  bool            // the test needs them
	defects  standin.Defects // of the stand-in only; the Verity in Node has flags
}

// whole are conditions for sessions of 3 s.
var whole = conditions{sockets: true, session: 3 * time.Second} //nolint:gochecknoglobals // constant

// onBoth runs a test against the Verity in Node and against the stand-in, at the same time.
func onBoth(t *testing.T, c conditions, test func(t *testing.T, target *target)) {
	t.Helper()
	t.Run("node", func(t *testing.T) {
		t.Parallel()
		test(t, startNode(t, c))
	})
	t.Run("stand-in", func(t *testing.T) {
		t.Parallel()
		test(t, startStandin(t, c))
	})
}

// startStandin starts the stand-in in this process, so that a test can inspect it.
func startStandin(t *testing.T, c conditions) *target {
	t.Helper()
	signs := cmp.Or(c.secret, secret)
	server, err := standin.Start(t.Context(), standin.Options{
		WebhookSecret: signs, Throttle: c.throttle, Session: c.session, TokenTTL: c.tokenTTL, Latency: c.latency,
		Defects: c.defects,
	})
	require.NoError(t, err)
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return server.Close(ctx)
	}
	t.Cleanup(func() { require.NoError(t, stop()) })
	return &target{
		url: server.URL(), secret: signs,
		observe: func(t *testing.T) state {
			t.Helper()
			return standinState(t, server)
		},
		kill:  func() { _ = stop() }, // the cleanup looks at the error
		redis: server.RedisURL(),
	}
}

func standinState(t *testing.T, server *standin.Server) state {
	t.Helper()
	stats := server.Stats()
	queued, err := server.Queued(t.Context())
	require.NoError(t, err)
	s := state{
		Users: map[string]account{}, Answers: map[string]map[int]int{}, Sessions: int(stats.Sessions.Made),
		Live: int(stats.Sessions.Made - stats.Sessions.Ended), MedianWait: stats.Matches.P50, Heard: map[string]int{},
	}
	for event, n := range stats.Sockets.Events {
		s.Heard[event] = int(n)
	}
	for _, u := range server.Users() {
		_, isQueued := queued[u.ID]
		s.Users[u.ID] = account{u.Balance, u.Bought, u.Spent, u.Lost, isQueued}
	}
	for name, route := range stats.Requests {
		s.Answers[name] = map[int]int{}
		for status, n := range route.Statuses {
			s.Answers[name][status] = int(n)
		}
	}
	return s
}

// startNode starts testdata/verity.mjs.
func startNode(t *testing.T, c conditions, flags ...string) *target {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipped the run against the independent Verity in testdata/verity.mjs: it needs Node, which is not installed")
	}
	args := []string{filepath.Join("testdata", "verity.mjs"), "--secret", secret, "--latency-ms", milliseconds(c.latency)}
	if c.throttle {
		args = append(args, "--throttle")
	}
	if c.session > 0 {
		args = append(args, "--session-seconds", wholeSeconds(c.session))
	}
	if c.tokenTTL > 0 {
		args = append(args, "--token-ttl-seconds", wholeSeconds(c.tokenTTL))
	}
	ctx, cancel := context.WithCancel(suite)
	cmd := exec.CommandContext(ctx, node, append(args, flags...)...) //nolint:gosec // Node on PATH
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill := func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err)
	var ready struct {
		URL     string
		Sockets bool
	}
	require.NoError(t, json.Unmarshal(line, &ready))
	if c.sockets && !ready.Sockets {
		t.Skip("skipped the run against the sockets of testdata/verity.mjs: they need the npm package socket.io; run `npm ci` in " +
			"extension/socketio/testdata/oracle")
	}
	return &target{
		url: ready.URL, secret: secret, kill: kill,
		observe: func(t *testing.T) state {
			t.Helper()
			return nodeState(t, ready.URL)
		},
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

func nodeState(t *testing.T, url string) state {
	t.Helper()
	var seen struct {
		state
		Users map[string]struct {
			account
			QueueKey *string
		}
	}
	status, _, body := exchange(t, http.MethodGet, url+"/__state", nil, "")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, json.Unmarshal(body, &seen))
	seen.state.Users = map[string]account{}
	for id, u := range seen.Users {
		u.Queued = u.QueueKey != nil
		seen.state.Users[id] = u.account
	}
	return seen.state
}

// requests returns the number of requests to a route.
func (s state) requests(route string) int {
	sum := 0
	for _, n := range s.Answers[route] {
		sum += n
	}
	return sum
}

// allRequests returns the number of all requests, without those for /health, which are not load.
func (s state) allRequests() int {
	sum := 0
	for route := range s.Answers {
		if route != routeHealth {
			sum += s.requests(route)
		}
	}
	return sum
}

func (s state) queued() int {
	n := 0
	for _, u := range s.Users {
		if u.Queued {
			n++
		}
	}
	return n
}

func (s state) sum(of func(account) int64) int {
	var sum int64
	for _, u := range s.Users {
		sum += of(u)
	}
	return int(sum)
}

// requireSettled requires the state that every run must leave: no user is queued, every balance is what was bought minus what was
// spent or lost, and k6 counted every request that the service saw.
func (s state) requireSettled(t *testing.T, r result) {
	t.Helper()
	require.NotEmpty(t, s.Users)
	require.Zero(t, s.queued(), "nobody may be queued after a run")
	for id, u := range s.Users {
		require.Equal(t, u.Bought-u.Spent-u.Lost, u.Balance, "balance of %s", id)
	}
	require.Equal(t, s.allRequests(), r.count("http_reqs"), "requests that the service saw, and that k6 counted")
}

// requireStatuses requires that the service gave only the answers that the contract has for a run without errors.
func (s state) requireStatuses(t *testing.T) {
	t.Helper()
	want := map[string]int{
		routeHealth: 200, routeSignUp: 201, routeRefresh: 200, routeJoin: 201, routeLeave: 200, routeBalance: 200, routeWebhook: 200,
	}
	for route, answers := range s.Answers {
		require.Equal(t, s.requests(route), answers[want[route]], "answers to %s: %v", route, answers)
	}
}
