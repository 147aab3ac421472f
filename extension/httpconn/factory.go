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

// Protocol is how users are connected.
type Protocol string

// The protocols.
const (
	HTTP1 Protocol = "http/1.1" // the default: HTTP/2 costs a user twice the memory (build/bench/README.md)
	HTTP2 Protocol = "http/2"   // with a server that offers it over TLS
	// NetHTTP is a transport of net/http for each user, to compare this package with.
	NetHTTP Protocol = "net/http"
)

// ParseProtocol reads one of them; "" is the default. Its error follows the name of the variable.
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

// Factory makes the transports of many users with the settings of one of net/http.
type Factory struct {
	base     *http.Transport
	config   *Config
	protocol Protocol
}

// NewFactory returns a Factory whose transports dial for themselves. See Config.Dial.
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

// New returns the transport of one user of a server, through a proxy if the settings have one for that server.
func (f *Factory) New(server string) RoundTripper {
	if target, err := url.Parse(server); err == nil && f.base.Proxy != nil {
		if proxy, err := f.base.Proxy(&http.Request{URL: target}); err != nil || proxy != nil {
			return Whole(f.ofNetHTTP())
		}
	}
	if f.protocol == NetHTTP {
		return Whole(f.ofNetHTTP())
	}
	return New(f.config)
}

// ofNetHTTP returns a transport of net/http for one user, with this package's limit on what comes before a body.
func (f *Factory) ofNetHTTP() *http.Transport {
	own := f.base.Clone()
	own.MaxResponseHeaderBytes = MaxHeaders
	return own
}

// tlsConfig returns the transport's settings, with the protocols to offer. GODEBUG=http2client=0 turns HTTP/2 off in k6's.
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
