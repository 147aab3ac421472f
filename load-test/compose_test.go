package loadtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// composed is what the services of build/compose.yaml run. The tests of build/kubernetes make the file from it.
type composed struct {
	Services map[string]struct {
		Command     []string
		Environment map[string]string
	}
	Prometheus string
}

// machine runs services of the compose file as processes: what is a name of a service in a command or a variable is an address here.
type machine struct {
	container
	ctx      context.Context //nolint:containedctx // of the processes that it starts
	services composed
	names    []string // of services with their ports, each followed by its address
	said     output
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	ctx, cancel := context.WithTimeout(suite, 2*runLimit)
	m := &machine{container: newContainer(t), ctx: ctx}
	text, err := os.ReadFile("testdata/compose.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &m.services))
	for _, service := range []string{"redis:6379", "redis-exporter:9121", "prometheus:9090", "standin:3000"} {
		m.names = append(m.names, service, freePort(t))
	}
	t.Cleanup(cancel)
	return m
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nobody dials it
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}

func (m *machine) address(service string) string { return m.names[slices.Index(m.names, service)+1] }

// start starts a service, with more arguments and variables: where it listens, and a load for this machine.
func (m *machine) start(t *testing.T, name, program string, more, variables []string, replaced ...string) *exec.Cmd {
	t.Helper()
	service := m.services.Services[name]
	replaced = slices.Concat(replaced, []string{"0.0.0.0:3000", m.address("standin:3000"), "/results", m.results}, m.names)
	args := append(slices.Clone(service.Command), more...)
	if program != "" {
		args[0] = program
	}
	cmd := m.command(m.ctx, args, replaced...)
	for variable, value := range service.Environment {
		cmd.Env = append(cmd.Env, variable+"="+strings.NewReplacer(replaced...).Replace(value))
	}
	cmd.Env = append(cmd.Env, variables...)
	cmd.Stdout, cmd.Stderr = &m.said, &m.said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return cmd
}

// requireAnswer waits until a service answers.
func (m *machine) requireAnswer(t *testing.T, service, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		if path == "" {
			conn, err := net.Dial("tcp", m.address(service)) //nolint:noctx // of this machine
			return err == nil && conn.Close() == nil
		}
		answer, err := http.Get("http://" + m.address(service) + path) //nolint:noctx // likewise
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond, service)
}

// The commands of build/compose.yaml work together.
func TestTheComposeFile(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"redis-server", "prometheus", "prometheus-redis-exporter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is missing", program)
		}
	}
	m := newMachine(t)
	_, redisPort, _ := net.SplitHostPort(m.address("redis:6379"))
	m.start(t, "redis", "", []string{"--bind", "127.0.0.1", "--port", redisPort, "--dir", t.TempDir()}, nil)
	m.requireAnswer(t, "redis:6379", "")
	m.start(t, "redis-exporter", "prometheus-redis-exporter", []string{"-web.listen-address", m.address("redis-exporter:9121")}, nil)
	m.requireAnswer(t, "redis-exporter:9121", "/metrics")
	configuration := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(configuration, []byte(strings.NewReplacer(m.names...).Replace(m.services.Prometheus)), 0o600))
	m.start(t, "prometheus", "", []string{"--web.listen-address=" + m.address("prometheus:9090")}, nil,
		"/etc/prometheus/prometheus.yml", configuration, "=/prometheus", "="+t.TempDir())
	m.requireAnswer(t, "prometheus:9090", "/-/ready")
	m.start(t, "standin", "", nil, nil)
	m.requireAnswer(t, "standin:3000", "/health")

	small := []string{"TARGET_VUS=20", "RAMP_UP=2s", "HOLD=4s", "RAMP_DOWN=1s", "USERS_PER_VU=2", "START_AT=+3s"}
	merging := m.start(t, "merge", "", nil, nil)
	var runners []*exec.Cmd
	for i := range 2 {
		runners = append(runners, m.start(t, fmt.Sprintf("runner-%d", i+1), "", nil, small))
	}
	for _, runner := range runners {
		_ = runner.Wait() // judged below
		require.Contains(t, []int{0, 99}, runner.ProcessState.ExitCode(), m.said.String())
	}
	_ = merging.Wait()
	run := requireMerged(t, merging.ProcessState.ExitCode(), m.said.String(), filepath.Join(m.results, "merged", "queue-concurrency-merged"+evidence.Extension))
	require.Len(t, run.Runners, 2)
	require.Equal(t, 20, run.End.Ledger.Users)
	require.Contains(t, m.said.String(), "Prometheus at http://"+m.address("prometheus:9090"))
	requireRemoteWrite(t, m.address("prometheus:9090"))
}

// requireRemoteWrite requires the samples of both runners in Prometheus, as the Grafana dashboard reads them.
func requireRemoteWrite(t *testing.T, prometheus string) {
	t.Helper()
	answer, err := http.Get("http://" + prometheus + "/api/v1/series?match[]=k6_operations_total") //nolint:noctx // of this machine
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	var series struct{ Data []map[string]string }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&series))
	runners := map[string]bool{}
	for _, one := range series.Data {
		runners[one["runner"]] = true
	}
	require.Equal(t, map[string]bool{"1": true, "2": true}, runners)
}
