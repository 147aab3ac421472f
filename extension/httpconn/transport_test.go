package httpconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// scripts are the behaviours of servers, and the outcomes, which are those of net/http too.
var scripts = []struct { //nolint:gochecknoglobals // also the seeds of FuzzAnswer
	name     string
	requests string   // methods, sent one after the other
	seeds    []string // what the server answers on its first connection
	then     string   // "close" or "reset" the connection, or "stay": answer 200 "fine"
	outcomes []string
	dials    int64
}{
	{"reuse", "GET+GET+POST", []string{fine}, "stay", []string{"200 fine", "200 fine", "200 fine"}, 1},
	{"overlong reason", "GET+GET", []string{"HTTP/1.1 200 a  b\r\nContent-Length: 0\r\n\r\n"}, "stay", []string{"200 ", "200 fine"}, 1},
	{"close", "GET+GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"}, "stay", []string{"200 ok", "200 fine"}, 2},
	{"HTTP/1.0", "GET+GET", []string{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"}, "stay", []string{"200 ok", "200 fine"}, 2},
	{"HTTP/1.0 kept", "GET+GET", []string{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"}, "stay", []string{"200 ok", "200 fine"}, 1},
	{"until close", "GET+GET", []string{"HTTP/1.1 200 OK\r\n\r\nall of it"}, "close", []string{"200 all of it", "200 fine"}, 2},
	{"chunks", "GET+GET", []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"}, "stay", []string{"200 abc", "200 fine"}, 1},
	{"204", "GET+GET", []string{"HTTP/1.1 204 No Content\r\n\r\n"}, "stay", []string{"204 ", "200 fine"}, 1},
	{"304", "GET+GET", []string{"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"}, "stay", []string{"304 ", "200 fine"}, 1},
	{"HEAD", "HEAD+GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"}, "stay", []string{"200 ", "200 fine"}, 1},
	{"103", "GET+GET", []string{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + fine}, "stay", []string{"200 fine", "200 fine"}, 1},
	{"many 103", "GET+GET", []string{strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 8) + fine}, "stay", []string{"200 fine", "200 fine"}, 1},
	{"only 103", "GET", []string{"HTTP/1.1 103 Early Hints\r\n\r\n"}, "close", []string{"unexpected EOF"}, 1},
	{"099", "GET+GET", []string{"HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok"}, "stay", []string{"99 ok", "200 fine"}, 2},
	{"101", "GET+GET", []string{"HTTP/1.1 101 Switching Protocols\r\n\r\n"}, "stay", []string{"101 ", "200 fine"}, 2},
	{"closed while idle", "GET+POST", []string{fine}, "close", []string{"200 fine", "200 fine"}, 2},
	{"reset while idle", "GET+POST", []string{fine}, "reset", []string{"200 fine", "200 fine"}, 2},
	{"unsolicited bytes at once", "GET+POST", []string{fine + "HTTP/1.1 500 No\r\n\r\n"}, "stay", []string{"200 fine", "200 fine"}, 2},
	{"GET on a connection that dies", "GET+GET", []string{fine, ""}, "close", []string{"200 fine", "200 fine"}, 2},
	{"GET on a connection that is reset", "GET+GET", []string{fine, ""}, "reset", []string{"200 fine", "200 fine"}, 2},
	{"HEAD on a connection that dies", "GET+HEAD", []string{fine, ""}, "close", []string{"200 fine", "200 "}, 2},
	{"POST on a connection that dies", "GET+POST+GET", []string{fine, ""}, "close", []string{"200 fine", "EOF", "200 fine"}, 2},
	{"DELETE on a connection that is reset", "GET+DELETE", []string{fine, ""}, "reset", []string{"200 fine", "read connection reset by peer"}, 1},
	{"GET on a connection that dies answering", "GET+GET+GET", []string{fine, "HTTP/1.1 200 OK\r\n"}, "close", []string{"200 fine", "unexpected EOF", "200 fine"}, 2},
	{"no answer", "GET+GET", []string{""}, "close", []string{"EOF", "200 fine"}, 2},
	{"reset instead of an answer", "GET", []string{""}, "reset", []string{"read connection reset by peer"}, 1},
	{"half of the headers", "GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"}, "close", []string{"unexpected EOF"}, 1},
	{"half of the body", "GET+GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"}, "close", []string{"unexpected EOF", "200 fine"}, 2},
	{"half of a chunk", "GET", []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"}, "close", []string{"unexpected EOF"}, 1},
	{"not HTTP", "GET+GET", []string{"SSH-2.0-x\r\n"}, "stay", []string{`malformed HTTP response "SSH-2.0-x"`, "200 fine"}, 2},
	{"not a status", "GET", []string{"HTTP/1.1 2000 OK\r\n\r\n"}, "stay", []string{`malformed HTTP status code "2000"`}, 1},
	{"not a header", "GET", []string{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"}, "stay", []string{`malformed MIME header: missing colon: "no colon"`}, 1},
}

func TestItAnswersLikeNetHTTP(t *testing.T) {
	t.Parallel()
	for _, tc := range scripts {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, transport subject, d *dialer) {
				address := script(t, func(n int, w *wire) {
					if n == 0 {
						for _, seed := range tc.seeds {
							w.reply(seed)
						}
						if tc.then == "reset" {
							w.reset()
						}
						if tc.then != "stay" {
							return
						}
					}
					for w.next() {
						w.send(fine)
					}
				})
				for i, method := range strings.Split(tc.requests, "+") {
					time.Sleep(20 * time.Millisecond) // until net/http notices the end of the connection
					body := ""
					if method == http.MethodPost {
						body = "body"
					}
					got := outcome(roundTrip(transport, newRequest(t, method, "http://"+address, body)))
					require.Equal(t, tc.outcomes[i], got, "request %d", i+1)
				}
				require.Equal(t, tc.dials, d.all.Load())
			})
		})
	}
}

