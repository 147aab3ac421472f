package k6

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext"
	"go.k6.io/k6/v2/lib/types"

	"github.com/verity-app/xk6-verity/extension/platform"
)

const (
	// maxSources bounds the look for how many addresses --local-ips has.
	maxSources = 4096
	// lookupLimit bounds the look for how many addresses the target has.
	lookupLimit = 5 * time.Second
)

// Client is one for what is no load: its requests emit no metrics. It has the VU's dialer, TLS and DNS options.
func (s *VU) Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: platform.Named(s.base, UserAgent(s.Options)), Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// QuietTransport has k6's TLS, DNS and host options, and is not load: neither k6's http metrics nor data_sent and
// data_received count what goes through it.
func (s *VU) QuietTransport() *http.Transport {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: s.Dialer.DialContext}
	if counting, ok := s.Dialer.(*netext.Dialer); ok {
		quiet := netext.NewDialer(counting.Dialer, counting.Resolver)
		quiet.Blacklist, quiet.BlockedHostnames, quiet.Hosts = counting.Blacklist, counting.BlockedHostnames, counting.Hosts
		transport.DialContext = quiet.DialContext
	}
	if s.TLSConfig != nil {
		transport.TLSClientConfig = s.TLSConfig.Clone()
		transport.TLSClientConfig.NextProtos = nil // k6's offers HTTP/2, which this transport does not speak
	}
	return transport
}

// Sources counts the addresses that connections come from: those of --local-ips, each of which has ports of its own.
func Sources(localIPs types.NullIPPool) int {
	if !localIPs.Valid {
		return 1
	}
	first := localIPs.Pool.GetIP(0)
	n := 1
	for n < maxSources && !localIPs.Pool.GetIP(uint64(n)).Equal(first) { // the pool begins anew after its last
		n++
	}
	return n
}

// Addresses counts those of the target over which k6 spreads connections.
func Addresses(ctx context.Context, baseURL string, options lib.Options) int {
	target, err := url.Parse(baseURL)
	if err != nil || options.DNS.Select.DNSSelect == types.DNSfirst {
		return 1
	}
	if options.Hosts.Trie != nil && options.Hosts.Trie.Match(target.Hostname()) != nil {
		return 1
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", target.Hostname())
	if err != nil {
		return 1 // k6 has reached it by other means
	}
	v4 := 0
	for _, address := range found {
		if address.Unmap().Is4() {
			v4++
		}
	}
	if v4 > 0 {
		return v4 // k6 prefers them
	}
	return max(1, len(found))
}
