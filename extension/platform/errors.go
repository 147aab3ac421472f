package platform

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
)

var (
	// ErrStopped is the error of a request that the end of the run cut. It is neither a success nor a failure.
	ErrStopped = errors.New("stopped by the end of the run")
	// errUnusable is the error of a request whose answer was too large or could not be unpacked; see UnusableAnswer.
	errUnusable = errors.New("not a usable answer")
	// ErrTimeout is the error of a request that was not answered in time.
	ErrTimeout = errors.New("not answered in time")
)

// The names of errors, as a script sees them in error.name.
const (
	ThrottledError          = "ThrottledError"          // 429; RetryAfter says when to try again
	AuthError               = "AuthError"               // 401 in spite of a fresh token
	InsufficientTokensError = "InsufficientTokensError" // 400, no token left to join with
	ConflictError           = "ConflictError"           // 409, another operation of this user is under way
	HTTPError               = "HTTPError"               // any other unexpected status
	TimeoutError            = "TimeoutError"            // no answer in time
	ConnectionError         = "ConnectionError"         // no answer: refused, reset, TLS or DNS failure
	ProtocolError           = "ProtocolError"           // an answer that violates the contract
	UnexpectedAnswerError   = "UnexpectedAnswerError"   // an answer with the expected status and an unexpected content
	SocketError             = "SocketError"             // no socket: refused, not opened in time, or lost
	StoppedError            = "StoppedError"            // the run ended first; not counted
)

// Error is the error of an operation.
type Error struct {
	Name       string // one of the names above
	Operation  string
	Status     int           // of the answer; 0: none came
	RetryAfter time.Duration // ThrottledError only
	Message    string
	Err        error // the cause, if no answer came

	tokenRefused bool // the 401 is about the token, not about the user, such as a suspension
	noUser       bool // the 404 is about the user, not about the route
}

// Error returns the message, which names the operation and says what to do.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// outcomeUnknown reports whether Verity may have carried out the operation in spite of the error.
func outcomeUnknown(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status == 0 || e.Status >= http.StatusInternalServerError || e.Name == ProtocolError
}

// UnansweredError is the error of a request that had been under way for long when the end of the run cut it. It is an ErrTimeout.
type UnansweredError struct{ Waited time.Duration }

// Error returns a message with the time that the request had waited.
func (e *UnansweredError) Error() string {
	return fmt.Sprintf("no answer for %.1f s when the run ended", e.Waited.Seconds())
}

// Is reports whether target is ErrTimeout.
func (e *UnansweredError) Is(target error) bool { return target == ErrTimeout }

// UnusableAnswer returns the error of an answer that was too large or could not be unpacked, with its reason.
func UnusableAnswer(why error) error { return &unusable{why} }

type unusable struct{ why error }

func (e *unusable) Error() string { return e.why.Error() }

func (e *unusable) Unwrap() []error { return []error{e.why, errUnusable} }

// Failure converts an error of net/http to one that an HTTP returns, without the URL.
func Failure(err error) error {
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return ErrTimeout
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the server closed the connection without an answer")
	}
	return plain.WithoutURL(err)
}

// NoAnswer returns the error of an operation whose HTTP.Do returned this error.
func NoAnswer(operation string, err error) error {
	e := &Error{Operation: operation, Err: err}
	var unanswered *UnansweredError
	switch {
	case errors.As(err, &unanswered):
		e.Name, e.Message = TimeoutError, operation+" had "+err.Error()
	case errors.Is(err, ErrStopped):
		e.Name, e.Message = StoppedError, operation+" was "+ErrStopped.Error()
	case errors.Is(err, ErrTimeout):
		e.Name = TimeoutError
		e.Message = operation + " was " + err.Error() + "; the service is overloaded or timeoutSeconds is too short"
	case errors.Is(err, errUnusable):
		e.Name = ProtocolError
		e.Message = operation + ": " + plain.Error(err).Error() + askWhatItIs
	default:
		e.Name, e.Message = ConnectionError, operation+" "+WhyNoAnswer(plain.Error(err))
	}
	return e
}

// askWhatItIs ends the message of a ProtocolError.
const askWhatItIs = "; is this a Verity, and of a version that this tool knows?"

// WhyNoAnswer says that a request got no answer or, without a connection, that it could not be sent, with the reason.
func WhyNoAnswer(err error) string {
	if neverSent(err) || withoutTLS(err) {
		return "could not be sent: " + err.Error()
	}
	return "got no answer: " + err.Error()
}

