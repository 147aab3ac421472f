package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// OpChoice is the operation of Choose.
const OpChoice = "session_choice"

// Chosen is the answer to a choice.
type Chosen struct {
	Status   contract.ChoiceStatus  `json:"status"`
	Outcome  contract.ChoiceOutcome `json:"outcome"`  // of a resolved choice
	Deadline json.RawMessage        `json:"deadline"` // of a pending choice, as the service sent it
}

// Choose sends the user's choice after a session that has ended.
func (u *User) Choose(ctx context.Context, sessionID string, choice contract.Choice) (Chosen, error) {
	body, err := json.Marshal(map[string]contract.Choice{"choice": choice})
	if err != nil {
		return Chosen{}, err
	}
	answer, err := u.Request(ctx, Request{
		Operation: OpChoice, Method: contract.RouteChoice.Method, URL: contract.ChoicePath(sessionID), Body: body,
		Expected: []int{contract.RouteChoice.Status},
	})
	if err != nil {
		return Chosen{}, err
	}
	var chosen Chosen
	if json.Unmarshal(answer.Body, &chosen) != nil {
		return chosen, protocolError(OpChoice, answer, "the body is not the JSON of a choice")
	}
	switch {
	case chosen.Status == contract.ChoicePending && chosen.Outcome == "":
	case chosen.Status == contract.ChoiceResolved && (chosen.Outcome == contract.OutcomeMutual || chosen.Outcome == contract.OutcomeNonMutual):
	default:
		return chosen, protocolError(OpChoice, answer, "its status is %q and its outcome %q; it is pending, or resolved with mutual "+
			"or non_mutual", shorten(string(chosen.Status)), shorten(string(chosen.Outcome)))
	}
	return chosen, nil
}

// Request sends any request as this user. Its URL is a path of the service that CheckPath accepts; a body is JSON. An answer with
// a status that is not in Expected is an error.
func (u *User) Request(ctx context.Context, request Request) (*Answer, error) {
	if err := CheckPath(request.URL); err != nil {
		return nil, err
	}
	request.URL = u.service.baseURL + request.URL
	if request.Body != nil {
		request.Header = http.Header{"Content-Type": {contract.ContentType}}
	}
	return u.authorized(ctx, request)
}

// JSON returns the body of an answer that is declared as JSON, and nil without an error for another answer.
func (a *Answer) JSON(operation string) ([]byte, error) {
	mediaType, _, _ := strings.Cut(a.Header["Content-Type"], ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if len(a.Body) == 0 || (mediaType != contract.ContentType && !strings.HasSuffix(mediaType, "+json")) {
		return nil, nil
	}
	if !json.Valid(a.Body) {
		return nil, protocolError(operation, a, "its body is not the JSON that it says it is")
	}
	return a.Body, nil
}

// CheckPath refuses a value that is not a path of the service, with an optional query: the user's token must not be sent elsewhere.
func CheckPath(path string) error {
	const takes = "must be a path of the service, such as /users/me or /matches?limit=5"
	u, err := url.Parse(path)
	switch {
	case err != nil || !isPrintable(path):
		return errors.New(takes + "; the one given does not parse")
	case u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(path, "//") || strings.ContainsRune(path, '\\'):
		return errors.New(takes + ", not an address: requests go to the service alone")
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("%s, got %q", takes, path)
	case strings.Contains(path, "#"):
		return fmt.Errorf("%s, without a fragment, got %q", takes, path)
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(part string) bool { return part == "." || part == ".." }):
		return fmt.Errorf("%s, without . and .., got %q", takes, path)
	default:
		return nil
	}
}

// isPrintable reports whether a path consists of visible ASCII characters, as on the wire.
func isPrintable(path string) bool {
	return strings.IndexFunc(path, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// RequestName returns a name for the metrics of requests with this method and path: without the query, and with :id for each part
// of the path that looks like an id, which is a number, or 12 or more characters with a digit. If other parts differ between
// users, the script must name the request.
func RequestName(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for i, part := range parts {
		digits := strings.IndexFunc(part, func(r rune) bool { return '0' <= r && r <= '9' }) >= 0
		number := part != "" && strings.Trim(part, "0123456789") == ""
		if number || (digits && len(part) >= 12) {
			parts[i] = ":id"
		}
	}
	return method + " " + strings.Join(parts, "/")
}
