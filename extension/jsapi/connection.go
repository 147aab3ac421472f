package jsapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/metrics"
	"gopkg.in/guregu/null.v3"

	"github.com/verity-app/xk6-verity/extension/httpconn"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/sessions"
	"github.com/verity-app/xk6-verity/extension/users"
)

// requestTimeoutCode is httpext's code for a request that k6 gave up on.
const requestTimeoutCode = 1050

// vuState is a VU's state whose transport is that of the user on whose behalf a request is made.
type vuState struct {
	*lib.State
	base    *http.Transport
	wire    *httpconn.Config // of the users' connections
	metrics *metricSet
	urls    *urls
	run     *run.Run // counts requests
	over    string   // how users are connected, see transportVariable
}

// transportVariable names in the environment of the process how users are connected: one of the values below.
const transportVariable = "VERITY_TRANSPORT"

const (
	overHTTP1   = "http/1.1" // httpconn, the default: HTTP/2 costs a user twice the memory (build/bench/README.md)
	overHTTP2   = "http/2"   // httpconn, which offers HTTP/2 to a server that speaks TLS
	overNetHTTP = "net/http" // k6's own transport, one for each user, to compare httpconn with
)

// transportOf reads transportVariable.
func transportOf(lookupEnv func(string) (string, bool)) (string, error) {
	if lookupEnv == nil {
		return overHTTP1, nil
	}
	switch value, _ := lookupEnv(transportVariable); value {
	case "":
		return overHTTP1, nil
	case overHTTP1, overHTTP2, overNetHTTP:
		return value, nil
	default:
		return "", fmt.Errorf("%s must be %s, %s or %s, got %q", transportVariable, overHTTP1, overHTTP2, overNetHTTP, plain.Short(value, 40))
	}
}

func newVUState(state *lib.State, set *metricSet, root *RootModule) (*vuState, error) {
	base, ok := state.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("this k6 has a transport that cannot be copied for each user")
	}
	over, err := transportOf(root.lookupEnv)
	if err != nil {
		return nil, err
	}
	own := *state
	own.Transport = userTransport{}
	s := &vuState{State: &own, base: base, metrics: set, urls: &root.urls, run: root.run, over: over}
	s.wire = &httpconn.Config{
		Dial:    s.dial,
		TLS:     tlsConfig(base, over == overHTTP2),
		HTTP2:   func() http.RoundTripper { return s.ofNetHTTP() },
		Once:    base.DisableKeepAlives,
		MaxIdle: base.MaxIdleConnsPerHost,
	}
	return s, nil
}

// dial opens a connection that can be asked whether the server has closed it, which k6's own hides.
func (s *vuState) dial(ctx context.Context, network, address string) (net.Conn, error) {
	opened, err := s.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	counted, ok := opened.(*netext.Conn)
	if !ok {
		return opened, nil
	}
	socket, ok := counted.Conn.(syscall.Conn)
	if !ok {
		return opened, nil
	}
	return askable{counted, socket}, nil
}

type askable struct {
	*netext.Conn
	socket syscall.Conn
}

func (a askable) SyscallConn() (syscall.RawConn, error) { return a.socket.SyscallConn() }

// tlsConfig is k6's, with the protocols to offer. k6 turns HTTP/2 off with GODEBUG=http2client=0.
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

// userConnection sends the requests of one user.
type userConnection interface {
	http.RoundTripper
	CloseIdleConnections()
}

// ofNetHTTP is k6's transport for one user, with the limit of httpconn on what comes before a body.
func (s *vuState) ofNetHTTP() *http.Transport {
	own := s.base.Clone()
	own.MaxResponseHeaderBytes = httpconn.MaxHeaders
	return own
}

// newTransport returns one for a user of the service, through a proxy where the environment names one for it.
func (s *vuState) newTransport(baseURL string) userConnection {
	if target, err := url.Parse(baseURL); err == nil && s.base.Proxy != nil {
		if proxy, err := s.base.Proxy(&http.Request{URL: target}); err != nil || proxy != nil {
			return httpconn.Whole(s.ofNetHTTP())
		}
	}
	if s.over == overNetHTTP {
		return httpconn.Whole(s.ofNetHTTP())
	}
	return httpconn.New(s.wire)
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
	state     *vuState
	transport userConnection
	timeout   time.Duration
}

