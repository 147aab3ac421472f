// Command cost measures how much of a run's processor time goes into what people look at: the line of progress, the file of the evidence, the
// reports, and k6's dashboard with its export. Runs with and without them take turns, and medians count.
//
//	make k6 && go run ./build/bench/cost
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// variant is one way to start the same run.
type variant struct {
	name  string
	flags []string
	env   func(dir string) []string
}

func variants() []variant {
	reports := func(dir string) []string { return []string{"REPORT_DIR=" + dir} }
	return []variant{
		{"without", []string{"--quiet"}, func(string) []string { return nil }},
		{"progress, evidence, reports", nil, reports},
		{"and the dashboard's export", nil, func(dir string) []string {
			return append(reports(dir), "K6_WEB_DASHBOARD=true", "K6_WEB_DASHBOARD_PORT=-1", "K6_WEB_DASHBOARD_EXPORT="+filepath.Join(dir, "dashboard.html"))
		}},
	}
}

// measurement is what is measured, and how.
type measurement struct {
	k6, users, hold string
	rounds          int
}

func main() {
	var m measurement
	flag.StringVar(&m.k6, "k6", "./k6", "the k6 to measure")
	flag.StringVar(&m.users, "users", "1000", "users of queue-concurrency, at its default think times")
	flag.StringVar(&m.hold, "hold", "60s", "how long they stay")
	flag.IntVar(&m.rounds, "rounds", 5, "runs of each kind, of which the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := m.run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func (m measurement) run(ctx context.Context, out io.Writer) error {
	seconds := map[string][]float64{}
	for round := range m.rounds {
		for i := range variants() {
			v := variants()[(i+round)%len(variants())] // each comes first once
			took, err := m.once(ctx, v)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d of %d, %s: %.2f s\n", round+1, m.rounds, v.name, took.Seconds())
			seconds[v.name] = append(seconds[v.name], took.Seconds())
		}
	}
	base := median(seconds[variants()[0].name])
	for _, v := range variants() {
		found := median(seconds[v.name])
		if _, err := fmt.Fprintf(out, "%-28s %6.2f s of processor time, %+.1f %%\n", v.name, found, 100*(found-base)/base); err != nil {
			return err
		}
	}
	return nil
}

// once makes one run against a stand-in of its own, and returns the processor time that k6 took.
func (m measurement) once(ctx context.Context, v variant) (time.Duration, error) {
	address, stop, err := startStandin(ctx, m.k6)
	if err != nil {
		return 0, err
	}
	defer stop()
	dir, err := os.MkdirTemp("", "verity-cost-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.CommandContext(ctx, m.k6, append(append([]string{"run"}, v.flags...), "load-test/queue-concurrency.js")...) // #nosec G204 -- a k6 that the user names
	cmd.Env = append(os.Environ(), append(v.env(dir), "BASE_URL="+address, "STRIPE_WEBHOOK_SECRET=whsec_standin",
		"TARGET_VUS="+m.users, "RAMP_UP=5s", "HOLD="+m.hold, "RAMP_DOWN=2s", "SKIP_PREFLIGHT=1")...)
	said, err := cmd.CombinedOutput()
	if _, isCrossed := errors.AsType[*exec.ExitError](err); err != nil && !isCrossed {
		return 0, err
	}
	if !regexp.MustCompile(`http_reqs\W+[0-9]{3,}`).Match(said) {
		return 0, fmt.Errorf("the run made hardly a request:\n%s", said)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// listening is the line in which the stand-in names its address.
var listening = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`) //nolint:gochecknoglobals // constant

// startStandin starts a stand-in on a free port.
func startStandin(ctx context.Context, k6 string) (address string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, k6, "x", "verity", "standin", "--addr", "127.0.0.1:0") // #nosec G204 -- a k6 that the user names
	said, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	lines := bufio.NewScanner(said)
	for address == "" && lines.Scan() {
		address = listening.FindString(lines.Text())
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	if address == "" {
		stop()
		return "", nil, errors.New("the stand-in did not say where it listens")
	}
	return address, stop, nil
}

func median(values []float64) float64 {
	ordered := slices.Sorted(slices.Values(values))
	return ordered[len(ordered)/2]
}
