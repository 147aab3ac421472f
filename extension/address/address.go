// Package address checks the address of a server. Its messages do not repeat the address, which may be a secret that was put
// into the wrong variable.
package address

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const maxPort = 65535

// Fault returns why a value is not the http or https URL of a server, or "" if it is one, whatever follows the host. The
// message repeats at most the scheme and the port.
func Fault(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case !strings.Contains(raw, "://"):
		return "a value that does not begin with http:// or https:// (it is not shown, for it may be a secret)"
	case err != nil:
		return "a value that does not parse"
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("the scheme %q", u.Scheme)
	default:
		return HostFault(u)
	}
}

// Parse returns the http or https URL of a server. Its errors follow the name of the option or variable; mustBe, such as "must be the URL
// of …", is part of them.
func Parse(raw, mustBe string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("is not set; it " + mustBe)
	}
	if fault := Fault(raw); fault != "" {
		return nil, errors.New(mustBe + ", got " + fault)
	}
	return url.Parse(raw) // Fault has parsed it
}

// HostFault returns why the host or port of a URL is invalid, or "" if both are valid. The port is optional.
func HostFault(u *url.URL) string {
	port := u.Port()
	switch {
	case u.Hostname() == "":
		return "a value without a host"
	case port == "" && strings.HasSuffix(u.Host, ":"):
		return "a value whose port is empty"
	case port == "":
		return ""
	}
	if number, err := strconv.Atoi(port); err != nil || number < 1 || number > maxPort {
		return fmt.Sprintf("the port %s, and a port is from 1 to %d", port, maxPort)
	}
	return ""
}
