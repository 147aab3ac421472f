package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

// Service is one Verity under test.
type Service struct {
	baseURL string
	signer  func() (*payments.Signer, error)
	// signedUp is called with each new user; may be nil.
	signedUp func(*User)
}

// NewService returns the Verity at a base URL that ParseBaseURL accepted. Tokens are bought with the Signer that signer returns.
func NewService(baseURL string, signer func() (*payments.Signer, error)) *Service {
	return &Service{baseURL: baseURL, signer: signer}
}

// NotifySignUps makes SignUp call f with each new user before it returns.
func (s *Service) NotifySignUps(f func(*User)) { s.signedUp = f }

// SignUp makes an anonymous user without tokens. The user's requests are sent through connection.
func (s *Service) SignUp(ctx context.Context, connection HTTP) (*User, error) {
	answer, err := s.send(ctx, connection, s.request(OpSignUp, contract.RouteSignUp))
	if err != nil {
		return nil, err
	}
	var body struct {
		User struct {
			ID           string `json:"id"`
			TokenBalance *int   `json:"tokenBalance"`
		} `json:"user"`
		AccessToken string `json:"accessToken"`
	}
	cookie := answer.Cookies[contract.RefreshCookie]
	if json.Unmarshal(answer.Body, &body) != nil || body.User.ID == "" || body.AccessToken == "" || body.User.TokenBalance == nil {
		return nil, protocolError(OpSignUp, answer, "user.id, user.tokenBalance and accessToken are not all there")
	}
	if !isID(body.User.ID) {
		return nil, protocolError(OpSignUp, answer, "user.id is not an id of letters, digits, _ and -")
	}
	if cookie == "" {
		return nil, protocolError(OpSignUp, answer, "the cookie %s is not there", contract.RefreshCookie)
	}
	account := &account{
		id: body.User.ID, refreshing: make(chan struct{}, 1),
		token: newAccessToken(body.AccessToken, time.Now()), cookie: cookie,
	}
	account.ledger.opened(*body.User.TokenBalance)
	user := &User{account: account, service: s, connection: connection}
	if s.signedUp != nil {
		s.signedUp(user)
	}
	return user, nil
}

// isID reports whether an id of the service can be used unchanged in a log line, a path and a report. Verity's have 25 characters.
func isID(id string) bool {
	const longest = 128
	return len(id) <= longest && strings.IndexFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-'
	}) < 0
}

// PostWebhook posts an event with the caller's headers, such as a signature that must be refused. An answer whose status is not in
// expected (default: 200) is an error.
func (s *Service) PostWebhook(
	ctx context.Context, connection HTTP, body []byte, header http.Header, expected ...int,
) (*Answer, error) {
	request := s.webhookRequest(body, header)
	if len(expected) > 0 {
		request.Expected = expected
	}
	return s.send(ctx, connection, request)
}

func (s *Service) webhookRequest(body []byte, header http.Header) Request {
	request := s.request(OpWebhook, contract.RouteWebhook)
	request.Header, request.Body = header, body
	return request
}

// request returns a request to a route.
func (s *Service) request(operation string, route contract.Route) Request {
	return Request{Operation: operation, Method: route.Method, URL: s.baseURL + route.Path, Expected: []int{route.Status}}
}

// send returns the answer if its status is expected, and otherwise an *Error.
func (s *Service) send(ctx context.Context, connection HTTP, request Request) (*Answer, error) {
	answer, err := connection.Do(ctx, request)
	if err != nil {
		return nil, NoAnswer(request.Operation, err)
	}
	if !slices.Contains(request.Expected, answer.Status) {
		return nil, refusal(request.Operation, request.conceal(answer))
	}
	return answer, nil
}

// conceal removes the request's secrets from an error answer, in case the service echoes them.
func (r *Request) conceal(answer *Answer) *Answer {
	shown := *answer
	for _, secret := range r.secrets() {
		shown.Body = bytes.ReplaceAll(shown.Body, []byte(secret), []byte("***"))
	}
	return &shown
}

// secrets returns the access token, the refresh token and the signature of a request, those that it has.
func (r *Request) secrets() []string {
	_, cookie, _ := strings.Cut(r.Header.Get("Cookie"), "=")
	signature := r.Header.Get(contract.SignatureHeader)
	_, digest, _ := strings.Cut(signature, "v1=")
	all := []string{strings.TrimPrefix(r.Header.Get("Authorization"), contract.Bearer), cookie, signature, digest}
	return slices.DeleteFunc(all, func(secret string) bool { return secret == "" })
}
