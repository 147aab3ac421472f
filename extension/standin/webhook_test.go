package standin

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/verity-app/xk6-verity/extension/payments"
)

const (
	receivedBody    = `{"received":true}`
	noSignatureBody = `{"message":"Missing Stripe signature","error":"Bad Request","statusCode":400}`
)

// hexMAC returns the right v1 of a body at a time.
func hexMAC(body string, at int64) string {
	return hex.EncodeToString(webhook.ComputeSignature(time.Unix(at, 0), []byte(body), secret))
}

func TestWebhookSignatures(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{now: clock.now})
	now := clock.now().Unix()
	clock.advance(999 * time.Millisecond) // the age counts in whole seconds
	wrong := strings.Repeat("0", 64)
	var sent atomic.Int64
	for _, tc := range []struct {
		name   string
		header func(body string) string
		status int
	}{
		{"valid", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now, hexMAC(b, now)) }, 200},
		{"v1 before t", func(b string) string { return fmt.Sprintf("v1=%s,t=%d", hexMAC(b, now), now) }, 200},
		{"several v1, the last right", func(b string) string { return fmt.Sprintf("t=%d,v1=%s,v1=%s", now, wrong, hexMAC(b, now)) }, 200},
		{"several v1, the first right", func(b string) string { return fmt.Sprintf("t=%d,v1=%s,v1=%s", now, hexMAC(b, now), wrong) }, 200},
		{"several v1, one no hex", func(b string) string { return fmt.Sprintf("t=%d,v1=zz,v1=,v1=%s", now, hexMAC(b, now)) }, 200},
		{"with a v0", func(b string) string { return fmt.Sprintf("t=%d,v0=%s,v1=%s", now, wrong, hexMAC(b, now)) }, 200},
		{"with a field of no scheme", func(b string) string { return fmt.Sprintf("t=%d,x,v1=%s", now, hexMAC(b, now)) }, 200},
		{"300 s old", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now-300, hexMAC(b, now-300)) }, 200},
		{"an hour in the future", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now+3600, hexMAC(b, now+3600)) }, 200},

		{"missing", func(string) string { return "" }, 400},
		{"301 s old", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now-301, hexMAC(b, now-301)) }, 500},
		{"a year old", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now-31e6, hexMAC(b, now-31e6)) }, 500},
		{"of another time", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now-1, hexMAC(b, now)) }, 500},
		{"wrong", func(string) string { return fmt.Sprintf("t=%d,v1=%s", now, wrong) }, 500},
		{"cut short", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now, hexMAC(b, now)[:62]) }, 500},
		{"tampered body", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now, hexMAC(b+" ", now)) }, 500},
		{"no t", func(b string) string { return "v1=" + hexMAC(b, now) }, 500},
		{"t is no number", func(b string) string { return "t=now,v1=" + hexMAC(b, now) }, 500},
		{"no v1", func(string) string { return fmt.Sprintf("t=%d", now) }, 500},
		{"empty v1", func(string) string { return fmt.Sprintf("t=%d,v1=", now) }, 500},
		{"only v0", func(b string) string { return fmt.Sprintf("t=%d,v0=%s", now, hexMAC(b, now)) }, 500},
		{"upper-case hex", func(b string) string { return fmt.Sprintf("t=%d,v1=%s", now, strings.ToUpper(hexMAC(b, now))) }, 500},
		{"upper-case scheme", func(b string) string { return fmt.Sprintf("t=%d,V1=%s", now, hexMAC(b, now)) }, 500},
		{"space after the comma", func(b string) string { return fmt.Sprintf("t=%d, v1=%s", now, hexMAC(b, now)) }, 500},
		{"space before t", func(b string) string { return fmt.Sprintf("v1=%s, t=%d", hexMAC(b, now), now) }, 500},
		{"another header altogether", func(string) string { return "sha256=abc" }, 500},
	} {
		u := ts.signUp(0)
		id := strconv.FormatInt(sent.Add(1), 10)
		body := `{"id":"evt_` + id + `","type":"checkout.session.completed","data":{"object":{"id":"cs_` + id +
			`","payment_status":"paid","metadata":{"userId":"` + u.id + `","tokens":"5"}}}}`
		r := ts.do("POST", "/webhooks/stripe", body, "Stripe-Signature: "+tc.header(body))
		require.Equal(t, tc.status, r.status, tc.name)
		require.Equal(t, map[int]string{200: receivedBody, 400: noSignatureBody, 500: serverErrorBody}[tc.status], r.body, tc.name)
		require.Equal(t, tc.status == 200, u.account().Balance == 5, tc.name)
		require.Equal(t, tc.status != 200, u.account().Balance == 0, tc.name)
	}
	r := ts.do("POST", "/webhooks/stripe", "{}")
	require.Equal(t, 400, r.status)
	require.Equal(t, noSignatureBody, r.body)
}

