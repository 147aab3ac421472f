package platform_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
)

func TestCheckHealth(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"a healthy Verity", `{"status":"ok","timestamp":"2026-11-24T07:00:00.000Z","uptimeSeconds":12}`, 200, ""},
		{"another service", "<html><body>hello", 200, "URL is not a Verity: GET /health was answered 200 with a page of HTML, " +
			"not with status and uptimeSeconds; check BASE_URL"},
		{"another JSON", `{"status":"ok"}`, 200, "URL is not a Verity: GET /health was answered 200 with a body of 15 bytes " +
			"without a message, not with status and uptimeSeconds; check BASE_URL"},
		{"not found", `{"message":"Cannot GET /health","error":"Not Found","statusCode":404}`, 404, "URL is not a healthy Verity: " +
			`GET /health was answered 404 with the message "Cannot GET /health"; check BASE_URL`},
		{"down", "", 503, "URL is not a healthy Verity: GET /health was answered 503 with an empty body; check BASE_URL"},
		{"unwell", `{"status":"error","timestamp":1,"uptimeSeconds":1}`, 200, `URL is not healthy: GET /health says status "error"`},
		{"throttled", "", 429, "URL throttles this runner already (GET /health was answered 429); wait a minute, and have " +
			"the rate limit lifted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/health" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				w.Header().Set("Date", "Tue, 24 Nov 2026 07:00:00 GMT")
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			health, err := platform.CheckHealth(t.Context(), server.Client(), server.URL)
			if tc.want == "" {
				require.NoError(t, err)
				require.Equal(t, 12*time.Second, health.Uptime)
				require.Equal(t, "Tue, 24 Nov 2026 07:00:00 GMT", health.Date)
				require.False(t, health.Answered.Before(health.Asked))
				return
			}
			require.EqualError(t, err, strings.Replace(tc.want, "URL", server.URL, 1))
		})
	}
}

func TestCheckHealthFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for location, want := range map[string]string{
		"https://verity.example.com/health":              `"https://verity.example.com/health"`,
		"https://user:hunter2@login/start?token=hunter2": `"https://login/start"`,
		"/login#hunter2": `"/login"`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusMovedPermanently)
		}))
		_, err := platform.CheckHealth(t.Context(), client, server.URL)
		server.Close()
		require.EqualError(t, err, server.URL+" is not a Verity: GET /health was answered 301, which sends to "+want+
			"; set BASE_URL to the address that serves it itself")
	}
}

func TestCheckHealthOfASelfSignedCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_, err := platform.CheckHealth(t.Context(), &http.Client{Transport: &http.Transport{}}, server.URL)
	require.EqualError(t, err, server.URL+" cannot be reached: tls: failed to verify certificate: x509: certificate signed by unknown "+
		"authority; if it is the service's own, self-signed certificate, trust it with SSL_CERT_FILE=FILE, or run with "+
		"--insecure-skip-tls-verify (or K6_INSECURE_SKIP_TLS_VERIFY=true)")
}

func TestCheckHealthOfNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close()
	_, err := platform.CheckHealth(t.Context(), http.DefaultClient, url)
	require.ErrorContains(t, err, url+" cannot be reached: dial tcp")
	require.ErrorContains(t, err, "connection refused; is the service up, and BASE_URL right?")
}
