//go:build !linux

package runner

import (
	"sync/atomic"
	"time"
)

const rests = false

func rest(*atomic.Bool, time.Duration) {}
