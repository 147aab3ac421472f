package jsapi

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// caught runs a promise and returns the name, operation, status and message of what it rejects with.
const caught = `const caught = (promise) => promise.then((v) => JSON.stringify(v), (e) => [e.name, e.operation, e.status, e.message].join('|'));`

func TestAUserSendsAnyRequest(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(rampingVUs())
	h.mustExec(`var counting = new verity.Verity({ baseUrl, signer, countOperations: true }); var user; counting.signUp({ tokens: 3 }).then((u) => { user = u; })`)
	require.Equal(t, `[200,{"tokenBalance":3},true,false]`, h.mustExec(`user.request('GET', '/tokens/balance', { name: 'my_balance' })
		.then((r) => JSON.stringify([r.status, r.body, r.durationMs > 0, 'Set-Cookie' in r.headers]))`).String())
	require.Equal(t, `queued`, h.mustExec(`user.request('POST', '/queue/join', { body: { city: 'Perth' }, expectedStatuses: [201] })
		.then((r) => r.body.status)`).String())
	require.Equal(t, `404|Cannot GET /users/me`, h.mustExec(`user.request('GET', '/users/me', { expectedStatuses: [404] })
		.then((r) => r.status + '|' + r.body.message)`).String(), "what the stand-in lacks")
	require.Equal(t, "HTTPError|GET /users/me|404|GET /users/me was answered 404: Cannot GET /users/me?verbose=1",
		h.mustExec(caught+`caught(user.request('GET', '/users/me?verbose=1'))`).String())
	for name, n := range map[string]int{"my_balance": 1, "POST /queue/join": 1, "GET /users/me": 2} {
		_, count := h.sum("operations", map[string]string{"name": name})
		require.Equal(t, n, count, name)
		_, count = h.sum("http_req_duration", map[string]string{"name": name, "url": name})
		require.Equal(t, n, count, name)
	}
	failed, _ := h.sum("error_rate", nil)
	require.EqualValues(t, 1, failed)
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(rampingVUs())
	const takes = "the path of request must be a path of the service, such as /users/me or /matches?limit=5"
	const elsewhere = takes + ", not an address: requests go to the service alone"
	for call, want := range map[string]string{
		`request()`:            "the method of request must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, got undefined",
		`request('get', '/x')`: `the method of request must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, got "get"`,
		`request('GET')`:       "the path of request must be a string, got undefined",
		`request('GET', 'https://evil.example/')`: elsewhere,
		`request('GET', '//evil.example/')`:       elsewhere,
		`request('GET', '/\\evil.example')`:       elsewhere,
		`request('GET', '')`:                      takes + `, got ""`,
		`request('GET', 'users')`:                 takes + `, got "users"`,
		`request('GET', '/a/../b')`:               takes + `, without . and .., got "/a/../b"`,
		`request('GET', '/a/%2e%2e/b')`:           takes + `, without . and .., got "/a/%2e%2e/b"`,
		`request('GET', '/a#b')`:                  takes + `, without a fragment, got "/a#b"`,
		`request('GET', '/a b')`:                  takes + "; the one given does not parse",
		`request('GET', '/a\r\nHost: b')`:         takes + "; the one given does not parse",
		`request('GET', '/x', { name: '' })`: `name of request must be 1 to 100 letters, digits, spaces and _ . : / { } -, got ""; ` +
			"give one where the path has others",
		`request('GET', '/x', { headers: {} })`:          `unknown option "headers" of request; it takes body, expectedStatuses, name`,
		`request('POST', '/x', { body: () => 1 })`:       "body of request must be something that JSON can say, got a function",
		`request('GET', '/x', { expectedStatuses: [] })`: "expectedStatuses of request must be an array of HTTP statuses, got an object",
		`choose('', 'MATCH')`:                            `the sessionId of choose must be the id of a session, got ""`,
		`choose('s', 'maybe')`:                           `the choice of choose must be "MATCH" or "PASS", got "maybe"`,
		`waitFor()`:                                      `the event of waitFor must be the name of an event, such as "match:mutual", got undefined`,
		`waitFor('x', { namespace: '/nope' })`:           `namespace of waitFor must be "/queue" or "/video", got "/nope"`,
		`waitFor('x', { timeoutSeconds: 0 })`:            "timeoutSeconds of waitFor must be a number from 0.001 to 3600, got 0",
	} {
		require.Equal(t, want, h.mustExec(`client.signUp().then((user) => user.`+call+`).catch((e) => e.message)`).String(), call)
	}
}

func TestTheNamesOfRequestsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(rampingVUs())
	got := h.mustExec(`(async () => {
		const user = await client.signUp();
		const any = { expectedStatuses: [404] };
		for (let i = 0; i < 150; i++) await user.request('GET', '/things/' + i, any); // one name
		for (let i = 0; i < 99; i++) await user.request('GET', '/thing' + i, any);
		await user.request('GET', '/thing5', any);
		try { await user.request('GET', '/another', any); } catch (e) { return e.message; }
	})()`).String()
	require.Equal(t, "the requests of this run have more than 100 names, each of which is a time series of its own; give those of one "+
		"kind one name, such as { name: 'profile' }", got)
	_, things := h.sum("http_reqs", map[string]string{"name": "GET /things/:id"})
	require.Equal(t, 150, things)
}

