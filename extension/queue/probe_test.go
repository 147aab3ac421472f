package queue

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "s3cret-w0rd"

// redisUnderTest is a Redis with a password that the test can stop and start again.
type redisUnderTest struct {
	addr        string
	stop, start func()
}

func (r redisUnderTest) url(database int) string {
	return fmt.Sprintf("redis://:%s@%s/%d", password, r.addr, database)
}

// client writes what Verity would write, in database 0.
func (r redisUnderTest) client(tb testing.TB) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.addr, Password: password})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// onEachRedis runs a test against miniredis and against Debian's redis-server.
func onEachRedis(t *testing.T, test func(t *testing.T, r redisUnderTest)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, startMiniredis(t))
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		test(t, startRedisServer(t))
	})
}

func startMiniredis(tb testing.TB) redisUnderTest {
	tb.Helper()
	server := miniredis.RunT(tb)
	server.RequireAuth(password)
	return redisUnderTest{
		addr:  server.Addr(),
		stop:  server.Close,
		start: func() { require.NoError(tb, server.Restart()) },
	}
}

func startRedisServer(tb testing.TB) redisUnderTest {
	tb.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skip("redis-server is not on PATH: the probe is not tested on a real Redis")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port that is free
	require.NoError(tb, err)
	addr := listener.Addr().String()
	port := listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
	require.NoError(tb, listener.Close())

	var server *exec.Cmd
	r := redisUnderTest{addr: addr}
	r.start = func() {
		server = exec.Command(binary, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", //nolint:gosec,noctx // stop ends it
			"--appendonly", "no", "--requirepass", password, "--dir", tb.TempDir())
		require.NoError(tb, server.Start())
		client := r.client(tb)
		require.Eventually(tb, func() bool { return client.Ping(context.Background()).Err() == nil }, 10*time.Second, 20*time.Millisecond)
	}
	r.stop = func() {
		if server != nil {
			_ = server.Process.Kill()
			_ = server.Wait()
			server = nil
		}
	}
	r.start()
	tb.Cleanup(r.stop)
	return r
}

func newProbe(tb testing.TB, url string) *Probe {
	tb.Helper()
	probe, err := NewProbe(url)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = probe.Close() })
	return probe
}

// enqueue does what a join does in Redis.
func enqueue(tb testing.TB, client *redis.Client, key string, users ...string) {
	tb.Helper()
	ctx := tb.Context()
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.SAdd(ctx, "queue:keys", key)
		for i, user := range users {
			pipe.ZAdd(ctx, "queue:zset:"+key, redis.Z{Score: float64(1_700_000_000_000 + i), Member: user})
			pipe.Set(ctx, "queue:user:"+user, fmt.Sprintf(`{"queueKey":%q,"joinedAt":%d}`, key, 1_700_000_000_000+i), 0)
		}
		return nil
	})
	require.NoError(tb, err)
}

func names(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(prefix, i)
	}
	return names
}

func TestDepthsAreThoseThatRedisHas(t *testing.T) {
	t.Parallel()

	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		t.Helper()
		client, probe := r.client(t), newProbe(t, r.url(0))

		depths, err := probe.Depths(t.Context())
		require.NoError(t, err)
		require.Equal(t, Depths{Keys: map[string]int{}}, depths)

		enqueue(t, client, "perth:0", names("p", 2500)...)
		enqueue(t, client, "hobart:1", "h")
		require.NoError(t, client.SAdd(t.Context(), "queue:keys", "empty:2").Err())
		depths, err = probe.Depths(t.Context())
		require.NoError(t, err)
		require.Equal(t, Depths{Total: 2501, Keys: map[string]int{"perth:0": 2500, "hobart:1": 1, "empty:2": 0}}, depths)

		require.NoError(t, client.ZRem(t.Context(), "queue:zset:perth:0", "p0", "p1").Err())
		depths, err = probe.Depths(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2499, depths.Total)

		depths, err = newProbe(t, r.url(1)).Depths(t.Context())
		require.NoError(t, err)
		require.Zero(t, depths.Total, "another database is another queue")
	})
}

