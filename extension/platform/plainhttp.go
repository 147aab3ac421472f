package platform

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// maxPlainBody is more bytes than any answer to a user's request has.
const maxPlainBody = 1 << 20

// Doer sends requests, such as an *http.Client.
type Doer interface {
	Do(request *http.Request) (*http.Response, error)
}

// plainHTTP is an HTTP that uses a client.
type plainHTTP struct{ client Doer }

// NewPlainHTTP returns an HTTP without k6's metrics, for requests that do not count as load.
func NewPlainHTTP(client Doer) HTTP { return plainHTTP{client} }

// Do implements HTTP.
func (p plainHTTP) Do(ctx context.Context, request Request) (*Answer, error) {
	made, err := http.NewRequestWithContext(ctx, request.Method, request.URL, bytes.NewReader(request.Body))
	if err != nil {
		return nil, err
	}
	if request.Header != nil {
		made.Header = request.Header.Clone()
	}
	begin := time.Now()
	response, err := p.client.Do(made)
	if err != nil {
		return nil, plainFailure(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPlainBody))
	if err != nil {
		return nil, plainFailure(ctx, err)
	}
	answer := &Answer{
		Status: response.StatusCode, Header: map[string]string{}, Cookies: map[string]string{}, Body: body, Duration: time.Since(begin),
	}
	for name := range response.Header {
		answer.Header[name] = response.Header.Get(name)
	}
	for _, cookie := range response.Cookies() {
		answer.Cookies[cookie.Name] = cookie.Value
	}
	return answer, nil
}

func plainFailure(ctx context.Context, err error) error {
	var netErr net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ErrStopped
	case ctx.Err() != nil, errors.As(err, &netErr) && netErr.Timeout():
		return ErrTimeout
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err
	}
	return plain.Error(err)
}
