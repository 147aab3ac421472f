package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/verity-app/xk6-verity/extension/testkit"
)

// reading is the cost of one run of one variant, and the latencies that it reported.
type reading struct {
	RequestsPerSecond float64 `json:"requestsPerSecond"` // at full load, as is the processor time
	CPUPerRequest     float64 `json:"cpuMicrosecondsPerRequest"`
	ServerCPU         float64 `json:"serverCPUMicrosecondsPerRequest"`
	CPUPerUser        float64 `json:"cpuMicrosecondsPerSecondAndUser"` // less the cost with one user
	PeakMB            float64 `json:"peakResidentMB"`
	LiveKBPerUser     float64 `json:"liveKBPerUser"` // heap and stacks after a collection, less those with one user
	ReportedP95       float64 `json:"reportedP95Ms"` // http_req_duration of the whole run
	ServerP95         float64 `json:"serverP95Ms"`   // as the server recorded it
	LagP95            float64 `json:"runnerLagP95Ms"`
	Failed            float64 `json:"failedRate"`

	liveMB, cpuPerSecond float64
}

func (r *reading) numbers() []*float64 {
	return []*float64{
		&r.RequestsPerSecond, &r.CPUPerRequest, &r.ServerCPU, &r.CPUPerUser, &r.PeakMB, &r.LiveKBPerUser, &r.ReportedP95, &r.ServerP95,
		&r.LagP95, &r.Failed,
	}
}

func (r *reading) String() string {
	return fmt.Sprintf("%.0f req/s, %.0f MB, %.1f KB live a user, %.0f µs CPU a request (server %.0f), p95 %.1f ms (server %.1f), lag p95 %.1f ms, failed %.4f",
		r.RequestsPerSecond, r.PeakMB, r.LiveKBPerUser, r.CPUPerRequest, r.ServerCPU, r.ReportedP95, r.ServerP95, r.LagP95, r.Failed)
}

func (r *reading) readSummary(path string) error {
	var export struct {
		Metrics map[string]map[string]any `json:"metrics"`
	}
	if err := readJSON(path, &export); err != nil {
		return err
	}
	number := func(metric, name string) float64 { n, _ := export.Metrics[metric][name].(float64); return n }
	r.ReportedP95 = number("http_req_duration", "p(95)")
	r.LagP95 = number("runner_lag", "p(95)")
	r.Failed = number("http_req_failed", "value")
	return nil
}

func (r *reading) readAccount(path string) error {
	var account struct {
		Latency struct {
			P95 float64 `json:"p95"`
		} `json:"latencyMs"`
	}
	if err := readJSON(path, &account); err != nil {
		return err
	}
	r.ServerP95 = account.Latency.P95
	return nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path) // #nosec G304 -- this command's own file
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// process is a child process, such as k6.
type process struct {
	cmd    *exec.Cmd
	stdout testkit.Buffer
	stderr testkit.Buffer // a plain script that falls behind writes thousands of lines
	once   sync.Once
	exited chan struct{}
	err    error // how it ended, once exited is closed
}

func start(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), exited: make(chan struct{})} // #nosec G204 G702 -- a k6 that the user names
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop interrupts the process, as a user would, and waits for its end.
func (p *process) stop() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-p.exited:
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
	})
}

type standin struct {
	*process
	url, secret string
	front       *process // nginx, if there is one
}

// stop also stops nginx, if there is one.
func (s *standin) stop() {
	if s.front != nil {
		s.front.stop()
	}
	s.process.stop()
}

var exported = regexp.MustCompile(`export (BASE_URL|STRIPE_WEBHOOK_SECRET|REDIS_URL)=(\S+)`)

