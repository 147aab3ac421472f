package platform

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// errBaseURL says what a base URL takes; the name of the option or variable stands before it.
const errBaseURL = "must be an http or https URL of scheme, host and port only, such as https://staging.example.com"

// ParseBaseURL checks the address of a Verity and returns it without a trailing slash.
//
// It refuses what would be lost or leak: credentials, a query, a fragment, and a path, since the cookie of /auth/refresh
// and the sockets are bound to the root of the host. The message never repeats credentials.
func ParseBaseURL(raw string) (string, error) {
	if raw == "" {
		return "", errors.New("is not set; it " + errBaseURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("%s, got a value that does not parse", errBaseURL)
	}
	if strings.Contains(withoutQuery(u), "@") { // without a scheme too: the one of user:password@host is "user"
		return "", errors.New("must not contain credentials (they would be shown in logs and results)")
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Opaque != "" {
		return "", fmt.Errorf("%s, got %q", errBaseURL, withoutQuery(u))
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("%s; take off the query or fragment of %q", errBaseURL, withoutQuery(u))
	}
	if u.Path != "" && u.Path != "/" {
		return "", fmt.Errorf("%s; take off the path %q", errBaseURL, u.Path)
	}
	return u.Scheme + "://" + u.Host, nil
}

// withoutQuery is how a refused URL is shown: a query may hold a token.
func withoutQuery(u *url.URL) string {
	shown := *u
	shown.RawQuery, shown.ForceQuery, shown.Fragment, shown.RawFragment = "", false, "", ""
	return shown.String()
}