func TestWebhookSignedWithAnotherSecret(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	signer, err := payments.NewSigner(secret + "x")
	require.NoError(t, err)
	e, err := signer.CheckoutCompleted(payments.Purchase{UserID: ts.signUp(0).id, Tokens: 5})
	require.NoError(t, err)
	r := ts.post(e)
	require.Equal(t, 500, r.status)
	require.Equal(t, serverErrorBody, r.body)
}

func TestWebhookEvents(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	gone := ts.signUp(0)
	require.NoError(t, ts.Remove(gone.id))
	const head, object = `{"id":"evt_ID","type":"checkout.session.completed",`, `"id":"cs_ID","object":"checkout.session",`
	paid := func(metadata string) string {
		return head + `"data":{"object":{` + object + `"payment_status":"paid"` + metadata + `}}}`
	}
	for _, tc := range []struct {
		name, body string
		status     int
		credited   int64
	}{
		{"starter", paid(`,"metadata":{"userId":"USER","packId":"starter","tokens":"5"}`), 200, 5},
		{"the tokens count, not the pack", paid(`,"metadata":{"userId":"USER","packId":"pro","tokens":"7"}`), 200, 7},
		{"no pack", paid(`,"metadata":{"userId":"USER","tokens":"1"}`), 200, 1},
		{"tokens as a number", paid(`,"metadata":{"userId":"USER","tokens":3}`), 200, 3},
		{"the most tokens", paid(`,"metadata":{"userId":"USER","tokens":"2147483647"}`), 200, math.MaxInt32},

		{"another event type", strings.Replace(paid(`,"metadata":{"userId":"USER","tokens":"5"}`), "completed", "expired", 1), 200, 0},
		{"another event type without data", `{"id":"evt_ID","type":"invoice.paid"}`, 200, 0},
		{"unpaid", strings.Replace(paid(`,"metadata":{"userId":"USER","tokens":"5"}`), `"paid"`, `"unpaid"`, 1), 200, 0},
		{"no payment status", head + `"data":{"object":{` + object + `"metadata":{"userId":"USER","tokens":"5"}}}}`, 200, 0},
		{"no metadata", paid(""), 200, 0},
		{"null metadata", paid(`,"metadata":null`), 200, 0},
		{"empty metadata", paid(`,"metadata":{}`), 200, 0},
		{"no user", paid(`,"metadata":{"tokens":"5"}`), 200, 0},
		{"no tokens", paid(`,"metadata":{"userId":"USER"}`), 200, 0},
		{"tokens 0", paid(`,"metadata":{"userId":"USER","tokens":"0"}`), 200, 0},
		{"tokens negative", paid(`,"metadata":{"userId":"USER","tokens":"-5"}`), 200, 0},
		{"tokens very negative", paid(`,"metadata":{"userId":"USER","tokens":"-99999999999999999999"}`), 200, 0},
		{"tokens not a number", paid(`,"metadata":{"userId":"USER","tokens":"five"}`), 200, 0},
		{"tokens empty", paid(`,"metadata":{"userId":"USER","tokens":""}`), 200, 0},
		{"tokens null", paid(`,"metadata":{"userId":"USER","tokens":null}`), 200, 0},

		{"unknown user", paid(`,"metadata":{"userId":"cnobody","tokens":"5"}`), 500, 0},
		{"a user who is gone", paid(`,"metadata":{"userId":"` + gone.id + `","tokens":"5"}`), 500, 0},
		{"no data", strings.TrimSuffix(head, ",") + "}", 500, 0},
		{"null data", head + `"data":null}`, 500, 0},
		{"no object", head + `"data":{}}`, 500, 0},
		{"tokens beyond int32", paid(`,"metadata":{"userId":"USER","tokens":"2147483648"}`), 500, 0},
		{"tokens beyond int64", paid(`,"metadata":{"userId":"USER","tokens":"99999999999999999999"}`), 500, 0},
		{"no event id", strings.Replace(paid(`,"metadata":{"userId":"USER","tokens":"5"}`), `"id":"evt_ID",`, "", 1), 500, 0},
		{"no checkout session id", strings.Replace(paid(`,"metadata":{"userId":"USER","tokens":"5"}`), `"id":"cs_ID",`, "", 1), 500, 0},
		{"not JSON", "nope", 500, 0},
		{"empty", "", 500, 0},
	} {
		u := ts.signUp(0)
		body := strings.NewReplacer("USER", u.id, "ID", u.id).Replace(tc.body)
		for range 2 { // refused, ignored or credited: the second answer is the same
			now := time.Now().Unix()
			r := ts.do("POST", "/webhooks/stripe", body, fmt.Sprintf("Stripe-Signature: t=%d,v1=%s", now, hexMAC(body, now)))
			require.Equal(t, tc.status, r.status, tc.name)
			require.Equal(t, map[int]string{200: receivedBody, 500: serverErrorBody}[tc.status], r.body, tc.name)
			require.Equal(t, Account{ID: u.id, Bought: tc.credited, Balance: tc.credited}, u.account(), tc.name)
		}
	}
}

