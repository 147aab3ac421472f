package platform

import (
	"errors"
	"strings"

	"github.com/verity-app/xk6-verity/extension/address"
)

// errBaseURL is the message on an invalid base URL; it follows the name of the option or variable.
const errBaseURL = "must be an http or https URL of scheme, host and port only, such as https://staging.example.com"

// ParseBaseURL checks the address of a Verity and returns it without a trailing slash.
//
// It refuses credentials, which would leak, a query and a fragment, which would be lost, and a path, since the cookie of
// /auth/refresh and the sockets are bound to the root of the host. The error repeats at most the scheme and the port, as the
// value may be a secret that was put into the wrong variable.
func ParseBaseURL(raw string) (string, error) {
	u, err := address.Parse(raw, errBaseURL)
	if err != nil {
		return "", err
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
