package httpconn

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
)

// RoundTripper sends the requests of one user.
type RoundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// Factory makes the transports of many users with the settings of one of net/http.
type Factory struct {
	base   *http.Transport
	config *Config
}

// NewFactory returns a Factory whose transports dial for themselves. See Config.Dial.
func NewFactory(base *http.Transport, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Factory {
	f := &Factory{base: base}
	f.config = &Config{
		Dial: dial, TLS: tlsConfig(base), HTTP2: func() http.RoundTripper { return f.ofNetHTTP() }, Once: base.DisableKeepAlives,
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
	return New(f.config)
}

// ofNetHTTP returns a transport of net/http for one user, with this package's limit on what comes before a body.
func (f *Factory) ofNetHTTP() *http.Transport {
	own := f.base.Clone()
	own.MaxResponseHeaderBytes = MaxHeaders
	return own
}

// tlsConfig returns the transport's settings, with the protocols that net/http would offer.
func tlsConfig(base *http.Transport) *tls.Config {
	config := base.TLSClientConfig.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if base.ForceAttemptHTTP2 && base.TLSNextProto == nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config
}
