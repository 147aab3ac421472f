// Command bench compares the cost of this extension with the alternatives, side by side in one run: the helpers with JavaScript
// and plain Go, sockets with k6/websockets, and the users of queue-concurrency with a plain script and with the floor that the
// kernel and net/http set.
//
//	go run ./build/bench
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// variant is one implementation of the scenario.
type variant struct {
	name   string
	script string
	env    []string
	floor  bool    // this command itself; see runFloor
	mostMB float64 // memory of a user, to leave out loads that the machine cannot hold

	mostUsers int  // 0: no limit; a variant that falls behind is not measured with more users
	tls       bool // with nginx before the stand-in, which offers HTTP/2
}

const ours = "load-test/queue-concurrency.js"

func variants() []variant {
	return []variant{
		{name: "plain Go, no k6", floor: true, mostMB: 0.1},
		{name: "plain k6, 1 a VU", script: "build/bench/plain.js", mostMB: 0.5},
		{name: "verity, 1 a VU", script: ours, env: []string{"USERS_PER_VU=1"}, mostMB: 1, mostUsers: 3000},
		{name: many, script: ours, mostMB: 0.1},
		{name: "verity, no pacing", script: ours, env: []string{"GOMAXPROCS=" + strconv.Itoa(runtime.NumCPU())}, mostMB: 0.1},
		{name: "verity, net/http", script: ours, env: []string{"VERITY_TRANSPORT=net/http"}, mostMB: 0.1, mostUsers: mostCompared},
		{name: "verity, TLS, HTTP/1.1", script: ours, mostMB: 0.1, mostUsers: mostCompared, tls: true},
		{name: "verity, TLS, HTTP/2", script: ours, env: []string{"VERITY_TRANSPORT=http/2"}, mostMB: 0.1, mostUsers: mostCompared, tls: true},
	}
}

// mostCompared is the highest number of users for which the ways to connect are compared.
const mostCompared = 3000

// many is the variant that a user gets by default.
const many = "verity, default"

// load is the load on each variant.
type load struct {
	users              int
	thinkMin, thinkMax float64 // s
	rampUp, hold       time.Duration
	rounds             int
	only               string // the only variant to measure, besides the floor; "": all
}

// loads are those of the project's goals: default think times as far as two cores carry them, longer ones above. Loads for one
// variant show how its cost grows at equal think times, compared with the floor.
func loads(rounds int) []load {
	const second = time.Second
	one := max(1, rounds/3)
	return []load{
		{users: 1000, thinkMin: 0.5, thinkMax: 2, rampUp: 3 * second, hold: 11 * second, rounds: rounds},
		{users: 3000, thinkMin: 0.5, thinkMax: 2, rampUp: 9 * second, hold: 11 * second, rounds: rounds},
		{users: 10000, thinkMin: 2, thinkMax: 8, rampUp: 40 * second, hold: 20 * second, rounds: one},
		{users: 1000, thinkMin: 2, thinkMax: 8, rampUp: 3 * second, hold: 11 * second, rounds: one, only: many},
		{users: 3000, thinkMin: 2, thinkMax: 8, rampUp: 9 * second, hold: 11 * second, rounds: one, only: many},
	}
}

func main() {
	b := bench{out: os.Stdout}
	var out string
	var users, minutes int
	flag.StringVar(&b.k6, "k6", "./k6", "the k6 to measure")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds, of which the median counts; a third of them for 10,000 users and at longer think times")
	flag.Func("only", "only the variants whose name this regular expression matches", func(text string) (err error) {
		b.only, err = regexp.Compile(text)
		return err
	})
	flag.IntVar(&users, "users", 0, "only the loads of so many users, and no helpers and sockets")
	flag.IntVar(&minutes, "minutes", 0, "only hold 3,000 users, or as many as -users says, for so many minutes, and show that they stay flat")
	flag.StringVar(&out, "json", "", "also write the results into this file")
	flag.Parse()
	b.loads = slices.DeleteFunc(loads(b.rounds), func(l load) bool { return users != 0 && l.users != users })
	b.base = load{users: 1, thinkMin: 2, thinkMax: 8, rampUp: time.Second, hold: 6 * time.Second}
	b.helpers = users == 0
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	work := func() error { return b.run(ctx, out) }
	if minutes > 0 {
		held := flat{users: cmp.Or(users, 3000), rampUp: time.Minute, every: time.Minute, minutes: minutes}
		work = func() error { return b.hold(ctx, held) }
	}
	if flag.Arg(0) == floorCommand {
		work = func() error { return runFloor(ctx, flag.Arg(1)) }
	}
	err := work()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	k6      string
	only    *regexp.Regexp // nil: all variants
	rounds  int
	out     io.Writer
	helpers bool // measure helpers and sockets too
	loads   []load
	base    load // with one user
	work    string
	bases   map[string]reading // of each variant, with one user
}

