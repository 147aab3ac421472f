package standin

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestStartRefusesARedisThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, url, want string }{
		{"no URL", "localhost:6379", "the Redis URL must be redis://[user:password@]host:port/database"},
		{"another scheme", "http://u:hunter2@localhost", "the Redis URL must be redis://[user:password@]host:port/database"},
		{"a control character", "redis://u:hunter2@local\nhost", "the Redis URL must be redis://[user:password@]host:port/database"},
		{"nothing listens", "redis://u:hunter2@127.0.0.1:1/0", "the Redis at 127.0.0.1:1 does not answer: " +
			"dial tcp 127.0.0.1:1: connect: connection refused"},
	} {
		_, err := Start(t.Context(), Options{WebhookSecret: secret, RedisURL: tc.url})
		require.EqualError(t, err, tc.want, tc.name)
	}
}

func TestStartRefusesARedisWithAQueueInIt(t *testing.T) {
	t.Parallel()
	url := startRedis(t)
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer func() { require.NoError(t, client.Close()) }()
	require.NoError(t, client.SAdd(t.Context(), "queue:keys", "canberra:015abd7f5cc5").Err())
	_, err = Start(t.Context(), Options{WebhookSecret: secret, RedisURL: url})
	require.EqualError(t, err, fmt.Sprintf(
		"the Redis at %s, database 0, holds 1 queues of another Verity: name an empty database", options.Addr))
	start(t, Options{RedisURL: url + "?db=1"})
}

func TestCloseRemovesTheQueuesFromRedis(t *testing.T) {
	t.Parallel()
	url := startRedis(t)
	for range 2 { // the second starts with the Redis that the first left
		ts := start(t, Options{RedisURL: url})
		for i := range 3 {
			ts.signUp(1).join(fmt.Sprintf(`{"city":"c%d"}`, i/2))
		}
		require.NoError(t, ts.Close(t.Context()))
		require.Equal(t, int64(3), ts.Stats().Tokens.Queued, "the account is still there")
	}
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer func() { require.NoError(t, client.Close()) }()
	require.Empty(t, client.Keys(t.Context(), "*").Val())
}

func TestEmbeddedRedisCanBeReadByOthers(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	ts.signUp(1).join("")
	options, err := redis.ParseURL(ts.RedisURL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer func() { require.NoError(t, client.Close()) }()
	require.Equal(t, []string{"canberra" + emptyHash}, client.SMembers(t.Context(), "queue:keys").Val())
}

func TestKeysOfTheEmbeddedRedisAge(t *testing.T) {
	t.Parallel()
	store, err := openEmbedded()
	require.NoError(t, err)
	defer func() { require.NoError(t, store.close()) }()
	require.NoError(t, store.client.Set(t.Context(), "k", "x", time.Hour).Err())
	store.aged = time.Now().Add(-40 * time.Minute)
	require.GreaterOrEqual(t, store.age(), agingInterval)
	require.InDelta(t, 20, store.client.TTL(t.Context(), "k").Val().Minutes(), 0.1)
	store.aged = time.Now().Add(-20 * time.Minute)
	store.age()
	require.Zero(t, store.client.Exists(t.Context(), "k").Val())
}

func TestKeysOfTheEmbeddedRedisExpireByThemselves(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	require.NoError(t, ts.store.client.Set(t.Context(), "k", "x", time.Second).Err())
	require.Eventually(t, func() bool { return !ts.store.embedded.Exists("k") }, 10*time.Second, 20*time.Millisecond)
}

func TestDirectConnIsARedisConnection(t *testing.T) {
	t.Parallel()
	store, err := openEmbedded()
	require.NoError(t, err)
	defer func() { require.NoError(t, store.close()) }()
	ctx, db := t.Context(), store.client
	long := strings.Repeat("x\r\n$", 50_000) // longer than go-redis' buffers
	require.NoError(t, db.Set(ctx, "long", long, 0).Err())
	require.Equal(t, long, db.Get(ctx, "long").Val())
	require.NoError(t, db.Set(ctx, "", "", 0).Err())
	require.Empty(t, db.Get(ctx, "").Val())
	require.ErrorIs(t, db.Get(ctx, "none").Err(), redis.Nil)
	require.ErrorContains(t, db.Incr(ctx, "long").Err(), "not an integer")

	pipe := db.Pipeline()
	for i := range 5_000 {
		pipe.Set(ctx, "k"+strconv.Itoa(i), i, 0)
	}
	_, err = pipe.Exec(ctx)
	require.NoError(t, err)
	require.Equal(t, "4999", db.Get(ctx, "k4999").Val())
	_, err = db.TxPipelined(ctx, func(p redis.Pipeliner) error {
		return p.Incr(ctx, "k1").Err()
	})
	require.NoError(t, err)
	require.Equal(t, "2", db.Get(ctx, "k1").Val())
}

func TestDirectConnTakesCommandsInPieces(t *testing.T) {
	t.Parallel()
	store, err := openEmbedded()
	require.NoError(t, err)
	defer func() { require.NoError(t, store.close()) }()
	conn := newDirectConn(store.embedded.Server())
	const commands = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
	for i := range len(commands) {
		_, err := io.WriteString(conn, commands[i:i+1])
		require.NoError(t, err)
	}
	replies, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n$4\r\n\r\n\r\n\r\n", string(replies))
}

func TestCutCommandRefusesInvalidCommands(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"PING\r\n", "*0\r\n", "*-1\r\n", "*x\r\n", "*1\r\nPING\r\n", "*1\r\n$-1\r\n", "*1\r\n$99999999999999999999\r\n"} {
		_, _, err := cutCommand([]byte(text))
		require.ErrorIs(t, err, errCommand, "%q", text)
	}
}

// FuzzCutCommand writes arguments as a command and parses it, whole and in parts; any other input must not panic.
func FuzzCutCommand(f *testing.F) {
	f.Add([]byte("*1\r\n$4\r\nPING\r\n"), "GET", "k", 3)
	f.Add([]byte("*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n*1\r\n"), "", "\r\n", 0)
	f.Add([]byte("*1000000000\r\n$1\r\n"), "SET", "$1\r\n", 9)
	f.Fuzz(func(t *testing.T, anything []byte, a, b string, cut int) {
		args, rest, err := cutCommand(anything)
		if err != nil || args == nil {
			require.Equal(t, anything, rest)
		} else {
			require.Less(t, len(rest), len(anything))
		}

		command := fmt.Appendf(nil, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(a), a, len(b), b)
		args, rest, err = cutCommand(append(command, "tail"...))
		require.NoError(t, err)
		require.Equal(t, []string{a, b}, args)
		require.Equal(t, "tail", string(rest))
		if cut >= 0 && cut < len(command) {
			args, _, err = cutCommand(command[:cut])
			require.NoError(t, err)
			require.Nil(t, args)
		}
	})
}

func TestOpenRedisObservesItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{WebhookSecret: secret, RedisURL: "redis://127.0.0.1:1"})
	require.ErrorIs(t, err, context.Canceled)
}
