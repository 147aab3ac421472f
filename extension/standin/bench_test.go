package standin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

// serveVariable is the variable that makes the test binary a stand-in, with the Redis that it names.
const serveVariable = "STANDIN_SERVE_FOR_BENCHMARK"

// BenchmarkServer measures a stand-in in a process of its own, with GOMAXPROCS=1, over keep-alive connections with one request
// under way on each. server-µs/op is the processor time of the server, kernel mode included, and req/s-of-a-core the rate that
// one core can serve.
func BenchmarkServer(b *testing.B) {
	const connections = 64
	for _, bench := range []struct {
		name, redis string
		requests    float64 // per operation
		begin       func(*caller) func()
	}{
		{"balance", "embedded", 1, (*caller).balances},
		{"join+leave-lone", "embedded", 2, func(c *caller) func() { return c.cycles("lone-" + c.user.id) }},
		{"join+leave-shared", "embedded", 2, func(c *caller) func() { return c.cycles("shared") }},
		{"webhook", "embedded", 1, (*caller).purchases},
		{"signup", "embedded", 1, (*caller).signUps},
		{"redis-server/join+leave", "", 2, func(c *caller) func() { return c.cycles("lone-" + c.user.id) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			redisURL := bench.redis
			if redisURL == "" {
				redisURL = startRedis(b)
			}
			child := startChild(b, redisURL)
			begun := make(chan func(), connections)
			for range connections {
				begun <- bench.begin(newCaller(b, child.url))
			}
			b.SetParallelism(connections) // times GOMAXPROCS; goroutines without a connection do nothing
			b.ResetTimer()
			before, start := child.cpu(), time.Now()
			b.RunParallel(func(pb *testing.PB) {
				select {
				case operation := <-begun:
					for pb.Next() {
						operation()
					}
				default:
				}
			})
			wall, cpu := time.Since(start), child.cpu()-before
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(b.N)*bench.requests/wall.Seconds(), "req/s")
			b.ReportMetric(float64(b.N)*bench.requests/cpu.Seconds(), "req/s-of-a-core")
			b.ReportMetric(float64(cpu.Microseconds())/float64(b.N)/bench.requests, "server-µs/req")
		})
	}
}

// child is a stand-in in a process of its own.
type child struct {
	b      *testing.B
	url    string
	stdin  io.Writer
	stdout *bufio.Reader
}

func startChild(b *testing.B, redisURL string) *child {
	b.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec,noctx // this test itself; it ends with its standard input
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", serveVariable+"="+redisURL)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		require.NoError(b, stdin.Close())
		require.NoError(b, cmd.Wait())
	})
	c := &child{b, "", stdin, bufio.NewReader(stdout)}
	c.url = c.line()
	return c
}

func (c *child) line() string {
	c.b.Helper()
	line, err := c.stdout.ReadString('\n')
	require.NoError(c.b, err)
	return strings.TrimSpace(line)
}

// cpu returns the processor time that the child has used.
func (c *child) cpu() time.Duration {
	c.b.Helper()
	_, err := io.WriteString(c.stdin, "\n")
	require.NoError(c.b, err)
	used, err := time.ParseDuration(c.line())
	require.NoError(c.b, err)
	return used
}

// serveForBenchmark is main of the child: it prints its URL, and its processor time for each line that it reads.
func serveForBenchmark() int {
	o := Options{WebhookSecret: secret}
	if url := os.Getenv(serveVariable); url != "embedded" {
		o.RedisURL = url
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.URL())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		used, err := processorTime()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(used)
	}
	if err := s.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// caller is a cheap client: one connection, with prepared requests.
type caller struct {
	b      *testing.B
	conn   net.Conn
	reader *bufio.Reader
	user   testUser
}

func newCaller(b *testing.B, url string) *caller {
	b.Helper()
	conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, conn.Close()) })
	c := &caller{b: b, conn: conn, reader: bufio.NewReader(conn)}
	c.user = (&testServer{t: b}).userOf(reply{status: 201, body: c.call(request("POST", "/auth/signup-anonymous", ""), 201)})
	return c
}