var _ users.VU = (*vuState)(nil)

// Connect makes the connection of one user.
func (s *vuState) Connect(baseURL string, timeout time.Duration) users.Connection {
	return &connection{state: s, transport: s.newTransport(baseURL), timeout: timeout}
}

// Log is k6's log.
func (s *vuState) Log() run.Logger { return s.Logger }

// SocketOptions are those of a user's socket, with the VU's dialer, TLS and proxy.
func (s *vuState) SocketOptions() sessions.Options {
	return sessions.Options{
		Dialer: s.Dialer.DialContext, TLSConfig: s.TLSConfig, Proxy: s.base.Proxy,
		Header: map[string][]string{"User-Agent": {userAgent(s.Options)}},
	}
}

// Do sends one request and waits for the whole answer.
func (c *connection) Do(ctx context.Context, request platform.Request) (*platform.Answer, error) {
	began := time.Now()
	c.state.run.Requesting(began)
	answer, err := c.send(ctx, request, began)
	c.state.run.Requested(ctx, c.state, &request, began, answer, err)
	return answer, err
}

func (c *connection) send(ctx context.Context, request platform.Request, began time.Time) (*platform.Answer, error) {
	parsed, err := c.parse(request)
	if err != nil {
		return nil, err
	}
	response, err := httpext.MakeRequest(context.WithValue(ctx, transportKey{}, c.transport), c.state.State, parsed)
	if err != nil {
		return nil, c.failure(ctx, began, err)
	}
	return toAnswer(response), nil
}

func (c *connection) parse(request platform.Request) (*httpext.ParsedHTTPRequest, error) {
	target, err := c.state.urls.parse(request.URL, request.Operation)
	if err != nil {
		return nil, err
	}
	header := request.Header
	if header == nil {
		header = make(http.Header, 1)
	}
	if header["User-Agent"] == nil {
		header["User-Agent"] = []string{userAgent(c.state.Options)}
	}
	tags := c.state.Tags.GetCurrentValues()
	tags.SetTag(metrics.TagName.String(), request.Operation)
	parsed := &httpext.ParsedHTTPRequest{
		URL:              target,
		Req:              &http.Request{Method: request.Method, URL: target.GetURL(), Header: header},
		Timeout:          c.timeout,
		Throw:            true,
		ResponseType:     httpext.ResponseTypeText,
		ResponseCallback: func(status int) bool { return !request.Failed(status) },
		Redirects:        null.IntFrom(0),
		TagsAndMeta:      tags,
	}
	if request.Body != nil {
		parsed.Body = bytes.NewBuffer(request.Body)
	}
	return parsed, nil
}

// mostURLs is how many URLs are kept: the operations have a handful, but requests of a script may have an id in each.
const mostURLs = 100

// urls are those of requests, each parsed once. k6 reads them only.
type urls struct {
	parsed sync.Map
	kept   atomic.Int32
}

func (u *urls) parse(text, operation string) (*httpext.URL, error) {
	if known, ok := u.parsed.Load(text); ok {
		return known.(*httpext.URL), nil //nolint:forcetypeassert // stored below
	}
	target, err := httpext.NewURL(text, operation)
	if err != nil {
		return nil, err
	}
	if u.kept.Add(1) <= mostURLs {
		u.parsed.Store(text, &target)
	}
	return &target, nil
}

// failure says why there is no answer, without the URL that net/http puts before it.
func (c *connection) failure(ctx context.Context, began time.Time, err error) error {
	if ctx.Err() != nil {
		return users.CutAt(ctx, began)
	}
	var k6err httpext.K6Error
	var netErr net.Error
	if (errors.As(err, &k6err) && k6err.Code == requestTimeoutCode) || (errors.As(err, &netErr) && netErr.Timeout()) {
		return platform.ErrTimeout
	}
	if errors.Is(err, httpconn.ErrAnswer) {
		return platform.UnusableAnswer(withoutURL(err))
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the server closed the connection without an answer")
	}
	return withoutURL(err)
}

func withoutURL(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		return urlErr.Err
	}
	return err
}

// Close closes the connection.
func (c *connection) Close() { c.transport.CloseIdleConnections() }

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
