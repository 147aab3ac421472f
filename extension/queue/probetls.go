package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// explainLimit bounds the search for the reason why Redis does not answer.
const explainLimit = time.Second

// explain adds to an error without an answer of Redis what its port speaks instead. If only one side speaks TLS, both wait for
// each other until the deadline.
func (p *Probe) explain(ctx context.Context, err error) error {
	var answered redis.Error
	if errors.As(err, &answered) || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainLimit)
	defer cancel()
	address := p.client.Options().Addr
	switch {
	case p.tls == nil && speaksTLS(ctx, address):
		return fmt.Errorf("%s speaks TLS: give rediss:// instead of redis:// (%w)", address, err)
	case p.tls != nil && speaksPlainRedis(ctx, address):
		return fmt.Errorf("%s speaks Redis without TLS: give redis:// instead of rediss:// (%w)", address, err)
	}
	return err
}

// speaksTLS reports whether a server answers a TLS handshake. Nothing is sent after it, so its certificate does not matter.
func speaksTLS(ctx context.Context, address string) bool {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} // #nosec G402 -- see above
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		refused, ok := errors.AsType[*net.OpError](err)
		return ok && refused.Op == "remote error" // a TLS alert, such as of a server that requires a client certificate
	}
	return connection.Close() == nil
}

// speaksPlainRedis reports whether a server answers a PING without TLS as Redis does, also with an error such as NOAUTH.
func speaksPlainRedis(ctx context.Context, address string) bool {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close() }()
	if deadline, ok := ctx.Deadline(); ok && connection.SetDeadline(deadline) != nil {
		return false
	}
	if _, err := connection.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 1)
	if _, err := connection.Read(answer); err != nil {
		return false
	}
	return answer[0] == '+' || answer[0] == '-'
}
