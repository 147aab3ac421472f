package campaign

import (
	"testing"

	"go.uber.org/goleak"
)

// go-redis sleeps a second between tries to dial a Redis that is down, also after its client was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
