package runner

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const rests = true

// rest occupies one of Go's processors without using processor time of the machine, in naps of the given length, until stop is
// set.
//
// When all of Go's processors are idle, Go's monitor thread (sysmon) goes to sleep. The next system call wakes it, and it polls
// about every 20 µs until all are idle again. With mostly idle users that happens five times a request and takes a quarter of
// the processor time. If one processor is never idle, sysmon soon polls only about every 10 ms.
//
// Go does not notice that a raw system call blocks. The signal with which Go preempts a goroutine, for example to collect
// garbage, interrupts the call, and at the next call of nap Go stops the goroutine if it needs to.
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
