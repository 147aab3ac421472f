package standin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// answer is the result of a handler. Its body may be in the call's buffer, and is written before that is reused.
type answer struct {
	status int
	body   []byte
}

// The answers without an "error" field, with their keys in the service's order.
var (
	unauthorized    = answer{http.StatusUnauthorized, []byte(`{"message":"` + contract.SaysUnauthorized + `","statusCode":401}`)}
	serverError     = answer{http.StatusInternalServerError, []byte(`{"statusCode":500,"message":"` + contract.SaysServerError + `"}`)}
	tooManyRequests = answer{http.StatusTooManyRequests, []byte(`{"statusCode":429,"message":"` + contract.SaysThrottled + `"}`)}
	bodyTooLarge    = answer{http.StatusRequestEntityTooLarge, []byte(`{"statusCode":413,"message":"request entity too large"}`)}
)

// userNotFound is the answer of a route that reads the account of a deleted user.
var userNotFound = refuse(http.StatusNotFound, "User not found") //nolint:gochecknoglobals // a constant

// denial is a refusing answer as an error.
type denial struct{ answer }

func deny(status int, message string) *denial { return &denial{refuse(status, message)} }

// Error returns the body, for the output of tests.
func (d *denial) Error() string { return string(d.body) }

// refuse returns the answer that Nest makes from an exception; message is a string, or a list of strings from its validation.
func refuse(status int, message any) answer {
	body := encodeJSON(struct {
		Message    any    `json:"message"`
		Error      string `json:"error"`
		StatusCode int    `json:"statusCode"`
	}{message, http.StatusText(status), status})
	return answer{status, body}
}

// encodeJSON encodes as JSON.stringify does, without escaping < > &.
func encodeJSON(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // a defect of this package: all its values can be encoded
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
