package address_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/address"
)

func TestFault(t *testing.T) {
	t.Parallel()
	const noScheme = "a value that does not begin with http:// or https:// (it is not shown, for it may be a secret)"
	for raw, want := range map[string]string{
		"https://staging.example.com": "", "http://127.0.0.1:3000/x?y#z": "", "http://[::1]:1": "", "HTTP://host:65535": "",
		"whsec_hunter2": noScheme, "localhost:3000": noScheme, "eyJhbGciOi.eyJzdWIi.c2ln": noScheme, "//host": noScheme, "": noScheme,
		"user:hunter2@host": noScheme, "a b": noScheme, "%zz": noScheme,
		"http://a b": "a value that does not parse", "http://host:http": "a value that does not parse", "http://[::1": "a value that does not parse",
		"ftp://host": `the scheme "ftp"`, "redis://:hunter2@host": `the scheme "redis"`,
		"http://": "a value without a host", "http://:3000": "a value without a host", "https:///hunter2": "a value without a host",
		"http://host:":                     "a value whose port is empty",
		"http://host:65536":                "the port 65536, and a port is from 1 to 65535",
		"http://host:0":                    "the port 0, and a port is from 1 to 65535",
		"http://[::1]:99999":               "the port 99999, and a port is from 1 to 65535",
		"http://host:99999999999999999999": "the port 99999999999999999999, and a port is from 1 to 65535",
	} {
		require.Equal(t, want, address.Fault(raw), raw)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"": "is not set; it must be a URL", "whsec_hunter2": "must be a URL, got a value that does not begin with http:// or https:// (it is " +
			"not shown, for it may be a secret)", "ftp://host": `must be a URL, got the scheme "ftp"`,
	} {
		_, err := address.Parse(raw, "must be a URL")
		require.EqualError(t, err, want)
	}
	u, err := address.Parse("https://staging.example.com/x", "must be a URL")
	require.NoError(t, err)
	require.Equal(t, "staging.example.com", u.Host)
}

func FuzzFault(f *testing.F) {
	for _, seed := range []string{"https://host", "http://[::1]:1/", "//", "http:%", "https://u:p@h?q#f", "whsec_x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if fault := address.Fault(raw); len(raw) > 30 {
			require.NotContains(t, fault, raw)
		}
	})
}
