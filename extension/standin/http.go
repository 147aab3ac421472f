package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

// pooledBody is the largest body whose buffer is kept for the next request.
const pooledBody = 16 << 10

// route is one handler of the service, with its counts.
type route struct {
	contract.Route      // the zero value is the route of unknown paths
	signedIn       bool // needs an access token
	raw            bool // the handler gets the body's bytes, which need not be JSON
	handle         func(*call) answer

	limiter  *limiter          // nil without throttle
	answered [600]atomic.Int64 // by status
	took     *latencies
}

// name returns the name of the route in Stats.
func (rt *route) name() string {
	if rt.Path == "" {
		return "unknown"
	}
	return rt.Method + " " + rt.Path
}

// call is one request under way.
type call struct {
	r         *http.Request
	header    http.Header // of the answer
	body      []byte
	user      *user  // of the access token
	sessionID string // of the path
	out       []byte // buffer for the body of the answer
}

// calls are reused with their buffers.
var calls = sync.Pool{New: func() any { return new(call) }}

func (c *call) release() {
	if cap(c.body) > pooledBody {
		c.body = nil
	}
	*c = call{body: c.body[:0], out: c.out[:0]}
	calls.Put(c)
}

type endpoint struct{ method, path string }

// routes finds the handler of a request.
type routes struct {
	all     []*route
	fixed   map[endpoint]*route
	choice  *route // POST /sessions/<id>/choice
	unknown *route
}

func (s *Server) newRoutes() routes {
	fixed := []*route{
		{Route: contract.RouteHealth, handle: s.health},
		{Route: contract.RouteSignUp, handle: s.signUp},
		{Route: contract.RouteRefresh, handle: s.refresh},
		{Route: contract.RouteJoin, signedIn: true, handle: s.join},
		{Route: contract.RouteLeave, signedIn: true, handle: s.leave},
		{Route: contract.RouteBalance, signedIn: true, handle: s.balance},
		{Route: contract.RouteDelete, signedIn: true, handle: s.deleteUser},
		{Route: contract.RouteWebhook, raw: true, handle: s.webhook},
	}
	choice := &route{Route: contract.RouteChoice, signedIn: true, handle: s.choice}
	unknown := &route{handle: notFound}
	rs := routes{
		all:     slices.Concat(fixed, []*route{choice, unknown}),
		fixed:   make(map[endpoint]*route, len(fixed)),
		choice:  choice,
		unknown: unknown,
	}
	for _, rt := range fixed {
		rs.fixed[endpoint{rt.Method, rt.Path}] = rt
	}
	for _, rt := range rs.all {
		rt.took = newLatencies()
		if s.options.Throttle && rt.PerMinute > 0 {
			rt.limiter = newLimiter(rt.PerMinute, s.options.now)
		}
	}
	return rs
}

// find returns the route of a request, and the session id of the path, if it has one.
func (rs *routes) find(r *http.Request) (rt *route, sessionID string) {
	if rt, ok := rs.fixed[endpoint{r.Method, r.URL.Path}]; ok {
		return rt, ""
	}
	if r.Method == rs.choice.Method {
		if id, ok := contract.SessionOfChoice(r.URL.Path); ok {
			return rs.choice, id
		}
	}
	return rs.unknown, ""
}

var jsonType = []string{contract.ContentType + "; charset=utf-8"}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, socketio.Path) {
		s.sockets.server.ServeHTTP(w, r)
		return
	}
	start := time.Now()
	c, _ := calls.Get().(*call)
	defer c.release()

	rt, sessionID := s.routes.find(r)
	c.r, c.header, c.sessionID = r, w.Header(), sessionID
	c.header["Content-Type"] = jsonType
	if !r.Close {
		c.header["Keep-Alive"] = s.keepAlive
	}
	a := s.answer(rt, c)
	rt.answered[a.status].Add(1)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // fails only if the client is gone
	rt.took.record(time.Since(start))
}

// answer does the checks before a handler in the service's order: it reads and parses the body, looks up the route, counts the
// request, and checks the access token.
func (s *Server) answer(rt *route, c *call) answer {
	if refusal, ok := c.readBody(rt.raw); !ok {
		return refusal
	}
	if rt.limiter != nil && !rt.limiter.admit(c) {
		return tooManyRequests
	}
	if rt.signedIn {
		if c.user = s.bearer(c.r); c.user == nil {
			return unauthorized
		}
	}
	return rt.handle(c)
}

// readBody reads the body. It refuses one that is too large or, unless raw, declared as JSON and invalid.
func (c *call) readBody(raw bool) (refusal answer, ok bool) {
	if c.r.ContentLength == 0 || !raw && !isJSON(c.r) {
		return answer{}, true
	}
	body, err := readBody(c.r, c.body)
	c.body = body
	if errors.Is(err, errBodyTooLarge) {
		return bodyTooLarge, false
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "request aborted"), false
	}
	if raw || len(body) == 0 {
		return answer{}, true
	}
	if fault := jsonFault(body); fault != "" {
		return refuse(http.StatusBadRequest, fault), false
	}
	return answer{}, true
}

// bearer returns the user of the request's access token; nil for none, a bad or an expired one.
func (s *Server) bearer(r *http.Request) *user {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return nil
	}
	token, ok := strings.CutPrefix(values[0], contract.Bearer)
	if !ok {
		return nil
	}
	return s.tokens.user(token)
}

