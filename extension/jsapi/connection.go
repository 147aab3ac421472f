package jsapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/metrics"
	"gopkg.in/guregu/null.v3"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// requestTimeoutCode is httpext's code for a request that k6 gave up on.
const requestTimeoutCode = 1050

// keepAliveMargin is how long before the server closes an idle connection the client stops using it. A request that
// crosses the close on the wire would fail although nothing is wrong.
const keepAliveMargin = 500 * time.Millisecond

// vuState is a VU's state whose transport is that of the user on whose behalf a request is made.
type vuState struct {
	*lib.State
	base *http.Transport
}

func newVUState(state *lib.State) (*vuState, error) {
	base, ok := state.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("this k6 has a transport that cannot be copied for each user")
	}
	own := *state
	own.Transport = userTransport{}
	return &vuState{State: &own, base: base}, nil
}

type transportKey struct{}

// userTransport sends a request through the transport in its context.
type userTransport struct{}

func (userTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return request.Context().Value(transportKey{}).(http.RoundTripper).RoundTrip(request) //nolint:forcetypeassert // set in Do
}

// connection is the HTTP connection of one user: a platform.HTTP that sends through k6's own HTTP machinery, with the
// VU's dialer, TLS and DNS options, and emits k6's http metrics.
type connection struct {
	module    *Module
	state     *vuState
	transport *http.Transport
	timeout   time.Duration

	mu        sync.Mutex
	idleSince time.Time
	keepAlive time.Duration // of the server; 0: unknown
}

var _ platform.HTTP = (*connection)(nil)

func newConnection(module *Module, state *vuState, baseURL string, timeout time.Duration) *connection {
	return &connection{module: module, state: state, transport: userTransportOf(state.base, baseURL), timeout: timeout}
}

// Sizes of the buffers of a user's connection. Users are many and idle most of the time; Verity's answers and requests
// mostly fit. net/http's own are 4 KB each.
const (
	readBufferSize  = 2 << 10
	writeBufferSize = 1 << 10
)

// userTransportOf returns a transport for the one connection of a user. Without TLS it carries nothing that only TLS needs.
func userTransportOf(base *http.Transport, baseURL string) *http.Transport {
	t := base.Clone()
	t.ReadBufferSize, t.WriteBufferSize = readBufferSize, writeBufferSize
	if strings.HasPrefix(baseURL, "http:") {
		t.TLSClientConfig, t.ForceAttemptHTTP2, t.TLSNextProto = nil, false, noProtocols
	}
	return t
}

// noProtocols, where it is not nil, keeps net/http from setting up HTTP/2, which a server offers over TLS only.
var noProtocols = map[string]func(string, *tls.Conn) http.RoundTripper{} //nolint:gochecknoglobals // constant

// Do sends one request and waits for the whole answer.
func (c *connection) Do(ctx context.Context, request platform.Request) (*platform.Answer, error) {
	parsed, err := c.parse(request)
	if err != nil {
		return nil, err
	}
	c.dropStale(time.Now())
	response, err := httpext.MakeRequest(context.WithValue(ctx, transportKey{}, c.transport), c.state.State, parsed)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	answer := toAnswer(response)
	c.noteIdle(answer.Header["Keep-Alive"], time.Now())
	if answer.Status == http.StatusTooManyRequests {
		c.module.root.findings.throttled(request.Operation)
		push(ctx, c.state.State, c.module.metrics.throttledRequests, 1, "name", request.Operation)
	}
	return answer, nil
}

func (c *connection) parse(request platform.Request) (*httpext.ParsedHTTPRequest, error) {
	target, err := c.module.root.urls.parse(request.URL, request.Operation)
	if err != nil {
		return nil, err
	}
	header := request.Header
	if header == nil {
		header = make(http.Header, 1)
	}
	if agent := c.state.Options.UserAgent; agent.Valid && header["User-Agent"] == nil {
		header["User-Agent"] = []string{agent.String}
	}
	tags := c.state.Tags.GetCurrentValues()
	tags.SetTag(metrics.TagName.String(), request.Operation)
	parsed := &httpext.ParsedHTTPRequest{
		URL:              target,
		Req:              &http.Request{Method: request.Method, URL: target.GetURL(), Header: header},
		Timeout:          c.timeout,
		Throw:            true,
		ResponseType:     httpext.ResponseTypeText,
		ResponseCallback: func(status int) bool { return slices.Contains(request.Expected, status) },
		Redirects:        null.IntFrom(0),
		TagsAndMeta:      tags,
	}
	if request.Body != nil {
		parsed.Body = bytes.NewBuffer(request.Body)
	}
	return parsed, nil
}

// urls are those of requests, each parsed once: there are a handful. k6 reads them only.
type urls struct{ parsed sync.Map }

func (u *urls) parse(text, operation string) (*httpext.URL, error) {
	if known, ok := u.parsed.Load(text); ok {
		return known.(*httpext.URL), nil //nolint:forcetypeassert // stored below
	}
	target, err := httpext.NewURL(text, operation)
	if err != nil {
		return nil, err
	}
	u.parsed.Store(text, &target)
	return &target, nil
}

// failure says why there is no answer, without the URL that net/http puts before it.
func (c *connection) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return platform.ErrStopped
	}
	var k6err httpext.K6Error
	var netErr net.Error
	if (errors.As(err, &k6err) && k6err.Code == requestTimeoutCode) || (errors.As(err, &netErr) && netErr.Timeout()) {
		return platform.ErrTimeout
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the server closed the connection without an answer")
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		return urlErr.Err
	}
	return err
}

// dropStale closes an idle connection that the server is about to close.
func (c *connection) dropStale(now time.Time) {
	c.mu.Lock()
	stale := c.keepAlive > 0 && now.Sub(c.idleSince) > c.keepAlive-min(keepAliveMargin, c.keepAlive/2)
	c.mu.Unlock()
	if stale {
		c.transport.CloseIdleConnections()
	}
}

func (c *connection) noteIdle(keepAlive string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idleSince = now
	c.keepAlive = keepAliveTimeout(keepAlive)
}

// keepAliveTimeout reads a server's "Keep-Alive: timeout=5", or returns 0.
func keepAliveTimeout(header string) time.Duration {
	for parameter := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if n, err := strconv.ParseUint(value, 10, 16); err == nil && strings.EqualFold(name, "timeout") {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}

func (c *connection) close() { c.transport.CloseIdleConnections() }

func toAnswer(response *httpext.Response) *platform.Answer {
	answer := &platform.Answer{
		Status:   response.Status,
		Header:   response.Headers,
		Duration: time.Duration(response.Timings.Duration * float64(time.Millisecond)),
	}
	if body, ok := response.Body.(string); ok {
		answer.Body = []byte(body)
	}
	if len(response.Cookies) > 0 {
		answer.Cookies = make(map[string]string, len(response.Cookies))
		for name, cookies := range response.Cookies {
			answer.Cookies[name] = cookies[len(cookies)-1].Value
		}
	}
	return answer
}
