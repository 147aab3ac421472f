package standin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// answer is what a handler returns. Its body is written before the next request uses the buffer that it may be in.
type answer struct {
	status int
	body   []byte
}

// Answers without an "error" field, and with their keys in the service's order.
var (
	unauthorized    = answer{http.StatusUnauthorized, []byte(`{"message":"` + contract.SaysUnauthorized + `","statusCode":401}`)}
	serverError     = answer{http.StatusInternalServerError, []byte(`{"statusCode":500,"message":"` + contract.SaysServerError + `"}`)}
	tooManyRequests = answer{http.StatusTooManyRequests, []byte(`{"statusCode":429,"message":"` + contract.SaysThrottled + `"}`)}
	bodyTooLarge    = answer{http.StatusRequestEntityTooLarge, []byte(`{"statusCode":413,"message":"request entity too large"}`)}
)

// denial is an answer that refuses, as an error. The service's words are in its body only.
type denial struct{ answer }

func deny(status int, message string) *denial { return &denial{refuse(status, message)} }

// Error is for a reader of a test's output.
func (d *denial) Error() string { return string(d.body) }

// refuse is the body that Nest makes of an exception; message is a string, or strings from its validation.
func refuse(status int, message any) answer {
	body := encodeJSON(struct {
		Message    any    `json:"message"`
		Error      string `json:"error"`
		StatusCode int    `json:"statusCode"`
	}{message, http.StatusText(status), status})
	return answer{status, body}
}

// encodeJSON leaves < > & as they are, as JSON.stringify does.
func encodeJSON(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // a value of this package that cannot be encoded is a defect of this package
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