func TestDepthsOfTenThousandKeys(t *testing.T) {
	t.Parallel()

	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		t.Helper()
		total := fillKeys(t, r.client(t), 10_000)

		depths, err := newProbe(t, r.url(0)).Depths(t.Context())
		require.NoError(t, err)
		require.Len(t, depths.Keys, 10_000)
		require.Equal(t, total, depths.Total)
		require.Equal(t, 3, depths.Keys["city:2"])
	})
}

// fillKeys makes queue keys with 1 to 3 users each, and returns the number of users.
func fillKeys(tb testing.TB, client *redis.Client, keys int) int {
	tb.Helper()
	ctx, total := tb.Context(), 0
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range keys {
			key := fmt.Sprint("city:", i)
			pipe.SAdd(ctx, "queue:keys", key)
			for user := range i%3 + 1 {
				pipe.ZAdd(ctx, "queue:zset:"+key, redis.Z{Score: 1, Member: fmt.Sprint(i, "-", user)})
				total++
			}
		}
		return nil
	})
	require.NoError(tb, err)
	return total
}

func TestGhostsAreStatesAndMembersWithoutEachOther(t *testing.T) {
	t.Parallel()

	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		t.Helper()
		client, probe, ctx := r.client(t), newProbe(t, r.url(0)), t.Context()

		enqueue(t, client, "perth:0", names("p", 2500)...)
		enqueue(t, client, "hobart:1", "a", "b", "c", "d")
		ghosts, err := probe.Ghosts(ctx)
		require.NoError(t, err)
		require.Equal(t, Ghosts{}, ghosts)

		require.NoError(t, client.Del(ctx, "queue:user:p7", "queue:user:a").Err())
		require.NoError(t, client.ZRem(ctx, "queue:zset:hobart:1", "b").Err())
		require.NoError(t, client.Set(ctx, "queue:user:c", `{"queueKey":"perth:0","joinedAt":1}`, 0).Err())
		require.NoError(t, client.Set(ctx, "queue:user:x", `not JSON`, 0).Err())
		ghosts, err = probe.Ghosts(ctx)
		require.NoError(t, err)
		require.Equal(t, Ghosts{
			Members: []Ghost{{"a", "hobart:1"}, {"c", "hobart:1"}, {"p7", "perth:0"}},
			States:  []Ghost{{"x", ""}, {"b", "hobart:1"}, {"c", "perth:0"}},
		}, ghosts)
	})
}

func TestUsersThatMoveBetweenReadsAreNoGhosts(t *testing.T) {
	t.Parallel()

	r := startMiniredis(t)
	client, probe := r.client(t), newProbe(t, r.url(0))
	enqueue(t, client, "perth:0", "joined", "left")
	require.NoError(t, client.Del(t.Context(), "queue:user:left").Err())
	require.NoError(t, client.ZRem(t.Context(), "queue:zset:perth:0", "left").Err())

	// Both looked like ghosts at the first read.
	var ghosts Ghosts
	require.NoError(t, probe.lookAgain(t.Context(), []Ghost{{"joined", "perth:0"}, {"left", "perth:0"}}, &ghosts))
	require.Equal(t, Ghosts{}, ghosts)
}

func TestRedisGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()

	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		t.Helper()
		probe := newProbe(t, r.url(0))
		enqueue(t, r.client(t), "perth:0", "p")
		_, err := probe.Depths(t.Context())
		require.NoError(t, err)

		r.stop()
		_, err = probe.Depths(t.Context())
		require.ErrorContains(t, err, "queue depths from Redis: dial tcp "+r.addr)
		require.NotContains(t, err.Error(), password)
		_, err = probe.Ghosts(t.Context())
		require.ErrorContains(t, err, "queue ghosts from Redis: dial tcp "+r.addr)

		r.start()
		require.NoError(t, r.client(t).FlushAll(t.Context()).Err())
		enqueue(t, r.client(t), "perth:0", "p", "q")
		require.Eventually(t, func() bool {
			depths, err := probe.Depths(t.Context())
			return err == nil && depths.Total == 2
		}, 5*time.Second, 50*time.Millisecond, "go-redis tries again once a second")
	})
}