func TestItRefusesLikeNetHTTP(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no longer wanted"))
	for want, spoil := range map[string]func(*http.Request) *http.Request{
		"http: nil Request.URL":                             func(r *http.Request) *http.Request { r.URL = nil; return r },
		"http: nil Request.Header":                          func(r *http.Request) *http.Request { r.Header = nil; return r },
		"http: no Host in request URL":                      func(r *http.Request) *http.Request { r.URL.Host = ""; return r },
		`unsupported protocol scheme "ftp"`:                 func(r *http.Request) *http.Request { r.URL.Scheme = "ftp"; return r },
		`net/http: invalid method "G T"`:                    func(r *http.Request) *http.Request { r.Method = "G T"; return r },
		`net/http: invalid header field name "a b"`:         func(r *http.Request) *http.Request { r.Header["a b"] = []string{"c"}; return r },
		`net/http: invalid header field value for "Cookie"`: func(r *http.Request) *http.Request { r.Header.Set("Cookie", "a\nb"); return r },
		"no longer wanted":                                  func(r *http.Request) *http.Request { return r.WithContext(cancelled) },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, transport subject, d *dialer) {
				body := &closes{Reader: strings.NewReader("body")}
				request := newRequest(t, http.MethodPost, "http://127.0.0.1:1/", "")
				request.Body = body
				_, err := roundTrip(transport, spoil(request))
				require.EqualError(t, err, want)
				require.True(t, body.closed.Load())
				require.Empty(t, d.asked)
			})
		})
	}
}

