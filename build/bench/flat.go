package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// flat is a load that is held for minutes. The cost of a user must not grow, except for the samples that k6 keeps.
type flat struct {
	users   int
	rampUp  time.Duration
	every   time.Duration
	minutes int // of every, each
}

// minute is the measurements of one minute.
type minute struct {
	at                time.Duration // since full load
	requestsPerSecond float64
	cpuPerRequest     float64 // µs
	residentMB        float64
	liveMB            float64 // live memory after a collection
	growth            float64 // of liveMB since full load, in bytes a request
}

// hold prints the cost of a load, minute by minute.
func (b *bench) hold(ctx context.Context, f flat) error {
	work, err := os.MkdirTemp("", "verity-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	b.work = work
	_, _ = fmt.Fprintln(b.out, machine())
	_, err = b.runFlat(ctx, f)
	return err
}

// runFlat holds the default variant at full load, and prints a line each minute.
func (b *bench) runFlat(ctx context.Context, f flat) ([]minute, error) {
	l := load{users: f.users, thinkMin: 0.5, thinkMax: 2, rampUp: f.rampUp, hold: time.Duration(f.minutes)*f.every + f.every/2}
	command := []string{b.k6, "run", "--quiet", "--profiling-enabled", ours}
	server, g, err := b.launch(ctx, filepath.Join(b.work, "account.json"), command, l, variant{})
	if err != nil {
		return nil, err
	}
	defer server.stop()
	defer g.stop()
	if err := g.awaitUsers(ctx); err != nil {
		return nil, err
	}
	return g.minutes(ctx, f, b.out)
}

// minutes takes a reading at full load and after each minute.
func (g *generator) minutes(ctx context.Context, f flat, out io.Writer) ([]minute, error) {
	w := tabwriter.NewWriter(out, 11, 0, 1, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(w, "\n%d users, default think times, at full load for\n", f.users)
	_, _ = fmt.Fprintln(w, "TIME\tREQ/S\tCPU µs/REQ\tRESIDENT MB\tLIVE MB\tGROWTH B/REQ\t")
	if err := g.pause(ctx, f.rampUp+f.every/4); err != nil {
		return nil, err
	}
	first, live := g.sample(), g.liveMB()
	before := g.sample() // after the collection, so that its cost does not count
	var all []minute
	for range f.minutes {
		if err := g.pause(ctx, f.every); err != nil {
			return all, err
		}
		now := g.sample()
		requests := now.requests - before.requests
		m := minute{
			at: now.at.Sub(first.at), requestsPerSecond: requests / now.at.Sub(before.at).Seconds(),
			cpuPerRequest: (now.cpu - before.cpu) * 1e6 / requests, residentMB: g.residentMB(), liveMB: g.liveMB(),
		}
		m.growth = (m.liveMB - live) * (1 << 20) / (now.requests - first.requests)
		before = g.sample()
		all = append(all, m)
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t\n", m.at.Round(time.Second), m.requestsPerSecond, m.cpuPerRequest,
			m.residentMB, m.liveMB, m.growth)
		_ = w.Flush()
	}
	return all, nil
}

// pause waits, or returns early if the generator ends.
func (g *generator) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-g.exited:
		return fmt.Errorf("too early: %w", g.because(g.err))
	case <-ctx.Done():
		return ctx.Err()
	}
}