func TestAProbeStopsWithItsContext(t *testing.T) {
	t.Parallel()

	silence, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a server that never answers
	require.NoError(t, err)
	defer func() { _ = silence.Close() }()

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = newProbe(t, "redis://"+silence.Addr().String()).Depths(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 2*time.Second)
}

func TestAProbeThatRedisRefuses(t *testing.T) {
	t.Parallel()

	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		t.Helper()
		_, err := newProbe(t, "redis://:wrong-w0rd@"+r.addr).Depths(t.Context())
		require.ErrorContains(t, err, "queue depths from Redis: WRONGPASS")
		require.NotContains(t, err.Error(), "wrong-w0rd")

		_, err = newProbe(t, "redis://"+r.addr).Depths(t.Context())
		require.ErrorContains(t, err, "queue depths from Redis: NOAUTH")

		require.NoError(t, r.client(t).Set(t.Context(), "queue:keys", "text", 0).Err())
		_, err = newProbe(t, r.url(0)).Depths(t.Context())
		require.ErrorContains(t, err, "queue depths from Redis: WRONGTYPE")
		_, err = newProbe(t, r.url(0)).Ghosts(t.Context())
		require.ErrorContains(t, err, "queue ghosts from Redis: WRONGTYPE")
	})
}

func TestAProbeOverTLS(t *testing.T) {
	t.Parallel()

	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer certified.Close()
	server, err := miniredis.RunTLS(certified.TLS)
	require.NoError(t, err)
	defer server.Close()
	server.RequireUserAuth("reader", password)
	_, err = server.SAdd("queue:keys", "perth:0")
	require.NoError(t, err)
	_, err = server.ZAdd("queue:zset:perth:0", 1, "p")
	require.NoError(t, err)

	probe := newProbe(t, fmt.Sprintf("rediss://reader:%s@%s", password, server.Addr()))
	_, err = probe.Depths(t.Context())
	require.ErrorContains(t, err, "certificate")

	probe = newProbe(t, fmt.Sprintf("rediss://reader:%s@%s", password, server.Addr()))
	probe.client.Options().TLSConfig.RootCAs = x509.NewCertPool()
	probe.client.Options().TLSConfig.RootCAs.AddCert(certified.Certificate())
	depths, err := probe.Depths(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, depths.Total)
}

func TestAProbeWhoseURLHasTheWrongScheme(t *testing.T) {
	t.Parallel()

	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := newProbe(t, fmt.Sprintf("rediss://:%s@%s", password, r.addr)).Depths(ctx)
		require.ErrorContains(t, err, "queue depths from Redis: "+r.addr+" speaks Redis without TLS: give redis:// instead of rediss:// (")
		require.NotContains(t, err.Error(), password)
	})
	t.Run("of a Redis with TLS", func(t *testing.T) {
		t.Parallel()
		certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
		defer certified.Close()
		server, err := miniredis.RunTLS(certified.TLS)
		require.NoError(t, err)
		defer server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = newProbe(t, fmt.Sprintf("redis://:%s@%s", password, server.Addr())).Ghosts(ctx)
		require.ErrorContains(t, err, "queue ghosts from Redis: "+server.Addr()+" speaks TLS: give rediss:// instead of redis:// (")
		require.NotContains(t, err.Error(), password)
	})
}

