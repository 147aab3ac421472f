package socketio

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var statusFrame = []byte(`2/queue,["queue:status",{"usersSearching":1234}]`)

func BenchmarkParsePacketAndName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, err := parsePacket(statusFrame)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.eventName(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	frame := []byte(`2/queue,["match",{"sessionId":"cm5x0","partnerAnonymousId":"anon_0123456789ab","queueKey":"canberra:44136fa355b3","matchedAt":"2026-01-01T00:00:00.000Z"}]`)
	b.ReportAllocs()
	for b.Loop() {
		p, err := parsePacket(frame)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := decodeEvent(&p, "/queue", []byte("match")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewFrame(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewFrame("/queue", "queue:status", map[string]int{"usersSearching": 1234}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBroadcast sends one queue:status to 500 clients in this process and waits until the last has counted it, so that it
// measures writing and reading together.
func BenchmarkBroadcast(b *testing.B) {
	const users = 500
	var mu sync.Mutex
	var sockets []*Socket
	_, url := serve(b, ServerOptions{Namespaces: []string{"/queue"}, OnConnect: func(s *Socket) {
		mu.Lock()
		defer mu.Unlock()
		sockets = append(sockets, s)
	}})
	var counted atomic.Int64
	all := make(chan struct{})
	o := Options{URL: url, Namespaces: []string{"/queue"}, Wants: func(string, []byte) bool {
		if counted.Add(1)%users == 0 {
			all <- struct{}{}
		}
		return false
	}}
	for range users {
		connect(b, o)
	}
	b.ReportAllocs()
	for b.Loop() {
		frame, err := NewFrame("/queue", "queue:status", map[string]int{"usersSearching": users})
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range sockets {
			s.Send(frame)
		}
		<-all
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/users, "ns/frame")
}

// BenchmarkIgnoredFrame measures what one queue:status costs the client's process, from the kernel to the counter, when the
// frames arrive over loopback at full speed. "bare gorilla" only calls ReadMessage.
func BenchmarkIgnoredFrame(b *testing.B) {
	const frames = 500_000
	_, url := serve(b, ServerOptions{Namespaces: []string{"/queue"}, QueueLimit: frames, OnEvent: func(s *Socket, _ Event) {
		for range frames {
			s.Send(textFrame(message(packet{Type: packetEvent, Namespace: []byte("/queue"), Data: statusFrame[len("2/queue,"):]})))
		}
	}})
	for _, tt := range []struct{ name, role string }{{"bare gorilla", "flood-gorilla"}, {"client", "flood"}} {
		b.Run(tt.name, func(b *testing.B) {
			got, user := runRole(b, tt.role, url, "", frames)
			hideTime(b)
			b.ReportMetric(float64(user.Nanoseconds())/frames, "user-ns/frame")
			b.ReportMetric(got.Mallocs/frames, "allocs/frame")
			b.ReportMetric(got.Allocated/frames, "B/frame")
			b.ReportMetric(got.RSS/1e6, "MB-RSS-grown")
		})
	}
}

// BenchmarkIdleUser measures the resident memory of one connected, idle user: both namespaces on one connection. For
// comparison it measures a TCP connection without a reader, one with a goroutine that reads, and a bare gorilla client with the
// same buffers. Each is measured in a process of its own after a collection. "used" has received 100 ignored events and one
// wanted.
func BenchmarkIdleUser(b *testing.B) {
	const users = 2000
	plain := holdConnections(b, nil)
	o := ServerOptions{Namespaces: []string{"/queue", "/video"}, OnEvent: func(s *Socket, _ Event) {
		for range 100 {
			_ = s.Emit("queue:status", map[string]int{"usersSearching": 1})
		}
		_ = s.Emit("match", map[string]string{"sessionId": "cm5x0"})
	}}
	_, url := serve(b, o)
	s := NewServer(o)
	secure := httptest.NewTLSServer(s)
	b.Cleanup(func() { s.Close(); secure.Close() })
	securePlain := holdConnections(b, secure.TLS)
	roots := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))

	for _, tt := range []struct{ name, role, url, roots string }{
		{"TCP", "tcp", plain, ""},
		{"TCP, read", "tcp-read", plain, ""},
		{"bare gorilla", "gorilla", url, ""},
		{"client", "client", url, ""},
		{"client, used", "client-used", url, ""},
		{"client, used, k6's dialer", "client-k6", url, ""},
		{"TLS", "tcp", securePlain, roots},
		{"TLS, read", "tcp-read", securePlain, roots},
		{"client over TLS", "client", secure.URL, roots},
	} {
		b.Run(tt.name, func(b *testing.B) {
			got, _ := runRole(b, tt.role, tt.url, tt.roots, users)
			hideTime(b)
			b.ReportMetric(got.RSS/users, "B-RSS/user")
			b.ReportMetric(got.Heap/users, "B-heap/user")
			b.ReportMetric(got.Stack/users, "B-stack/user")
		})
	}
}

// hideTime removes the time from the results of a benchmark that measures something else.
func hideTime(b *testing.B) {
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
}

// holdConnections accepts connections, over TLS if there is a configuration, and sends nothing.
func holdConnections(b *testing.B, config *tls.Config) string {
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if config != nil {
				conn = tls.Server(conn, config)
			}
			serving.Go(func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() })
		}
	})
	b.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return "http://" + listener.Addr().String()
}

