// Command cost measures how much of a run's processor time goes into what people look at: the evidence with its file, the line of progress, the
// reports, and k6's dashboard with its export. All of it is on, and a profile of the load says how much is whose: on a machine that others
// share, whole runs differ from each other by far more than this costs. Reports are made after the load, and are measured by making them again.
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
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// parts are whose processor time is told, by the functions that are on the stack.
func parts() [][2]string {
	return [][2]string{
		{"evidence, with its file", `xk6-verity/extension/evidence\.`},
		{"line of progress", `xk6-verity/extension/run\.\(\*(progress|Bars)\)`},
		{"k6's dashboard", `k6/v2/internal/dashboard\.`},
	}
}

// measurement is what is measured, and how.
type measurement struct {
	k6, users string
	seconds   int // of the profile
	rounds    int
}

func main() {
	var m measurement
	flag.StringVar(&m.k6, "k6", "./k6", "the k6 to measure")
	flag.StringVar(&m.users, "users", "2000", "users of queue-concurrency, at its default think times")
	flag.IntVar(&m.seconds, "seconds", 40, "how long each run is measured")
	flag.IntVar(&m.rounds, "rounds", 3, "runs, of which the median counts")
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
	shares := map[string][]float64{}
	var reports []float64
	for round := range m.rounds {
		found, took, err := m.once(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: %v %%, reports %.2f s\n", round+1, m.rounds, found, took.Seconds())
		reports = append(reports, took.Seconds())
		for i, part := range parts() {
			shares[part[0]] = append(shares[part[0]], found[i])
		}
	}
	for _, part := range parts() {
		if _, err := fmt.Fprintf(out, "%-24s %5.2f %% of the processor time\n", part[0], median(shares[part[0]])); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%-24s %5.2f s, once\n", "reports", median(reports))
	return err
}

// rampUp is how long users arrive before the profile begins.
const rampUp = 5

// once makes one run against a stand-in of its own, and returns the share of each part, in percent, and how long its reports take.
func (m measurement) once(ctx context.Context) (shares []float64, reports time.Duration, err error) {
	target, stop, err := startStandin(ctx, m.k6)
	if err != nil {
		return nil, 0, err
	}
	defer stop()
	dir, err := os.MkdirTemp("", "verity-cost-")
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.CommandContext(ctx, m.k6, "run", "--address", address, "--profiling-enabled", "load-test/queue-concurrency.js") // #nosec G204 -- a k6 that the user names
	cmd.Env = append(os.Environ(), "BASE_URL="+target, "STRIPE_WEBHOOK_SECRET=whsec_standin", "TARGET_VUS="+m.users,
		fmt.Sprintf("RAMP_UP=%ds", rampUp), fmt.Sprintf("HOLD=%ds", m.seconds+rampUp), "RAMP_DOWN=2s", "SKIP_PREFLIGHT=1", "REPORT_DIR="+dir,
		"K6_WEB_DASHBOARD=true", "K6_WEB_DASHBOARD_PORT=-1", "K6_WEB_DASHBOARD_EXPORT="+filepath.Join(dir, "dashboard.html"))
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	time.Sleep(2 * rampUp * time.Second)
	profile := filepath.Join(dir, "cpu.pb.gz")
	profiled := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, m.seconds), profile)
	_ = cmd.Wait() // a busy machine may cross thresholds
	if profiled != nil {
		return nil, 0, fmt.Errorf("no profile: %w", profiled)
	}
	for _, part := range parts() {
		share, err := shareOf(ctx, profile, part[1])
		if err != nil {
			return nil, 0, err
		}
		shares = append(shares, share)
	}
	again := exec.CommandContext(ctx, m.k6, "x", "verity", "report", filepath.Join(dir, "queue-concurrency.evidence.jsonl.gz")) // #nosec G204 -- likewise
	if err := again.Run(); err != nil {
		return nil, 0, fmt.Errorf("the reports: %w", err)
	}
	return shares, again.ProcessState.UserTime() + again.ProcessState.SystemTime(), nil
}

// freeAddress is one that nothing listens on.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func fetch(ctx context.Context, url, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request) // #nosec G704 -- of this machine
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return os.WriteFile(path, text, 0o600)
}

// accounted is the line in which pprof says how much of the time it shows.
var accounted = regexp.MustCompile(`Showing nodes accounting for \S+, ([0-9.]+)% of`) //nolint:gochecknoglobals // constant

// shareOf is how much of the time of a profile was spent in functions of that name, or below them, in percent.
func shareOf(ctx context.Context, profile, functions string) (float64, error) {
	text, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=100000", "-nodefraction=0", "-focus="+functions, profile).Output() // #nosec G204 -- constants
	if err != nil {
		return 0, fmt.Errorf("go tool pprof: %w", err)
	}
	found := accounted.FindSubmatch(text)
	if found == nil {
		return 0, nil // none
	}
	return strconv.ParseFloat(string(found[1]), 64)
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
