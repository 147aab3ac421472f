package loadtest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// exchange sends one request by net/http and returns the answer.
func exchange(t *testing.T, method, url string, header http.Header, body string) (int, http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header = header.Clone()
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, answer
}

// visitor is a user of a server, with a client that is written for these tests only.
type visitor struct {
	target            *target
	id, token, cookie string
}

func signUp(t *testing.T, target *target) *visitor {
	t.Helper()
	status, header, body := exchange(t, http.MethodPost, target.url+"/auth/signup-anonymous", nil, "")
	require.Equal(t, http.StatusCreated, status)
	var answer struct {
		User struct {
			ID           string
			TokenBalance int
		}
		AccessToken string
	}
	require.NoError(t, json.Unmarshal(body, &answer))
	require.Zero(t, answer.User.TokenBalance)
	return &visitor{target, answer.User.ID, answer.AccessToken, refreshCookie(t, header)}
}

// refreshCookie requires the cookie in the form that Express writes, and returns the pair to send back.
func refreshCookie(t *testing.T, header http.Header) string {
	t.Helper()
	pair, attributes, _ := strings.Cut(header.Get("Set-Cookie"), "; ")
	require.Regexp(t, `^Max-Age=2592000; Path=/auth/refresh; (Expires=[^;]+ GMT; )?HttpOnly; SameSite=Strict$`, attributes)
	return pair
}

// do sends a request of the visitor and returns the status and the body.
func (v *visitor) do(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	header := http.Header{"Authorization": {"Bearer " + v.token}, "Content-Type": {"application/json"}}
	status, _, answer := exchange(t, method, v.target.url+path, header, body)
	return status, string(answer)
}

// buy buys tokens for the visitor with a webhook event.
func (v *visitor) buy(t *testing.T, tokens int) {
	t.Helper()
	body := checkout(fmt.Sprintf("%s%d", v.id, time.Now().UnixNano()), v.id, strconv.Itoa(tokens))
	status, _ := postEvent(t, v.target, body, stripeHeader(v.target.secret, body, 0))
	require.Equal(t, http.StatusOK, status)
}

func (v *visitor) requireBalance(t *testing.T, want int) {
	t.Helper()
	status, body := v.do(t, http.MethodGet, "/tokens/balance", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, fmt.Sprintf(`{"tokenBalance":%d}`, want), body)
}

// checkout returns the event of a paid checkout with ids made from a name.
func checkout(name, userID, tokens string) string {
	return fmt.Sprintf(`{"id":"evt_%s","type":"checkout.session.completed","data":{"object":{"id":"cs_%s",`+
		`"object":"checkout.session","payment_status":"paid","metadata":{"userId":%q,"packId":"starter","tokens":%q}}}}`,
		name, name, userID, tokens)
}

// stripeMAC returns Stripe's signature of a body, in hex.
func stripeMAC(secret string, timestamp int64, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(fmt.Appendf(nil, "%d.%s", timestamp, body))
	return hex.EncodeToString(mac.Sum(nil))
}

// stripeHeader returns the signature header of a body, with a timestamp of this age.
func stripeHeader(secret, body string, age time.Duration) string {
	timestamp := time.Now().Add(-age).Unix()
	return fmt.Sprintf("t=%d,v1=%s", timestamp, stripeMAC(secret, timestamp, body))
}

func postEvent(t *testing.T, target *target, body, signature string) (int, string) {
	t.Helper()
	header := http.Header{"Content-Type": {"application/json"}}
	if signature != "" {
		header["Stripe-Signature"] = []string{signature}
	}
	status, _, answer := exchange(t, http.MethodPost, target.url+"/webhooks/stripe", header, body)
	return status, string(answer)
}

// The tests judge runs by these two servers, so both must follow docs/verity-api.md. If they differ, one of them has a defect.

func TestServersComputeTheRecordedQueueKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "extension", "queue", "testdata", "queue-keys.json"))
	require.NoError(t, err)
	var vectors []map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &vectors))
	require.NotEmpty(t, vectors)
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		user := signUp(t, target)
		user.buy(t, len(vectors))
		for _, vector := range vectors {
			var fields []string
			for _, name := range []string{"city", "region", "preferences"} {
				if value, isGiven := vector[name]; isGiven {
					fields = append(fields, fmt.Sprintf("%q:%s", name, value))
				}
			}
			status, body := user.do(t, http.MethodPost, "/queue/join", "{"+strings.Join(fields, ",")+"}")
			require.Equal(t, http.StatusCreated, status, "%s: %s", vector["note"], body)
			require.JSONEq(t, fmt.Sprintf(`{"status":"queued","queueKey":%s,"position":0}`, vector["queueKey"]), body, "%s", vector["note"])
			status, _ = user.do(t, http.MethodDelete, "/queue/leave", "")
			require.Equal(t, http.StatusOK, status)
		}
		user.requireBalance(t, len(vectors))
	})
}

