package jsapi

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
)

func TestRefusedCallsNameTheOptionTheValueAndWhatItTakes(t *testing.T) {
	t.Parallel()
	const setup = `var s = new verity.StripeSigner('whsec_x'); var v = new verity.Verity({ baseUrl: 'http://127.0.0.1:1', signer: s });
		var paid = { userId: 'c1', tokens: 5 };`
	for _, tc := range []struct{ script, want string }{
		{`new verity.StripeSigner(42)`, `TypeError: the secret of StripeSigner must be a string`},
		{`s.sign(42)`, `TypeError: sign takes the body as a string, got 42`},
		{`s.sign('', { time: 1 })`, `TypeError: unknown option "time" of sign; it takes timestamp`},
		{`s.sign('', { timestamp: 'now' })`,
			`TypeError: timestamp of sign must be a whole number from 0 to 253402300799, got "now"`},
		{`s.sign('', { timestamp: 1.5 })`, `TypeError: timestamp of sign must be a whole number from 0 to 253402300799, got 1.5`},
		{`s.sign('', { timestamp: NaN })`, `TypeError: timestamp of sign must be a whole number from 0 to 253402300799, got NaN`},
		{`s.sign('', 5)`, `TypeError: sign takes an object, got 5`},
		{`new verity.StripeSigner('').sign('')`, `GoError: STRIPE_WEBHOOK_SECRET is not set; give it in the environment, or ` +
			`under that name in a k6 secret source (--secret-source): no secret sources are configured`},
		{`s.checkoutCompleted()`, `TypeError: checkoutCompleted: userId must be a non-empty string`},
		{`s.checkoutCompleted({ userId: 'c', tokens: -1 })`,
			`TypeError: tokens of checkoutCompleted must be a whole number from 1 to 2147483647, got -1`},
		{`s.checkoutCompleted({ userId: 'c', tokens: 1, paymentStatus: 'free' })`,
			`TypeError: checkoutCompleted: paymentStatus must be "paid" or "unpaid", got "free"`},
		{`new verity.Verity({ url: 'x' })`, `TypeError: unknown option "url" of Verity; it takes baseUrl, countOperations, keepAccounts, signer, ` +
			`timeoutSeconds`},
		{`new verity.Verity({ baseUrl: 5 })`, `TypeError: baseUrl of Verity must be a string, got 5`},
		{`new verity.Verity({ baseUrl: 'http://host%zz' })`, `TypeError: baseUrl of Verity must be an http or https URL of scheme, host and ` +
			`port only, such as https://staging.example.com, got a value that does not parse`},
		{`new verity.Verity({ signer: 'whsec_hunter2' })`,
			`TypeError: signer of Verity must be a StripeSigner, such as new StripeSigner(secret); what it got may be a secret and is not shown`},
		{`new verity.Verity({ timeoutSeconds: 0 })`, `TypeError: timeoutSeconds of Verity must be a number from 0.001 to 3600, got 0`},
		{`new verity.Verity({ countOperations: 1 })`, `TypeError: countOperations of Verity must be true or false, got 1`},
		{`new verity.QueueShards({ mode: 'both', users: 2 })`, `TypeError: mode of QueueShards must be "isolated" or "shared", got "both"`},
		{`new verity.QueueShards({ mode: 'shared' })`, `TypeError: QueueShards needs users, the number of users of the whole test`},
		{`new verity.QueueShards({ mode: 'shared', users: 2, shards: 0 })`,
			`TypeError: shards of QueueShards must be a whole number from 1 to 1000000, got 0`},
		{`new verity.QueueShards({ mode: 'shared', users: 2, shards: 2 }).keys`,
			`TypeError: QueueShards: shards: 2 for 2 users; set 1 or less, for a shard needs two users of one runner`},
		{`verity.queueKey('perth')`, `TypeError: queueKey takes the body of POST /queue/join as an object, got "perth"`},
		{`verity.queueKey({ city: '  ' })`, `TypeError: queueKey: City must be a non-empty string when provided`},
		{`verity.queueKey({ town: 'x', city: 5 })`, `TypeError: queueKey: property town should not exist, city must be a string`},
		{`new verity.PrometheusWatch()`, `TypeError: url of PrometheusWatch is not set; it must be an http or https URL, with the path ` +
			`under which Prometheus is served if it has one, such as https://prometheus.example.com or https://example.com/prometheus`},
		{`new verity.PrometheusWatch({ url: 'http://u:pa55word@h' })`, `TypeError: url of PrometheusWatch must not contain credentials ` +
			`(they would be shown in logs and results); a bearer token has a place of its own`},
		{`new verity.PrometheusWatch({ url: 'http://h', bearerToken: 5 })`, `TypeError: bearerToken of PrometheusWatch must be a string`},
		{`new verity.PrometheusWatch({ url: 'http://h', bearerToken: 'a b' })`, `TypeError: bearerToken of PrometheusWatch must be visible ` +
			`ASCII characters without a space or a line break; it is not shown here, for it is a secret`},
		{`new verity.PrometheusWatch({ url: 'http://h', timeoutSeconds: 61 })`,
			`TypeError: timeoutSeconds of PrometheusWatch must be a number from 0.001 to 60, got 61`},
		{`new verity.PrometheusWatch({ url: 'http://h', queries: [] })`,
			`TypeError: queries of PrometheusWatch must be an object of expressions by name, got an object`},
		{`new verity.PrometheusWatch({ url: 'http://h', queries: { a: 5 } })`, `TypeError: queries of PrometheusWatch has 5 for "a"; it ` +
			`takes a string, { "expr": "…", "kind": "counter" or "gauge" }, or null to turn it off`},
		{`new verity.PrometheusWatch({ url: 'http://h', queries: { a: { expr: 'x', type: 'gauge' } } })`,
			`TypeError: queries of PrometheusWatch has an object for "a"; it takes a string, { "expr": "…", "kind": "counter" or ` +
				`"gauge" }, or null to turn it off`},
		{`new verity.PrometheusWatch({ url: 'http://h', queries: { a: { kind: 'gauge' } } })`,
			`TypeError: queries of PrometheusWatch has an object for "a"; it takes a string, { "expr": "…", "kind": "counter" or ` +
				`"gauge" }, or null to turn it off`},
		{`new verity.PrometheusWatch({ url: 'http://h', queries: { a: { expr: 'x', kind: 'total' } } })`,
			`TypeError: queries of PrometheusWatch has the kind "total" for "a"; it takes "counter" or "gauge"`},
		{`new verity.PrometheusWatch({ url: 'http://h', queries: { a: null } })`, `TypeError: queries of PrometheusWatch turns off "a", ` +
			`which is none of redis_clients, redis_memory_bytes, redis_evicted_keys, redis_commands, postgres_connections, ` +
			`postgres_commits, postgres_rollbacks, postgres_blocks_read, postgres_deadlocks`},
		{`new verity.PrometheusWatch({ url: 'http://h' }).start()`, `GoError: start cannot be called in the init context`},
		{`verity.snapshot({ url: 'http://h' })`, `GoError: snapshot cannot be called in the init context`},
		{`v.signUp()`, `GoError: signUp cannot be called in the init context`},
		{`v.user('c1')`, `GoError: user cannot be called in the init context`},
		{`v.webhook(s.checkoutCompleted(paid))`, `GoError: webhook cannot be called in the init context`},
		{`verity.planRun({})`, `TypeError: planRun needs users or purchases`},
		{`verity.planRun({ sessions: {} })`, `TypeError: unknown option "sessions" of planRun; it takes purchases, users`},
		{`verity.planRun({ users: { vus: 5 } })`, `TypeError: unknown option "vus" of users of planRun; it takes arriveSeconds, auditedUsers, ` +
			`balanceCheckEvery, duration, firstTokens, hold, holdSeconds, iterations, match, maxWaitSeconds, rampDown, rampUp, shards, stages, ` +
			`start, thinkSeconds, topUpTokens, users`},
		{`verity.planRun({ users: { users: 5 } })`, `TypeError: planRun: how the users come is not said: give rampUp, hold and rampDown, or ` +
			`stages, duration or iterations`},
		{`verity.planRun({ users: { users: 5, rampUp: 'soon' } })`,
			`TypeError: rampUp of users of planRun must be a duration such as 90s, 1m30s or 10m, got "soon"`},
		{`verity.planRun({ users: { users: 5, stages: 3 } })`,
			`TypeError: stages of users of planRun must be an array of { duration, target }, got 3`},
		{`verity.planRun({ users: { users: 5, stages: [{ duration: '1s', goal: 3 }] } })`,
			`TypeError: unknown option "goal" of a stage of users of planRun; it takes duration, target`},
		{`verity.planRun({ purchases: { users: 5, vus: 1, thinkSeconds: { least: 1 } } })`,
			`TypeError: unknown option "least" of thinkSeconds of purchases of planRun; it takes max, min`},
		{`verity.stay({}, () => {})`, `GoError: stay cannot be called in the init context`},
		{`verity.think(1)`, `GoError: think cannot be called in the init context`},
	} {
		t.Run(tc.script, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			_, err := h.VU.Runtime().RunString(setup + tc.script)
			require.Error(t, err)
			require.Equal(t, tc.want, firstLine(err.Error()))
		})
	}
}