func TestUnsolicitedBytesOnAnIdleConnectionAreNotTheNextAnswer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport subject, d *dialer) {
		idle, sent := make(chan struct{}), make(chan struct{})
		address := script(t, func(n int, w *wire) {
			w.reply(fine)
			if n == 0 {
				<-idle
				w.send("HTTP/1.1 408 Request Timeout\r\n\r\n")
				close(sent)
			}
			w.untilClosed()
		})
		get(t, transport, "http://"+address, "fine")
		close(idle)
		<-sent
		time.Sleep(20 * time.Millisecond) // until net/http notices the bytes
		require.Equal(t, "200 fine", outcome(roundTrip(transport, newRequest(t, http.MethodPost, "http://"+address, "body"))))
		require.EqualValues(t, 2, d.all.Load())
	})
}

func TestEachServerHasItsOwnConnection(t *testing.T) {
	t.Parallel()
	servers := make([]string, 2)
	for i, name := range []string{"first", "second"} {
		servers[i] = script(t, func(_ int, w *wire) {
			for w.next() {
				w.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name))
			}
		})
	}
	both(t, func(t *testing.T, transport subject, d *dialer) {
		for range 3 {
			get(t, transport, "http://"+servers[0], "first")
			get(t, transport, "http://"+servers[1], "second")
		}
		require.EqualValues(t, 2, d.all.Load())
	})
}

func TestMaxIdleConnectionsAreKeptAfterOverlappingRequests(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ most, kept int }{{0, 1}, {1, 1}, {2, 2}, {9, 3}} {
		t.Run(strconv.Itoa(tc.most), func(t *testing.T) {
			t.Parallel()
			var together sync.WaitGroup
			together.Add(3)
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				together.Done()
				together.Wait()
			}))
			t.Cleanup(server.Close)
			transport, d := newTransport(t, &Config{MaxIdle: tc.most})
			var requests sync.WaitGroup
			for range 3 {
				request := newRequest(t, http.MethodGet, server.URL, "")
				requests.Go(func() {
					_, err := roundTrip(transport, request)
					noError(t, err)
				})
			}
			requests.Wait()
			require.EqualValues(t, 3, d.all.Load())
			require.Len(t, transport.idle, tc.kept)
			require.EqualValues(t, tc.kept, d.open.Load())
		})
	}
}

func TestManyGoroutinesShareATransport(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)
	transport, d := newTransport(t, &Config{MaxIdle: 3})
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			for i := range 25 {
				text := fmt.Sprint(user, "/", i)
				got, err := roundTrip(transport, newRequest(t, http.MethodPost, server.URL, text))
				noError(t, err)
				if got.body != text {
					t.Errorf("got %q, want %q", got.body, text)
				}
				if i%10 == 9 {
					transport.CloseIdleConnections()
				}
			}
		})
	}
	users.Wait()
	require.LessOrEqual(t, d.open.Load(), int64(3))
}

func TestOnceClosesEachConnection(t *testing.T) {
	t.Parallel()
	said := make(chan string, 2)
	address := script(t, func(_ int, w *wire) {
		line, err := w.in.ReadString('\n')
		for err == nil && !strings.HasPrefix(line, "Connection") && line != "\r\n" {
			line, err = w.in.ReadString('\n')
		}
		said <- line
		w.send(fine) // without "Connection: close"
		w.untilClosed()
	})
	transport, d := newTransport(t, &Config{Once: true, MaxIdle: 2})
	for range 2 {
		request := newRequest(t, http.MethodGet, "http://"+address, "")
		got, err := roundTrip(transport, request)
		require.NoError(t, err)
		require.Same(t, request, got.Request)
		require.False(t, request.Close)
		require.Equal(t, "Connection: close\r\n", <-said)
	}
	require.EqualValues(t, 2, d.all.Load())
	require.Zero(t, d.open.Load())
}

func TestARequestThatClosesItsConnection(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) {
		w.reply(fine)
		w.untilClosed()
	})
	both(t, func(t *testing.T, transport subject, d *dialer) {
		for range 2 {
			request := newRequest(t, http.MethodGet, "http://"+address, "")
			request.Close = true
			require.Equal(t, "200 fine", outcome(roundTrip(transport, request)))
		}
		require.EqualValues(t, 2, d.all.Load())
	})
}

