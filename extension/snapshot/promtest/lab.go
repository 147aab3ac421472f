// Package promtest runs a real Prometheus with real exporters, and the Redis and Postgres that they export, for tests.
// All of them listen on free ports of 127.0.0.1 and end with the test.
//
// The programs are those of Debian's packages prometheus, prometheus-redis-exporter, prometheus-postgres-exporter,
// redis-server and postgresql. Without them the test is skipped.
package promtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/testkit"
)

const (
	// startLimit is how long one program may take to start.
	startLimit = 30 * time.Second
	// stopLimit is how long one program may take to stop.
	stopLimit = 10 * time.Second
	// nobody is the user id that runs Postgres if the test runs as root, which Postgres refuses.
	nobody = 65534
)

// Lab is the set of running programs.
type Lab struct {
	URL      string // of Prometheus
	Redis    string // host:port
	Postgres string // URL of the database postgres; empty if none runs

	psql string
}

// Options says which programs run.
type Options struct {
	Postgres bool          // also run a Postgres and its exporter
	Prefix   string        // the path under which Prometheus is served, such as /prometheus
	Scrape   time.Duration // between two scrapes; default 1 s
}

// Start starts a lab and waits until Prometheus has scraped it.
func Start(t testing.TB, o Options) *Lab {
	t.Helper()
	if o.Scrape == 0 {
		o.Scrape = time.Second
	}
	lab := &Lab{}
	prometheus, exporter, redis := program(t, "prometheus"), program(t, "prometheus-redis-exporter"), program(t, "redis-server")
	dir := t.TempDir()

	lab.Redis = freeAddress(t)
	host, port, err := net.SplitHostPort(lab.Redis)
	require.NoError(t, err)
	start(t, command(t, redis, "--bind", host, "--port", port, "--save", "", "--dir", dir))
	waitForPort(t, lab.Redis)
	watched := freeAddress(t)
	start(t, command(t, exporter, "-redis.addr", "redis://"+lab.Redis, "-web.listen-address", watched))
	waitForPort(t, watched)
	targets := []string{watched}

	if o.Postgres {
		targets = append(targets, lab.startPostgres(t))
	}
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"scrape_configs:\n- job_name: lab\n  scrape_interval: %[1]dms\n  scrape_timeout: %[1]dms\n  static_configs:\n  - targets: ['%[2]s']\n",
		o.Scrape.Milliseconds(), strings.Join(targets, "', '")), 0o600))
	address := freeAddress(t)
	start(t, command(t, prometheus, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.route-prefix="+o.Prefix+"/", "--log.level=warn"))
	waitForPort(t, address)
	lab.URL = "http://" + address + o.Prefix
	lab.waitForScrapes(t, len(targets))
	return lab
}

// program returns the path of a program, or skips the test.
func program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	// Debian keeps the servers of Postgres out of the PATH.
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return found[len(found)-1]
	}
	t.Skipf("skipped the test against a real Prometheus: it needs %s, which is not installed", name)
	return ""
}

// command returns a command that outlives the test's context: the cleanup ends it.
func command(t testing.TB, path string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(context.WithoutCancel(t.Context()), path, args...) // #nosec G204 -- Debian's programs, in a test
}

// startPostgres starts a Postgres and its exporter, and returns the exporter's address.
func (lab *Lab) startPostgres(t testing.TB) (exporterAddress string) {
	t.Helper()
	exporter, postgres, psql := program(t, "prometheus-postgres-exporter"), program(t, "postgres"), program(t, "psql")
	lab.psql = psql
	dir, err := os.MkdirTemp("", "verity-postgres-") //nolint:usetesting // t.TempDir is in a folder that only root may enter
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	data := filepath.Join(dir, "data")
	initdb := command(t, filepath.Join(filepath.Dir(postgres), "initdb"),
		"--pgdata="+data, "--auth=trust", "--username=postgres", "--no-sync", "--no-locale", "--encoding=UTF8")
	server := command(t, postgres, "-D", data, "-p", port, "-k", dir,
		"-c", "listen_addresses="+host, "-c", "fsync=off", "-c", "shared_buffers=16MB")
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(dir, nobody, nobody))
		for _, cmd := range []*exec.Cmd{initdb, server} {
			asNobody(cmd)
			cmd.Dir = dir
		}
	}
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, "initdb: %s", out)
	start(t, server)
	waitForPort(t, address)
	lab.Postgres = fmt.Sprintf("postgresql://postgres@%s/postgres?sslmode=disable", address)
	require.Eventually(t, func() bool { return lab.tryPSQL(t, "SELECT 1;") == nil }, startLimit, 100*time.Millisecond)

	watched := freeAddress(t)
	cmd := command(t, exporter, "--web.listen-address="+watched)
	cmd.Env = append(os.Environ(), "DATA_SOURCE_NAME="+lab.Postgres)
	start(t, cmd)
	waitForPort(t, watched)
	return watched
}

// PSQL runs a script with psql.
func (lab *Lab) PSQL(t testing.TB, script string) {
	t.Helper()
	require.NoError(t, lab.tryPSQL(t, script))
}

func (lab *Lab) tryPSQL(t testing.TB, script string) error {
	t.Helper()
	cmd := command(t, lab.psql, "--no-psqlrc", "--quiet", "--dbname="+lab.Postgres, "--set=ON_ERROR_STOP=1")
	cmd.Stdin = strings.NewReader(script)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, stderr.String())
	}
	return nil
}

// StayConnected runs a script with psql in a database, and stays connected until the context ends.
func (lab *Lab) StayConnected(ctx context.Context, database, script string) {
	cmd := exec.CommandContext(ctx, lab.psql, "--no-psqlrc", "--quiet", // #nosec G204 -- Debian's psql, in a test
		"--dbname="+strings.Replace(lab.Postgres, "/postgres?", "/"+database+"?", 1))
	input, output := io.Pipe()
	cmd.Stdin = input
	go func() {
		_, _ = io.WriteString(output, script) // fails if psql ends early, which the test notices
		<-ctx.Done()
		_ = output.Close()
	}()
	_ = cmd.Run() // killed with the context
}

// start starts a program, stops it at the end of the test, and logs its output if the test failed.
func start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var said testkit.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed by a signal
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // for Postgres: end without waiting for clients
		select {
		case <-ended:
		case <-time.After(stopLimit):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, said.String())
		}
	})
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}

func waitForPort(t testing.TB, address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, startLimit, 50*time.Millisecond, "nothing listens on %s", address)
}

// waitForScrapes waits until Prometheus has scraped every target twice.
func (lab *Lab) waitForScrapes(t testing.TB, targets int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	query := lab.URL + "/api/v1/query?query=" + "count(count_over_time(up[1m])%3E1)"
	require.Eventually(t, func() bool { return lab.answers(t.Context(), client, query, strconv.Itoa(targets)) }, startLimit, 100*time.Millisecond)
}

func (lab *Lab) answers(ctx context.Context, client *http.Client, query, value string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, query, http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	return err == nil && strings.Contains(body.String(), `"`+value+`"]`)
}