func TestAnErrorAboutAnOptionCanNameItOtherwise(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ script, name, want string }{
		{`new verity.Verity({ baseUrl: 'ftp://host' })`, "BASE_URL", `baseUrl: BASE_URL must be an http or https URL of scheme, host and port ` +
			`only, such as https://staging.example.com, got the scheme "ftp"`},
		{`new verity.QueueProbe('http://:hunter2@host')`, "REDIS_URL", `url: REDIS_URL: its scheme is neither redis nor rediss; give ` +
			`redis://[user:password@]host[:port][/database], or rediss:// for TLS`},
		{`new verity.PrometheusWatch({ url: 'http://h', queries: { a: 5 } })`, "QUERIES", `queries: QUERIES has 5 for "a"; it takes a string, ` +
			`{ "expr": "…", "kind": "counter" or "gauge" }, or null to turn it off`},
		{`verity.prepareReports('/dev/null')`, "REPORT_DIR", `dir: REPORT_DIR must be a folder that this process may write to, got "/dev/null": not a directory`},
	} {
		t.Run(tc.script, func(t *testing.T) {
			t.Parallel()
			said, err := newHarness(t).VU.Runtime().RunString(`(() => { try { ` + tc.script + ` } catch (error) {
				return error.option + ': ' + error.messageFor('` + tc.name + `') } })()`)
			require.NoError(t, err)
			require.Equal(t, tc.want, said.String())
		})
	}
}

