package platform

import "net/http"

// Named returns a transport that sets the User-Agent, for requests that do not count as load.
func Named(base http.RoundTripper, agent string) http.RoundTripper {
	return namedTransport{base, agent}
}

type namedTransport struct {
	base  http.RoundTripper
	agent string
}

// RoundTrip sends one request with the User-Agent.
func (t namedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", t.agent)
	return t.base.RoundTrip(request)
}
