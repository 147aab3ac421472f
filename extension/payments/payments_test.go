package payments_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

const secret = "whsec_test_5ZpF0kPqUeV1n"

func newSigner(t testing.TB) *payments.Signer {
	t.Helper()
	signer, err := payments.NewSigner(secret)
	require.NoError(t, err)
	return signer
}

// plainHMAC computes the signature of docs/verity-api.md without stripe-go: hex HMAC-SHA256(secret, "<t>.<body>").
func plainHMAC(body []byte, unix int64) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(strconv.AppendInt(nil, unix, 10))
	mac.Write([]byte("."))
	mac.Write(body)
	return "t=" + strconv.FormatInt(unix, 10) + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func TestNewSignerRefusesASecretThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, secret, want string }{
		{"empty", "", "the webhook secret is empty"},
		{"blank", " \n", "the webhook secret is empty"},
		{"line end from a copy", "whsec_x\n", "the webhook secret has white space around it"},
		{"leading blank", " whsec_x", "the webhook secret has white space around it"},
		{"a space", "whsec_x y", "the webhook secret has white space or a control character in it"},
		{"NUL", "whsec_x\x00y", "the webhook secret has white space or a control character in it"},
		{"an API key", "sk_live_hunter2", "the webhook secret begins with sk_, as a key of Stripe's API does; the secret of the webhook " +
			"endpoint is needed, which begins with whsec_"},
		{"a restricted key", "rk_test_hunter2", "the webhook secret begins with rk_, as a key of Stripe's API does; the secret of the " +
			"webhook endpoint is needed, which begins with whsec_"},
		{"a publishable key", "pk_live_hunter2", "the webhook secret begins with pk_, as a key of Stripe's API does; the secret of the " +
			"webhook endpoint is needed, which begins with whsec_"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := payments.NewSigner(tc.secret)
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestSignerDoesNotShowItsSecret(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(format, signer), secret)
	}
}

func TestSignOfAnyBody(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 999_999_999) // fractions of a second do not count
	for _, body := range []string{
		"", "{}", `{"city":"São Paulo"}`, "日本語 😀 e\u0301", "\x00\x01", "line\u2028separator", strings.Repeat("x", 1<<17),
	} {
		signer := newSigner(t)
		header := signer.Sign([]byte(body), at)
		require.Equal(t, plainHMAC([]byte(body), at.Unix()), header)
		require.NoError(t, webhook.ValidatePayloadIgnoringTolerance([]byte(body), header, secret))
		require.Error(t, webhook.ValidatePayloadIgnoringTolerance([]byte(body+" "), header, secret))
	}
}

func TestSignAtAChosenTime(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	body := []byte("{}")
	for _, tc := range []struct {
		name string
		age  time.Duration
		want error
	}{
		{"now", 0, nil},
		{"future", -time.Hour, nil},
		{"stale", 302 * time.Second, webhook.ErrTooOld},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := webhook.ValidatePayload(body, signer.Sign(body, time.Now().Add(-tc.age)), secret)
			require.ErrorIs(t, err, tc.want)
		})
	}
}

func TestCheckoutCompletedHasTheFieldsThatVerityReads(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	event, err := newSigner(t).CheckoutCompleted(payments.Purchase{
		UserID: "cabc", Tokens: 5, EventID: "evt_1", SessionID: "cs_1", Timestamp: at,
	})
	require.NoError(t, err)
	require.Equal(t, "evt_1", event.ID)
	require.Equal(t, `{"id":"evt_1","type":"checkout.session.completed","data":{"object":{"id":"cs_1",`+
		`"object":"checkout.session","payment_status":"paid",`+
		`"metadata":{"userId":"cabc","packId":"starter","tokens":"5"}}}}`, string(event.Body))
	require.Equal(t, plainHMAC(event.Body, at.Unix()), event.Signature)
}

