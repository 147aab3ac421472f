package standin

import (
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// limiter counts the requests of each client to one route.
type limiter struct {
	limit int
	now   func() time.Time

	mu      sync.Mutex
	clients map[string]*client
}

type client struct {
	hits         []time.Time // in the window, oldest first
	blockedUntil time.Time
}

func newLimiter(limit int, now func() time.Time) *limiter {
	return &limiter{limit: limit, now: now, clients: make(map[string]*client)}
}

// verdict is the decision on a request: how many more the client may make before reset, or how long it is blocked.
type verdict struct {
	admitted  bool
	remaining int
	reset     time.Duration // until the oldest request leaves the window
	blocked   time.Duration
}

// take counts a request. A request above the limit blocks its client; requests of a blocked client do not count.
func (l *limiter) take(ip string) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c := l.clients[ip]
	if c == nil {
		c = new(client)
		l.clients[ip] = c
	}
	if blocked := c.blockedUntil.Sub(now); blocked > 0 {
		return verdict{blocked: blocked}
	}
	c.hits = slices.DeleteFunc(c.hits, func(at time.Time) bool { return now.Sub(at) >= contract.ThrottleWindow })
	if len(c.hits) == l.limit {
		c.blockedUntil = now.Add(contract.ThrottleWindow)
		return verdict{blocked: contract.ThrottleWindow}
	}
	c.hits = append(c.hits, now)
	return verdict{admitted: true, remaining: l.limit - len(c.hits), reset: c.hits[0].Add(contract.ThrottleWindow).Sub(now)}
}

// admit counts the request, sets its headers, and reports whether it is admitted. The client is the peer of the connection;
// headers do not matter.
func (l *limiter) admit(c *call) bool {
	ip, _, err := net.SplitHostPort(c.r.RemoteAddr)
	if err != nil {
		ip = c.r.RemoteAddr
	}
	v := l.take(ip)
	if !v.admitted {
		c.header[contract.HeaderRetryAfter] = []string{seconds(v.blocked)}
		return false
	}
	// Assigned, since Set would write X-Ratelimit-Limit.
	c.header[contract.HeaderLimit] = []string{strconv.Itoa(l.limit)}
	c.header[contract.HeaderRemaining] = []string{strconv.Itoa(v.remaining)}
	c.header[contract.HeaderReset] = []string{seconds(v.reset)}
	return true
}

// seconds formats a time in seconds, rounded up, so that a client that waits that long is not early.
func seconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}
