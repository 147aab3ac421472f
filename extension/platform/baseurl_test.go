package platform_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://staging.example.com":      "https://staging.example.com",
		"https://staging.example.com/":     "https://staging.example.com",
		"http://127.0.0.1:3000":            "http://127.0.0.1:3000",
		"http://[::1]:3000/":               "http://[::1]:3000",
		"HTTPS://Staging.example.com:8443": "https://Staging.example.com:8443",
	} {
		got, err := platform.ParseBaseURL(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, got)
	}
}

func TestParseBaseURLRefuses(t *testing.T) {
	t.Parallel()
	const takes = "must be an http or https URL of scheme, host and port only, such as https://staging.example.com"
	const noScheme = ", got a value that does not begin with http:// or https:// (it is not shown, for it may be a secret)"
	for _, tc := range []struct{ name, raw, want string }{
		{"nothing", "", "is not set; it " + takes},
		{"another scheme", "ftp://host", takes + `, got the scheme "ftp"`},
		{"no scheme", "staging.example.com", takes + noScheme},
		{"no scheme but a port", "localhost:3000", takes + noScheme},
		{"a secret", "sk_live_hunter2", takes + noScheme},
		{"a token", "eyJhbGciOi.hunter2.c2ln", takes + noScheme},
		{"no host", "http://", takes + ", got a value without a host"},
		{"only a port", "http://:3000", takes + ", got a value without a host"},
		{"an empty port", "http://host:", takes + ", got a value whose port is empty"},
		{"a port above", "http://host:65536", takes + ", got the port 65536, and a port is from 1 to 65535"},
		{"not a URL", "http://a b", takes + ", got a value that does not parse"},
		{"a port that is none", "http://host:http", takes + ", got a value that does not parse"},
		{"credentials", "https://user:hunter2@host", "must not contain credentials (they would be shown in logs and results)"},
		{"credentials without a scheme", "user:hunter2@host", takes + noScheme},
		{"a token without a scheme", "hunter2@host/", takes + noScheme},
		{"a query", "https://host?token=hunter2", takes + "; take off what follows the host"},
		{"an empty query", "https://host/?", takes + "; take off what follows the host"},
		{"a fragment", "https://host/#x", takes + "; take off what follows the host"},
		{"a path", "https://host/hunter2", takes + "; take off the path"},
		{"a query without a scheme", "host?token=hunter2", takes + noScheme},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := platform.ParseBaseURL(tc.raw)
			require.EqualError(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func FuzzParseBaseURL(f *testing.F) {
	for _, seed := range []string{"https://host", "http://[::1]:1/", "//", "http:%", "https://u:p@h?q#f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := platform.ParseBaseURL(raw)
		if err != nil {
			return
		}
		again, err := platform.ParseBaseURL(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