// A role is a measurement that this test binary makes in a process of its own, which contains only the client.
const (
	roleVariable  = "SOCKETIO_TEST_ROLE"
	urlVariable   = "SOCKETIO_TEST_URL"
	rootsVariable = "SOCKETIO_TEST_ROOTS" // PEM
	countVariable = "SOCKETIO_TEST_COUNT"
)

// usage is by how much a role's process grew.
type usage struct{ RSS, Heap, Stack, Mallocs, Allocated float64 }

// runRole runs a role and returns what it measured and its user CPU time.
func runRole(b *testing.B, role, url, roots string, count int) (usage, time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this very test binary
	cmd.Env = append(os.Environ(), roleVariable+"="+role, urlVariable+"="+url, rootsVariable+"="+roots, fmt.Sprintf("%s=%d", countVariable, count))
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		b.Fatal(role, err)
	}
	var got usage
	if err := json.Unmarshal(output, &got); err != nil {
		b.Fatal(role, err)
	}
	return got, cmd.ProcessState.UserTime()
}

// playRole is main in the process of a role.
func playRole(role string) int {
	var count int
	if _, err := fmt.Sscan(os.Getenv(countVariable), &count); err != nil {
		return fail(err)
	}
	p := player{url: os.Getenv(urlVariable)}
	if roots := os.Getenv(rootsVariable); roots != "" {
		p.tls = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "example.com", MinVersion: tls.VersionTLS12}
		p.tls.RootCAs.AppendCertsFromPEM([]byte(roots))
	}
	play := map[string]func(int) error{
		"tcp":           func(n int) error { return p.each(n, p.tcp) },
		"tcp-read":      func(n int) error { return p.each(n, p.tcpRead) },
		"gorilla":       func(n int) error { return p.each(n, p.gorilla) },
		"client":        func(n int) error { return p.each(n, p.client) },
		"client-used":   func(n int) error { return p.each(n, p.clientUsed) },
		"client-k6":     func(n int) error { p.dialer = dialWrapped; return p.each(n, p.clientUsed) },
		"flood":         p.flood,
		"flood-gorilla": p.floodGorilla,
	}[role]
	if !strings.HasPrefix(role, "flood") { // the first connections cost more; do not count that
		if err := play(20); err != nil {
			return fail(err)
		}
	}
	before := measure()
	if err := play(count); err != nil {
		return fail(err)
	}
	after := measure()
	runtime.KeepAlive(p.open)
	_ = json.NewEncoder(os.Stdout).Encode(usage{
		after.RSS - before.RSS, after.Heap - before.Heap, after.Stack - before.Stack,
		after.Mallocs - before.Mallocs, after.Allocated - before.Allocated,
	})
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func measure() usage {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // the second collection empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{
		Heap: float64(m.HeapAlloc), Stack: float64(m.StackInuse),
		Mallocs: float64(m.Mallocs), Allocated: float64(m.TotalAlloc),
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil { // Linux only
		var size, resident float64
		if _, err := fmt.Fscan(bytes.NewReader(statm), &size, &resident); err == nil {
			u.RSS = resident * float64(os.Getpagesize())
		}
	}
	return u
}