// A script that calls waitFor before the operation that causes the event does not miss it.
func TestFromTheMatchToAMutualMatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Tick: 20 * time.Millisecond, Session: 300 * time.Millisecond})
	h.iterate(rampingVUs())
	got := h.mustExec(`(async () => {
		const users = await Promise.all([1, 2].map(() => client.signUp({ tokens: 1 })));
		await Promise.all(users.map((u) => u.connect()));
		const ends = users.map((u) => u.waitFor('session:end', { namespace: '/video' }));
		const [{ sessionId }] = await Promise.all(users.map((u) => u.match({ place: {} })));
		let early;
		try { await users[0].choose(sessionId, 'MATCH'); } catch (e) { early = [e.name, e.operation, e.status].join(); }
		const ended = await Promise.all(ends);
		const mutual = users.map((u) => u.waitFor('match:mutual'));
		const first = await users[0].choose(sessionId, 'MATCH');
		const second = await users[1].choose(sessionId, 'MATCH');
		const heard = await Promise.all(mutual);
		let unknown;
		try { await users[0].choose('nope', 'PASS'); } catch (e) { unknown = [e.name, e.status].join(); }
		await Promise.all(users.map((u) => u.close()));
		return JSON.stringify([early, ended.every((e) => e.sessionId === sessionId), first.status, typeof first.deadline, second,
			heard.every((m) => m.sessionId === sessionId), unknown]);
	})()`).String()
	require.JSONEq(t, `["HTTPError,session_choice,400",true,"pending","number",{"status":"resolved","outcome":"mutual"},true,"HTTPError,404"]`, got)
}

func TestAWaitThatIsInVain(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Defects: standin.Defects{DropSocketsAfter: 700 * time.Millisecond}})
	cancel := h.iterate(rampingVUs())
	h.mustExec(`var user; client.signUp().then((u) => { user = u; })`)
	require.Equal(t, "SocketError|socket|0|the user has no socket: connect() before waitFor(), for an event is heard on the socket only",
		h.mustExec(caught+`caught(user.waitFor('x'))`).String())
	require.Equal(t, "TimeoutError|wait_for|0|wait_for: no x came within 0.1 s",
		h.mustExec(`user.connect().then(() => caught(user.waitFor('x', { timeoutSeconds: 0.1 })))`).String())
	require.Equal(t, "SocketError|wait_for|0|wait_for: the socket was lost (close 1006) before x came",
		h.mustExec(`caught(user.waitFor('x'))`).String())
	require.Equal(t, "SocketError|wait_for|0|wait_for: the user closed its socket before x came",
		h.mustExec(`user.connect().then(() => { const wait = caught(user.waitFor('x')); return user.close().then(() => wait); })`).String())
	// A promise of waitFor that rejects before it is awaited is no unhandled rejection.
	h.mustExec(`user.connect().then(() => { user.waitFor('x', { timeoutSeconds: 0.05 }); return verity.think(0.2); })`)
	time.AfterFunc(100*time.Millisecond, cancel)
	begin := time.Now()
	h.execUntilCut(`user.connect().then(() => user.waitFor('x', { timeoutSeconds: 60 })).catch(() => {})`)
	require.Less(t, time.Since(begin), 10*time.Second, "a wait ends with the run")
}

// The answer to one user must not use up the memory of all.
func TestAnAnswerThatIsTooLargeIsAProtocolError(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"directly", "through a proxy"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t).run()
			server := h.startStandin(standin.Options{})
			var bombs atomic.Int64
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/tokens/balance" {
					bombs.Add(1)
					w.Header().Set("Content-Encoding", "gzip")
					packed := gzip.NewWriter(w)
					_, _ = io.Copy(packed, io.LimitReader(zeros{}, 64<<20))
					_ = packed.Close()
					return
				}
				forward(w, r, server.URL())
			}))
			t.Cleanup(front.Close)
			if way == "through a proxy" {
				proxy, err := url.Parse(front.URL)
				require.NoError(t, err)
				h.state.Transport.(*http.Transport).Proxy = http.ProxyURL(proxy) //nolint:forcetypeassert // see run
			} else {
				require.NoError(t, h.VU.Runtime().Set("baseUrl", front.URL))
			}
			h.iterate(rampingVUs())
			got := h.mustExec(caught + `var other = new verity.Verity({ baseUrl, signer }); other.signUp().then((user) => caught(user.balance()))`).String()
			require.Equal(t, "ProtocolError|tokens_balance|0|tokens_balance: the answer is larger than 1 MB; is this a Verity, and of a "+
				"version that this tool knows?", got)
			require.EqualValues(t, 1, bombs.Load())
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// forward passes a request on to the stand-in.
func forward(w http.ResponseWriter, r *http.Request, to string) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, to+r.URL.Path, r.Body) // #nosec G704 -- to the test's stand-in
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	request.Header = r.Header.Clone()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = response.Body.Close() }()
	maps.Copy(w.Header(), response.Header)
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body)
}

func TestASocketThatIsClosedInItsHandshakeRejects(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/socket.io/") {
			forward(w, r, server.URL())
			return
		}
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}))
	t.Cleanup(front.Close)
	h.iterate(rampingVUs())
	require.NoError(t, h.VU.Runtime().Set("baseUrl", front.URL))
	begin := time.Now()
	got := h.mustExec(caught + `var other = new verity.Verity({ baseUrl, signer }); other.signUp().then((user) => caught(user.connect()))`).String()
	require.Regexp(t, `^SocketError\|socket\|0\|no socket: socketio: connect to 127\.0\.0\.1:\d+: unexpected EOF$`, got)
	require.Less(t, time.Since(begin), 10*time.Second)
	_, lost := h.sum("sockets_lost", nil)
	require.Zero(t, lost, "it never opened")
}