func TestServersAnswerJoinAndLeave(t *testing.T) {
	t.Parallel()
	const badCity = `{"message":"City must be a non-empty string when provided","error":"Bad Request","statusCode":400}`
	refused := map[string]string{
		`{"city":""}`:    badCity,
		`{"city":"  "}`:  badCity,
		`{"city":"-!?"}`: badCity,
		`{"city":null}`:  badCity,
		`{"city":1}`:     `{"message":["city must be a string"],"error":"Bad Request","statusCode":400}`,
		`{"region":[]}`:  `{"message":["region must be a string"],"error":"Bad Request","statusCode":400}`,
		`{"preferences":[]}`: `{"message":["preferences must be an object"],"error":"Bad Request",` +
			`"statusCode":400}`,
		`{"foo":1}`: `{"message":["property foo should not exist"],"error":"Bad Request","statusCode":400}`,
	}
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		user := signUp(t, target)
		status, body := user.do(t, http.MethodPost, "/queue/join", "{}")
		require.Equal(t, http.StatusBadRequest, status)
		require.JSONEq(t, `{"message":"Insufficient token balance","error":"Bad Request","statusCode":400}`, body)

		user.buy(t, 5)
		for request, answer := range refused {
			status, body := user.do(t, http.MethodPost, "/queue/join", request)
			require.Equal(t, http.StatusBadRequest, status, request)
			require.JSONEq(t, answer, body, request)
		}
		status, body = user.do(t, http.MethodPost, "/queue/join", `{"city":"Perth"}`)
		require.Equal(t, http.StatusCreated, status)
		require.JSONEq(t, `{"status":"queued","queueKey":"perth:44136fa355b3","position":0}`, body)
		status, body = user.do(t, http.MethodPost, "/queue/join", `{"city":"Darwin"}`)
		require.Equal(t, http.StatusCreated, status)
		require.Contains(t, body, `"status":"already_queued"`)
		require.Contains(t, body, `"queueKey":"perth:44136fa355b3"`)
		user.requireBalance(t, 4)

		status, body = user.do(t, http.MethodDelete, "/queue/leave", "")
		require.Equal(t, http.StatusOK, status)
		require.JSONEq(t, `{"status":"left","refunded":true,"queueKey":"perth:44136fa355b3"}`, body)
		user.requireBalance(t, 5)
		status, body = user.do(t, http.MethodDelete, "/queue/leave", "")
		require.Equal(t, http.StatusOK, status)
		require.JSONEq(t, `{"status":"not_queued","refunded":false}`, body)
	})
}

func TestServersMatchTwoUsersAndKeepTheirTokens(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		pair := []*visitor{signUp(t, target), signUp(t, target)}
		for _, user := range pair {
			user.buy(t, 2)
			status, _ := user.do(t, http.MethodPost, "/queue/join", `{"city":"Hobart"}`)
			require.Equal(t, http.StatusCreated, status)
		}
		require.Eventually(t, func() bool { return target.state(t).Sessions == 1 }, 5*time.Second, 50*time.Millisecond)
		user := pair[0]
		_, body := user.do(t, http.MethodDelete, "/queue/leave", "")
		require.JSONEq(t, `{"status":"not_queued","refunded":false}`, body)

		status, body := user.do(t, http.MethodPost, "/queue/join", `{"city":"Hobart"}`)
		require.Equal(t, http.StatusCreated, status)
		require.Contains(t, body, `"status":"queued"`, "a user in a live session may join again")
		_, body = user.do(t, http.MethodDelete, "/queue/leave", "")
		require.JSONEq(t, `{"status":"already_matched","refunded":false,"queueKey":"hobart:44136fa355b3"}`, body)
		user.requireBalance(t, 0)
		require.Equal(t, account{Bought: 2, Spent: 1, Lost: 1}, target.state(t).Users[user.id])
	})
}

func TestServersRefuseOverlappingQueueOperations(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{latency: 300 * time.Millisecond}, func(t *testing.T, target *target) {
		user := signUp(t, target)
		user.buy(t, 1)
		answers := make(chan string, 2)
		var wg sync.WaitGroup
		for range cap(answers) {
			wg.Go(func() {
				status, body := user.do(t, http.MethodPost, "/queue/join", "{}")
				answers <- fmt.Sprint(status, body)
			})
		}
		wg.Wait()
		require.ElementsMatch(t, []string{
			`201{"status":"queued","queueKey":"canberra:44136fa355b3","position":0}`,
			`409{"message":"Queue operation in progress","error":"Conflict","statusCode":409}`,
		}, []string{<-answers, <-answers})
		user.requireBalance(t, 0)
	})
}

