package standin

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
)

const (
	unauthorizedBody = `{"message":"Unauthorized","statusCode":401}`
	serverErrorBody  = `{"statusCode":500,"message":"Internal server error"}`
)

// signedInRoutes are the routes that need an access token.
var signedInRoutes = []struct{ method, path string }{
	{"POST", "/queue/join"},
	{"DELETE", "/queue/leave"},
	{"GET", "/tokens/balance"},
	{"POST", "/sessions/cabc/choice"},
}

func TestAccessTokenIsNeeded(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{now: clock.now})
	bearer := ts.signUp(0).bearer
	token := strings.TrimPrefix(bearer, "Authorization: Bearer ")
	for name, header := range map[string]string{
		"missing":             "X-None: 1",
		"empty":               "Authorization: ",
		"no scheme":           "Authorization: " + token,
		"lower-case scheme":   "Authorization: bearer " + token,
		"upper-case scheme":   "Authorization: BEARER " + token,
		"other scheme":        "Authorization: Basic " + token,
		"two spaces":          "Authorization: Bearer  " + token,
		"tampered":            "Authorization: Bearer " + token[:len(token)-2] + "xx",
		"unsigned":            "Authorization: Bearer " + token[:strings.LastIndexByte(token, '.')+1],
		"not a token":         "Authorization: Bearer x",
		"only the scheme":     "Authorization: Bearer",
		"something after it":  bearer + " x",
		"in a cookie instead": "Cookie: access_token=" + token,
	} {
		for _, rt := range signedInRoutes {
			r := ts.do(rt.method, rt.path, "", header)
			require.Equal(t, 401, r.status, "%s: %s", rt.path, name)
			require.Equal(t, unauthorizedBody, r.body, "%s: %s", rt.path, name)
		}
	}
	require.Equal(t, 200, ts.do("GET", "/tokens/balance", "", bearer).status)

	clock.advance(contract.AccessTokenLife - time.Second)
	require.Equal(t, 200, ts.do("GET", "/tokens/balance", "", bearer).status, "899 s old")
	clock.advance(time.Second)
	for _, rt := range signedInRoutes {
		r := ts.do(rt.method, rt.path, "", bearer)
		require.Equal(t, 401, r.status, "%s: 900 s old", rt.path)
		require.Equal(t, unauthorizedBody, r.body)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	bearer := ts.signUp(0).bearer
	const signUp, join, choice = "/auth/signup-anonymous", "/queue/join", "/sessions/cabc/choice"
	bad := func(messages string) string {
		return `{"message":` + messages + `,"error":"Bad Request","statusCode":400}`
	}
	for _, tc := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"unknown field", join, `{"foo":1}`, 400, bad(`["property foo should not exist"]`)},
		{"unknown fields in order", join, `{"b":1,"city":"x","a":{}}`, 400,
			bad(`["property b should not exist","property a should not exist"]`)},
		{"unknown field in a sign-up", signUp, `{"foo":1}`, 400, bad(`["property foo should not exist"]`)},
		{"unknown fields in a sign-up", signUp, `{"b":1,"tosVersion":"1","a":2}`, 400,
			bad(`["property b should not exist","property a should not exist"]`)},
		{"unknown field in a choice", choice, `{"choice":"PASS","foo":1}`, 400, bad(`["property foo should not exist"]`)},
		{"a name that HTML would escape", signUp, `{"<&>":1}`, 400, bad(`["property <&> should not exist"]`)},

		{"city of another type", join, `{"city":1}`, 400, bad(`["city must be a string"]`)},
		{"region of another type", join, `{"region":true}`, 400, bad(`["region must be a string"]`)},
		{"preferences of another type", join, `{"preferences":[]}`, 400, bad(`["preferences must be an object"]`)},
		{"all of another type", join, `{"preferences":"x","region":[],"city":{}}`, 400,
			bad(`["city must be a string","region must be a string","preferences must be an object"]`)},
		{"date of another type", signUp, `{"dateOfBirth": 5,"consents":1}`, 400, bad(`["dateOfBirth must be a string"]`)},
		{"versions of another type", signUp, `{"privacyNoticeVersion":[],"tosVersion":{},"x":1}`, 400,
			bad(`["property x should not exist","privacyNoticeVersion must be a string","tosVersion must be a string"]`)},
		{"choice of another type", choice, `{"choice":1}`, 400, bad(`["choice must be one of the following values: MATCH, PASS"]`)},
		{"no choice", choice, ``, 400, bad(`["choice must be one of the following values: MATCH, PASS"]`)},
		{"another choice", choice, `{"choice":"match"}`, 400, bad(`["choice must be one of the following values: MATCH, PASS"]`)},

		{"empty city", join, `{"city":""}`, 400, bad(`"City must be a non-empty string when provided"`)},
		{"blank city", join, `{"city":" \t"}`, 400, bad(`"City must be a non-empty string when provided"`)},
		{"city of punctuation", join, `{"city":"?!-"}`, 400, bad(`"City must be a non-empty string when provided"`)},
		{"null city", join, `{"city":null,"region":"x"}`, 400, bad(`"City must be a non-empty string when provided"`)},

		{"not JSON", join, `nope`, 400, bad(`"Unexpected token n in JSON at position 0"`)},
		{"a quote missing", join, `{"city:"x"}`, 400, bad(`"Unexpected token x in JSON at position 8"`)},
		{"cut short", join, `{"city":"x`, 400, bad(`"Unexpected end of JSON input"`)},
		{"blank", join, ` `, 400, bad(`"Unexpected end of JSON input"`)},
		{"something after it", join, `{}}`, 400, bad(`"Unexpected token } in JSON at position 2"`)},
		{"a wrong character of two bytes", join, `{é}`, 400, bad(`"Unexpected token é in JSON at position 1"`)},
		{"a number", join, `5`, 400, bad(`"Unexpected token 5 in JSON at position 0"`)},
		{"a string", signUp, ` "x"`, 400, bad(`"Unexpected token \" in JSON at position 1"`)},
		{"not JSON for nobody", "/nope", `nope`, 400, bad(`"Unexpected token n in JSON at position 0"`)},
		{"an array", join, `[]`, 400, bad(`["an unknown value was passed to the validate function"]`)},
		{"an array in a sign-up", signUp, `[]`, 400, bad(`["an unknown value was passed to the validate function"]`)},

		{"100 KB", join, `{"foo":"` + strings.Repeat("x", 100<<10-10) + `"}`, 400, bad(`["property foo should not exist"]`)},
		{"over 100 KB", join, `{"foo":"` + strings.Repeat("x", 100<<10-9) + `"}`, 413,
			`{"statusCode":413,"message":"request entity too large"}`},
		{"a webhook over 100 KB", "/webhooks/stripe", strings.Repeat(" ", 100<<10+1), 413,
			`{"statusCode":413,"message":"request entity too large"}`},
	} {
		r := ts.do("POST", tc.path, tc.body, bearer)
		require.Equal(t, tc.want, r.body, tc.name)
		require.Equal(t, tc.status, r.status, tc.name)
		r = ts.send("POST", tc.path, iotest.HalfReader(strings.NewReader(tc.body)), bearer, "Content-Type: application/json")
		require.Equal(t, tc.want, r.body, "%s, in chunks", tc.name)
		require.Equal(t, tc.status, r.status, "%s, in chunks", tc.name)
	}
	require.Len(t, ts.Users(), 1, "no refused sign-up made a user")
}

