package platform

import (
	"errors"
	"net/url"
	"strings"

	"github.com/verity-app/xk6-verity/extension/address"
)

// errBaseURL says what a base URL takes; the name of the option or variable stands before it.
const errBaseURL = "must be an http or https URL of scheme, host and port only, such as https://staging.example.com"

// ParseBaseURL checks the address of a Verity and returns it without a trailing slash.
//
// It refuses what would be lost or leak: credentials, a query, a fragment, and a path, since the cookie of /auth/refresh
// and the sockets are bound to the root of the host. The message repeats next to nothing of the value, which may be a
// secret that was put into the wrong variable.
func ParseBaseURL(raw string) (string, error) {
	if raw == "" {
		return "", errors.New("is not set; it " + errBaseURL)
	}
	if fault := address.Fault(raw); fault != "" {
		return "", errors.New(errBaseURL + ", got " + fault)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New(errBaseURL) // address.Fault has parsed it
	}
	if u.User != nil || strings.Contains(u.Path, "@") {
		return "", errors.New("must not contain credentials (they would be shown in logs and results)")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New(errBaseURL + "; take off what follows the host")
	}
	if u.Path != "" && u.Path != "/" {
		return "", errors.New(errBaseURL + "; take off the path")
	}
	return u.Scheme + "://" + u.Host, nil
}