func TestServersRotateRefreshTokensAndRevokeTheFamilyOfAReusedOne(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		refresh := func(cookie string) (int, http.Header, string) {
			header := http.Header{}
			if cookie != "" {
				header["Cookie"] = []string{cookie}
			}
			status, answer, body := exchange(t, http.MethodPost, target.url+"/auth/refresh", header, "")
			return status, answer, string(body)
		}
		refused := func(message string) string {
			return fmt.Sprintf(`{"message":%q,"error":"Unauthorized","statusCode":401}`, message)
		}
		user := signUp(t, target)
		status, _, body := refresh("")
		require.Equal(t, http.StatusUnauthorized, status)
		require.JSONEq(t, refused("Missing refresh token"), body)
		_, _, body = refresh("refresh_token=no.thing.here")
		require.JSONEq(t, refused("Invalid or expired refresh token"), body)

		status, header, body := refresh(user.cookie)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, `"accessToken":"`)
		second := refreshCookie(t, header)
		status, _, body = refresh(user.cookie)
		require.Equal(t, http.StatusUnauthorized, status)
		require.JSONEq(t, refused("Refresh token reused"), body)
		status, _, _ = refresh(second)
		require.Equal(t, http.StatusUnauthorized, status, "the whole family is revoked")
	})
}

func TestServersRefuseBadTokensAndBodies(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{tokenTTL: time.Second}, func(t *testing.T, target *target) {
		user := signUp(t, target)
		for _, authorization := range []string{"", "bearer " + user.token, "Bearer", "Bearer a.b.c", user.token} {
			header := http.Header{"Authorization": {authorization}}
			status, _, body := exchange(t, http.MethodGet, target.url+"/tokens/balance", header, "")
			require.Equal(t, http.StatusUnauthorized, status)
			require.JSONEq(t, `{"message":"Unauthorized","statusCode":401}`, string(body))
		}
		require.Eventually(t, func() bool {
			status, _ := user.do(t, http.MethodGet, "/tokens/balance", "")
			return status == http.StatusUnauthorized
		}, 5*time.Second, 100*time.Millisecond, "the token lives for a second")
		for body, want := range map[string]int{
			`{"foo":1}`: http.StatusBadRequest, `{"dateOfBirth":"2000-01-01"}`: http.StatusCreated, `{"`: http.StatusBadRequest,
			`{"consents":"` + strings.Repeat("x", 100*1024) + `"}`: http.StatusRequestEntityTooLarge,
		} {
			header := http.Header{"Content-Type": {"application/json"}}
			status, _, _ := exchange(t, http.MethodPost, target.url+"/auth/signup-anonymous", header, body)
			require.Equal(t, want, status, "%.40s", body)
		}
		status, _, _ := exchange(t, http.MethodGet, target.url+"/nope", nil, "")
		require.Equal(t, http.StatusNotFound, status)
	})
}