func TestAcceptedBodies(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	for _, tc := range []struct{ name, body, contentType, city string }{
		{"JSON", `{"city":"x"}`, "application/json", "x"},
		{"JSON with its charset", `{"city":"x"}`, "application/json; charset=utf-8", "x"},
		{"a byte order mark", "\ufeff" + `{"city":"x"}`, "application/json", "x"},
		{"nothing", ``, "application/json", "canberra"},
		{"a type that the service does not read", `{"city":"x"}`, "text/plain", "canberra"},
		{"a type that is none", `{"city":"x"}`, "json;;", "canberra"},
	} {
		u := ts.signUp(1)
		r := ts.do("POST", "/queue/join", tc.body, u.bearer, "Content-Type: "+tc.contentType)
		require.Equal(t, 201, r.status, tc.name)
		require.Contains(t, r.body, `"queueKey":"`+tc.city+":44136fa355b3", tc.name)
	}
	for _, body := range []string{
		`{}`, `{"dateOfBirth":"2000-01-31"}`, `{"consents":{"a":true}}`, `{"privacyNoticeVersion":"1","tosVersion":null}`,
	} {
		require.Equal(t, 201, ts.do("POST", "/auth/signup-anonymous", body).status, body)
	}
}

func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	for _, tc := range []struct{ method, path string }{
		{"GET", "/nope"}, {"GET", "/"}, {"POST", "/health"}, {"GET", "/queue/join"}, {"POST", "/queue/leave"},
		{"GET", "/nope?a=1"}, {"GET", "/sessions/x/choice"}, {"POST", "/sessions//choice"}, {"POST", "/sessions/a/b/choice"},
		{"POST", "/sessions/x"}, {"PUT", "/auth/refresh"}, {"POST", "/sessions/choice"},
	} {
		r := ts.do(tc.method, tc.path, "")
		require.Equal(t, 404, r.status, tc.path)
		require.Equal(t, `{"message":"Cannot `+tc.method+` `+tc.path+`","error":"Not Found","statusCode":404}`, r.body)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	r := ts.do("GET", "/health", "")
	require.Equal(t, 200, r.status)
	require.Regexp(t, `^\{"status":"ok","timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","uptimeSeconds":\d+\}$`, r.body)
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	for _, path := range []string{"/health", "/nope", "/tokens/balance"} {
		r := ts.do("GET", path, "")
		require.Equal(t, "application/json; charset=utf-8", r.header.Get("Content-Type"), path)
		require.Equal(t, "timeout=5", r.header.Get("Keep-Alive"), path)
		sent, err := http.ParseTime(r.header.Get("Date"))
		require.NoError(t, err, path)
		require.WithinDuration(t, time.Now(), sent, 5*time.Second)
		require.Empty(t, r.header.Get("X-RateLimit-Limit"), "no throttle")
	}
	require.Empty(t, ts.do("GET", "/health", "", "Connection: close").header.Get("Keep-Alive"))
}

