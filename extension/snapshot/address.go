package snapshot

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// errAddress says what an address takes; the name of the option or variable stands before it.
const errAddress = "must be an http or https URL, with the path under which Prometheus is served if it has one, such as " +
	"https://prometheus.example.com or https://example.com/prometheus"

// ParseURL checks the address of a Prometheus and returns it without a trailing slash. The message never repeats
// credentials or a query.
func ParseURL(raw string) (string, error) {
	if raw == "" {
		return "", errors.New("is not set; it " + errAddress)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New(errAddress + ", got a value that does not parse")
	}
	if u.User != nil || (u.Host == "" && strings.Contains(u.Opaque+u.Path, "@")) { // the scheme of user:password@host is "user"
		return "", errors.New("must not contain credentials (they would be shown in logs and results); a bearer token has " +
			"a place of its own")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("%s; take off what follows %q", errAddress, u.Scheme+"://"+u.Host+u.Path)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Opaque != "" {
		return "", fmt.Errorf("%s, got %q", errAddress, raw)
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// CheckToken refuses a bearer token that no HTTP header could carry. The message never repeats it.
func CheckToken(token string) error {
	for _, char := range []byte(token) {
		if char <= ' ' || char > '~' {
			return errors.New("must be visible ASCII characters without a space or a line break; it is not shown here, for " +
				"it is a secret")
		}
	}
	return nil
}
