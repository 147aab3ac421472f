// Package k6 is what the other rooms need of k6, without its JavaScript: requests through its HTTP machinery, its metrics, why a run ended,
// which part of a test a runner makes, secrets, and the network without load.
package k6

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
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
	"github.com/verity-app/xk6-verity/extension/version"
)

// requestTimeoutCode is httpext's code for a request that k6 gave up on.
const requestTimeoutCode = 1050

// VU is a VU's state whose transport is that of the user on whose behalf a request is made.
type VU struct {
	*lib.State
	base       *http.Transport
	transports *httpconn.Factory // of the users
	metrics    *Metrics
	urls       *urls
	run        *run.Run // counts requests
}

// Process is what all VUs of this process share.
type Process struct {
	Run  *run.Run
	urls urls
}

// NewVU returns a VU whose users are connected by this protocol.
func NewVU(state *lib.State, registered *Metrics, process *Process, over httpconn.Protocol) (*VU, error) {
	base, ok := state.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("this k6 has a transport that cannot be copied for each user")
	}
	own := *state
	own.Transport = userTransport{}
	s := &VU{State: &own, base: base, metrics: registered, urls: &process.urls, run: process.Run}
	s.transports = httpconn.NewFactory(base, s.dial, over)
	return s, nil
}

// dial opens a connection that can be asked whether the server has closed it, which k6's own hides.
func (s *VU) dial(ctx context.Context, network, address string) (net.Conn, error) {
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

// UserAgent is what requests and sockets name themselves: k6's --user-agent where it is given.
func UserAgent(options lib.Options) string {
	if options.UserAgent.Valid {
		return options.UserAgent.String
	}
	return version.Agent()
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
	state     *VU
	transport httpconn.RoundTripper
	timeout   time.Duration
}

var _ users.VU = (*VU)(nil)

// Connect makes the connection of one user.
func (s *VU) Connect(baseURL string, timeout time.Duration) users.Connection {
	return &connection{state: s, transport: s.transports.New(baseURL), timeout: timeout}
}

// Log is k6's log.
func (s *VU) Log() run.Logger { return s.Logger }

// SocketOptions are those of a user's socket, with the VU's dialer, TLS and proxy.
func (s *VU) SocketOptions() sessions.Options {
	return sessions.Options{
		Dialer: s.Dialer.DialContext, TLSConfig: s.TLSConfig, Proxy: s.base.Proxy,
		Header: map[string][]string{"User-Agent": {UserAgent(s.Options)}},
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
		header["User-Agent"] = []string{UserAgent(c.state.Options)}
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
	if errors.As(err, &k6err) && k6err.Code == requestTimeoutCode {
		return platform.ErrTimeout
	}
	if errors.Is(err, httpconn.ErrAnswer) {
		return platform.UnusableAnswer(plain.WithoutURL(err))
	}
	return platform.Failure(err)
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