// results is the content of the JSON file.
type results struct {
	Machine   string    `json:"machine"`
	Helpers   []helper  `json:"helpers"`
	Sockets   []socket  `json:"sockets"`
	Recording recording `json:"recording"`
	Users     []result  `json:"users"`
}

func (b *bench) run(ctx context.Context, out string) error {
	var err error
	if b.work, err = os.MkdirTemp("", "verity-bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.work) }()
	b.bases = make(map[string]reading)
	all := results{Machine: machine()}
	_, _ = fmt.Fprintln(b.out, all.Machine)
	if b.helpers {
		if all.Helpers, err = measureHelpers(ctx, b.k6); err != nil {
			return err
		}
		writeHelpers(b.out, all.Helpers)
		if all.Sockets, err = measureSockets(ctx); err != nil {
			return err
		}
		writeSockets(b.out, all.Sockets)
	}
	if all.Recording, err = measureRecording(b.work); err != nil {
		return err
	}
	writeRecording(b.out, all.Recording)
	for _, l := range b.loads {
		measured, err := b.measure(ctx, l)
		if err != nil {
			return err
		}
		all.Users = append(all.Users, measured...)
	}
	if err := writeTable(b.out, all.Users); err != nil || out == "" {
		return err
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o600)
}

// measure alternates between the variants, so that a disturbance of the machine affects all of them.
func (b *bench) measure(ctx context.Context, l load) ([]result, error) {
	rounds, missing := make(map[string][]reading), make(map[string]string)
	for round := range l.rounds {
		for _, v := range variants() {
			if !b.isAsked(l, v) {
				continue
			}
			if need := v.mostMB * float64(l.users); need > availableMB() {
				fmt.Fprintf(os.Stderr, "%d users, %s: left out, it would need %.0f MB of memory\n", l.users, v.name, need)
				continue
			}
			r, err := b.beyondBase(ctx, l, v)
			if errors.Is(err, errNoNginx) {
				missing[v.name] = err.Error()
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%d users, %s: %w", l.users, v.name, err)
			}
			fmt.Fprintf(os.Stderr, "%d users, %s, round %d of %d: %s\n", l.users, v.name, round+1, l.rounds, &r)
			rounds[v.name] = append(rounds[v.name], r)
		}
	}
	var measured []result
	for _, v := range variants() {
		if len(rounds[v.name]) > 0 || missing[v.name] != "" {
			think := fmt.Sprintf("%g to %g s", l.thinkMin, l.thinkMax)
			measured = append(measured, result{l.users, think, v.name, len(rounds[v.name]), median(rounds[v.name]), missing[v.name]})
		}
	}
	return measured, nil
}

func (b *bench) isAsked(l load, v variant) bool {
	return (b.only == nil || b.only.MatchString(v.name)) && (l.only == "" || v.name == l.only || v.floor) && (v.mostUsers == 0 || l.users <= v.mostUsers)
}

// beyondBase measures a load, and subtracts the variant's cost with one user.
func (b *bench) beyondBase(ctx context.Context, l load, v variant) (reading, error) {
	base, known := b.bases[v.name]
	if !known {
		var err error
		if base, err = b.once(ctx, b.base, v); err != nil {
			return base, err
		}
		b.bases[v.name] = base
	}
	r, err := b.once(ctx, l, v)
	users := float64(l.users)
	if r.liveMB > 0 {
		r.LiveKBPerUser = (r.liveMB - base.liveMB) * 1024 / users
	}
	r.CPUPerUser = (r.cpuPerSecond - base.cpuPerSecond) * 1e6 / users
	return r, err
}

// once runs one variant against a stand-in of its own.
func (b *bench) once(ctx context.Context, l load, v variant) (reading, error) {
	account := filepath.Join(b.work, "account.json")
	export := filepath.Join(b.work, "summary.json")
	_ = os.Remove(export)
	command := []string{b.k6, "run", "--quiet", "--profiling-enabled", "--summary-export", export, v.script}
	if v.floor {
		command = []string{os.Args[0]}
	}
	server, g, err := b.launch(ctx, account, command, l, v)
	if err != nil {
		return reading{}, err
	}
	defer server.stop()
	defer g.stop()
	r, err := g.watch(ctx, l.rampUp, l.hold)
	if err != nil {
		return r, err
	}
	server.stop()
	if err := r.readAccount(account); err != nil || v.floor {
		return r, err
	}
	err = r.readSummary(export)
	return r, err
}

// launch starts a stand-in and a generator with this load. The caller must stop both.
func (b *bench) launch(ctx context.Context, account string, command []string, l load, v variant) (*standin, *generator, error) {
	server, err := startStandin(ctx, b.k6, account)
	if err != nil {
		return nil, nil, err
	}
	env := v.env
	if v.tls {
		front, err := startNginx(ctx, b.work, server.url)
		if err != nil {
			server.stop()
			return nil, nil, err
		}
		server.url, server.front = front.url, front.process
		env = append(slices.Clip(env), "SSL_CERT_FILE="+front.certificate)
	}
	g, err := startGenerator(ctx, command, server.cmd.Process.Pid, append([]string{
		"BASE_URL=" + server.url, "STRIPE_WEBHOOK_SECRET=" + server.secret,
		fmt.Sprintf("TARGET_VUS=%d", l.users), fmt.Sprintf("THINK_TIME_MIN=%g", l.thinkMin), fmt.Sprintf("THINK_TIME_MAX=%g", l.thinkMax),
		"RAMP_UP=" + l.rampUp.String(), "HOLD=" + l.hold.String(), "RAMP_DOWN=2s",
	}, env...))
	if err != nil {
		server.stop()
		return nil, nil, err
	}
	return server, g, nil
}

// result is the median of the rounds of one variant at one load.
type result struct {
	Users   int     `json:"users"`
	Think   string  `json:"think"`
	Variant string  `json:"variant"`
	Rounds  int     `json:"rounds"`
	Median  reading `json:"median"`
	Missing string  `json:"missing,omitempty"` // why it was not measured
}

// median returns the median of each number by itself.
func median(readings []reading) reading {
	var m reading
	if len(readings) == 0 {
		return m
	}
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
	_, _ = fmt.Fprintln(w, "\nUSERS\tTHINK\tVARIANT\tREQ/S\tRESIDENT MB\tLIVE KB/USER\tCPU µs/REQUEST\tCPU µs/s/USER\tREPORTED p95 ms\tSERVER'S p95 ms\tLAG p95 ms\tFAILED %\t")
	for _, r := range results {
		m := r.Median
		if r.Missing != "" {
			_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t\n", r.Users, r.Think, r.Variant, r.Missing)
			continue
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%.0f\t%.0f\t%s\t%.0f\t%.0f\t%s\t%.1f\t%s\t%.2f\t\n", r.Users, r.Think, r.Variant,
			m.RequestsPerSecond, m.PeakMB, known(m.LiveKBPerUser), m.CPUPerRequest, m.CPUPerUser, known(m.ReportedP95), m.ServerP95,
			known(m.LagP95), 100*m.Failed)
	}
	return w.Flush()
}

// known formats a number, or "-" for 0, which means not measured.
func known(n float64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", n)
}
