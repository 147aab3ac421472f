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

// bufferSize is that of the buffers through which requests are written and answers are read. They belong to a request, not to
// a connection, for of thousands of connections only a few have a request under way.
const bufferSize = 4 << 10

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }} //nolint:gochecknoglobals // buffers
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }} //nolint:gochecknoglobals // buffers
)

// conn is one connection. It belongs to one request at a time.
type conn struct {
	net.Conn
	tcp     net.Conn             // below it, or the same
	tls     *tls.ConnectionState // nil: not encrypted
	socket  syscall.RawConn      // nil: unknown
	address string
	once    bool // it has one request, and says so

	used      bool  // by an earlier request
	answered  bool  // at least one byte came after the last request
	spoiled   bool  // what comes next on it is not the answer to the next request
	unwritten error // why the request was not written
	mayRead   int64 // bytes of the answer
	useBefore time.Time
	forget    *time.Timer
}

// newConn returns a connection over the TCP connection below it, which may be the same.
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

// close ends a connection that is idle.
func (c *conn) close() {
	if c.forget != nil {
		c.forget.Stop()
	}
	_ = c.Close()
}

// abort ends a connection whose request failed. TLS would wait for seconds to say so to a server that does not read.
func (c *conn) abort() { _ = c.tcp.Close() }

// quiet reports whether the server has neither closed the idle connection nor sent what nobody asked for.
func (c *conn) quiet() bool { return c.nothingAhead() && c.open() }

var past = time.Unix(1, 0) //nolint:gochecknoglobals // a constant

// nothingAhead reports whether TLS holds nothing that it read beyond the answer. The socket no longer knows of it.
func (c *conn) nothingAhead() bool {
	if c.tls == nil {
		return true
	}
	_ = c.SetReadDeadline(past) // what comes now does not come from the socket
	_, err := c.Conn.Read(make([]byte, 1))
	_ = c.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Read limits what comes before the body.
func (c *conn) Read(p []byte) (int, error) {
	if c.mayRead <= 0 {
		return 0, errHeaders
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.mayRead)])
	c.mayRead -= int64(n)
	return n, err
}

// Write keeps its error, which Request.Write takes for one of the request's body and hides.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.unwritten = err
	}
	return n, err
}

// exchange sends the request and reads the answer. After an error the connection is of no use.
func (c *conn) exchange(request *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(request.Context(), c.interrupt)
	response, err := c.sendAndReceive(request)
	if !stop() {
		c.spoiled = true
	}
	return response, err
}

// interrupt makes what reads or writes return.
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
	return response, nil // why the server stopped reading
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
	c.mayRead = MaxHeaders
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

// final returns the answer that is not followed by another.
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

// keepAlive reads a server's "Keep-Alive: timeout=5". One of less than a second says 0.
func keepAlive(header string) (waits time.Duration, said bool) {
	for parameter := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if n, err := strconv.ParseUint(value, 10, 16); err == nil && strings.EqualFold(name, "timeout") {
			return time.Duration(n) * time.Second, true
		}
	}
	return 0, false
}
