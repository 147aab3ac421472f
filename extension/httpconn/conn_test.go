package httpconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeepAliveSaysHowLongTheServerWaits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		header string
		waits  time.Duration
		said   bool
	}{
		{"timeout=5", 5 * time.Second, true},
		{"timeout=5, max=1000", 5 * time.Second, true},
		{"max=1000,Timeout=72", 72 * time.Second, true},
		{"timeout=0", 0, true},
		{"", 0, false},
		{"max=5", 0, false},
		{"timeout", 0, false},
		{"timeout=-1", 0, false},
		{"timeout=1.5", 0, false},
		{"timeout=70000", 0, false},
	} {
		waits, said := keepAlive(tc.header)
		require.Equal(t, tc.waits, waits, tc.header)
		require.Equal(t, tc.said, said, tc.header)
	}
}

func FuzzKeepAlive(f *testing.F) {
	f.Add("timeout=5, max=1000")
	f.Add("max=1, TIMEOUT=0")
	f.Add("timeout=99999999999999999999,timeout=3")
	f.Fuzz(func(t *testing.T, header string) {
		waits, said := keepAlive(header)
		require.GreaterOrEqual(t, waits, time.Duration(0))
		require.Less(t, waits, 1<<16*time.Second)
		if said {
			require.Contains(t, strings.ToLower(header), "timeout=")
		} else {
			require.Zero(t, waits)
		}
	})
}

// answering dials a server in memory that answers the first request with these bytes and closes.
func answering(said []byte) (dial func(context.Context, string, string) (net.Conn, error), wait func()) {
	var open sync.WaitGroup
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		open.Go(func() {
			defer func() { _ = server.Close() }()
			if request, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = server.Write(said)
			}
		})
		return client, nil
	}, open.Wait
}

// Whatever a server sends, the outcome is that of net/http, within the limits.
func FuzzAnswer(f *testing.F) {
	for _, tc := range scripts {
		for _, seed := range tc.seeds {
			f.Add([]byte(seed), "GET")
			f.Add([]byte(seed), "HEAD")
		}
	}
	for _, seed := range []string{
		"", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 099 Low\r\n\r\n", "HTTP/1.1 999 High\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\n a: b\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\nx",
	} {
		f.Add([]byte(seed), "GET")
	}
	f.Fuzz(func(t *testing.T, said []byte, method string) {
		if method != http.MethodHead {
			method = http.MethodGet
		}
		dial, wait := answering(said)
		defer wait()
		transport := New(&Config{Dial: dial})
		defer transport.CloseIdleConnections()
		got, gotErr := roundTrip(transport, newRequest(t, method, "http://server/", ""))

		other := &http.Transport{DialContext: dial, DisableCompression: true}
		defer other.CloseIdleConnections()
		want, wantErr := roundTrip(other, newRequest(t, method, "http://server/", ""))

		if want.Response != nil && want.StatusCode == http.StatusSwitchingProtocols {
			require.True(t, gotErr != nil || got.StatusCode == want.StatusCode, "net/http returns the connection for 101; here it is closed")
			return
		}
		if errors.Is(gotErr, ErrAnswer) || (want.Response != nil && want.Header.Get("Content-Encoding") != "") {
			return // net/http has other limits, and does not unpack here; see body_test.go
		}
		require.Equal(t, wantErr == nil, gotErr == nil, "%v, but in net/http %v", gotErr, wantErr)
		if wantErr != nil {
			require.Equal(t, outcome(want, wantErr), outcome(got, gotErr))
			return
		}
		for _, a := range []answer{got, want} {
			a.Body, a.Request = nil, nil
		}
		require.Equal(t, want, got)
	})
}

// A server sends headers, or informational answers, without end.
func TestHeadersWithoutEndAreCutOff(t *testing.T) {
	t.Parallel()
	for name, piece := range map[string]string{
		"headers":       "X: " + strings.Repeat("x", 1000) + "\r\n",
		"informational": "HTTP/1.1 103 Early Hints\r\nX: " + strings.Repeat("x", 1000) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := script(t, func(_ int, w *wire) {
				w.reply("HTTP/1.1 103 Early Hints\r\nA: b\r\n")
				if name == "informational" {
					w.send("\r\n")
				}
				for {
					if _, err := w.Write(bytes.Repeat([]byte(piece), 100)); err != nil {
						return
					}
				}
			})
			transport, _ := newTransport(t, &Config{})
			_, err := roundTrip(transport, newRequest(t, http.MethodGet, "http://"+address, ""))
			require.EqualError(t, err, "the headers of the answer are larger than 64 KB")
			require.ErrorIs(t, err, ErrAnswer)
		})
	}
}

// The users send requests in turn, so that each connection has been idle for a while.
func BenchmarkRequestOnAnIdleConnection(b *testing.B) {
	address := script(b, func(_ int, w *wire) {
		for w.next() {
			w.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}")
		}
	})
	d := &dialer{}
	for name, newSubject := range map[string]func() subject{
		"httpconn": func() subject { return New(&Config{Dial: d.dial}) },
		"net/http": func() subject { return &http.Transport{DialContext: d.dial, DisableCompression: true} },
	} {
		for _, users := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s of %d", name, users), func(b *testing.B) {
				request := newRequest(b, http.MethodGet, "http://"+address, "")
				transports := make([]subject, users)
				for i := range transports {
					transports[i] = newSubject()
					b.Cleanup(transports[i].CloseIdleConnections)
					get(b, transports[i], request.URL.String(), `{"status":"ok"}`)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := roundTrip(transports[i%users], request); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