func TestCloseIdleConnectionsSparesThoseInUse(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport subject, d *dialer) {
		asked, proceed := make(chan struct{}), make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			asked <- struct{}{}
			<-proceed
		}))
		t.Cleanup(server.Close)
		done := make(chan string)
		ask := func() { done <- outcome(roundTrip(transport, newRequest(t, http.MethodGet, server.URL, ""))) }

		go ask()
		<-asked
		transport.CloseIdleConnections()
		proceed <- struct{}{}
		require.Equal(t, "200 ", <-done)
		eventually(t, "it is closed when it becomes idle", func() bool { return d.open.Load() == 0 })

		for range 2 { // connections of later requests are kept
			go ask()
			<-asked
			proceed <- struct{}{}
			require.Equal(t, "200 ", <-done)
		}
		require.EqualValues(t, 2, d.all.Load())
		transport.CloseIdleConnections()
		eventually(t, "it is idle", func() bool { return d.open.Load() == 0 })
	})
}

// inMemory is a network in memory whose servers give every request the same answer. It records when clients close.
type inMemory struct {
	answer string
	closed chan time.Time
	dials  int
}

func (m *inMemory) dial(context.Context, string, string) (net.Conn, error) {
	m.dials++
	client, server := net.Pipe()
	go func() {
		_ = serveAnswer(server, m.answer)
		m.closed <- time.Now()
	}()
	return client, nil
}

func TestAnIdleConnectionIsUsedUntilItsKeepAliveTimeout(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		header       string
		used, closed time.Duration // how long after the last request
	}{
		{"", 90 * time.Second, 90 * time.Second},
		{"Keep-Alive: timeout=5\r\n", 4500 * time.Millisecond, 6500 * time.Millisecond},
		{"Keep-Alive: timeout=72, max=9\r\n", 71500 * time.Millisecond, 73500 * time.Millisecond},
		{"Keep-Alive: timeout=1\r\n", 500 * time.Millisecond, 2500 * time.Millisecond},
		{"Keep-Alive: timeout=0\r\n", 0, 0},
	} {
		t.Run(tc.header, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := &inMemory{answer: "HTTP/1.1 200 OK\r\n" + tc.header + "Content-Length: 0\r\n\r\n", closed: make(chan time.Time, 9)}
				transport := New(&Config{Dial: network.dial})
				if tc.used > 0 {
					for range 3 { // each use restarts the timeout
						get(t, transport, "http://server", "")
						time.Sleep(tc.used - time.Millisecond)
					}
				}
				get(t, transport, "http://server", "")
				require.Equal(t, 1, network.dials)
				last := time.Now()
				require.Equal(t, tc.closed, (<-network.closed).Sub(last), "closed by the timer")
				require.Empty(t, transport.idle)

				get(t, transport, "http://server", "")
				time.Sleep(tc.used)
				get(t, transport, "http://server", "")
				require.Equal(t, 3, network.dials, "it is not used in the margin")
				transport.CloseIdleConnections()
			})
		})
	}
}