func startStandin(ctx context.Context, k6, account string) (*standin, error) {
	p, err := start(ctx, nil, k6, "x", "verity", "standin", "--addr", "127.0.0.1:0", "--account", account)
	if err != nil {
		return nil, err
	}
	for range 200 {
		found := exported.FindAllStringSubmatch(p.stdout.String(), -1)
		if len(found) == 3 {
			return &standin{process: p, url: found[0][2], secret: found[1][2]}, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("the stand-in does not say where it serves: %q", p.stdout.String())
}

type generator struct {
	*process
	api    string
	server int // the stand-in's pid
}

// startGenerator starts a command with an address for its REST API: `k6 run` or the floor.
func startGenerator(ctx context.Context, command []string, server int, env []string) (*generator, error) {
	api, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{floorCommand, api}
	if len(command) > 1 {
		args = append(slices.Clone(command[1:]), "--address", api)
	}
	p, err := start(ctx, env, command[0], args...)
	if err != nil {
		return nil, err
	}
	return &generator{p, api, server}, nil
}

// watch measures the run from outside: its memory all the time, its processor time and requests only at full load.
func (g *generator) watch(ctx context.Context, rampUp, hold time.Duration) (reading, error) {
	var r reading
	if err := g.awaitUsers(ctx); err != nil {
		return r, err
	}
	begin := time.After(rampUp + hold/2) // the generator has settled
	end := time.After(rampUp + hold)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var before sample
	for {
		select {
		case <-begin:
			before = g.sample()
		case <-end:
			after := g.sample()
			requests := after.requests - before.requests
			seconds := after.at.Sub(before.at).Seconds()
			r.RequestsPerSecond, r.cpuPerSecond = requests/seconds, (after.cpu-before.cpu)/seconds
			r.liveMB = g.liveMB()
			r.CPUPerRequest = (after.cpu - before.cpu) * 1e6 / requests
			r.ServerCPU = (after.serverCPU - before.serverCPU) * 1e6 / requests
		case <-tick.C:
			r.PeakMB = max(r.PeakMB, g.residentMB())
		case <-g.exited:
			return r, g.failure()
		}
	}
}

// failure returns why the generator failed; crossed thresholds (exit code 99) are no failure.
func (g *generator) failure() error {
	var exit *exec.ExitError
	if g.err == nil || (errors.As(g.err, &exit) && exit.ExitCode() == 99) {
		return nil
	}
	return g.because(g.err)
}

// because adds the end of the process's output to an error.
func (p *process) because(err error) error {
	const most = 2000
	said := strings.TrimSpace(p.stderr.String())
	if len(said) > most {
		said = "…" + strings.ToValidUTF8(said[len(said)-most:], "")
	}
	return fmt.Errorf("k6: %w: %s", err, said)
}

// awaitUsers waits for the first request.
func (g *generator) awaitUsers(ctx context.Context) error {
	for ctx.Err() == nil {
		if g.sample().requests > 0 {
			return nil
		}
		select {
		case <-g.exited:
			return fmt.Errorf("before the first request: %w", g.because(g.err))
		case <-time.After(100 * time.Millisecond):
		}
	}
	return ctx.Err()
}

// sample is the work of k6 so far.
type sample struct {
	at        time.Time
	requests  float64
	cpu       float64 // s
	serverCPU float64 // s
}

func (g *generator) sample() sample {
	return sample{at: time.Now(), requests: g.requests(), cpu: cpuSeconds(g.cmd.Process.Pid), serverCPU: cpuSeconds(g.server)}
}

// requests reads the count of http_reqs from k6's REST API.
func (g *generator) requests() float64 {
	var body struct {
		Data struct {
			Attributes struct {
				Sample map[string]float64 `json:"sample"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if json.Unmarshal(g.get("/v1/metrics/http_reqs"), &body) != nil {
		return 0
	}
	return body.Data.Attributes.Sample["count"]
}

var inUse = regexp.MustCompile(`(?m)^# (HeapAlloc|Stack) = (\d+)`)

// liveMB makes the process collect its garbage, and returns the heap and stacks that remain; 0: the process did not answer.
func (g *generator) liveMB() float64 {
	var sum float64
	for _, match := range inUse.FindAllSubmatch(g.get("/debug/pprof/heap?gc=1&debug=1"), -1) {
		n, _ := strconv.ParseFloat(string(match[2]), 64)
		sum += n
	}
	return sum / (1 << 20)
}

// get returns the body of an answer of the REST API, or nil.
func (g *generator) get(path string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.api+path, http.NoBody) // #nosec G704 -- on this machine
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request) // #nosec G704 -- on this machine
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return text
}

const ticksPerSecond = 100 // USER_HZ, the same on every Linux

func cpuSeconds(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // #nosec G304 G703 -- one of the kernel's own
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond
}

func (g *generator) residentMB() float64 {
	return memoryMB(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid), "VmRSS:")
}

func availableMB() float64 { return memoryMB("/proc/meminfo", "MemAvailable:") }

func memoryMB(path, name string) float64 {
	text, _ := os.ReadFile(path) // #nosec G304 G703 -- one of the kernel's own
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == name {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb / 1024
		}
	}
	return 0
}