func TestWebhookBodyIsTakenAsItsBytes(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	for _, contentType := range []string{"application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"} {
		u := ts.signUp(0)
		e := checkoutOf(t, payments.Purchase{UserID: u.id, Tokens: 5})
		r := ts.send("POST", "/webhooks/stripe", bytes.NewReader(e.Body), "Stripe-Signature: "+e.Signature, "Content-Type: "+contentType)
		require.Equal(t, receivedBody, r.body, contentType)
		require.Equal(t, int64(5), u.account().Balance)
	}
}

func TestBalanceIsAnInt32(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u := ts.signUp(math.MaxInt32 - 5)
	require.Equal(t, 500, ts.buy(u.id, 6).status)
	require.Equal(t, 200, ts.buy(u.id, 5).status)
	require.Equal(t, `{"tokenBalance":2147483647}`, ts.do("GET", "/tokens/balance", "", u.bearer).body)
}

func TestEventSentAgain(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u := ts.signUp(0)
	e := checkoutOf(t, payments.Purchase{UserID: u.id, Tokens: 5})
	for range 3 {
		r := ts.post(e)
		require.Equal(t, 200, r.status)
		require.Equal(t, receivedBody, r.body)
	}
	require.Equal(t, int64(5), u.account().Balance)
	again := checkoutOf(t, payments.Purchase{UserID: u.id, Tokens: 9, EventID: e.ID}) // a new signature and checkout session
	require.Equal(t, 200, ts.post(again).status)
	require.Equal(t, int64(5), u.account().Balance)
	require.Equal(t, Events{Credited: 1, Repeated: 3}, ts.Stats().Events)
}