func TestServersVerifyWebhooksAsStripeDoes(t *testing.T) {
	t.Parallel()
	type answer struct {
		status   int
		credited int
	}
	var (
		ok      = answer{http.StatusOK, 5}
		ignored = answer{http.StatusOK, 0}
		missing = answer{http.StatusBadRequest, 0}
		failed  = answer{http.StatusInternalServerError, 0}
	)
	at := func(age time.Duration) func(string) string {
		return func(body string) string { return stripeHeader(secret, body, age) }
	}
	signed := at(0)
	// v1 of the time now, and the rest of the header around it.
	around := func(format string) func(string) string {
		return func(body string) string {
			now := time.Now().Unix()
			return strings.NewReplacer("T", strconv.FormatInt(now, 10), "V", stripeMAC(secret, now, body)).Replace(format)
		}
	}
	replaced := func(from, to string) func(string) string {
		return func(body string) string { return strings.Replace(body, from, to, 1) }
	}
	same := func(body string) string { return body }
	cases := []struct {
		name   string
		event  func(body string) string
		header func(body string) string
		want   answer
	}{
		{"valid", same, signed, ok},
		{"several v1 of which one is right", same, around("t=T,v1=00,v1=V"), ok},
		{"v1 before t", same, around("v1=V,t=T"), ok},
		{"298 s old", same, at(298 * time.Second), ok},
		{"in the future", same, at(-time.Hour), ok},
		{"302 s old", same, at(302 * time.Second), failed},
		{"no header", same, func(string) string { return "" }, missing},
		{"wrong secret", same, func(body string) string { return stripeHeader("whsec_wrong", body, 0) }, failed},
		{"tampered", same, func(body string) string { return stripeHeader(secret, body+" ", 0) }, failed},
		{"no t", same, around("v1=V"), failed},
		{"no v1", same, around("t=T"), failed},
		{"only v0", same, around("t=T,v0=V"), failed},
		{"upper-case hex", same, func(body string) string {
			t, v1, _ := strings.Cut(signed(body), ",v1=")
			return t + ",v1=" + strings.ToUpper(v1)
		}, failed},
		{"space after the comma", same, around("t=T, v1=V"), failed},
		{"unknown user", replaced(`"userId":"`, `"userId":"x`), signed, failed},
		{"no data", func(string) string { return `{"id":"evt_nothing","type":"checkout.session.completed"}` }, signed, failed},
		{"tokens beyond int32", replaced(`"tokens":"5"`, `"tokens":"2147483648"`), signed, failed},
		{"other type", replaced("session.completed", "session.expired"), signed, ignored},
		{"unpaid", replaced(`"paid"`, `"unpaid"`), signed, ignored},
		{"no metadata", replaced(`"metadata"`, `"other"`), signed, ignored},
		{"no tokens", replaced(`"tokens":"5"`, `"tokens":"0"`), signed, ignored},
		{"negative tokens", replaced(`"tokens":"5"`, `"tokens":"-5"`), signed, ignored},
		{"tokens that are no number", replaced(`"tokens":"5"`, `"tokens":"five"`), signed, ignored},
	}
	onBoth(t, conditions{}, func(t *testing.T, target *target) {
		user := signUp(t, target)
		balance := 0
		for i, c := range cases {
			body := c.event(checkout("case_"+strconv.Itoa(i), user.id, "5"))
			status, answer := postEvent(t, target, body, c.header(body))
			require.Equal(t, c.want.status, status, c.name)
			switch status {
			case http.StatusOK:
				require.JSONEq(t, `{"received":true}`, answer, c.name)
			case http.StatusBadRequest:
				require.JSONEq(t, `{"message":"Missing Stripe signature","error":"Bad Request","statusCode":400}`, answer, c.name)
			default:
				require.JSONEq(t, `{"statusCode":500,"message":"Internal server error"}`, answer, c.name)
			}
			balance += c.want.credited
			user.requireBalance(t, balance)
		}
	})
}

func TestServersCreditAnEventOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{latency: 100 * time.Millisecond}, func(t *testing.T, target *target) {
		user := signUp(t, target)
		first := checkout("once", user.id, "5")
		statuses := make(chan int, 2)
		var wg sync.WaitGroup
		for range cap(statuses) {
			wg.Go(func() {
				status, _ := postEvent(t, target, first, stripeHeader(target.secret, first, 0))
				statuses <- status
			})
		}
		wg.Wait()
		require.ElementsMatch(t, []int{http.StatusOK, http.StatusInternalServerError}, []int{<-statuses, <-statuses}, "at the same time")

		status, _ := postEvent(t, target, first, stripeHeader(target.secret, first, 0))
		require.Equal(t, http.StatusOK, status, "one after the other")
		other := strings.Replace(first, "evt_once", "evt_twice", 1)
		status, _ = postEvent(t, target, other, stripeHeader(target.secret, other, 0))
		require.Equal(t, http.StatusInternalServerError, status, "a new event with an old checkout session")
		user.requireBalance(t, 5)
	})
}

func TestServersThrottle(t *testing.T) {
	t.Parallel()
	onBoth(t, conditions{throttle: true}, func(t *testing.T, target *target) {
		for left := 9; left >= 0; left-- {
			status, header, _ := exchange(t, http.MethodPost, target.url+"/auth/signup-anonymous",
				http.Header{"Content-Type": {"application/json"}}, `{"foo":1}`)
			require.Equal(t, http.StatusBadRequest, status, "requests count before validation")
			require.Equal(t, "10", header.Get("X-Ratelimit-Limit"))
			require.Equal(t, strconv.Itoa(left), header.Get("X-Ratelimit-Remaining"))
			require.Regexp(t, `^(60|[1-5]\d)$`, header.Get("X-Ratelimit-Reset"))
		}
		status, header, body := exchange(t, http.MethodPost, target.url+"/auth/signup-anonymous", nil, "")
		require.Equal(t, http.StatusTooManyRequests, status)
		require.JSONEq(t, `{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}`, string(body))
		require.Regexp(t, `^(60|59)$`, header.Get("Retry-After"))
		require.Empty(t, header.Get("X-Ratelimit-Limit"))

		status, header, _ = exchange(t, http.MethodGet, target.url+"/tokens/balance", nil, "")
		require.Equal(t, http.StatusUnauthorized, status)
		require.Equal(t, "119", header.Get("X-Ratelimit-Remaining"), "each route has a limit of its own")
	})
}
