//go:build unix

package runner

import (
	"os"
	"os/signal"
	"syscall"
)

// TerminateOnHangup makes a SIGHUP, which comes when the terminal is closed, end this process as a SIGTERM does, rather than at
// once. Where SIGHUP is ignored, as under nohup, it stays so.
func TerminateOnHangup() {
	if signal.Ignored(syscall.SIGHUP) {
		return
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		<-hangups
		// One is enough: a shell and its terminal may both send a SIGHUP, and k6 takes a second SIGTERM as a demand to stop at once.
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
	}()
}