type player struct {
	url    string
	tls    *tls.Config
	dialer func(context.Context, string, string) (net.Conn, error)
	mu     sync.Mutex
	open   []any
}

// each connects n users, eight at a time.
func (p *player) each(n int, connect func() (any, error)) error {
	var workers sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, 8)
	for range cap(errs) {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				conn, err := connect()
				if err != nil {
					errs <- err
					return
				}
				p.mu.Lock()
				p.open = append(p.open, conn)
				p.mu.Unlock()
			}
		})
	}
	workers.Wait()
	close(errs)
	return <-errs
}

func (p *player) dial() (net.Conn, error) {
	_, addr, _ := strings.Cut(p.url, "://")
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
	if err != nil || p.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, p.tls)
	err = secure.HandshakeContext(context.Background())
	return secure, err
}

func (p *player) tcp() (any, error) { return p.dial() }

func (p *player) tcpRead() (any, error) {
	conn, err := p.dial()
	if err == nil {
		go func() { _, _ = conn.Read(make([]byte, 1)) }()
	}
	return conn, err
}

// bare opens a websocket that uses only this package's buffers.
func (p *player) bare(frames ...string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{ReadBufferSize: bufferSize, WriteBufferSize: bufferSize, WriteBufferPool: &writeBuffers}
	ws, response, err := dialer.Dial("ws"+strings.TrimPrefix(p.url, "http")+Path+"?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	for _, frame := range frames {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			return nil, err
		}
	}
	return ws, nil
}

func (p *player) gorilla() (any, error) {
	ws, err := p.bare(`40/queue,`)
	if err != nil {
		return nil, err
	}
	go func() {
		for err == nil {
			_, _, err = ws.ReadMessage()
		}
	}()
	return ws, nil
}

func (p *player) options() Options {
	return Options{
		URL: p.url, Namespaces: []string{"/queue", "/video"}, Auth: map[string]string{"token": strings.Repeat("t", 200)}, TLSConfig: p.tls,
		Dialer:  p.dialer,
		Wants:   func(_ string, event []byte) bool { return string(event) != "queue:status" },
		OnEvent: func(Event) {},
		OnClose: func(error) {},
	}
}

// countedConn counts bytes as the connections of k6's dialer do.
type countedConn struct {
	net.Conn
	read, written *atomic.Int64
}

func dialWrapped(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &countedConn{conn, new(atomic.Int64), new(atomic.Int64)}, err
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.read.Add(int64(n))
	}
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.written.Add(int64(n))
	}
	return n, err
}

func (p *player) client() (any, error) { return Dial(context.Background(), p.options()) }

func (p *player) clientUsed() (any, error) {
	o := p.options()
	matched := make(chan struct{})
	o.OnEvent = func(e Event) {
		var match struct{ SessionID string }
		_ = json.Unmarshal(e.Args[0], &match)
		close(matched)
	}
	c, err := Dial(context.Background(), o)
	if err != nil {
		return nil, err
	}
	if err := c.Emit("/queue", "go"); err != nil {
		return nil, err
	}
	<-matched
	return c, nil
}

func (p *player) flood(frames int) error {
	done := make(chan struct{})
	heard := 0
	o := p.options()
	o.Namespaces = []string{"/queue"}
	o.Wants = func(string, []byte) bool {
		heard++
		if heard == frames {
			close(done)
		}
		return false
	}
	c, err := Dial(context.Background(), o)
	if err != nil {
		return err
	}
	if err := c.Emit("/queue", "flood"); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-c.Done():
		return c.Err()
	}
}

func (p *player) floodGorilla(frames int) error {
	ws, err := p.bare(`40/queue,`, `42/queue,["flood"]`)
	if err != nil {
		return err
	}
	for range 2 + frames { // the handshake and the answer to CONNECT come first
		if _, _, err := ws.ReadMessage(); err != nil {
			return err
		}
	}
	return nil
}
