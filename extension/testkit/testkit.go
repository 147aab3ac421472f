// Package testkit is what the tests of several rooms share: a network in memory and a buffer for the output of a process. The
// Prometheus of tests is beside what reads one (snapshot/promtest).
package testkit

import (
	"bytes"
	"context"
	"net"
	"sync"
)

// Memory is a network in memory: a net.Listener whose connections synctest's clock can run.
type Memory struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewMemory returns a network that nobody has dialled.
func NewMemory() *Memory { return &Memory{conns: make(chan net.Conn), done: make(chan struct{})} }

// Accept implements net.Listener.
func (m *Memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (m *Memory) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

// Addr implements net.Listener.
func (*Memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// Dial connects to who accepts, whatever the address.
func (m *Memory) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Deliver passes one end of a connection to who accepts.
func (m *Memory) Deliver(conn net.Conn) { m.conns <- conn }

// Buffer is a buffer that can be read while a process writes to it.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
