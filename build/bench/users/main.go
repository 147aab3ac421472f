// Command users measures what a user of queue-concurrency costs the generator and what latency it reports, side by side:
// a plain script with one user in each VU, this extension with one, and this extension with its own choice of many.
//
//	go run ./build/bench/users -k6 ./k6
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// variant is one way to write the scenario.
type variant struct {
	Name   string
	script string
	env    []string
	mostMB float64 // memory a user takes, to leave out what the machine cannot hold
}

func variants() []variant {
	return []variant{
		{Name: "plain k6, 1 a VU", script: "build/bench/plain.js", mostMB: 0.5},
		{Name: "verity, 1 a VU", script: "load-test/queue-concurrency.js", env: []string{"USERS_PER_VU=1"}, mostMB: 0.5},
		{Name: "verity, default", script: "load-test/queue-concurrency.js"},
	}
}

// load is what is asked of each variant at one number of users.
type load struct {
	users              int
	thinkMin, thinkMax float64 // s
}

// loads are those that the project's goals name: default think times where two cores carry them, longer ones above.
func loads(users []int) []load {
	all := make([]load, len(users))
	for i, n := range users {
		all[i] = load{n, 0.5, 2}
		if n > 5000 {
			all[i] = load{n, 2, 8}
		}
	}
	return all
}

func main() {
	var b bench
	var users, out string
	flag.StringVar(&b.k6, "k6", "./k6", "the k6 to measure")
	flag.StringVar(&users, "users", "1000,3000,10000", "numbers of users")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds, of which the median counts")
	flag.DurationVar(&b.rampUp, "ramp-up", 10*time.Second, "ramp")
	flag.DurationVar(&b.hold, "hold", 12*time.Second, "time at full load")
	flag.StringVar(&b.only, "only", "", "only variants whose name has this")
	flag.StringVar(&out, "json", "", "also write the results into this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx, users, out); err != nil {
		fmt.Fprintln(os.Stderr, "users:", err)
		os.Exit(1)
	}
}

type bench struct {
	k6, only     string
	rounds       int
	rampUp, hold time.Duration
	work         string
}

func (b *bench) run(ctx context.Context, users, out string) error {
	counts, err := numbers(users)
	if err != nil {
		return err
	}
	b.work, err = os.MkdirTemp("", "verity-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.work) }()
	var results []result
	for _, l := range loads(counts) {
		measured, err := b.measure(ctx, l)
		if err != nil {
			return err
		}
		results = append(results, measured...)
	}
	if err := writeTable(os.Stdout, results); err != nil {
		return err
	}
	if out == "" {
		return nil
	}
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o600)
}

func numbers(list string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-users must be whole numbers with commas between them, got %q", list)
		}
		all = append(all, n)
	}
	return all, nil
}

// measure takes turns between the variants, so that what disturbs the machine for a while disturbs them all.
func (b *bench) measure(ctx context.Context, l load) ([]result, error) {
	rounds := make(map[string][]reading)
	var names []string
	for round := range b.rounds {
		for _, v := range variants() {
			if !strings.Contains(v.Name, b.only) {
				continue
			}
			if round == 0 {
				names = append(names, v.Name)
			}
			if need := v.mostMB * float64(l.users); need > availableMB() {
				fmt.Fprintf(os.Stderr, "%d users, %s: left out, it would need %.0f MB of memory\n", l.users, v.Name, need)
				continue
			}
			r, err := b.once(ctx, l, v)
			if err != nil {
				return nil, fmt.Errorf("%d users, %s: %w", l.users, v.Name, err)
			}
			fmt.Fprintf(os.Stderr, "%d users, %s, round %d of %d: %s\n", l.users, v.Name, round+1, b.rounds, r)
			rounds[v.Name] = append(rounds[v.Name], r)
		}
	}
	var results []result
	for _, name := range names {
		if len(rounds[name]) > 0 {
			results = append(results, result{Users: l.users, Variant: name, Rounds: len(rounds[name]), Median: median(rounds[name])})
		}
	}
	return results, nil
}

// once runs one variant against a stand-in of its own.
func (b *bench) once(ctx context.Context, l load, v variant) (reading, error) {
	account := filepath.Join(b.work, "account.json")
	export := filepath.Join(b.work, "summary.json")
	_ = os.Remove(export)
	server, err := startStandin(ctx, b.k6, account)
	if err != nil {
		return reading{}, err
	}
	defer server.stop()
	g, err := startGenerator(ctx, b.k6, v.script, export, server.cmd.Process.Pid, append([]string{
		"BASE_URL=" + server.url, "STRIPE_WEBHOOK_SECRET=" + server.secret,
		fmt.Sprintf("TARGET_VUS=%d", l.users), fmt.Sprintf("THINK_TIME_MIN=%g", l.thinkMin), fmt.Sprintf("THINK_TIME_MAX=%g", l.thinkMax),
		"RAMP_UP=" + b.rampUp.String(), "HOLD=" + b.hold.String(), "RAMP_DOWN=5s",
	}, v.env...))
	if err != nil {
		return reading{}, err
	}
	defer g.kill()
	r, err := g.watch(ctx, b.rampUp, b.hold)
	if err != nil {
		return r, err
	}
	r.KBPerUser = (r.PeakMB - r.idleMB) * 1024 / float64(l.users)
	server.stop()
	return r, errors.Join(r.readSummary(export), r.readAccount(account))
}

// result is the median of the rounds of one variant at one load.
type result struct {
	Users   int     `json:"users"`
	Variant string  `json:"variant"`
	Rounds  int     `json:"rounds"`
	Median  reading `json:"median"`
}

// median is taken of each number by itself.
func median(readings []reading) reading {
	var m reading
	for i, field := range m.numbers() {
		values := make([]float64, len(readings))
		for j := range readings {
			values[j] = *readings[j].numbers()[i]
		}
		slices.Sort(values)
		*field = (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return m
}

func writeTable(out io.Writer, results []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "USERS\tVARIANT\tREQ/S\tKB A USER\tMB\tCPU µs A REQUEST\tREPORTED p95 ms\tSERVER'S p95 ms\tSERVER CPU µs A REQUEST\t")
	for _, r := range results {
		m := r.Median
		_, _ = fmt.Fprintf(w, "%d\t%s\t%.0f\t%.1f\t%.0f\t%.0f\t%.1f\t%.1f\t%.0f\t\n", r.Users, r.Variant, m.RequestsPerSecond, m.KBPerUser,
			m.PeakMB, m.CPUPerRequest, m.ReportedP95, m.ServerP95, m.ServerCPU)
	}
	return w.Flush()
}
