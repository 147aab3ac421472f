package standin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/verity-app/xk6-verity/extension/contract"
)

var (
	errBodyTooLarge = errors.New("body over 100 KB")
	errNotAnObject  = errors.New("body is not a JSON object")
	byteOrderMark   = []byte("\ufeff")
)

// readBody reads the body into buf, and returns it.
func readBody(r *http.Request, buf []byte) ([]byte, error) {
	buf = buf[:0]
	if r.ContentLength > contract.MaxBody {
		return buf, errBodyTooLarge
	}
	if r.ContentLength < 0 {
		return readChunked(r.Body, buf)
	}
	size := int(r.ContentLength)
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	n, err := io.ReadFull(r.Body, buf[:size])
	return buf[:n], err
}

func readChunked(body io.Reader, buf []byte) ([]byte, error) {
	into := bytes.NewBuffer(buf)
	n, err := into.ReadFrom(io.LimitReader(body, contract.MaxBody+1))
	if err == nil && n > contract.MaxBody {
		err = errBodyTooLarge
	}
	return into.Bytes(), err
}

// isJSON reports whether the body is declared as JSON. The service ignores a body of another type or of none.
func isJSON(r *http.Request) bool {
	values := r.Header["Content-Type"]
	if len(values) == 0 {
		return false
	}
	if values[0] == contract.ContentType {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(values[0])
	return err == nil && mediaType == contract.ContentType
}

const unexpectedEnd = "Unexpected end of JSON input"

// jsonFault returns V8's error for a body that is neither a JSON object nor an array, or "".
func jsonFault(body []byte) string {
	body = bytes.TrimPrefix(body, byteOrderMark)
	start := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(start) == 0:
		return unexpectedEnd
	case start[0] != '{' && start[0] != '[':
		return unexpectedToken(body, len(body)-len(start))
	case json.Valid(body):
		return ""
	}
	var raw json.RawMessage
	syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &raw))
	if !ok || strings.HasPrefix(syntax.Error(), "unexpected end") {
		return unexpectedEnd
	}
	return unexpectedToken(body, int(syntax.Offset)-1)
}

func unexpectedToken(body []byte, at int) string {
	r, _ := utf8.DecodeRune(body[at:])
	return fmt.Sprintf("Unexpected token %c in JSON at position %d", r, at)
}

// members calls visit with each member of a JSON object, in order. An empty body counts as an empty object.
func members(body []byte, visit func(name string, value json.RawMessage)) error {
	if len(body) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, byteOrderMark)))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return errNotAnObject
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return fmt.Errorf("name of a member: %w", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("member %v: %w", name, err)
		}
		visit(fmt.Sprint(name), value)
	}
	return nil
}
