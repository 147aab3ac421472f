//go:build unix

package runner

import (
	"os"
	"os/signal"
	"syscall"
)

// TerminateOnHangup makes SIGHUP, sent when the terminal is closed, end this process as SIGTERM does instead of at once. An
// ignored SIGHUP, as under nohup, stays ignored.
func TerminateOnHangup() {
	if signal.Ignored(syscall.SIGHUP) {
		return
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		<-hangups
		// Only once: a shell and its terminal may both send SIGHUP, and k6 stops at once on a second SIGTERM.
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
	}()
}