func request(method, path, body string, headers ...string) []byte {
	head := method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if body != "" {
		head += "Content-Type: application/json\r\n"
	}
	for _, header := range headers {
		head += header + "\r\n"
	}
	return []byte(head + "\r\n" + body)
}

// call sends the request and returns the body of an answer with this status.
func (c *caller) call(request []byte, status int) string {
	_, err := c.conn.Write(request)
	if err != nil {
		c.b.Fatal(err)
	}
	length := 0
	for first := true; ; first = false {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			c.b.Fatal(err)
		}
		switch {
		case first && string(line[9:12]) != strconv.Itoa(status):
			c.b.Fatalf("answer to %s: %s", request, line)
		case strings.HasPrefix(string(line), "Content-Length: "):
			length, _ = strconv.Atoi(string(line[len("Content-Length: ") : len(line)-2]))
		}
		if len(line) == 2 {
			break
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.reader, body); err != nil {
		c.b.Fatal(err)
	}
	return string(body)
}

func (c *caller) balances() func() {
	get := request("GET", "/tokens/balance", "", c.user.bearer)
	return func() { c.call(get, 200) }
}

func (c *caller) cycles(city string) func() {
	c.buy(contract.MaxTokens)
	join := request("POST", "/queue/join", `{"city":"`+city+`","preferences":{"language":"en","ageRange":[18,30]}}`, c.user.bearer)
	leave := request("DELETE", "/queue/leave", "", c.user.bearer)
	return func() {
		c.call(join, 201)
		c.call(leave, 200)
	}
}

func (c *caller) purchases() func() { return func() { c.buy(5) } }

func (c *caller) buy(tokens int) {
	e := checkoutOf(c.b, payments.Purchase{UserID: c.user.id, Tokens: tokens})
	c.call(request("POST", "/webhooks/stripe", string(e.Body), "Stripe-Signature: "+e.Signature), 200)
}

func (c *caller) signUps() func() {
	post := request("POST", "/auth/signup-anonymous", "")
	return func() { c.call(post, 201) }
}

// BenchmarkTickWithLoneKeys measures a tick of the matcher with 10,000 users alone in their keys.
func BenchmarkTickWithLoneKeys(b *testing.B) {
	ts := start(b, Options{})
	joinAlone(b, ts.Server, 10_000)
	for b.Loop() {
		ts.matcher.match(b.Context())
	}
}

// BenchmarkTickWithPairs measures a tick that makes 10 pairs in each of 64 keys.
func BenchmarkTickWithPairs(b *testing.B) {
	ts := start(b, Options{})
	users := make([]*user, 64*20)
	for i := range users {
		users[i] = ts.accounts.signUp()
		require.NoError(b, users[i].credit(contract.MaxTokens))
	}
	for b.Loop() {
		b.StopTimer()
		for i, u := range users {
			_, err := ts.queues.join(b.Context(), u, "k"+strconv.Itoa(i%64))
			require.NoError(b, err)
		}
		b.StartTimer()
		ts.matcher.match(b.Context())
	}
}

// BenchmarkEmbeddedRedis measures the commands of one join, directly and over loopback.
func BenchmarkEmbeddedRedis(b *testing.B) {
	store, err := openEmbedded()
	require.NoError(b, err)
	options, err := redis.ParseURL(store.embeddedURL())
	require.NoError(b, err)
	loopback := redis.NewClient(options)
	b.Cleanup(func() {
		require.NoError(b, loopback.Close())
		require.NoError(b, store.close())
	})
	for name, client := range map[string]*redis.Client{"direct": store.client, "loopback": loopback} {
		b.Run(name, func(b *testing.B) {
			q := newQueues(client, nobody{}, func() {})
			u := &user{id: newID()}
			for b.Loop() {
				if _, err := q.begin(b.Context(), u); err != nil {
					b.Fatal(err)
				}
				if _, err := q.enter(b.Context(), u, "k"); err != nil {
					b.Fatal(err)
				}
				u.operating.Unlock()
			}
		})
	}
}
