package runner

import (
	"syscall"
	"time"
)

// cpuTime returns the processor time that this process has used, in user and kernel mode.
func cpuTime() time.Duration {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0
	}
	var created, exited, kernel, user syscall.Filetime
	if syscall.GetProcessTimes(process, &created, &exited, &kernel, &user) != nil {
		return 0
	}
	return length(kernel) + length(user)
}

// length converts a duration that Windows counts in units of 100 ns.
func length(t syscall.Filetime) time.Duration {
	return 100 * time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime))
}
