package snapshot_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/snapshot"
	"github.com/verity-app/xk6-verity/extension/snapshot/promtest"
)

const token = "a-token.For_tests~1"

// guarded starts a reverse proxy with TLS and a bearer token before a Prometheus, and returns a transport that trusts it.
func guarded(t *testing.T, prometheus string) (address string, transport *http.Transport) {
	t.Helper()
	behind, err := url.Parse(prometheus)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: behind.Scheme, Host: behind.Host})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	transport, ok := server.Client().Transport.(*http.Transport)
	require.True(t, ok)
	return server.URL + behind.Path, transport
}

// The readings of real exporters show the commands, commits and other effects of a known load.
func TestReadingsOfRealExporters(t *testing.T) {
	t.Parallel()
	lab := promtest.Start(t, promtest.Options{Postgres: true, Prefix: "/prometheus"})
	address, transport := guarded(t, lab.URL)
	queries, err := snapshot.Apply(snapshot.Defaults(), []snapshot.Change{
		{Name: "commits by one database", Expr: `pg_stat_database_xact_commit{datname="postgres"}`, Kind: snapshot.Counter},
		{Name: "commits by arithmetic", Expr: `sum by (job) (pg_stat_database_xact_commit) * 1`, Kind: snapshot.Counter},
		{Name: "no such thing", Expr: `sum(no_such_total)`},
		{Name: "too many", Expr: `pg_stat_database_xact_commit`},
		{Name: "no PromQL", Expr: `sum(`},
		{Name: "of the past", Expr: `redis_connected_clients[1m]`},
		{Name: "a word", Expr: `"word"`},
	})
	require.NoError(t, err)
	reader, err := snapshot.New(snapshot.Options{URL: address, BearerToken: token, Queries: queries, Transport: transport})
	require.NoError(t, err)

	mark, problems, err := reader.Begin(t.Context())
	require.NoError(t, err)
	require.Len(t, problems, 4)
	begun := time.Now()
	const commands, commits, rollbacks = 40_000, 20_000, 4_000
	clients := load(t, lab, commands, commits, rollbacks)
	took := time.Since(begun)
	report, err := reader.End(t.Context(), mark)
	require.NoError(t, err)
	require.NoError(t, clients.Close())

	byName := map[string]snapshot.Reading{}
	for _, reading := range report.Readings {
		byName[reading.Name] = reading
	}
	require.InDelta(t, took.Seconds(), report.Length.Seconds(), 1)
	for name, want := range map[string]float64{
		"redis_commands": commands, "redis_evicted_keys": 0, "postgres_commits": commits, "postgres_rollbacks": rollbacks,
		"postgres_deadlocks": 0, "commits by one database": commits, "commits by arithmetic": commits,
	} {
		reading := byName[name]
		require.NotNil(t, reading.Increase, "%s: %s", name, reading.Remark)
		require.InDelta(t, want, *reading.Increase, 0.05*want, name)
		require.InDelta(t, *reading.Increase/report.Length.Seconds(), *reading.PerSecond, 0.001)
		require.Empty(t, reading.Remark, name)
		require.Nil(t, reading.Peak)
	}
	require.NotNil(t, byName["postgres_blocks_read"].Increase)
	require.GreaterOrEqual(t, *byName["redis_clients"].Peak, 20.0, "the clients of the load")
	require.Less(t, *byName["redis_clients"].Start, 20.0)
	require.Greater(t, *byName["redis_memory_bytes"].End, *byName["redis_memory_bytes"].Start)
	require.GreaterOrEqual(t, *byName["postgres_connections"].Peak, 1.0)
	for name, says := range map[string]string{
		"no such thing": "no such series",
		"too many":      "the expression has 4 series; aggregate it, for example with sum()",
		"no PromQL":     "the expression is refused: ",
		"of the past":   "the expression is a range of samples, not a number; make one of it, for example with increase()",
		"a word":        "the expression is not a number",
	} {
		require.Contains(t, byName[name].Remark, says)
	}
	require.Len(t, report.Notes, 1)
	require.Contains(t, report.Notes[0], "counters are counted between scrapes")
	t.Log(report.Notes[0])
}

// load makes a known number of Redis commands, Postgres commits and rollbacks. The Redis clients stay connected.
func load(t *testing.T, lab *promtest.Lab, commands, commits, rollbacks int) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: lab.Redis, PoolSize: 30, MinIdleConns: 25, DisableIdentity: true, Protocol: 2,
	})
	pipe := client.Pipeline()
	for range commands {
		pipe.Append(t.Context(), "list", "some payload")
	}
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	lab.PSQL(t, strings.Repeat("SELECT 1 WHERE false \\g /dev/null\n", commits)+strings.Repeat("BEGIN; ROLLBACK;\n", rollbacks))
	time.Sleep(1500 * time.Millisecond) // until the gauge was scraped
	return client
}

// The commits of connections that stay open are counted, although Postgres counts them 10 s late.
func TestCommitsOfConnectionsThatStayOpen(t *testing.T) {
	t.Parallel()
	lab := promtest.Start(t, promtest.Options{Postgres: true})
	queries, err := snapshot.Apply(nil, []snapshot.Change{
		{Name: "commits", Expr: `sum(pg_stat_database_xact_commit{datname="template1"})`, Kind: snapshot.Counter},
	})
	require.NoError(t, err)
	reader, err := snapshot.New(snapshot.Options{URL: lab.URL, Queries: queries})
	require.NoError(t, err)
	mark, _, err := reader.Begin(t.Context())
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		lab.StayConnected(ctx, "template1", strings.Repeat("SELECT 1 WHERE false \\g /dev/null\n", 300))
	}()
	time.Sleep(2 * time.Second)
	report, err := reader.End(t.Context(), mark)
	require.NoError(t, err)
	stop()
	<-idle
	require.InDelta(t, 300, *report.Readings[0].Increase, 15)
}