func TestIdleConnectionIsClosedAfterTheKeepAlive(t *testing.T) {
	t.Parallel()
	const keepAlive = 1100 * time.Millisecond
	ts := start(t, Options{KeepAlive: keepAlive})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(ts.URL(), "http://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	reader := bufio.NewReader(conn)
	for range 2 { // the second on the same connection
		_, err = io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.Equal(t, "timeout=1", response.Header.Get("Keep-Alive"), "whole seconds")
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	answered := time.Now()
	require.NoError(t, conn.SetReadDeadline(answered.Add(10*time.Second)))
	_, err = reader.ReadByte()
	require.ErrorIs(t, err, io.EOF, "closed by the server")
	require.GreaterOrEqual(t, time.Since(answered), keepAlive-50*time.Millisecond, "not before its time")
}

func TestServerError(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ts := start(t, Options{Log: textLog(&log)})
	u := ts.signUp(1)
	ts.store.embedded.SetError("LOADING made up")
	for _, r := range []reply{u.join(""), u.leave()} {
		require.Equal(t, 500, r.status)
		require.Equal(t, serverErrorBody, r.body)
	}
	ts.store.embedded.SetError("")
	require.Equal(t, Account{ID: u.id, Bought: 1, Balance: 1}, u.account(), "nothing was paid")
	require.Contains(t, log.String(), `msg="answered 500" method=POST path=/queue/join error="locking a queue: LOADING made up"`)
	require.NotContains(t, log.String(), strings.TrimPrefix(u.bearer, "Authorization: Bearer "))
}