func TestRefusedCallsInARun(t *testing.T) {
	t.Parallel()
	const setup = `var v = new verity.Verity({ baseUrl: 'http://127.0.0.1:1' });
		var paid = { userId: 'c1', tokens: 5 };`
	for _, tc := range []struct{ script, want string }{
		{`new verity.Verity({}).signUp()`, `TypeError: baseUrl of Verity is not set; it must be an http or https URL of scheme, host ` +
			`and port only, such as https://staging.example.com`},
		{`verity.snapshot({ url: 'http://h', queries: { a: null } })`,
			`TypeError: queries of snapshot has null for "a"; it takes a string`},
		{`verity.snapshot({ url: 'http://h', queries: {} })`, `TypeError: queries of snapshot leaves nothing to read`},
		{`verity.snapshot({ url: 'h:1', queries: {} })`, `TypeError: queries of snapshot leaves nothing to read`},
		{`v.signUp({ tokens: 1.5 })`, `TypeError: tokens of signUp must be a whole number from 0 to 2147483647, got 1.5`},
		{`v.user('c1')`, `TypeError: no user "c1" was signed up in setup() of this process`},
		{`v.webhook('evt')`, `TypeError: webhook takes an event of checkoutCompleted, or { id, body, headers }`},
		{`v.webhook({ headers: {} })`, `TypeError: webhook: the body of the event must be a string`},
		{`v.webhook({ body: '' }, { expectedStatuses: [] })`,
			`TypeError: expectedStatuses of webhook must be an array of HTTP statuses, got an object`},
		{`v.webhook({ body: '' }, { expectedStatuses: [99] })`,
			`TypeError: expectedStatuses of webhook must be an array of HTTP statuses, got an object`},
		{`verity.think(-1)`, `TypeError: the least time of think must be a number from 0 to 86400, got -1`},
		{`verity.think(2, 1)`, `TypeError: the longest time of think must be a number from 2 to 86400, got 1`},
		{`verity.think()`, `TypeError: the least time of think must be a number from 0 to 86400, got undefined`},
		{`verity.stay({ users: 1, signUp() {} }, () => {})`, `TypeError: stay can be called in a scenario only, not in setup or teardown`},
	} {
		t.Run(tc.script, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t).run()
			_, err := h.VU.Runtime().RunString(setup + tc.script)
			require.Error(t, err)
			require.Equal(t, tc.want, firstLine(err.Error()))
		})
	}
}

