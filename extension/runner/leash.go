package runner

import (
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// LeashVariable is set to 1 in the environment of a process that must end when its standard input ends: when its parent closes it,
// or has ended in any way.
const LeashVariable = "K6_VERITY_LEASH"

// LeashLimit is how long such a process may take to end. A test lets its users leave and prints its summary, which may wait for a
// scrape of Prometheus.
const LeashLimit = 150 * time.Second

// mostReason is how many bytes of a written reason are kept.
const mostReason = 1024

// Leash interrupts this process as Ctrl-C does, on any system, once its standard input has ended. What the parent writes before is the
// reason.
type Leash struct {
	mu     sync.Mutex
	let    bool // the input has ended
	reason string
	notify []chan<- os.Signal
}

// Reason returns why the parent interrupted this process, such as "the campaign ended the step: 20 of 30 operations fail"; "" if it did not.
func (l *Leash) Reason() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.let && l.reason == "" {
		return "the process that started it has ended"
	}
	return l.reason
}

// TakeLeash returns a Leash if LeashVariable is set, else nil. It unsets the variable, so that child processes have none.
func TakeLeash() *Leash {
	if os.Getenv(LeashVariable) != "1" {
		return nil
	}
	_ = os.Unsetenv(LeashVariable) // fails only for an invalid name
	writeOn()
	leash := &Leash{}
	go leash.hold(os.Stdin, LeashLimit, os.Exit)
	return leash
}

// hold waits for the end of the input, interrupts the process, and exits if it has not ended within limit.
func (l *Leash) hold(input io.Reader, limit time.Duration, exit func(code int)) {
	reason, _ := io.ReadAll(io.LimitReader(input, mostReason)) // an error also counts as the end
	_, _ = io.Copy(io.Discard, input)
	l.mu.Lock()
	l.let, l.reason = true, string(reason)
	for _, channel := range l.notify {
		interrupt(channel)
	}
	l.mu.Unlock()
	time.Sleep(limit)
	const externalAbort = 105 // k6's exit code
	exit(externalAbort)
}

// interrupt sends os.Interrupt as package signal does, without blocking.
func interrupt(channel chan<- os.Signal) {
	select {
	case channel <- os.Interrupt:
	default:
	}
}

// Notify wraps a function such as signal.Notify, so that channels for os.Interrupt also get that of the Leash.
func (l *Leash) Notify(next func(chan<- os.Signal, ...os.Signal)) func(chan<- os.Signal, ...os.Signal) {
	return func(channel chan<- os.Signal, signals ...os.Signal) {
		next(channel, signals...)
		if !slices.Contains(signals, os.Interrupt) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.notify = append(l.notify, channel)
		if l.let {
			interrupt(channel)
		}
	}
}

// Stop wraps a function such as signal.Stop, so that a channel no longer gets the interrupt of the Leash.
func (l *Leash) Stop(next func(chan<- os.Signal)) func(chan<- os.Signal) {
	return func(channel chan<- os.Signal) {
		next(channel)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.notify = slices.DeleteFunc(l.notify, func(c chan<- os.Signal) bool { return c == channel })
	}
}
