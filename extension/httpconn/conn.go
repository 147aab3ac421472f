package httpconn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bufferSize is that of the buffers through which requests are written and answers are read. They belong to a request, not to
// a connection, for of thousands of connections only a few have a request under way.
const bufferSize = 4 << 10

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }} //nolint:gochecknoglobals // buffers
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }} //nolint:gochecknoglobals // buffers
)

// mostInformational is how many answers 1xx may come before the final one.
const mostInformational = 5

// conn is one connection. It belongs to one request at a time.
type conn struct {
	net.Conn
	tls    *tls.ConnectionState // nil: not encrypted
	socket syscall.RawConn      // nil: unknown

	used      bool // by an earlier request
	answered  bool // at least one byte came after the last request
	spoiled   bool // what comes next on it is not the answer to the next request
	useBefore time.Time
	forget    *time.Timer
}

// newConn returns a connection over the TCP connection below it, which may be the same.
func newConn(over, tcp net.Conn) *conn {
	c := &conn{Conn: over}
	if encrypted, ok := over.(*tls.Conn); ok {
		state := encrypted.ConnectionState()
		c.tls = &state
	}
	if s, ok := tcp.(syscall.Conn); ok {
		c.socket, _ = s.SyscallConn()
	}
	return c
}

func (c *conn) close() { _ = c.Conn.Close() }

// exchange sends the request and reads the answer. After an error the connection is of no use.
func (c *conn) exchange(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	stop := context.AfterFunc(ctx, c.interrupt)
	response, err := c.sendAndReceive(request)
	if !stop() {
		c.spoiled = true
		if err != nil {
			return nil, ctx.Err()
		}
	}
	return response, err
}

// interrupt makes what reads or writes return.
func (c *conn) interrupt() { _ = c.SetDeadline(time.Unix(1, 0)) }

func (c *conn) sendAndReceive(request *http.Request) (*http.Response, error) {
	c.answered = false
	if err := c.send(request); err != nil {
		return nil, err
	}
	in := readers.Get().(*bufio.Reader) //nolint:forcetypeassert // the pool's own
	in.Reset(c.Conn)
	defer func() {
		in.Reset(nil)
		readers.Put(in)
	}()
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	c.answered = true
	if trace := httptrace.ContextClientTrace(request.Context()); trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	response, err := receive(in, request)
	if err != nil {
		return nil, err
	}
	response.TLS = c.tls
	c.spoiled = in.Buffered() > 0
	return response, nil
}

func (c *conn) send(request *http.Request) error {
	out := writers.Get().(*bufio.Writer) //nolint:forcetypeassert // the pool's own
	out.Reset(c.Conn)
	defer func() {
		out.Reset(nil)
		writers.Put(out)
	}()
	if err := request.Write(out); err != nil {
		return err
	}
	return out.Flush()
}

// receive reads an answer and its whole body.
func receive(in *bufio.Reader, request *http.Request) (*http.Response, error) {
	for range mostInformational {
		response, err := http.ReadResponse(in, request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode < http.StatusOK && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		return response, readBody(response)
	}
	return nil, fmt.Errorf("more than %d answers 1xx", mostInformational)
}

// largestGuess limits what is set aside for a body by what its Content-Length promises.
const largestGuess = 64 << 10

func readBody(response *http.Response) error {
	if response.Body == http.NoBody {
		return nil
	}
	var body []byte
	var err error
	if n := response.ContentLength; n >= 0 && n <= largestGuess {
		body = make([]byte, n)
		_, err = io.ReadFull(response.Body, body)
	} else {
		body, err = io.ReadAll(response.Body)
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// keepAlive reads a server's "Keep-Alive: timeout=5", or returns 0.
func keepAlive(header string) time.Duration {
	for parameter := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if n, err := strconv.ParseUint(value, 10, 16); err == nil && strings.EqualFold(name, "timeout") {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}
