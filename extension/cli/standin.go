package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/runner"
	"github.com/verity-app/xk6-verity/extension/socketio"
	"github.com/verity-app/xk6-verity/extension/standin"
)

// standinSecret signs the webhooks of a stand-in. It guards nothing: the stand-in serves this machine only.
const standinSecret = "whsec_standin" // #nosec G101 -- public on purpose

// standinCloseLimit bounds how long a stand-in takes to stop.
const standinCloseLimit = 5 * time.Second

func newStandinCommand(gs *state.GlobalState) *cobra.Command {
	var account string
	options := standin.Options{
		Addr: "127.0.0.1:3000", WebhookSecret: standinSecret,
		Tick: contract.Tick, PairsPerTick: contract.PairsPerTick, LoneKey: contract.LoneKey, Session: contract.Session,
		TokenTTL: contract.AccessTokenLife, KeepAlive: contract.KeepAlive,
	}
	cmd := &cobra.Command{
		Use:   "standin",
		Short: "Serve a local Verity for laptops and tests",
		Long: `Serve a local Verity for laptops and tests, until it is interrupted.

It has the HTTP API, the sockets, the queue and the matcher of the real one, with the queue in an embedded Redis or in a
real one. The flags from --lose-match on break its sockets on purpose; a RATE is the share of sessions that are hit, 0 to 1.
It prints its address and the variables to set on stdout, and at the end its account of tokens, sessions and requests.`,
		Example: `  k6 x verity standin
  k6 x verity standin --addr 127.0.0.1:0 --throttle
  k6 x verity standin --redis-url redis://127.0.0.1:6379/1 --session 5s
  k6 x verity standin --lose-match 0.1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := requireAboveZero(cmd.Flags()); err != nil {
				return refused(err)
			}
			return serveStandin(gs, options, account)
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "also write the account into this `FILE` at the end, as JSON")
	addStandinFlags(cmd, &options)
	addDefectFlags(cmd, &options.Defects)
	return cmd
}

func addStandinFlags(cmd *cobra.Command, options *standin.Options) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&options.Addr, "addr", options.Addr, "address to listen on; port 0 takes a free one")
	flags.StringVar(&options.WebhookSecret, "webhook-secret", options.WebhookSecret, "secret that signs Stripe webhooks")
	flags.StringVar(&options.RedisURL, "redis-url", "", "keep the queue in this Redis (default: an embedded one)")
	flags.DurationVar(&options.Tick, "tick", options.Tick, "time between two rounds of the matcher")
	flags.IntVar(&options.PairsPerTick, "pairs-per-tick", options.PairsPerTick, "pairs that a round makes per queue key, at most")
	flags.DurationVar(&options.LoneKey, "lone-key", options.LoneKey, "time that a round takes over each key with one user")
	flags.DurationVar(&options.Session, "session", options.Session, "length of a session")
	flags.DurationVar(&options.TokenTTL, "token-ttl", options.TokenTTL, "life of an access token")
	flags.DurationVar(&options.KeepAlive, "keep-alive", options.KeepAlive, "close connections that are idle for so long")
	flags.BoolVar(&options.Throttle, "throttle", false, "put the real rate limits on")
	flags.DurationVar(&options.Latency, "latency", 0, "time added to every answer")
	flags.DurationVar(&options.WebhookLatency, "webhook-latency", 0, "time that crediting a webhook takes")
	flags.DurationVar(&options.PingInterval, "ping-interval", socketio.DefaultPingInterval, "time between two pings to a socket")
	flags.DurationVar(&options.PingTimeout, "ping-timeout", socketio.DefaultPingTimeout, "close sockets that do not answer a ping for so long")
}

// requireAboveZero refuses 0 for flags that need a positive value; standin.Options would take 0 for the default.
func requireAboveZero(flags *pflag.FlagSet) error {
	for _, name := range []string{"tick", "pairs-per-tick", "session", "token-ttl", "keep-alive", "ping-interval", "ping-timeout"} {
		if value := flags.Lookup(name).Value.String(); value == "0" || value == "0s" {
			return fmt.Errorf("--%s must be above 0; leave it out for the default", name)
		}
	}
	return nil
}

func addDefectFlags(cmd *cobra.Command, defects *standin.Defects) {
	flags := cmd.Flags()
	flags.Float64Var(&defects.LoseMatch, "lose-match", 0, "`RATE` of sessions of which one user hears no match")
	flags.Float64Var(&defects.LoseStart, "lose-start", 0, "`RATE` of sessions whose session:start nobody hears")
	flags.Float64Var(&defects.CrossPairs, "cross-pairs", 0, "`RATE` of sessions of which one user hears another's id and partner")
	flags.Float64Var(&defects.TokenError, "token-error", 0, "`RATE` of sessions that end at once with token_error, without a start")
	flags.BoolVar(&defects.SeparateMatcher, "separate-matcher", false, "make sessions of which no socket hears anything, as the owners deploy it")
	flags.DurationVar(&defects.EndEarly, "end-early", 0, "end sessions so long before their endAt")
	flags.DurationVar(&defects.DropSocketsAfter, "drop-sockets-after", 0, "cut each connection off so long after it joined (0: never)")
	flags.DurationVar(&defects.MuteAfter, "mute-after", 0, "let the sockets fall silent so long after the start (0: never)")
}

func serveStandin(gs *state.GlobalState, options standin.Options, accountFile string) error {
	ctx, stop := untilInterrupted(gs)
	defer stop()
	server, err := standin.Start(ctx, options)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w; --addr 127.0.0.1:0 takes a free port", err)
	}
	if err != nil {
		return refused(withFlags(err))
	}
	runner.PaceProcessors(ctx)
	printStandin(gs.Stdout, server, options)
	<-ctx.Done()
	account := server.Stats() // before Close, which removes all users from the queue
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), standinCloseLimit)
	defer cancel()
	if err := server.Close(closing); err != nil {
		return fmt.Errorf("stopping the stand-in: %w", err)
	}
	if accountFile != "" {
		if err := writeAccount(accountFile, account); err != nil {
			return err
		}
	}
	return account.Write(gs.Stdout)
}

// withFlags adds to the error of each refused option the name of its flag.
func withFlags(err error) error {
	joined, isJoined := err.(interface{ Unwrap() []error })
	if !isJoined {
		return err
	}
	var faults []string
	for _, one := range joined.Unwrap() {
		fault := one.Error()
		if option, ok := errors.AsType[*standin.OptionError](one); ok {
			fault = "--" + option.Option + " " + option.Fault
		}
		faults = append(faults, fault)
	}
	return errors.New(strings.Join(faults, "; "))
}

func writeAccount(path string, account standin.Stats) error {
	text, err := json.MarshalIndent(account, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the account as JSON: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the account that --account asks for: %w", err)
	}
	return nil
}

func printStandin(out io.Writer, server *standin.Server, options standin.Options) {
	redisURL := options.RedisURL
	if redisURL == "" {
		redisURL = server.RedisURL()
	}
	_, _ = fmt.Fprintf(out, "A stand-in for Verity serves on %s until it is interrupted (Ctrl-C).\n"+
		"Set these variables for a run against it (REDIS_URL only to watch the queue depth):\n\n"+
		"  export BASE_URL=%s\n  export STRIPE_WEBHOOK_SECRET=%s\n  export REDIS_URL=%s\n\n",
		server.URL(), server.URL(), options.WebhookSecret, redacted(redisURL))
}

// redacted hides the password in the URL of a Redis; "" if the URL cannot be parsed.
func redacted(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

// untilInterrupted returns a context that ends with Ctrl-C or SIGTERM.
func untilInterrupted(gs *state.GlobalState) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(gs.Ctx)
	signals := make(chan os.Signal, 1)
	gs.SignalNotify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel(errors.New("interrupted"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		gs.SignalStop(signals)
		cancel(nil)
	}
}