// withoutTLS reports whether the TLS handshake failed, so that nothing was sent.
func withoutTLS(err error) bool {
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, isNoTLS := errors.AsType[tls.RecordHeaderError](err)
	return isCertificate || isNoTLS
}

func protocolError(operation string, answer *Answer, format string, args ...any) error {
	return &Error{
		Name: ProtocolError, Operation: operation, Status: answer.Status,
		Message: fmt.Sprintf("%s was answered %d, but %s", operation, answer.Status, fmt.Sprintf(format, args...)) + askWhatItIs,
	}
}

// refusal returns the error of an answer with an unexpected status.
func refusal(operation string, answer *Answer) error {
	said := ServiceMessage(answer.Body)
	e := &Error{Operation: operation, Status: answer.Status}
	e.noUser = answer.Status == http.StatusNotFound && said != describeBody(answer.Body) && !strings.HasPrefix(said, noRoute)
	switch {
	case answer.Status == http.StatusTooManyRequests:
		e.Name = ThrottledError
		e.RetryAfter = RetryAfter(answer.Header[contract.HeaderRetryAfter], time.Now())
		e.Message = fmt.Sprintf("%s was throttled (429), retry after %d s; have the rate limit lifted for this runner",
			operation, int(e.RetryAfter/time.Second))
	case answer.Status == http.StatusUnauthorized:
		e.Name = AuthError
		e.tokenRefused = said == contract.SaysUnauthorized
		e.Message = fmt.Sprintf("%s was answered 401: %s; sign up again", operation, said)
	case answer.Status == http.StatusBadRequest && said == contract.SaysNoTokens:
		e.Name = InsufficientTokensError
		e.Message = operation + " was answered 400: " + said + "; buy tokens before joining"
	case answer.Status == http.StatusConflict:
		e.Name = ConflictError
		e.Message = fmt.Sprintf("%s was answered 409: %s; one operation of a user at a time", operation, said)
	default:
		e.Name = HTTPError
		e.Message = fmt.Sprintf("%s was answered %d: %s", operation, answer.Status, said)
	}
	return e
}

// FromInFront reports whether the answer is not the service's but that of something in front of it, such as a web application
// firewall: a 403 with neither the service's headers nor its JSON.
func (a *Answer) FromInFront() bool { return fromInFront(a.Status, maps.Keys(a.Header), a.Body) }

func fromInFront(status int, headers iter.Seq[string], body []byte) bool {
	if status != http.StatusForbidden {
		return false
	}
	for name := range headers {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(contract.LimitHeaders)) {
			return false
		}
	}
	var said struct {
		Message    json.RawMessage `json:"message"`
		StatusCode int             `json:"statusCode"`
	}
	return json.Unmarshal(body, &said) != nil || len(said.Message) == 0 && said.StatusCode == 0
}

// ServiceMessage returns the message of an error answer, made safe for a log and a terminal.
func ServiceMessage(body []byte) string {
	var answer struct {
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Message) == 0 {
		return describeBody(body)
	}
	var one string
	if json.Unmarshal(answer.Message, &one) == nil {
		return shorten(one)
	}
	var many []string
	if json.Unmarshal(answer.Message, &many) == nil {
		return shorten(strings.Join(many, ", "))
	}
	return describeBody(body)
}

// describeBody describes a body without an error message. It repeats nothing of it, as it may hold a token.
func describeBody(body []byte) string {
	switch {
	case len(body) == 0:
		return "an empty body"
	case body[0] == '<':
		return "a page of HTML"
	default:
		return fmt.Sprintf("a body of %d bytes without a message", len(body))
	}
}

// shorten makes a text of the service safe for a log and a terminal.
func shorten(s string) string { return plain.Short(s, 200) }

// RetryAfter parses a Retry-After header, in seconds or as an HTTP date. Without one it returns how long Verity blocks a client.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return contract.ThrottleWindow
}

// Unexpected returns the error of an answer with the expected status and an unexpected content.
func Unexpected(operation string, status int, format string, args ...any) error {
	return &Error{
		Name: UnexpectedAnswerError, Operation: operation, Status: status, Message: operation + ": " + fmt.Sprintf(format, args...),
	}
}

// AsError returns the *Error that err is or wraps.
func AsError(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// IsStopped reports whether an error is a StoppedError, which the end of the run causes.
func IsStopped(err error) bool {
	e, ok := AsError(err)
	return ok && e.Name == StoppedError
}
