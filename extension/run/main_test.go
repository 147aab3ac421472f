package run

import (
	"testing"

	"go.uber.org/goleak"
)

// A client of go-redis dials a server that is down once a second, and closing the client does not end the last wait.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
