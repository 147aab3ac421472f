package runner

import (
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// LeashVariable is set to 1 in the environment of a process that is to end when its standard input does: when the process that started it
// lets go, or is gone, however it ended.
const LeashVariable = "K6_VERITY_LEASH"

// LeashLimit is how long such a process may take to end: a test lets its users leave and prints its summary, which may wait for a scrape of
// Prometheus.
const LeashLimit = 150 * time.Second

// Leash gives this process what a Ctrl-C gives it, on any system, once its standard input has ended.
type Leash struct {
	mu     sync.Mutex
	let    bool // go of
	notify []chan<- os.Signal
}

// TakeLeash returns the leash that the environment says this process is on, and nil for none. Processes that this one starts are not on it.
func TakeLeash() *Leash {
	if os.Getenv(LeashVariable) != "1" {
		return nil
	}
	_ = os.Unsetenv(LeashVariable) // it fails for an invalid name only
	writeOn()
	leash := &Leash{}
	go leash.hold(os.Stdin, LeashLimit, os.Exit)
	return leash
}

// hold waits for the end of the input and interrupts the process, which has so long to end.
func (l *Leash) hold(input io.Reader, limit time.Duration, exit func(code int)) {
	_, _ = io.Copy(io.Discard, input) // an error is an end too
	l.mu.Lock()
	l.let = true
	for _, channel := range l.notify {
		interrupt(channel)
	}
	l.mu.Unlock()
	time.Sleep(limit)
	const externalAbort = 105 // k6's exit code
	exit(externalAbort)
}

// interrupt sends as package signal does: without waiting.
func interrupt(channel chan<- os.Signal) {
	select {
	case channel <- os.Interrupt:
	default:
	}
}

// Notify wraps a function such as signal.Notify so that who asks for os.Interrupt hears of the leash too.
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

// Stop wraps a function such as signal.Stop likewise.
func (l *Leash) Stop(next func(chan<- os.Signal)) func(chan<- os.Signal) {
	return func(channel chan<- os.Signal) {
		next(channel)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.notify = slices.DeleteFunc(l.notify, func(c chan<- os.Signal) bool { return c == channel })
	}
}