func TestNoErrorShowsAPossiblePassword(t *testing.T) {
	t.Parallel()

	const advice = "; give redis://[user:password@]host[:port][/database], or rediss:// for TLS"
	for url, want := range map[string]string{
		"":                               "its scheme is neither redis nor rediss",
		"http://:s3cret@h":               "its scheme is neither redis nor rediss",
		"s3cret@h:6379":                  "it does not parse (a password may need percent-encoding)",
		"redis://:s3cret@h:port":         "it does not parse (a password may need percent-encoding)",
		"redis://:%zs3cret@h":            "it does not parse (a password may need percent-encoding)",
		"redis://:pa/s3cret@h":           "it does not parse (a password may need percent-encoding)",
		"redis://pa/s3cret@h":            "its path is not a database number",
		"redis://h/zero":                 "its path is not a database number",
		"redis://h/0/1":                  "its path is not a database number",
		"redis://h/-1":                   "its path is not a database number",
		"redis://h?db=-1":                "its path is not a database number",
		"redis://:s3cret@:6379":          "it has no host, or a port that is not from 1 to 65535",
		"redis:///0":                     "it has no host, or a port that is not from 1 to 65535",
		"redis://h:65536":                "it has no host, or a port that is not from 1 to 65535",
		"redis://h:":                     "it has no host, or a port that is not from 1 to 65535",
		"redis://h/?s3cret=1":            "its query is not one that go-redis takes",
		"redis://h/?read_timeout=s3cret": "its query is not one that go-redis takes",
	} {
		_, err := NewProbe(url)
		require.EqualError(t, err, "redis URL: "+want+advice, url)
	}
}

func BenchmarkDepths(b *testing.B) {
	const keys = 10_000
	r := startRedisServer(b)
	total := fillKeys(b, r.client(b), keys)

	b.Run("probe", func(b *testing.B) {
		probe := newProbe(b, r.url(0))
		for b.Loop() {
			depths, err := probe.Depths(b.Context())
			if err != nil || depths.Total != total {
				b.Fatal(depths.Total, err)
			}
		}
	})
	b.Run("bare pipelined ZCARD", func(b *testing.B) {
		client := r.client(b)
		for b.Loop() {
			cards := make([]*redis.IntCmd, keys)
			_, err := client.Pipelined(b.Context(), func(pipe redis.Pipeliner) error {
				for i := range cards {
					cards[i] = pipe.ZCard(b.Context(), "queue:zset:city:"+strconv.Itoa(i))
				}
				return nil
			})
			sum := 0
			for _, card := range cards {
				sum += int(card.Val())
			}
			if err != nil || sum != total {
				b.Fatal(sum, err)
			}
		}
	})
}

// Each matched user has an entry in Redis that names the session.
func TestMatchedUsersAreFound(t *testing.T) {
	t.Parallel()
	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		require.NoError(t, r.client(t).Set(t.Context(), "queue:matched:ada", "session-1", time.Hour).Err())
		probe, err := NewProbe(r.url(0))
		require.NoError(t, err)
		defer func() { require.NoError(t, probe.Close()) }()
		matched, err := probe.Matched(t.Context(), []string{"ada", "bob"})
		require.NoError(t, err)
		require.Equal(t, 1, matched)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = probe.Matched(ctx, []string{"ada"})
		require.ErrorContains(t, err, "matches of users from Redis: ")
		require.NotContains(t, err.Error(), password)
	})
}

func TestUsersInSessionsAreCounted(t *testing.T) {
	t.Parallel()
	onEachRedis(t, func(t *testing.T, r redisUnderTest) {
		client := r.client(t)
		for i := range 5000 {
			require.NoError(t, client.Set(t.Context(), "session:active:user-"+strconv.Itoa(i), "session-1", time.Hour).Err())
		}
		require.NoError(t, client.Set(t.Context(), "session:state:session-1", "{}", time.Hour).Err())
		probe, err := NewProbe(r.url(0))
		require.NoError(t, err)
		defer func() { require.NoError(t, probe.Close()) }()
		users, err := probe.InSession(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5000, users)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = probe.InSession(ctx)
		require.ErrorContains(t, err, "users in sessions from Redis: ")
		require.NotContains(t, err.Error(), password)
	})
}