// failure returns the answer for a handler's error.
func (s *Server) failure(c *call, err error) answer {
	if d, ok := errors.AsType[*denial](err); ok {
		return d.answer
	}
	if refusal, ok := errors.AsType[*queue.Refusal](err); ok {
		if refusal.List {
			return refuse(http.StatusBadRequest, refusal.Messages)
		}
		return refuse(http.StatusBadRequest, refusal.Messages[0])
	}
	if errors.Is(err, errNotAnObject) || errors.Is(err, queue.ErrBody) {
		return refuse(http.StatusBadRequest, []string{"an unknown value was passed to the validate function"})
	}
	s.options.Log.Warn("answered 500", "method", c.r.Method, "path", c.r.URL.Path, "error", err)
	return serverError
}

func notFound(c *call) answer {
	return refuse(http.StatusNotFound, "Cannot "+c.r.Method+" "+c.r.RequestURI)
}

func (s *Server) health(c *call) answer {
	now := time.Now()
	c.out = append(c.out, `{"status":"ok","timestamp":"`...)
	c.out = now.UTC().AppendFormat(c.out, "2006-01-02T15:04:05.000Z07:00")
	c.out = append(c.out, `","uptimeSeconds":`...)
	c.out = strconv.AppendInt(c.out, int64(now.Sub(s.started)/time.Second), 10)
	return c.say(http.StatusOK, "}")
}

// say completes the answer in c.out.
func (c *call) say(status int, end string) answer {
	c.out = append(c.out, end...)
	return answer{status, c.out}
}

func (s *Server) signUp(c *call) answer {
	if err := checkSignUp(c.body); err != nil {
		return s.failure(c, err)
	}
	s.wait()
	u := s.accounts.signUp()
	access, refresh, err := s.tokens.open(u)
	if err != nil {
		return s.failure(c, err)
	}
	c.setRefreshCookie(refresh)
	c.out = append(c.out, `{"user":{"id":"`...)
	c.out = append(c.out, u.id...)
	c.out = append(c.out, `","role":"user","tokenBalance":0},"accessToken":"`...)
	c.out = append(c.out, access...)
	return c.say(http.StatusCreated, `"}`)
}

// checkSignUp refuses unknown fields, and fields that must be strings and are not.
func checkSignUp(body []byte) error {
	var unknown, wrong []string
	err := members(body, func(name string, value json.RawMessage) {
		switch name {
		case "consents":
		case "dateOfBirth", "privacyNoticeVersion", "tosVersion":
			if value[0] != '"' && value[0] != 'n' {
				wrong = append(wrong, name+" must be a string")
			}
		default:
			unknown = append(unknown, shouldNotExist(name))
		}
	})
	return listed(append(unknown, wrong...), err)
}

func shouldNotExist(name string) string { return fmt.Sprintf("property %s should not exist", name) }

// listed returns the error of validation with these messages, or that of reading the body.
func listed(messages []string, err error) error {
	if err != nil || len(messages) == 0 {
		return err
	}
	return &denial{refuse(http.StatusBadRequest, messages)}
}

func (c *call) setRefreshCookie(token string) {
	c.header["Set-Cookie"] = []string{contract.RefreshCookie + "=" + token + contract.RefreshCookieAttributes}
}

func (s *Server) refresh(c *call) answer {
	var token string
	if cookie, err := c.r.Cookie(contract.RefreshCookie); err == nil {
		token = cookie.Value
	}
	access, refresh, err := s.tokens.renew(token, s.wait)
	if err != nil {
		return s.failure(c, err)
	}
	c.setRefreshCookie(refresh)
	c.out = append(c.out, `{"accessToken":"`...)
	c.out = append(c.out, access...)
	return c.say(http.StatusOK, `"}`)
}

func (s *Server) balance(c *call) answer {
	s.wait()
	if c.user.isGone() {
		return userNotFound
	}
	c.out = append(c.out, `{"tokenBalance":`...)
	c.out = strconv.AppendInt(c.out, c.user.balance(), 10)
	return c.say(http.StatusOK, "}")
}

// deleteUser deletes the user's account. A user that is queued stays in the queue.
func (s *Server) deleteUser(c *call) answer {
	s.wait()
	if !c.user.remove() {
		return userNotFound
	}
	return answer{status: contract.RouteDelete.Status}
}

func (s *Server) join(c *call) answer {
	key, err := queue.Key(c.body)
	if err != nil {
		return s.failure(c, err)
	}
	place, err := s.queues.join(s.ctx, c.user, key)
	if err != nil {
		return s.failure(c, err)
	}
	c.out = append(c.out, `{"status":"`...)
	c.out = append(c.out, place.status...)
	c.out = append(c.out, `","queueKey":"`...)
	c.out = append(c.out, place.queueKey...)
	c.out = append(c.out, `","position":`...)
	if place.position == nil {
		return c.say(http.StatusCreated, "null}")
	}
	c.out = strconv.AppendInt(c.out, *place.position, 10)
	return c.say(http.StatusCreated, "}")
}

func (s *Server) leave(c *call) answer {
	left, err := s.queues.leave(s.ctx, c.user)
	if err != nil {
		return s.failure(c, err)
	}
	c.out = append(c.out, `{"status":"`...)
	c.out = append(c.out, left.status...)
	c.out = append(c.out, `","refunded":`...)
	c.out = strconv.AppendBool(c.out, left.refunded)
	if left.queueKey == "" {
		return c.say(http.StatusOK, "}")
	}
	c.out = append(c.out, `,"queueKey":"`...)
	c.out = append(c.out, left.queueKey...)
	return c.say(http.StatusOK, `"}`)
}