func TestCheckoutCompletedIsAcceptedByStripesVerifier(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	for _, userID := range []string{"c123", "日本", `quote"and\slash`, "<script>&amp;"} {
		event, err := signer.CheckoutCompleted(payments.Purchase{UserID: userID, Tokens: 7, PaymentStatus: contract.Unpaid})
		require.NoError(t, err)
		got, err := webhook.ConstructEventWithOptions(event.Body, event.Signature, secret,
			webhook.ConstructEventOptions{IgnoreAPIVersionMismatch: true})
		require.NoError(t, err)
		require.Equal(t, event.ID, got.ID)
		require.Equal(t, "checkout.session.completed", string(got.Type))
		require.Equal(t, "unpaid", got.Data.Object["payment_status"])
		require.Equal(t, map[string]any{"userId": userID, "packId": "starter", "tokens": "7"}, got.Data.Object["metadata"])
	}
}

func TestCustomerCreatedIsAcceptedAndHasNoPurchase(t *testing.T) {
	t.Parallel()
	event, err := newSigner(t).CustomerCreated(time.Now())
	require.NoError(t, err)
	parsed, err := webhook.ConstructEventWithOptions(event.Body, event.Signature, secret,
		webhook.ConstructEventOptions{IgnoreAPIVersionMismatch: true})
	require.NoError(t, err)
	require.Equal(t, event.ID, parsed.ID)
	require.Equal(t, "customer.created", string(parsed.Type))
	require.Equal(t, "customer", parsed.Data.Object["object"])
	require.NotContains(t, string(event.Body), "metadata")
}

func TestPackFollowsFromTheTokens(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		purchase payments.Purchase
		want     string
	}{
		{payments.Purchase{Tokens: 5}, "starter"},
		{payments.Purchase{Tokens: 15}, "plus"},
		{payments.Purchase{Tokens: 30}, "pro"},
		{payments.Purchase{Tokens: 2}, "starter"},
		{payments.Purchase{Tokens: 30, PackID: "gift"}, "gift"},
	} {
		tc.purchase.UserID = "c1"
		event, err := newSigner(t).CheckoutCompleted(tc.purchase)
		require.NoError(t, err)
		require.Contains(t, string(event.Body), `"packId":"`+tc.want+`"`)
	}
}

func TestCheckoutCompletedRefusesAnInvalidPurchase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		purchase payments.Purchase
		want     string
	}{
		{"no user", payments.Purchase{Tokens: 1}, "userId must be a non-empty string"},
		{"no tokens", payments.Purchase{UserID: "c"}, "tokens must be a whole number from 1 to 2147483647, got 0"},
		{"negative", payments.Purchase{UserID: "c", Tokens: -1}, "tokens must be a whole number from 1 to 2147483647, got -1"},
		{"beyond int32", payments.Purchase{UserID: "c", Tokens: math.MaxInt32 + 1},
			"tokens must be a whole number from 1 to 2147483647, got 2147483648"},
		{"status", payments.Purchase{UserID: "c", Tokens: 1, PaymentStatus: "free"},
			`paymentStatus must be "paid" or "unpaid", got "free"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := newSigner(t).CheckoutCompleted(tc.purchase)
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestIDsAreUniqueAcrossGoroutines(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	const workers, each = 8, 500
	var (
		mu   sync.Mutex
		seen = map[string]bool{}
		wg   sync.WaitGroup
	)
	for range workers {
		wg.Go(func() {
			for range each {
				event, err := signer.CheckoutCompleted(payments.Purchase{UserID: "c", Tokens: 1})
				if err != nil {
					t.Error(err)
					return
				}
				var body struct {
					ID   string
					Data struct{ Object struct{ ID string } }
				}
				if err := json.Unmarshal(event.Body, &body); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[body.ID] = true
				seen[body.Data.Object.ID] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, seen, 2*workers*each)
	for id := range seen {
		require.Regexp(t, `^(evt|cs)_[A-Z2-7]{26}$`, id)
	}
}

func BenchmarkCheckoutCompleted(b *testing.B) {
	signer := newSigner(b)
	purchase := payments.Purchase{UserID: "c0123456789012345678901234", Tokens: 5}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.CheckoutCompleted(purchase); err != nil {
			b.Fatal(err)
		}
	}
}