// A wrong call of stay would be repeated in each iteration, so it ends the run.
func TestRefusedStays(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ script, want string }{
		{`verity.stay()`, `stay needs users and signUp`},
		{`verity.stay({ users: 0, signUp() {} }, () => {})`, `users of stay must be a whole number from 1 to 100000, got 0`},
		{`verity.stay({ users: 1, signUp: 5 }, () => {})`, `signUp of stay must be a function, got 5`},
		{`verity.stay({ users: 1, signUp() {} })`, `the cycle of stay must be a function, got undefined`},
		{`verity.stay({ users: 1, signUp() {}, pace: 1 }, () => {})`,
			`unknown option "pace" of stay; it takes arriveWithinSeconds, firstNumber, leaveWithinSeconds, signUp, thinkSeconds, users`},
		{`verity.stay({ users: 1, signUp() {} }, [])`,
			`the cycle of stay must be a function or an array of them, one for each step; the array is empty`},
		{`verity.stay({ users: 1, signUp() {} }, [() => {}, 'leave'])`, `the cycle of stay must be a function, got "leave"`},
		{`verity.stay({ users: 1, signUp() {} }, { join() {} })`, `the cycle of stay must be a function, got an object`},
		{`verity.stay({ users: 1, signUp() {}, thinkSeconds: 1 }, () => {})`, `thinkSeconds of stay takes an object, got 1`},
		{`verity.stay({ users: 1, signUp() {}, thinkSeconds: { min: -1, max: 1 } }, () => {})`,
			`min of thinkSeconds of stay must be a number from 0 to 86400, got -1`},
		{`verity.stay({ users: 1, signUp() {}, thinkSeconds: { min: 2, max: 1 } }, () => {})`,
			`thinkSeconds of stay must be { min, max } in seconds, min no more than max`},
		{`verity.stay({ users: 1, signUp() {}, thinkSeconds: { min: 0 } }, () => {})`,
			`thinkSeconds of stay must be { min, max } in seconds, min no more than max`},
	} {
		t.Run(tc.script, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t).run()
			h.iterate(constantVUs(1))
			_, err := h.RunOnEventLoop(tc.script)
			require.EqualError(t, err, tc.want)
			require.True(t, errext.IsInterruptError(err), "the whole run ends, not only the iteration")
			var coded errext.HasExitCode
			require.ErrorAs(t, err, &coded)
			require.Equal(t, exitcodes.ScriptException, coded.ExitCode())
		})
	}
}

func firstLine(text string) string {
	for i, c := range text {
		if c == '\n' {
			text = text[:i]
			break
		}
	}
	const at = " at "
	for i := range text {
		if len(text)-i > len(at) && text[i:i+len(at)] == at {
			return text[:i]
		}
	}
	return text
}
