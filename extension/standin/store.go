package standin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/verity-app/xk6-verity/extension/contract"
)

const (
	// agingInterval is how often the keys of the embedded Redis age, unless that takes too long.
	agingInterval = time.Second
	// agingShare bounds the time that aging takes: at most 1/agingShare of all.
	agingShare = 1000
)

// store is the Redis that holds the queue.
type store struct {
	client   *redis.Client
	embedded *miniredis.Miniredis // nil: an external Redis
	aged     time.Time
}

func openStore(ctx context.Context, url string) (*store, error) {
	if url == "" {
		return openEmbedded()
	}
	return openRedis(ctx, url)
}

// openRedis connects to a Redis. It refuses one that holds queues, as the matcher would pair the users of another service.
func openRedis(ctx context.Context, url string) (*store, error) {
	options, err := redis.ParseURL(url)
	if err != nil { // not wrapped: it may quote the password
		return nil, errors.New("the Redis URL must be redis://[user:password@]host:port/database")
	}
	options.MaxRetries = -1 // a ZPOPMIN must not be repeated if its answer was lost
	options.DialerRetries = 1
	options.MaintNotificationsConfig = withoutNotifications()
	client := redis.NewClient(options)
	keys, err := client.SCard(ctx, contract.RedisQueueKeys).Result()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the Redis at %s does not answer: %w", options.Addr, err), client.Close())
	}
	if keys > 0 {
		return nil, errors.Join(fmt.Errorf("the Redis at %s, database %d, holds %d queues of another Verity: "+
			"name an empty database", options.Addr, options.DB, keys), client.Close())
	}
	return &store{client: client}, nil
}

// openEmbedded starts a miniredis. It listens on loopback for other clients; the stand-in calls it without a socket, which takes
// an eighth of the time.
func openEmbedded() (*store, error) {
	embedded, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("the embedded Redis does not start: %w", err)
	}
	client := redis.NewClient(&redis.Options{
		Addr:                     embedded.Addr(),
		Protocol:                 2,
		DisableIdentity:          true,
		MaxRetries:               -1,
		ReadTimeout:              -2, // no deadlines: a directConn never waits
		WriteTimeout:             -2,
		MaintNotificationsConfig: withoutNotifications(),
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			return newDirectConn(embedded.Server()), nil
		},
	})
	return &store{client: client, embedded: embedded, aged: time.Now()}, nil
}

func withoutNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func (s *store) embeddedURL() string {
	if s.embedded == nil {
		return ""
	}
	return "redis://" + s.embedded.Addr()
}

// age lets the keys of the embedded Redis expire, which miniredis does not do by itself, and returns when to call it again. It
// walks all keys, so it is called less often if there are many.
func (s *store) age() time.Duration {
	if s.embedded == nil {
		return time.Hour
	}
	start := time.Now()
	s.embedded.FastForward(start.Sub(s.aged))
	s.aged = start
	return max(agingInterval, agingShare*time.Since(start))
}

func (s *store) close() error {
	err := s.client.Close()
	if s.embedded != nil {
		s.embedded.Close()
	}
	if err != nil {
		return fmt.Errorf("closing the connections to Redis: %w", err)
	}
	return nil
}

// directConn is a connection to an embedded Redis within the caller's goroutine: Write executes commands and Read returns their
// replies. It supports a client that writes before it reads, in one goroutine at a time, as go-redis does.
type directConn struct {
	server  *server.Server
	peer    *server.Peer
	pending []byte // the beginning of an incomplete command
	replies bytes.Buffer
}

func newDirectConn(s *server.Server) *directConn {
	c := &directConn{server: s}
	c.peer = server.NewPeer(bufio.NewWriter(&c.replies))
	return c
}

func (c *directConn) Write(p []byte) (int, error) {
	commands := p
	if len(c.pending) > 0 {
		c.pending = append(c.pending, p...)
		commands = c.pending
	}
	for {
		args, rest, err := cutCommand(commands)
		if err != nil {
			return 0, err
		}
		if args == nil {
			break
		}
		c.server.Dispatch(c.peer, args)
		commands = rest
	}
	c.peer.Flush()
	c.pending = append(c.pending[:0], commands...)
	return len(p), nil
}

func (c *directConn) Read(p []byte) (int, error) { return c.replies.Read(p) }

// Close does nothing: there is nothing to close.
func (*directConn) Close() error { return nil }

// LocalAddr and RemoteAddr return made-up addresses.
func (*directConn) LocalAddr() net.Addr  { return &net.UnixAddr{Name: "standin"} }
func (*directConn) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "miniredis"} }

// SetDeadline and the like do nothing: no call blocks.
func (*directConn) SetDeadline(time.Time) error      { return nil }
func (*directConn) SetReadDeadline(time.Time) error  { return nil }
func (*directConn) SetWriteDeadline(time.Time) error { return nil }

var errCommand = errors.New("not a Redis command: an array of bulk strings was expected")

// cutCommand splits off the first command, an array of one or more bulk strings. args is nil if there is no complete one.
func cutCommand(b []byte) (args []string, rest []byte, err error) {
	n, rest, err := cutLength(b, '*')
	if err != nil || rest == nil {
		return nil, b, err
	}
	if n == 0 {
		return nil, b, errCommand
	}
	for range n {
		var size int
		if size, rest, err = cutLength(rest, '$'); err != nil || rest == nil || len(rest) < size+2 {
			return nil, b, err
		}
		args = append(args, string(rest[:size]))
		rest = rest[size+2:]
	}
	return args, rest, nil
}

// cutLength parses a line of a mark and a number from 0. rest is nil if the line is incomplete.
func cutLength(b []byte, mark byte) (n int, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, nil
	}
	if b[0] != mark {
		return 0, nil, errCommand
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return 0, nil, nil
	}
	n, err = strconv.Atoi(string(bytes.TrimSuffix(b[1:end], []byte("\r"))))
	if err != nil || n < 0 {
		return 0, nil, errCommand
	}
	return n, b[end+1:], nil
}