func TestNewEventOfTheSameCheckoutSession(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u := ts.signUp(0)
	require.Equal(t, 200, ts.post(checkoutOf(t, payments.Purchase{UserID: u.id, Tokens: 5, SessionID: "cs_1"})).status)
	require.Equal(t, 500, ts.post(checkoutOf(t, payments.Purchase{UserID: u.id, Tokens: 5, SessionID: "cs_1"})).status)
	require.Equal(t, int64(5), u.account().Balance)
	require.Equal(t, Events{Credited: 1, Refused: 1}, ts.Stats().Events)
}

func TestRefusedEventMayBeSentAgain(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	rich := ts.signUp(math.MaxInt32)
	e := checkoutOf(t, payments.Purchase{UserID: rich.id, Tokens: 1})
	require.Equal(t, 500, ts.post(e).status)
	rich.join("")
	require.Equal(t, 200, ts.post(e).status)
	require.Equal(t, int64(math.MaxInt32), rich.account().Balance)
}

func TestSameEventAtTheSameTime(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{WebhookLatency: 200 * time.Millisecond})
	u := ts.signUp(0)
	for _, n := range []int{2, 10, 50} {
		before := u.account().Balance
		e := checkoutOf(t, payments.Purchase{UserID: u.id, Tokens: 5})
		statuses := make(map[int]int)
		for _, r := range atOnce(n, func(int) reply { return ts.post(e) }) {
			statuses[r.status]++
		}
		require.Equal(t, n, statuses[200]+statuses[500], statuses)
		require.Positive(t, statuses[200])
		require.Positive(t, statuses[500], "some met the first under way")
		require.Equal(t, before+5, u.account().Balance, "credited once")
		require.Equal(t, 200, ts.post(e).status, "and later it is only repeated")
		require.Equal(t, before+5, u.account().Balance)
	}
}

func TestEventUnderWayIsNotTakenTwice(t *testing.T) {
	t.Parallel()
	till := newTill()
	repeated, err := till.claim("evt_1", "cs_1")
	require.NoError(t, err)
	require.False(t, repeated)
	_, err = till.claim("evt_1", "cs_2")
	require.ErrorIs(t, err, errUnderWay)
	_, err = till.claim("evt_2", "cs_1")
	require.ErrorIs(t, err, errSessionPaid)
	till.settle("evt_1", "cs_1", true)
	repeated, err = till.claim("evt_1", "cs_2")
	require.NoError(t, err)
	require.True(t, repeated)
}

func TestDifferentEventsAtTheSameTime(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u := ts.signUp(0)
	for _, r := range atOnce(50, func(int) reply { return ts.buy(u.id, 2) }) {
		require.Equal(t, 200, r.status)
	}
	require.Equal(t, int64(100), u.account().Balance)
}

// timeField matches a field for the time, with any value.
var timeField = regexp.MustCompile(`(^|,)t(,|=|$)`)

// FuzzSignature compares with stripe-go, which must accept whatever is accepted here. A right header in Verity's form is accepted
// here, whatever other fields it has.
func FuzzSignature(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	body := []byte("{}")
	mac := hexMAC("{}", now.Unix())
	f.Add("t=1800000000,v1="+mac, "v0=x")
	f.Add("v1="+mac+",t=1800000000", "")
	f.Add("t=1800000000, v1="+mac, "=")
	f.Add("t=,v1=,=,,t=1=2", "t1=5")
	f.Add("t=1800000000,v1="+strings.ToUpper(mac), "v1=ABC")
	f.Add("t=-9223372036854775808,v1="+mac, "v1")
	f.Add("t,v1="+mac, "t")
	f.Fuzz(func(t *testing.T, header, field string) {
		if verify(body, header, secret, now) == nil {
			at, strict, ok := strictSignature(header)
			require.True(t, ok)
			require.NoError(t, webhook.ValidatePayloadIgnoringTolerance(body, strict, secret))
			require.Contains(t, header, "v1="+hexMAC("{}", at))
		}
		if !timeField.MatchString(field) {
			require.NoError(t, verify(body, "t=1800000000,"+field+",v1="+mac, secret, now))
		}
	})
}
