package snapshot

import (
	"errors"
	"strings"

	"github.com/verity-app/xk6-verity/extension/address"
)

// errAddress is the message on an invalid address; it follows the name of the option or variable.
const errAddress = "must be an http or https URL, with the path under which Prometheus is served if it has one, such as " +
	"https://prometheus.example.com or https://example.com/prometheus"

// ParseURL checks the address of a Prometheus and returns it without a trailing slash. The error repeats at most the scheme and
// the port, as the value may be a secret that was put into the wrong variable.
func ParseURL(raw string) (string, error) {
	u, err := address.Parse(raw, errAddress)
	if err != nil {
		return "", err
	}
	if u.User != nil {
		return "", errors.New("must not contain credentials (they would be shown in logs and results); a bearer token has " +
			"a place of its own")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New(errAddress + "; take off what follows the path")
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// CheckToken refuses a bearer token that is invalid in an HTTP header. The error never repeats the token.
func CheckToken(token string) error {
	for _, char := range []byte(token) {
		if char <= ' ' || char > '~' {
			return errors.New("must be visible ASCII characters without a space or a line break; it is not shown here, for " +
				"it is a secret")
		}
	}
	return nil
}
