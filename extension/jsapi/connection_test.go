package jsapi

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The extension speaks HTTP/1.1 with a TLS server that offers HTTP/2, unless HTTP/2 is configured.
func TestTransportsOfUsers(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "HTTP/1.1", "http/1.1": "HTTP/1.1", "http/2": "HTTP/2.0", "net/http": "HTTP/2.0",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			seen := make(chan string, 10)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen <- r.Proto
				http.SetCookie(w, &http.Cookie{Name: "refresh_token", Value: "x"})
				w.WriteHeader(http.StatusCreated)
				_, _ = w.Write([]byte(`{"user":{"id":"c1","tokenBalance":0},"accessToken":"x"}`))
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()

			h := newHarness(t).run()
			h.root.lookupEnv = func(name string) (string, bool) { return value, name == transportVariable && value != "" }
			h.state.Transport = &http.Transport{
				ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1,
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}, //nolint:gosec // the test's own server
			}
			require.NoError(t, h.VU.Runtime().Set("baseUrl", server.URL))
			h.mustExec(`(async () => { await (await new verity.Verity({ baseUrl }).signUp()).close(); })()`)
			require.Equal(t, want, <-seen)
			total, _ := h.sum("http_reqs", map[string]string{"proto": want})
			require.EqualValues(t, 1, total)
		})
	}
}

func TestAnUnknownTransportIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.root.lookupEnv = func(string) (string, bool) { return "HTTP/3" + strings.Repeat("x", 100), true }
	_, err := h.exec(`new verity.Verity({ baseUrl: 'http://127.0.0.1:1' }).signUp()`)
	require.ErrorContains(t, err, `VERITY_TRANSPORT must be http/1.1, http/2 or net/http, got "HTTP/3xxx`)
	require.NotContains(t, err.Error(), strings.Repeat("x", 41))
}
