package run

import (
	"testing"

	"go.uber.org/goleak"
)

// A client of go-redis whose server was down knocks once a second, and closing it does not cut the last wait short.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
