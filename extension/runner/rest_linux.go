package runner

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const rests = true

// rest holds one of Go's processors without using any of the machine's, for so long at a time, until it is told to stop.
//
// When the last of Go's processors falls idle, its monitor thread goes to sleep, and the next system call wakes it, to look
// about every 20 µs until all are idle again. With users who are idle most of the time that is five times a request: a
// quarter of the processor time. Beside a processor that is never idle the monitor soon looks about every 10 ms only.
//
// The raw system call does not tell Go that the goroutine blocks. The signal by which Go stops a goroutine, to collect
// garbage for example, ends it, and where nap begins anew Go looks whether the goroutine is to stop.
func rest(stop *atomic.Bool, each time.Duration) {
	for !stop.Load() {
		if nap(each) != syscall.EINTR {
			runtime.Gosched()
		}
	}
}

//go:noinline
func nap(d time.Duration) syscall.Errno {
	left := syscall.NsecToTimespec(int64(d))
	_, _, errno := syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&left)), 0, 0) // #nosec G103 -- the kernel reads it only
	return errno
}
