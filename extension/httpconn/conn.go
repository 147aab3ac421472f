package httpconn

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bufferSize is the size in bytes of the buffers for writing requests and reading answers. A request takes its buffers from a
// pool and returns them: of thousands of connections only a few have a request under way.
const bufferSize = 4 << 10

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }} //nolint:gochecknoglobals // buffers
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }} //nolint:gochecknoglobals // buffers
)

// conn is one connection. One request uses it at a time.
type conn struct {
	net.Conn
	tcp     net.Conn             // the TCP connection below TLS; without TLS the same
	tls     *tls.ConnectionState // nil: not encrypted
	socket  syscall.RawConn      // of tcp; nil: it has none
	address string               // host:port that was dialled
	once    bool                 // carries one request, with "Connection: close"

	used      bool        // by an earlier request
	answered  bool        // at least one byte arrived since the last request
	spoiled   bool        // cannot be reused: the next bytes on it may not answer the next request
	unwritten error       // why the request was not fully written
	mayRead   int64       // bytes of the answer that may still be read
	useBefore time.Time   // when the server may close the idle connection
	forget    *time.Timer // closes the idle connection
}

// newConn returns a connection that reads and writes through over; tcp is the TCP connection below it, or the same.
func newConn(over, tcp net.Conn) *conn {
	c := &conn{Conn: over, tcp: tcp}
	if encrypted, ok := over.(*tls.Conn); ok {
		state := encrypted.ConnectionState()
		c.tls = &state
	}
	if s, ok := tcp.(syscall.Conn); ok {
		c.socket, _ = s.SyscallConn()
	}
	return c
}

// close closes an idle connection.
func (c *conn) close() {
	if c.forget != nil {
		c.forget.Stop()
	}
	_ = c.Close()
}

// abort closes a connection whose request failed, without TLS's close-notify: that would wait for seconds if the server does
// not read.
func (c *conn) abort() { _ = c.tcp.Close() }

// quiet reports whether an idle connection can be reused: it is open and has no unsolicited bytes.
func (c *conn) quiet() bool { return c.nothingAhead() && c.open() }

var past = time.Unix(1, 0) //nolint:gochecknoglobals // a constant

// nothingAhead reports whether TLS buffers no bytes beyond the last answer, which have left the socket already.
func (c *conn) nothingAhead() bool {
	if c.tls == nil {
		return true
	}
	_ = c.SetReadDeadline(past) // reads what TLS has buffered, and not from the socket
	_, err := c.Conn.Read(make([]byte, 1))
	_ = c.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Read limits the bytes before the body to mayRead.
func (c *conn) Read(p []byte) (int, error) {
	if c.mayRead <= 0 {
		return 0, errHeaders
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.mayRead)])
	c.mayRead -= int64(n)
	return n, err
}

// Write keeps its error in unwritten: Request.Write may take it for an error of the request's body and hide it.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.unwritten = err
	}
	return n, err
}

// exchange sends the request and reads the answer. After an error the connection cannot be used again.
func (c *conn) exchange(request *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(request.Context(), c.interrupt)
	response, err := c.sendAndReceive(request)
	if !stop() {
		c.spoiled = true
	}
	return response, err
}

// interrupt makes a Read or Write under way return.
func (c *conn) interrupt() { _ = c.SetDeadline(past) }

func (c *conn) sendAndReceive(request *http.Request) (*http.Response, error) {
	c.answered, c.unwritten = false, nil
	if err := c.send(request); err != nil && c.unwritten == nil {
		return nil, err
	}
	response, err := c.receive(request)
	if c.unwritten == nil {
		return response, err
	}
	c.spoiled = true
	if err != nil {
		return nil, c.unwritten
	}
	return response, nil // it may say why the server stopped reading
}

func (c *conn) send(request *http.Request) error {
	if c.once {
		request = request.WithContext(request.Context())
		request.Close = true
	}
	out := writers.Get().(*bufio.Writer) //nolint:forcetypeassert // the pool's own
	out.Reset(c)
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
func (c *conn) receive(request *http.Request) (*http.Response, error) {
	in := readers.Get().(*bufio.Reader) //nolint:forcetypeassert // the pool's own
	in.Reset(c)
	defer func() {
		in.Reset(nil)
		readers.Put(in)
	}()
	c.mayRead = maxHeaders
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	c.answered = true
	if trace := httptrace.ContextClientTrace(request.Context()); trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	response, err := final(in, request)
	if err != nil {
		return nil, err
	}
	c.mayRead = math.MaxInt64
	if err := readBody(response); err != nil {
		return nil, err
	}
	response.TLS = c.tls
	c.spoiled = in.Buffered() > 0
	return response, nil
}

// final skips informational answers (1xx, except 101) and returns the next one.
func final(in *bufio.Reader, request *http.Request) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(in, request)
		if err != nil {
			return nil, err
		}
		if code := response.StatusCode; code < http.StatusContinue || code >= http.StatusOK || code == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
}

// keepAlive parses a header such as "Keep-Alive: timeout=5". A server that waits for less than a second sends 0.
func keepAlive(header string) (waits time.Duration, said bool) {
	for parameter := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if n, err := strconv.ParseUint(value, 10, 16); err == nil && strings.EqualFold(name, "timeout") {
			return time.Duration(n) * time.Second, true
		}
	}
	return 0, false
}