// stages are the points in a request at which its context can end.
var stages = []struct { //nolint:gochecknoglobals // a table
	name string
	tls  bool
	body int64 // of the request
	say  func(w *wire)
}{
	{"waiting for the answer", false, 4, func(w *wire) { w.next() }},
	{"waiting for the answer over TLS", true, 4, func(w *wire) { w.next() }},
	{"in the middle of the headers", false, 4, func(w *wire) { w.reply("HTTP/1.1 200 OK\r\n") }},
	{"reading the body", false, 4, func(w *wire) { w.reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") }},
	{"reading the body over TLS", true, 4, func(w *wire) { w.reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") }},
	{"writing a large body", false, 64 << 20, func(*wire) {}},
	{"writing a large body over TLS", true, 64 << 20, func(*wire) {}},
}

func TestARequestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, tc := range stages {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ends(t, func(t *testing.T, limit time.Duration, ctx context.Context) error {
				over, gone := make(chan struct{}), make(chan struct{}, 1)
				address, config := scriptMaybeTLS(t, tc.tls, func(w *wire) {
					tc.say(w)
					<-over
					w.untilClosed()
					gone <- struct{}{}
				})
				transport, d := newTransport(t, config)
				body := &closes{Reader: io.LimitReader(zeros{}, tc.body)}
				request := newRequest(t, http.MethodPost, address, "").WithContext(ctx)
				request.Body, request.ContentLength = body, tc.body
				began := time.Now()
				_, err := roundTrip(transport, request)
				require.Less(t, time.Since(began), limit)
				require.True(t, body.closed.Load())
				require.Zero(t, d.open.Load())
				require.Empty(t, transport.idle)
				close(over)
				<-gone
				return err
			})
		})
	}
}

func TestAConnectionIsNotReusedAfterACancellationThatCameTooLate(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) {
		for w.next() {
			w.send(fine)
		}
	})
	transport, d := newTransport(t, &Config{})
	ctx, cancel := context.WithCancel(t.Context())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: cancel})
	require.Equal(t, "200 fine", outcome(roundTrip(transport, newRequest(t, http.MethodGet, "http://"+address, "").WithContext(ctx))))
	require.Zero(t, d.open.Load())
	get(t, transport, "http://"+address, "fine")
	require.EqualValues(t, 2, d.all.Load())
}

var errCause = errors.New("the cause")

// ends runs a test with a context that times out and with one that is cancelled.
func ends(t *testing.T, test func(*testing.T, time.Duration, context.Context) error) {
	t.Helper()
	const limit = 3 * time.Second // below TLS's 5 s for its close-notify
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		err := test(t, limit, ctx)
		require.Equal(t, context.DeadlineExceeded, err)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer time.AfterFunc(150*time.Millisecond, func() { cancel(errCause) }).Stop()
		require.Equal(t, errCause, test(t, limit, ctx))
	})
}

func TestDialingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ends(t, func(t *testing.T, limit time.Duration, ctx context.Context) error {
		body := &closes{Reader: strings.NewReader("body")}
		transport, _ := newTransport(t, &Config{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			if deadline, ok := ctx.Deadline(); ok { // the network poller may see it before the context does
				time.Sleep(time.Until(deadline) - time.Millisecond)
				for time.Now().Before(deadline) {
					runtime.Gosched()
				}
				return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
			}
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("operation was canceled")}
		}})
		request := newRequest(t, http.MethodPost, "http://127.0.0.1:1", "").WithContext(ctx)
		request.Body = body
		began := time.Now()
		_, err := roundTrip(transport, request)
		require.Less(t, time.Since(began), limit)
		require.True(t, body.closed.Load())
		return err
	})
}

func TestATimeoutOfTheDialerIsItsOwn(t *testing.T) {
	t.Parallel()
	timeout := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	transport, _ := newTransport(t, &Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, timeout }})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := roundTrip(transport, newRequest(t, http.MethodGet, "http://127.0.0.1:1", "").WithContext(ctx))
	require.Equal(t, timeout, err)
}

func TestARefusedConnectionIsAnOpError(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	both(t, func(t *testing.T, transport subject, _ *dialer) {
		body := &closes{Reader: strings.NewReader("body")}
		request := newRequest(t, http.MethodPost, "http://"+listener.Addr().String(), "")
		request.Body = body
		_, err := roundTrip(transport, request)
		var operation *net.OpError
		require.ErrorAs(t, err, &operation)
		require.Equal(t, "dial", operation.Op)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.True(t, body.closed.Load())
	})
}

func TestBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		noError(t, err)
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		} else if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	both(t, func(t *testing.T, transport subject, d *dialer) {
		for _, size := range []int{1, bufferSize - 1, bufferSize, largestGuess, largestGuess + 1, maxBody} {
			for _, path := range []string{"/sized", "/chunks"} {
				body := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
				request := newRequest(t, http.MethodPut, server.URL+path, body)
				if path == "/chunks" {
					request.ContentLength = -1
				}
				header := request.Header.Clone()
				got, err := roundTrip(transport, request)
				require.NoError(t, err)
				whole := body == got.body // not require.Equal, which would print both bodies
				require.True(t, whole, "%d bytes to %s", size, path)
				require.Equal(t, map[string]int64{"/sized": int64(size), "/chunks": -1}[path], got.ContentLength)
				require.Same(t, request, got.Request)
				require.Nil(t, got.TLS)
				require.Equal(t, header, request.Header)
			}
		}
		require.EqualValues(t, 1, d.all.Load())
	})
}

func TestTrailersAreRead(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) {
		w.reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n2\r\nab\r\n0\r\nSum: 7\r\n\r\n")
	})
	both(t, func(t *testing.T, transport subject, _ *dialer) {
		require.Equal(t, http.Header{"Sum": {"7"}}, get(t, transport, "http://"+address, "ab").Trailer)
	})
}

// The server answers and closes before it has read the whole request, so that writing the rest fails.
func TestAServerMayRefuseABodyThatItDoesNotRead(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) {
		_, _ = w.in.ReadString('\n')
		w.send("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
	})
	transport, d := newTransport(t, &Config{})
	body := &closes{Reader: io.LimitReader(zeros{}, 64<<20)}
	request := newRequest(t, http.MethodPost, "http://"+address, "")
	request.Body, request.ContentLength = body, 64<<20
	require.Equal(t, "413 big", outcome(roundTrip(transport, request)))
	require.True(t, body.closed.Load())
	require.Zero(t, d.open.Load())
}

func TestAConnectionResetWhileWritingIsAnOpError(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) { _, _ = w.in.ReadString('\n') }) // closing with unread bytes sends a RST
	transport, _ := newTransport(t, &Config{})
	request := newRequest(t, http.MethodPost, "http://"+address, "")
	request.Body, request.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 64<<20)), 64<<20
	_, err := roundTrip(transport, request)
	var operation *net.OpError
	require.ErrorAs(t, err, &operation)
	require.Equal(t, "write", operation.Op)
}

func TestABodyThatCannotBeReadFailsTheRequest(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) { w.untilClosed() })
	both(t, func(t *testing.T, transport subject, d *dialer) {
		body := &closes{Reader: io.MultiReader(strings.NewReader("half"), failing{errors.New("broken")})}
		request := newRequest(t, http.MethodPost, "http://"+address, "")
		request.Body, request.ContentLength = body, 8
		_, err := roundTrip(transport, request)
		require.ErrorContains(t, err, "broken") // net/http may wrap it
		require.True(t, body.closed.Load())
		eventually(t, "closed", func() bool { return d.open.Load() == 0 })
	})
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestTheAddressIsThatOfTheURL(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"http://example.com":       "example.com:80",
		"https://example.com/a":    "example.com:443",
		"http://example.com:81":    "example.com:81",
		"http://example.com:/":     "example.com:80",
		"https://[::1]:8443":       "[::1]:8443",
		"http://[::1]":             "[::1]:80",
		"https://bücher.example/x": "xn--bcher-kva.example:443",
	} {
		parsed, err := url.Parse(target)
		require.NoError(t, err)
		require.Equal(t, want, address(parsed))
	}
}

func TestTheHostHeaderIsThatOfTheRequest(t *testing.T) {
	t.Parallel()
	var host atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host.Store(r.Host) }))
	t.Cleanup(server.Close)
	both(t, func(t *testing.T, transport subject, _ *dialer) {
		request := newRequest(t, http.MethodGet, server.URL, "")
		request.Host = "verity.example"
		require.Equal(t, "200 ", outcome(roundTrip(transport, request)))
		require.Equal(t, "verity.example", host.Load())
	})
}
