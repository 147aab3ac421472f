//go:build !linux

package runner

import "sync/atomic"

const rests = false

func rest(*atomic.Bool) {}
