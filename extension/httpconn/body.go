package httpconn

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/verity-app/xk6-verity/extension/plain"
)

const (
	// maxBody limits the body of an answer in bytes, both as sent and unpacked: a thousand times what Verity sends.
	maxBody = 1_000_000
	// maxHeaders limits the bytes of an answer before its body.
	maxHeaders = 64 << 10
	// largestGuess is the largest Content-Length in bytes for which a buffer is allocated before the body arrives.
	largestGuess = 64 << 10
)

// ErrAnswer matches, by errors.Is, the error of an answer that arrived but is too large or cannot be unpacked.
var ErrAnswer = errors.New("an answer that cannot be used")

var (
	errTooLarge = answerError("the answer is larger than 1 MB")
	errHeaders  = answerError("the headers of the answer are larger than 64 KB")
)

// answerError is an ErrAnswer with its reason.
type answerError string

func (e answerError) Error() string { return string(e) }

func (e answerError) Is(target error) bool { return target == ErrAnswer }

// whole wraps a transport of net/http so that it reads the whole body of an answer before it returns, within the limits of a
// Transport.
func whole(base http.RoundTripper) *wholeTransport { return &wholeTransport{base} }

// wholeTransport is an http.RoundTripper whose answers have been read and unpacked; see whole.
type wholeTransport struct{ base http.RoundTripper }

// RoundTrip sends the request and returns the answer with its whole body.
func (t *wholeTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	received := response.Body
	err = readBody(response)
	_ = received.Close()
	if err != nil {
		return nil, err
	}
	return response, nil
}

// CloseIdleConnections closes the connections that no request uses.
func (t *wholeTransport) CloseIdleConnections() {
	if closer, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// readBody reads the body of an answer and unpacks it. It does not close the body: that of http.ReadResponse reads to its end
// when it is closed.
func readBody(response *http.Response) error {
	if response.Body == http.NoBody {
		return nil
	}
	body, err := readUpTo(response.Body, response.ContentLength)
	if err == nil {
		body, err = unpack(response, body)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// readUpTo reads a body of at most MaxBody bytes; promised is its Content-Length, or -1.
func readUpTo(from io.Reader, promised int64) ([]byte, error) {
	if promised > maxBody {
		return nil, errTooLarge
	}
	if promised >= 0 && promised <= largestGuess {
		body := make([]byte, promised)
		_, err := io.ReadFull(from, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	return body, err
}

// unpack undoes the Content-Encoding of a body, although no request asks for one: k6 would unpack it, without a limit of size.
func unpack(response *http.Response, body []byte) ([]byte, error) {
	encoding := strings.ToLower(strings.Join(response.Header.Values("Content-Encoding"), ", "))
	if encoding == "" || encoding == "identity" || len(body) == 0 {
		return body, nil
	}
	var from io.Reader
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		from, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		from, err = zlib.NewReader(bytes.NewReader(body))
	default:
		return nil, answerError(fmt.Sprintf("the answer is encoded as %q, for which nobody asked", plain.Short(encoding, 40)))
	}
	if err == nil {
		body, err = readUpTo(from, -1)
	}
	if err != nil && !errors.Is(err, ErrAnswer) {
		err = answerError(fmt.Sprintf("the answer is not the %s that it says: %s", encoding, err))
	}
	response.Header.Del("Content-Encoding")
	response.Header.Del("Content-Length")
	response.ContentLength, response.Uncompressed = int64(len(body)), true
	return body, err
}
