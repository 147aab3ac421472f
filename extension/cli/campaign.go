package cli

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.k6.io/k6/v2/cmd/state"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
	"golang.org/x/term"

	"github.com/verity-app/xk6-verity/extension/campaign"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/runner"
	"github.com/verity-app/xk6-verity/extension/verdict"
	"github.com/verity-app/xk6-verity/extension/version"
)

// campaignOptions are the flags of the command.
type campaignOptions struct {
	selection       campaign.Selection
	list            bool
	plan            string
	profilesFile    string
	scripts         string
	reportDir       string
	resume          bool
	yes             bool
	acceptNotProven []string
	noBreaker       bool
	cleanup         bool
	window, tz      string
	wait            bool
	runners         string
	runnerCount     int
	runnerWait      time.Duration
	k6Flags         []string
	kill            <-chan struct{} // closed by a second Ctrl-C
	known           []profile
	given           []string // the campaign's own flags as given, quoted for a shell
}

func newCampaignCommand(gs *state.GlobalState, scripts fs.FS) *cobra.Command {
	var o campaignOptions
	cmd := &cobra.Command{
		Use:   "campaign [flags] [-- flags of k6 run]",
		Short: "Take a staging system through the safe execution plan, step by step, with a log",
		Long: `Take the Verity at BASE_URL through the safe execution plan: its steps in order, each in a k6 of its own, each only when the step before
has passed, the service is as calm as before the first, and somebody says yes. While a step runs, the service is watched from outside: a step
is ended as by Ctrl-C when the service is down, or fails more than half of what it is asked.

What happens is written line by line to campaign.md in --report-dir, with campaign.json for machines and campaign.html to look at; each step has
a folder there. A campaign that was stopped goes on with --resume.

The exit code is 0 if all steps passed, 99 for FAIL, 110 where something is not proven or the window closed, 105 after Ctrl-C, 107 for what
was refused, and 108 where the service is down.`,
		Example: `  k6 x verity campaign --list
  k6 x verity campaign --until sessions-dry
  k6 x verity campaign --window 22:00-02:00 --tz Australia/Sydney --wait --yes
  k6 x verity campaign --resume --report-dir campaign-20261128-2200
  k6 x verity campaign --only queue-dry -- --out csv=requests.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 {
				dash = len(args)
			}
			if dash > 0 {
				return refused(fmt.Errorf("a campaign takes no arguments before --, got %q: name steps with --from, --until or --only", args[0]))
			}
			o.k6Flags = args[dash:]
			o.given = givenFlags(cmd)
			return runCampaign(gs, scripts, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.list, "list", false, "list the steps, and end")
	flags.StringVar(&o.selection.From, "from", "", "begin with this `STEP`")
	flags.StringVar(&o.selection.Until, "until", "", "end after this `STEP`")
	flags.StringSliceVar(&o.selection.Only, "only", nil, "run these `STEPS` only, in the order of the plan")
	flags.StringVar(&o.plan, "plan", "", "a YAML `FILE` with other steps and gates (default: the safe execution plan)")
	flags.StringVar(&o.profilesFile, "profiles-file", "", "a JSON `FILE` with more profiles (default: PROFILES_FILE)")
	flags.StringVar(&o.scripts, "scripts", "", "run the scenarios of this checkout `DIR` (default: those in the binary)")
	flags.StringVar(&o.reportDir, "report-dir", "", "the folder `DIR` for the log and the reports (default: REPORT_DIR, else campaign-DATE-TIME)")
	flags.BoolVar(&o.resume, "resume", false, "go on with the campaign in --report-dir, after its last passed step")
	flags.BoolVar(&o.yes, "yes", false, "do not ask before a step")
	flags.StringArrayVar(&o.acceptNotProven, "accept-not-proven", nil, "go on after this `STEP` although it is NOT PROVEN; may be repeated")
	flags.BoolVar(&o.noBreaker, "no-breaker", false, "do not watch the service, and end no step before its time")
	flags.BoolVar(&o.cleanup, "cleanup", false, "after each step, delete the accounts that its run made")
	flags.StringVar(&o.window, "window", "", "begin no step that could not end within these times of day `FROM-UNTIL`, such as 22:00-02:00")
	flags.StringVar(&o.tz, "tz", "", "the time `ZONE` of --window, such as Australia/Sydney (default: UTC)")
	flags.BoolVar(&o.wait, "wait", false, "wait for the window to open")
	flags.StringVar(&o.runners, "runners", "", "leave the steps to runners elsewhere, whose evidence comes to a folder for each step in `DIR`")
	flags.IntVar(&o.runnerCount, "runner-count", 0, "how many runners `N` there are")
	flags.DurationVar(&o.runnerWait, "runner-wait", 30*time.Minute, "how long beyond its own length to wait for the evidence of a step")
	return cmd
}

// givenFlags returns the flags of the command that were given, quoted for a shell. Flags of k6, which may hold a secret, are left out.
func givenFlags(cmd *cobra.Command) []string {
	var given []string
	cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
		switch list, isList := flag.Value.(pflag.SliceValue); {
		case !flag.Changed:
		case isList:
			for _, value := range list.GetSlice() {
				given = append(given, "--"+flag.Name, quoted(value))
			}
		case flag.Value.Type() == "bool":
			given = append(given, "--"+flag.Name)
		default:
			given = append(given, "--"+flag.Name, quoted(flag.Value.String()))
		}
	})
	return given
}

func runCampaign(gs *state.GlobalState, scripts fs.FS, o campaignOptions) error {
	work, err := os.MkdirTemp("", "verity-campaign-")
	if err != nil {
		return fmt.Errorf("making a folder for the scenarios: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	dir, err := unpacked(scripts, "--scripts", o.scripts, work)
	if err != nil {
		return refused(err)
	}
	if err := o.complete(); err != nil {
		return refused(err)
	}
	plan, known, err := readPlan(os.DirFS(dir), o.plan, o.profilesFile)
	if err != nil {
		return refused(err)
	}
	o.known = known
	if o.cleanup {
		plan = plan.Cleaning()
	}
	if o.list {
		return refused(list(gs, dir, plan, o))
	}
	runner.TerminateOnHangup()
	ctx, kill, stop := interrupts(gs)
	defer stop()
	o.kill = kill
	engine, err := newCampaign(ctx, gs, dir, plan, o)
	if ctx.Err() != nil {
		return errext.WithExitCodeIfNone(errors.New("interrupted before the first request"), exitcodes.ExternalAbort)
	}
	if err != nil {
		return refused(err)
	}
	defer func() { _ = engine.Folder.Close() }()
	return carryOut(ctx, gs, engine, campaignHeading, strings.Join(append([]string{started(gs.CmdArgs), "x verity campaign"}, o.words()...), " "))
}

// list prints the steps that would run, and refuses those that a campaign would.
func list(gs *state.GlobalState, scripts string, plan campaign.Plan, o campaignOptions) error {
	selected, err := plan.Select(o.selection)
	if err != nil {
		return err
	}
	k6, err := newSteps(gs, scripts, o)
	if err != nil {
		return err
	}
	for _, step := range selected.Steps {
		if len(step.Variables) == 0 {
			continue // a profile as it is
		}
		if err := k6.Check(gs.Ctx, step); err != nil {
			return fmt.Errorf("the step %s would be refused: %w", step.Name, err)
		}
	}
	return listSteps(gs.Stdout, selected)
}

// complete fills flags that were not given from the environment or with defaults, and makes profilesFile absolute, as the scenarios require.
func (o *campaignOptions) complete() (err error) {
	if o.profilesFile == "" {
		o.profilesFile = os.Getenv(profilesFileVariable)
	}
	if o.reportDir == "" {
		o.reportDir = os.Getenv("REPORT_DIR")
	}
	if o.reportDir == "" && !o.resume {
		o.reportDir = "campaign-" + time.Now().UTC().Format("20060102-1504")
	}
	if o.profilesFile != "" {
		o.profilesFile, err = filepath.Abs(o.profilesFile)
	}
	return err
}

// words returns the arguments of the command, without secrets.
func (o *campaignOptions) words() []string {
	if len(o.k6Flags) == 0 {
		return o.given
	}
	return slices.Concat(o.given, []string{"--"}, shownFlags(o.k6Flags))
}

// campaignHeading is that of the table of a campaign's steps; that of a smoke run is another one.
const campaignHeading = "STEP"

// carryOut runs a campaign to its end and prints a table of its steps. The error it returns says where and why the campaign stopped.
func carryOut(ctx context.Context, gs *state.GlobalState, engine *campaign.Engine, heading, command string) error {
	err := engine.Run(ctx, command)
	writeSteps(gs.Stdout, heading, engine.Record)
	if accounts := engine.Record.Accounts(); accounts != "" {
		_, _ = fmt.Fprintf(gs.Stdout, "\n%s.\n", accounts)
	}
	if isSmoke := heading != campaignHeading; !gs.Flags.Quiet || !isSmoke {
		_, _ = fmt.Fprintf(gs.Stdout, "\nThe log is %s, and its page %s.\n", engine.Folder.Path(campaign.LogFile), engine.Folder.Path(campaign.PageFile))
	}
	var stop *campaign.StopError
	if !errors.As(err, &stop) {
		return err
	}
	text := stop.Reason
	if stop.Next != "" {
		text += ". Next: " + stop.Next
	}
	return errext.WithExitCodeIfNone(errors.New(engine.Folder.Said(text)), exitcodes.ExitCode(stop.Code)) // #nosec G115 -- an exit code fits a byte
}

// newCampaign makes the engine of a campaign and refuses invalid input. It creates the campaign's folder last, when nothing can be refused.
func newCampaign(ctx context.Context, gs *state.GlobalState, scripts string, plan campaign.Plan, o campaignOptions) (*campaign.Engine, error) {
	service, err := serviceOf(gs, o)
	if err != nil {
		return nil, err
	}
	k6, err := newSteps(gs, scripts, o)
	if err != nil {
		return nil, err
	}
	engine, err := newEngine(gs, k6, service, optionsOf(gs, o))
	if err != nil {
		return nil, err
	}
	if o.runners != "" {
		if engine.Runner, err = newRemoteSteps(k6, service.BaseURL, Width(gs), o); err != nil {
			return nil, err
		}
	}
	asked := campaign.Asked{Tool: version.Version(), K6: version.K6(), Target: service.BaseURL, Plan: plan}
	if asked.Build, err = campaign.BuildOf(k6.binary); err != nil {
		return nil, fmt.Errorf("reading this binary: %w", err)
	}
	if o.runners == "" && o.runnerCount != 0 {
		return nil, errors.New("--runner-count goes with --runners, which is not given")
	}
	if o.window == "" && (o.tz != "" || o.wait) {
		return nil, errors.New("--tz and --wait go with --window, which is not given")
	}
	if o.window != "" {
		window, err := campaign.ParseWindow(o.window, o.tz)
		if err != nil {
			return nil, err
		}
		engine.Options.Window, asked.Window = &window, window.String()
	}
	secrets := secretsOf(service)
	if o.resume {
		return engine, reopen(ctx, engine, k6, asked, secrets, o)
	}
	if asked.Plan, err = plan.Select(o.selection); err != nil {
		return nil, err
	}
	engine.Record = campaign.NewRecord(asked, time.Now())
	if err := check(ctx, engine, k6, o); err != nil {
		return nil, err
	}
	engine.Folder, err = campaign.Create(o.reportDir, secrets)
	return engine, err
}

func newEngine(gs *state.GlobalState, k6 *steps, service campaign.Service, options campaign.Options) (*campaign.Engine, error) {
	engine := &campaign.Engine{Runner: k6, Options: options, Page: campaign.Page, Now: time.Now, Sleep: campaign.Pause}
	if !gs.Flags.Quiet {
		engine.Show = func(event campaign.Event) { _, _ = fmt.Fprintln(gs.Stdout, "▶ "+event.Line()) }
	}
	if !options.NoBreaker {
		engine.Breaker = campaign.NewBreaker(service)
	}
	var err error
	engine.Calm, err = campaign.NewCalm(service)
	return engine, err
}

// reopen loads the campaign in --report-dir into the engine, to continue it.
func reopen(ctx context.Context, engine *campaign.Engine, k6 *steps, asked campaign.Asked, secrets []string, o campaignOptions) (err error) {
	if o.selection.From+o.selection.Until != "" || len(o.selection.Only) > 0 {
		return errors.New("--resume excludes --from, --until and --only: it goes on with the steps that the campaign began with")
	}
	engine.Folder, engine.Record, err = campaign.Reopen(o.reportDir, secrets)
	if err != nil {
		return err
	}
	if err = engine.Record.Resume(asked); err == nil {
		err = check(ctx, engine, k6, o)
	}
	if err != nil {
		return errors.Join(err, engine.Folder.Close())
	}
	return nil
}

// check finds, before the first request, the input that each step would refuse when it begins.
func check(ctx context.Context, engine *campaign.Engine, k6 *steps, o campaignOptions) error {
	if err := checkEnvironment(os.Getenv, engine.Record.Plan.Steps, o.known); err != nil {
		return err
	}
	if len(o.k6Flags) > 0 {
		if err := k6.checkFlags(ctx); err != nil {
			return err
		}
	}
	return engine.Check(ctx)
}

func newSteps(gs *state.GlobalState, scripts string, o campaignOptions) (*steps, error) {
	if err := checkK6Flags(o.k6Flags); err != nil {
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this k6: %w", err)
	}
	environ := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == "REPORT_DIR" || name == profilesFileVariable
	})
	return &steps{
		binary: binary, started: started(gs.CmdArgs), scripts: scripts, profilesFile: o.profilesFile, environ: environ, flags: o.k6Flags,
		stdout: os.Stdout, stderr: os.Stderr, quiet: gs.Flags.Quiet, kill: o.kill,
	}, nil
}

// serviceOf reads the service under test from the environment, and from the flags of k6 that change how it is reached.
func serviceOf(gs *state.GlobalState, o campaignOptions) (campaign.Service, error) {
	base, err := platform.ParseBaseURL(gs.Env["BASE_URL"])
	if err != nil {
		return campaign.Service{}, fmt.Errorf("BASE_URL %w", err)
	}
	_, hasSource := FlagValue(o.k6Flags, "secret-source")
	if gs.Env["STRIPE_WEBHOOK_SECRET"] == "" && !hasSource && gs.Env["K6_SECRET_SOURCE"] == "" {
		return campaign.Service{}, errors.New("STRIPE_WEBHOOK_SECRET is not set; it must be the webhook secret of the Verity under test, in the environment, " +
			"or in a secret source of k6 that is given after --, such as -- --secret-source=file=secrets.env")
	}
	if o.resume && o.reportDir == "" {
		return campaign.Service{}, errors.New("--resume goes on with the campaign in a folder: name it with --report-dir")
	}
	service := campaign.Service{
		BaseURL: base, RedisURL: gs.Env["REDIS_URL"], PrometheusURL: gs.Env["PROMETHEUS_URL"],
		PrometheusToken: gs.Env["PROMETHEUS_BEARER_TOKEN"], PrometheusQueries: gs.Env["PROMETHEUS_QUERIES"],
	}
	if trusts, isGiven := FlagValue(o.k6Flags, "insecure-skip-tls-verify"); slices.Contains(o.k6Flags, "--insecure-skip-tls-verify") ||
		isGiven && trusts == "true" || gs.Env["K6_INSECURE_SKIP_TLS_VERIFY"] == "true" {
		service.TLS = &tls.Config{InsecureSkipVerify: true} // #nosec G402 -- the user asked k6 for it
	}
	return service, nil
}

// shortestSecret is the length from which a secret is masked in the log: a shorter one would also match inside ordinary words.
const shortestSecret = 4

// secretsOf returns the secrets that must not appear in any file or line of the log.
func secretsOf(service campaign.Service) []string {
	secrets := []string{os.Getenv("STRIPE_WEBHOOK_SECRET"), service.PrometheusToken}
	if redis, err := url.Parse(service.RedisURL); err == nil && redis.User != nil {
		password, _ := redis.User.Password()
		secrets = append(secrets, password, url.QueryEscape(password))
	}
	return slices.DeleteFunc(secrets, func(secret string) bool { return len(secret) < shortestSecret })
}

func optionsOf(gs *state.GlobalState, o campaignOptions) campaign.Options {
	options := campaign.Options{
		Wait: o.wait, Yes: o.yes, AcceptNotProven: o.acceptNotProven, NoBreaker: o.noBreaker, WarnOnly: gs.Env["SKIP_PREFLIGHT"] == "1",
		Who: who(), Resume: resumeCommand(gs, o), ResumeEnd: resumeEnd(o.k6Flags),
	}
	if term.IsTerminal(int(os.Stdin.Fd())) { // #nosec G115 -- a descriptor is small
		options.Ask = func(ctx context.Context, question string) (bool, error) { return ask(ctx, gs, question) }
	}
	return options
}

func who() string {
	name, host := "somebody", "a machine without a name"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// resumeCommand goes on with the campaign, as it is typed at a shell, without k6's flags.
func resumeCommand(gs *state.GlobalState, o campaignOptions) string {
	words := []string{started(gs.CmdArgs), "x verity campaign --resume --report-dir", quoted(o.reportDir)}
	for _, flag := range []struct{ name, value string }{
		{"--plan", o.plan}, {"--profiles-file", o.profilesFile}, {"--scripts", o.scripts}, {"--window", o.window}, {"--tz", o.tz}, {"--runners", o.runners},
	} {
		if flag.value != "" {
			words = append(words, flag.name, quoted(flag.value))
		}
	}
	if o.runners != "" {
		words = append(words, "--runner-count", strconv.Itoa(o.runnerCount), "--runner-wait", o.runnerWait.String())
	}
	for _, flag := range []struct {
		name    string
		isGiven bool
	}{{"--wait", o.wait}, {"--yes", o.yes}, {"--no-breaker", o.noBreaker}, {"--cleanup", o.cleanup}} {
		if flag.isGiven {
			words = append(words, flag.name)
		}
	}
	for _, step := range o.acceptNotProven {
		words = append(words, "--accept-not-proven", quoted(step))
	}
	return strings.Join(words, " ")
}

// resumeEnd has k6's flags for the command that goes on, or a word on them where one of their values may be a secret.
func resumeEnd(flags []string) string {
	words := make([]string, 0, len(flags)+1)
	words = append(words, " --")
	for _, flag := range flags {
		words = append(words, quoted(flag))
	}
	switch {
	case len(flags) == 0:
		return ""
	case !slices.Equal(words[1:], shownFlags(flags)):
		return ", with -- and k6's flags behind it as before"
	}
	return strings.Join(words, " ")
}

// ask asks a question at the terminal and reports whether the answer begins with y; any other answer means no.
func ask(ctx context.Context, gs *state.GlobalState, question string) (bool, error) {
	_, _ = fmt.Fprintf(gs.Stdout, "\n%s [y/N] ", question)
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(gs.Stdin).ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if errors.Is(a.err, io.EOF) {
			return false, nil
		}
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.line)), "y"), a.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// interrupts returns a context that ends with the first Ctrl-C or SIGTERM, and a channel that the second one closes.
func interrupts(gs *state.GlobalState) (ctx context.Context, again <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(gs.Ctx)
	signals, second, over := make(chan os.Signal, 2), make(chan struct{}), make(chan struct{})
	gs.SignalNotify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for _, act := range []func(){cancel, func() { close(second) }} {
			select {
			case <-signals:
				act()
			case <-over:
				return
			}
		}
	}()
	return ctx, second, func() {
		gs.SignalStop(signals)
		close(over)
		cancel()
	}
}

// writeSteps prints a table with the result of each step.
func writeSteps(out io.Writer, heading string, record *campaign.Record) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "\n%s\tTARGET\tRESULT\tTHRESHOLDS\n", heading)
	for _, s := range record.Steps {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Name, record.Target, resultOf(s), thresholdsOf(s))
	}
	_ = table.Flush()
}

func thresholdsOf(s campaign.StepRecord) string {
	switch {
	case s.State == campaign.StatePending:
		return ""
	case s.Verdict == nil && s.Thresholds == 0, s.Cut:
		return "not judged"
	}
	return fmt.Sprintf("%d of %d passed", s.Thresholds-len(s.Crossed), s.Thresholds)
}

// resultOf returns the result of a step in a few words.
func resultOf(s campaign.StepRecord) string {
	claims := s.Verdict != nil && s.Verdict.Status != verdict.NoClaim
	switch s.State {
	case campaign.StatePending:
		return "– not begun"
	case campaign.StatePassed:
		if claims {
			return "✓ PASS"
		}
		return "✓ passed"
	case campaign.StateAccepted:
		return "✓ NOT PROVEN, accepted"
	case campaign.StateNotProven:
		if claims {
			return "? NOT PROVEN (exit 110)"
		}
		return "? " + s.Reason
	case campaign.StateFailed:
		if claims && s.Verdict.Status == verdict.Fail {
			return "✗ FAIL (exit 99)"
		}
		return "✗ thresholds crossed (exit 99)"
	case campaign.StateBroken:
		return "✗ ended by the breaker"
	case campaign.StateInterrupted:
		return "✗ interrupted"
	default:
		return fmt.Sprintf("✗ failed (exit %d)", s.ExitCode)
	}
}
