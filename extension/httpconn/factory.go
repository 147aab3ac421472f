package httpconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// Protocol is the protocol or transport of users' connections.
type Protocol string

// The protocols.
const (
	HTTP1 Protocol = "http/1.1" // the default: HTTP/2 costs a user twice the memory (build/bench/README.md)
	HTTP2 Protocol = "http/2"   // if the server offers it over TLS
	// NetHTTP is a transport of net/http for each user, for comparison with this package.
	NetHTTP Protocol = "net/http"
)

// ParseProtocol parses a protocol; "" is the default. Its error follows the name of the variable.
func ParseProtocol(text string) (Protocol, error) {
	switch p := Protocol(text); p {
	case "":
		return HTTP1, nil
	case HTTP1, HTTP2, NetHTTP:
		return p, nil
	default:
		return "", fmt.Errorf("must be %s, %s or %s, got %q", HTTP1, HTTP2, NetHTTP, plain.Short(text, 40))
	}
}

// RoundTripper sends the requests of one user.
type RoundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// Factory makes the transports of many users, with the settings of an http.Transport.
type Factory struct {
	base     *http.Transport
	config   *Config
	protocol Protocol
}

// NewFactory returns a Factory whose transports open connections with dial; see Config.Dial.
func NewFactory(
	base *http.Transport, dial func(ctx context.Context, network, address string) (net.Conn, error), protocol Protocol,
) *Factory {
	f := &Factory{base: base, protocol: protocol}
	f.config = &Config{
		Dial: dial, TLS: tlsConfig(base, protocol == HTTP2), HTTP2: func() http.RoundTripper { return f.ofNetHTTP() }, Once: base.DisableKeepAlives,
		MaxIdle: base.MaxIdleConnsPerHost,
	}
	return f
}

// New returns the transport of one user for a server, through a proxy if the settings have one for that server.
func (f *Factory) New(server string) RoundTripper {
	if target, err := url.Parse(server); err == nil && f.base.Proxy != nil {
		if proxy, err := f.base.Proxy(&http.Request{URL: target}); err != nil || proxy != nil {
			return whole(f.ofNetHTTP())
		}
	}
	if f.protocol == NetHTTP {
		return whole(f.ofNetHTTP())
	}
	return New(f.config)
}

// ofNetHTTP returns an http.Transport for one user, with maxHeaders as its limit.
func (f *Factory) ofNetHTTP() *http.Transport {
	own := f.base.Clone()
	own.MaxResponseHeaderBytes = maxHeaders
	return own
}

// tlsConfig returns the transport's TLS settings with the protocols to offer. HTTP/2 is off if k6's transport has it off, as with
// GODEBUG=http2client=0.
func tlsConfig(base *http.Transport, http2 bool) *tls.Config {
	config := base.TLSClientConfig.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.NextProtos = []string{"http/1.1"}
	if http2 && base.ForceAttemptHTTP2 && base.TLSNextProto == nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config
}
