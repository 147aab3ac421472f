/**
 * k6/x/verity: load-test a Verity from k6.
 *
 * Every call that waits returns a promise and leaves the VU's event loop free, so that one VU can carry many users.
 * Nothing connects in the init context. Unknown option keys, wrong types and numbers out of range are TypeErrors that name
 * the option, the given value and the valid values. Such an error has the option's name as `option`, and `messageFor(name)`
 * returns the message with another name, such as that of the environment variable from which a script took the value. The
 * protocol is described in docs/verity-api.md.
 *
 * Requests emit k6's own http_* metrics, with the tag `name` set to the operation: auth_signup, auth_refresh, queue_join,
 * queue_leave, tokens_balance or stripe_webhook. No secret and no token ever appears in a message, a tag, a URL or a log line.
 *
 * @example
 * import { StripeSigner, Verity } from 'k6/x/verity';
 * const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
 * const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer });
 * export default async function () {
 *   const user = await verity.signUp({ tokens: 5 });
 *   const joined = await user.join({ city: 'Perth' });
 *   console.log(joined.status, joined.queueKey);
 *   await user.leave();
 * }
 */
declare module 'k6/x/verity' {
  /** Signs webhooks as Stripe does. Create it in the init context; the secret is looked up at first use. */
  export class StripeSigner {
    /**
     * @param secret the endpoint secret, whsec_…; throws for one with white space and for an API key (sk_…, pk_…, rk_…). For an
     *   empty one, STRIPE_WEBHOOK_SECRET is looked up at first use in k6's secret sources (--secret-source), the default one
     *   first; that use throws if there is none
     */
    constructor(secret: string);

    /**
     * The Stripe-Signature header for exactly this body: `t=<s>,v1=<hex HMAC-SHA256>`.
     *
     * @param options.timestamp whole seconds since the epoch, 0 to 253402300799; default now. Verity accepts times up to 300 s
     *   in the past and any in the future
     * @example http.post(url, body, { headers: { 'Stripe-Signature': signer.sign(body) } });
     */
    sign(body: string, options?: { timestamp?: number }): string;

    /**
     * A complete signed checkout.session.completed event, ready to post. Its ids are unique across VUs, runners and runs.
     * If it is sent with Verity.webhook and setup() signed up its user, it is booked in that user's account.
     *
     * @example const event = signer.checkoutCompleted({ userId: user.id, tokens: 5 });
     */
    checkoutCompleted(purchase: Purchase): SignedEvent;
  }

  /** The content of a checkout.session.completed event. */
  export interface Purchase {
    /** The user to credit; not empty. */
    userId: string;
    /** The number of tokens that Verity credits, whatever the pack: 1 to 2147483647. */
    tokens: number;
    /** Default: starter for 5 tokens, plus for 15, pro for 30, otherwise starter. */
    packId?: string;
    /** Default: a new evt_…. Events with the same id are credited once. */
    eventId?: string;
    /** Default: a new cs_…. A new event with an old session id is answered 500 and not credited. */
    sessionId?: string;
    /** Default paid; an unpaid session is answered 200 and not credited. */
    paymentStatus?: 'paid' | 'unpaid';
    /** The time of the signature in whole seconds since the epoch; default now. */
    timestamp?: number;
  }

  /** A signed webhook: post `body` with `headers`. */
  export interface SignedEvent {
    readonly id: string;
    readonly body: string;
    /** Content-Type and Stripe-Signature. */
    readonly headers: Record<string, string>;
  }

  /**
   * The key under which Verity queues this body of POST /queue/join, such as `canberra:015abd7f5cc5`. Throws with Verity's own
   * message for a body that Verity would answer with 400.
   *
   * @example queueKey({ city: 'Perth', preferences: { mode: 'shared' } });
   */
  export function queueKey(body: Place): string;

  /** A body of POST /queue/join. `city` takes precedence over `region`; without both the city is canberra. */
  export interface Place {
    city?: string;
    region?: string;
    preferences?: object;
  }

  /**
   * Spreads the users of a test over queue keys. Isolated users each have their own key and never match. Shared users have the
   * key of their shard; partners are always in the same shard, and no user is alone in one. The same user number gives the same
   * shard in every run.
   *
   * @example
   * const shards = new QueueShards({ region: 'australiaCentral', mode: 'shared', users: 200, shards: 4 });
   * await user.join(shards.place(user.number));
   */
  export class QueueShards {
    constructor(options: {
      city?: string;
      region?: string;
      mode: 'isolated' | 'shared';
      /** The number of users of the whole test, on all its runners: 1 to 1000000. */
      users: number;
      /** The number of users of each VU: 1 (default) to 100000. */
      usersPerVu?: number;
      /** The number of keys for shared users; default: that of planQueue, rounded up to the same number for each runner. */
      shards?: number;
      /** The load to plan the shards for, as in planQueue; default: users that hold sessions of 45 s. */
      holdSeconds?: number;
      thinkSeconds?: number;
      maxWaitSeconds?: number;
      arriveSeconds?: number;
      /** A name that separates the users of two runs on one Verity. */
      namespace?: string;
    });

    /** The queue key of each shard; none in isolated mode. */
    readonly keys: string[];

    /**
     * Where a user joins: its shard, or a key that no other user has.
     *
     * @param user the user's number across the whole test, from 0 (User.number); default: that of this VU
     */
    place(user?: number): PlannedPlace;
  }

  /** A place that QueueShards chose, for User.join. */
  export interface PlannedPlace extends Place {
    readonly preferences: object;
    /** The key under which Verity will queue the user. */
    readonly queueKey: string;
    /** The number of the shard, from 0; -1 in isolated mode. */
    readonly shard: number;
  }

  /**
   * Plans for the capacity of Verity's matcher, which makes 10 pairs per key every 500 ms: the smallest number of shards in which
   * 95 % of the matches take at most maxWaitSeconds, also in the ramp if arriveSeconds is given. With `shards`, it predicts the
   * effect of that number on the load. The formulas are in extension/queue/plan.go, Predict.
   *
   * @example planQueue({ users: 2000, holdSeconds: 45, shards: 1 }).explanation;
   */
  export function planQueue(load: {
    /** 2 to 1000000. */
    users: number;
    /** Time in s from a match until the user begins to think: 45 for whole sessions, 0 (default) if it does not wait; to 86400. */
    holdSeconds?: number;
    /** Mean time in s from then to the next join: 0 (default) to 86400. */
    thinkSeconds?: number;
    /** The longest wanted wait in s: 0.001 to 86400, default 3. */
    maxWaitSeconds?: number;
    /** Time in s over which the users arrive, evenly: 0 (default: without the ramp) to 86400. */
    arriveSeconds?: number;
    /** The matcher's interval in ms: 1 to 60000, default 500. */
    tickMs?: number;
    /** 1 to 10000, default 10. */
    pairsPerTick?: number;
    /** Predict this number of shards instead of planning it: 1 to half of the users. */
    shards?: number;
  }): QueuePlan;

  /** The predicted effect of a number of shards on a load. */
  export interface QueuePlan {
    readonly shards: number;
    /** Sessions at once, on average. */
    readonly sessions: number;
    readonly pairsPerSecond: number;
    /** Median wait for a match, in s, once the users are out of step. */
    readonly medianWaitSeconds: number;
    /** The 95th percentile of the wait, in s. */
    readonly waitSeconds: number;
    /** The 95th percentile of the wait in the ramp, while users arrive and others return; waitSeconds without a ramp. */
    readonly rampWaitSeconds: number;
    /** Seconds until all users are matched, if all join at once. */
    readonly drainSeconds: number;
    /** What limits the number of pairs. */
    readonly limit: 'matcher' | 'users' | 'partners';
    /** The plan in one sentence. */
    readonly explanation: string;
  }

  /**
   * Reads the queue depth from Verity's Redis without blocking it: with SSCAN and pipelined ZCARD, never KEYS. It connects at
   * first use, and does not count as load.
   */
  export class QueueProbe {
    /** @param redisUrl redis://[user:password@]host[:port][/database], or rediss:// for TLS; never shown in a message */
    constructor(redisUrl: string);
    /** The number of queued users, in total and for each key that Redis lists. */
    depths(): Promise<{ total: number; keys: Record<string, number> }>;
    /** Contradictions in Redis: the number of queue members without a state, and of states without a queue member. */
    ghosts(): Promise<{ members: number; states: number }>;
    /** Closes the connections. */
    close(): Promise<void>;
  }

  /**
   * For setup(): from then on, stays read the queue depth of the whole service from this Redis every 2 s, and emit queue_depth.
   * If Redis fails, that is logged once, the run goes on, and the summary says that the depth is unknown.
   */
  export function watchDepth(redisUrl: string): void;

  /** For teardown(): reads the depth one last time, and the ghosts that the run left (QueueProbe.ghosts), for printSummary. */
  export function endDepthWatch(): Promise<void>;

  /**
   * Evaluates PromQL once, without k6's http metrics and data_sent. A value is null if there is no such series. Rejects if
   * Prometheus cannot be read, or an expression has more than one series or is not a number; the message names the query.
   *
   * @param options.url of Prometheus, with the path under which it is served, if any
   * @param options.bearerToken default: PROMETHEUS_BEARER_TOKEN of a k6 secret source, if there is one
   * @param options.queries PromQL expressions by name; default: those of PrometheusWatch
   * @param options.timeoutSeconds of one request: 0.001 to 60, default 5; all together may take 10 s
   * @example const { clients } = await snapshot({ url, queries: { clients: 'sum(redis_connected_clients)' } });
   */
  export function snapshot(options: {
    url: string;
    bearerToken?: string;
    queries?: Record<string, string>;
    timeoutSeconds?: number;
  }): Promise<Record<string, number | null>>;

  /**
   * Metrics of the servers over a run: reads Prometheus at the start and at the end, for a table of printSummary. Create it in
   * the init context. If Prometheus fails, there is a warning and the run goes on. Of several runners, only that of the first
   * execution segment reads.
   */
  export class PrometheusWatch {
    constructor(options: {
      /** As in snapshot(). */
      url: string;
      bearerToken?: string;
      /**
       * Adds to the default queries, or replaces one of the same name; null removes one. The default kind of a new query is
       * counter if the expression is a selector whose name ends in _total, or the sum() of one, and otherwise gauge. The
       * increase of a counter is computed series by series if its expression is a selector or the sum() of one, and
       * otherwise from its values.
       */
      queries?: Record<string, string | null | { expr: string; kind?: 'counter' | 'gauge' }>;
      /** Of one request, in s: 0.001 to 60, default 5. */
      timeoutSeconds?: number;
    });
    /** For setup(), before the load. Takes at most 10 s. */
    start(): Promise<void>;
    /**
     * For teardown(), after the load. Waits until Prometheus has scraped the servers after the load: at most 20 s or two
     * intervals between scrapes, for Postgres 11 s longer, and never longer than 2 minutes or teardownTimeout.
     */
    end(): Promise<void>;
  }

  /** One Verity under test. Create it in the init context; a missing baseUrl is an error at first use. */
  export class Verity {
    constructor(options: {
      /** Scheme, host and port, such as https://staging.example.com; no credentials, path or query. */
      baseUrl: string;
      /** Needed to buy tokens. */
      signer?: StripeSigner;
      /** How long a request may take, in s: 0.001 to 3600, default 60. */
      timeoutSeconds?: number;
      /**
       * Counts each sign-up and each operation of its users in `operations` and `error_rate`, as countOperation() does, and
       * its errors for printSummary: match() and holdSession() as queue_join, connect() as socket, choose() as session_choice,
       * waitFor() as wait_for, request() under its name. An operation that the end of the run cuts is not counted. Default
       * true; false: the script counts. webhook() is never counted, as several copies of one event are one operation: count it
       * with countOperation().
       *
       * The first error of each operation, name and status is logged as a warning in any case.
       */
      countOperations?: boolean;
      /** Keeps in mind which accounts this process signs up, for deleteAccounts(): default false. */
      keepAccounts?: boolean;
    });

    /**
     * Signs up an anonymous user, with its own HTTP connection and cookie.
     * Users that setup() signs up exist for the whole run: user() returns them in every VU.
     *
     * @param options.tokens number of tokens to buy at once through the webhook: 0 (default) to 2147483647. In a stay, a failed
     *   purchase is sent again until it is credited or the stay ends: after 1 s, 2 s, 4 s … 30 s, or the time of a
     *   ThrottledError. The user stays the same, and each attempt counts as an operation stripe_webhook. Elsewhere the first
     *   failure rejects
     */
    signUp(options?: { tokens?: number }): Promise<User>;

    /** The user with this id that setup() signed up in this process; throws if there is none. */
    user(id: string): User;

    /**
     * Posts a signed event.
     *
     * @param options.expectedStatuses default [200]; any other status rejects, and counts as a failed request
     * @example await verity.webhook(signer.checkoutCompleted({ userId, tokens: 5 }));
     */
    webhook(event: SignedEvent, options?: { expectedStatuses?: number[] }): Promise<WebhookResponse>;

    /**
     * Requests /health once, without k6's http metrics. A target that cannot be reached or is not a Verity aborts the run with
     * one message and exit code 108; without a base URL, or without the secret of its signer, the run is refused with exit code 107.
     */
    checkHealth(): Promise<void>;

    /**
     * For setup(), before any load: checks the health as checkHealth does, then whether the run can give a meaningful result, and
     * prints a table of the findings: the clocks, the webhook secret (with an event that credits nothing), the rate limit of
     * each planned route (with a request that creates nothing), file descriptors and ports. Without k6's http metrics. A ✗
     * ends the run with one message and exit code 107.
     *
     * @example await verity.preflight({ requests: { queue_join: { perMinute: 600, arithmetic: '10 a second' } }, connections: 25 });
     */
    preflight(plan: PreflightPlan): Promise<void>;

    /**
     * For teardown(): reads the balances of this process's users, those of stays and of setup(), and compares them with the tokens
     * that each bought, spent and got back. A wrong balance, and one that cannot be read, count as failed operations
     * (tokens_balance). Takes at most 4 minutes, and gives up after 10 readings if the service hangs.
     *
     * @param options.atMost of how many users, spread evenly over all: 1 to 1000000 (default)
     * @example export const teardown = () => verity.audit({ atMost: 1000 });
     */
    audit(options?: { atMost?: number }): Promise<{ users: number; unread: number; wrong: number }>;

    /**
     * For teardown(), after audit(), of a Verity with keepAccounts: deletes the accounts that this process has signed up, those of the
     * preflight too, each with its user's own token. Outside of k6's http metrics, and no operations: 20 a second at most, in 10
     * minutes at most, or in 10 s where the run was stopped. A service that does not answer 10 in a row is left alone. The summary says how many
     * were deleted, and what became of the others.
     *
     * @returns `gone`: those that somebody else had deleted; `kept`: how many are left on the service, by why
     * @example export const teardown = () => verity.deleteAccounts();
     */
    deleteAccounts(): Promise<{ accounts: number; deleted: number; gone: number; kept: Record<string, number> }>;
  }

  /** The planned load of a run on the service, and its needs on this runner. */
  export interface PreflightPlan {
    /**
     * This runner's requests in the busiest minute, by operation (auth_signup, auth_refresh, queue_join, queue_leave,
     * tokens_balance, stripe_webhook): their number, 0 to 1e12, and in words how it was computed. Operations that are not
     * named are not checked. With several runners, this is the runner's share of the test or, with ofEach (default false), the
     * number of each runner.
     */
    requests?: Record<string, { perMinute: number; arithmetic: string; ofEach?: boolean }>;
    /** HTTP connections and sockets open at once: 0 (default) to 2147483647. */
    connections?: number;
    /** Connections that this side closes a minute, as each keeps its port for a minute: 0 (default) to 2147483647. */
    closedPerMinute?: number;
    /** Makes a ✗ a warning, so that the run goes on: default false. */
    override?: boolean;
    /** Print JSON instead of a table: default false. */
    json?: boolean;
    /**
     * Two users sign up and match in a queue key of their own, and must hear match and session:start within 10 s each: default
     * false. It needs the signer, and leaves two accounts (see deleteAccounts) and a session.
     */
    trial?: boolean;
  }

  /** The answer to a webhook. */
  export interface WebhookResponse {
    readonly status: number;
    readonly body: string;
    /** As http_req_duration: sending, waiting and receiving, in ms. */
    readonly durationMs: number;
  }

  /**
   * A user of Verity. It refreshes its access token before it expires and after an unexpected 401, one refresh at a time, and
   * never again once the answer to a refresh was lost.
   *
   * Calls reject with a VerityError.
   */
  export interface User {
    /** Verity's id of the user: a cuid, which begins with c. */
    readonly id: string;
    /** The user's number across the whole test, from 0, in a stay; otherwise -1. */
    readonly number: number;

    /**
     * Joins a queue, for one token. Emits queue_join_latency (ms) for answers 201. A join or leave that is answered 409, as while
     * the matcher handles this user, is not a failed request: it is sent again for 4 s, counts in lock_retries, and then rejects
     * with a ConflictError.
     *
     * @param options.expect any other status, or another key than place.queueKey, rejects with an UnexpectedAnswerError
     */
    join(place: Place, options?: { expect?: 'queued' }):
      Promise<{ status: 'queued' | 'already_queued'; queueKey: string; position: number | null }>;

    /**
     * Leaves the queue. `not_queued` also means that the user is matched already. A token that is not refunded (`left` without
     * refund, or `already_matched`, within an hour of a match) counts in tokens_lost, with the tag why.
     *
     * @param options.expect any other status rejects with an UnexpectedAnswerError; use it if no other user joins the key
     */
    leave(options?: { expect?: 'left' }): Promise<{ status: 'left' | 'not_queued' | 'already_matched'; refunded: boolean }>;

    /**
     * Reads the number of tokens, which tokens() adopts.
     *
     * @param options.expect 0 to 2147483647; another balance rejects with an UnexpectedAnswerError. 'account': expects the
     *   balance of the user's account, which is a range after a purchase without a good answer, and any after such a join or
     *   leave
     * @example await user.balance({ expect: 'account' });
     */
    balance(options?: { expect?: number | 'account' }): Promise<number>;

    /**
     * Buys n tokens, 1 to 2147483647, through a signed webhook. Emits stripe_webhook_latency (ms). After a failure, the next call
     * with the same n sends the same event again, as Stripe does, so that it is credited once. Within the signUp function of a
     * stay, a failed purchase is sent again automatically, as in signUp({ tokens }).
     */
    buyTokens(n: number): Promise<void>;

    /**
     * The expected balance by the user's account: tokens bought, less those spent, plus those refunded. null after a request
     * without an answer, until the balance is read.
     */
    tokens(): number | null;

    /** Whether the user is in a queue, or may be in one after a request without an answer. */
    queued(): boolean;

    /**
     * Opens the user's socket with both namespaces, unless it is open: a Socket.IO connection through k6's dialer and TLS. Connect
     * before joining, since a match is only sent to the socket; a join() of a shared place of QueueShards without a socket logs a
     * warning, once in a run. Emits socket_connect_time (ms) and sockets_opened, and when the socket ends socket_dropped and,
     * unless the user closed it, sockets_lost with the tag reason.
     */
    connect(): Promise<void>;

    /** Whether the socket is open. */
    connected(): boolean;

    /**
     * Joins, and waits for the match event on the socket; leaves the queue if none comes in time. Emits match_time (ms, from this
     * call to the event or the end of the wait; tag outcome), match_attempts and match_failed.
     *
     * @param options.timeoutSeconds 0.001 to 3600, default 30
     * @returns reason, if matched is false: no_match, socket_lost (with socketLost, the tag reason of sockets_lost), or stopped
     *   (by the end of the run; not counted)
     */
    match(options: { place: Place; timeoutSeconds?: number }):
      Promise<{ matched: boolean; sessionId?: string; matchSeconds: number; reason?: string; socketLost?: SocketLoss }>;

    /**
     * Does match(), then holds the session until session:end, or for holdSeconds and 5 s if the session lasts longer. Emits
     * session_start_time and session_held (ms), sessions_started and session_dropped.
     *
     * @param options.matchTimeoutSeconds 0.001 to 3600, default 30
     * @param options.holdSeconds 0.001 to 3600, default: the length of the session
     * @returns reason: how the session ended, which is the service's reason timeout, ended or token_error, or else hold_over,
     *   early_end, late_end, no_start, no_end, socket_lost, stopped, or the rule that was broken; for an unmatched user the
     *   reason of match()
     */
    holdSession(options: { place: Place; matchTimeoutSeconds?: number; holdSeconds?: number }): Promise<{
      outcome: 'held' | 'unmatched' | 'dropped' | 'stopped';
      sessionId?: string;
      matchSeconds?: number;
      heldSeconds?: number;
      reason?: string;
      /** Why the socket was lost, if the reason is socket_lost: the tag reason of sockets_lost. */
      socketLost?: SocketLoss;
    }>;

    /**
     * Sends any request to the service as this user. The access token stays in the extension, which refreshes it. The request
     * goes only to the service of `baseUrl`; redirects are not followed. Emits k6's http_* metrics with the tag `name`. Do not join
     * or leave in this way, as the user's account of its tokens would not notice: use join() and leave().
     *
     * @param method GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS
     * @param path such as /users/me or /matches?limit=5; an address is refused
     * @param options.body an object or array is sent as JSON, a string unchanged; both as application/json
     * @param options.name for metrics and errors; default: method and path, without the query and with :id for each part that is a
     *   number, or has 12 or more characters with a digit. A run may have 100 names, as each is a time series
     * @param options.expectedStatuses default: 200 to 299; any other status rejects, and counts as a failed request
     * @example
     * const me = await user.request('GET', '/users/me');
     * await user.request('PATCH', `/profiles/${me.body.profileId}`, { body: { bio: 'x' }, name: 'profile_update' });
     */
    request(
      method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS',
      path: string,
      options?: { body?: unknown; name?: string; expectedStatuses?: number[] },
    ): Promise<UserResponse>;

    /**
     * Waits for the next event of this name on the user's socket, which must be open. Only events after the call count, so call
     * it before the operation that causes the event, and await it afterwards: then no event is lost. If it rejects before it is
     * awaited, that is not an unhandled rejection. Counts as wait_for.
     *
     * Rejects with a TimeoutError; with a SocketError if the user has no socket, closes it or loses it; with a StoppedError if
     * the iteration ends first.
     *
     * @param options.namespace default: both
     * @param options.timeoutSeconds 0.001 to 3600, default 30
     * @returns the payload of the event
     * @example
     * const mutual = user.waitFor('match:mutual', { namespace: '/video', timeoutSeconds: 10 });
     * await user.choose(sessionId, 'MATCH');
     * const { matchId } = await mutual;
     */
    waitFor(event: string, options?: { namespace?: '/queue' | '/video'; timeoutSeconds?: number }): Promise<any>;

    /**
     * Sends the user's choice after a session that has ended: pending until both users have chosen, then resolved. Emits http_*
     * metrics with the name session_choice. Rejects with an HTTPError of status 400 while the session goes on, 403 for a session
     * of other users, 404 for an unknown one.
     *
     * @example const { status, outcome } = await user.choose(held.sessionId, 'MATCH');
     */
    choose(sessionId: string, choice: 'MATCH' | 'PASS'): Promise<{
      status: 'pending' | 'resolved';
      /** If resolved. */
      outcome?: 'mutual' | 'non_mutual';
      /** If pending: until when the other user may choose, as the service sent it. */
      deadline?: number | string;
    }>;

    /** Leaves the queue if the user may be in one, and closes the socket and the connection. */
    close(): Promise<void>;
  }

  /** The answer to User.request. */
  export interface UserResponse {
    readonly status: number;
    /** The value of a JSON body, the text of another one, null without a body. At most 1 MB, decompressed. */
    readonly body: any;
    /** By canonical name, such as Content-Type; without Set-Cookie, which may hold a token. */
    readonly headers: Record<string, string>;
    /** As http_req_duration: sending, waiting and receiving, in ms. */
    readonly durationMs: number;
  }

  /**
   * Why a socket was lost: close_ with the code of the server's close frame (close_1005: a close frame without a code;
   * close_1006: no close frame), reset, too_large (a message over 1 MB), ping_timeout, disconnect (41), auth_refused (41, within
   * 5 s), engine_close, protocol (not Socket.IO), stalled (the server accepted no bytes for 10 s), other.
   */
  export type SocketLoss = string;

  /**
   * Repeats `cycle` for each of this VU's users, concurrently and out of step, until the stay ends: with the iteration's context,
   * at the end of a constant-vus scenario, or after one turn in executors that count iterations. Then the users leave their
   * queues and their connections close, also on Ctrl-C: at most 75 s after a scheduled end and 10 s after an abort.
   *
   * With `stages` (ramping-vus), k6 lets a VU that it ramps down go on for gracefulRampDown, 30 s by default, and the stay goes
   * on for that time. Set `gracefulRampDown: '0s'`, and `gracefulStop: '0s'` for the end: the users still leave their queues.
   *
   * A user whose cycle rejects waits for the time of a ThrottledError, otherwise for 1 s, 2 s, 4 s … 30 s, and begins the next
   * turn. After an AuthError the user leaves its queue, if possible, and another one signs up in its place, with the same number
   * and a new isolated queue key. An error that is not of an operation is logged once and fails the run. Emits `cycles`, one for
   * each finished cycle, and `users_present`.
   *
   * An operation that had no answer for more than 5 s when the run ended rejects with a TimeoutError and counts as one; an
   * operation that was cut earlier is not counted. A stay with invalid arguments ends the run at once, with exit code 107. If a
   * step returns while an operation of its user is under way, as without `await`, a warning is logged once.
   *
   * A cycle may be a list of steps, with a think time after each. Use that for thousands of users: a step that returns the
   * operation's own promise, and a think time that no function waits for, take a fifth less processor time and nearly half the
   * memory of an async function with think(). At the end of a constant-vus scenario, a cycle that has begun goes on to its last
   * step, without think times; at other ends, such as a ramp-down, k6 cuts it and the user leaves its queue.
   *
   * @example
   * export default () => stay({ users: 50, signUp: () => verity.signUp({ tokens: 5 }) }, async (user, turn) => {
   *   await user.join(shards.place(user.number));
   *   await think(0.5, 2);
   *   await user.leave();
   * });
   * @example
   * export default () => stay({ users: 50, signUp: () => verity.signUp({ tokens: 5 }), thinkSeconds: { min: 0.5, max: 2 } }, [
   *   (user) => user.join(shards.place(user.number)),
   *   (user) => user.leave(),
   * ]);
   */
  export function stay(options: {
    /** The number of users of this VU: 1 to 100000. */
    users: number;
    /** Time in s over which the users arrive: 0 (default) to 86400. */
    arriveWithinSeconds?: number;
    /** Time in s over which the users leave when the schedule ends the stay: 0 (default) to 60. */
    leaveWithinSeconds?: number;
    /** The number of the first user; default (exec.vu.idInTest - 1) × users. */
    firstNumber?: number;
    /** A random think time in s after each step of the cycle, each 0 to 86400 and min no more than max; default none. */
    thinkSeconds?: { min?: number; max: number };
    /** Called with its number for each user that arrives, and again if it rejects. */
    signUp: (number: number) => Promise<User>;
  }, cycle: Step | Step[]): Promise<void>;

  /** A cycle of stay(), or a step of one. `turn` counts the user's cycles, from 0. The value it resolves to is ignored. */
  export type Step = (user: User, turn: number) => Promise<unknown> | void;

  /** Waits for a random time in [minSeconds, maxSeconds], each 0 to 86400; default maxSeconds = minSeconds. No error when the run stops. */
  export function think(minSeconds: number, maxSeconds?: number): Promise<void>;

  /** How users or events come where k6's flags decide, and not the script's own scenario. One of the last three is needed. */
  export interface PlannedFlags {
    /** Users, or VUs, that are there when the stages begin. */
    start?: number;
    /** k6's, in users or VUs. */
    stages?: { duration: string; target: number }[];
    duration?: string;
    /** Turns of a user each, or events. */
    iterations?: number;
  }

  /** What users of a queue are to do, for planRun. */
  export interface PlannedUsers extends PlannedFlags {
    /** At the top, of the whole test. */
    users: number;
    /** The ramp of the script's own scenario, in k6's durations such as '10m'. */
    rampUp?: string; hold?: string; rampDown?: string;
    /** true: they share queue keys and match. */
    match?: boolean;
    /** Over how many keys; default: as many as planQueue() says. */
    shards?: number;
    thinkSeconds?: { min: number; max: number };
    /** As in planQueue(). */
    holdSeconds?: number; maxWaitSeconds?: number; arriveSeconds?: number;
    /** Tokens that a user buys as it arrives, and when it has none; default 0. */
    firstTokens?: number; topUpTokens?: number;
    /** Cycles between two readings of the balance; default 0: none. */
    balanceCheckEvery?: number;
    /** Of how many users the balance is read at the end; default: all. */
    auditedUsers?: number;
  }

  /** What a spike of webhooks is to do, for planRun. */
  export interface PlannedPurchases extends PlannedFlags {
    /** Users who buy, signed up before by each runner. */
    users: number;
    /** VUs that send events, at most, of the whole test. */
    vus: number;
    /** The spike of the script's own scenario, in events a second and k6's durations. */
    baseRate?: number; spikeRate?: number; rampUp?: string; spikeHold?: string; rampDown?: string;
    thinkSeconds?: { min: number; max: number };
    /** 0 to 1: which part of the events is sent again. */
    replayRate?: number;
  }

  /**
   * How long a run takes, and what it asks of the service and of this runner in its busiest minute. How that comes about is in
   * the comment of extension/plan.
   *
   * @returns asks, for Verity.preflight(), is this runner's share; seconds is Infinity where that is not known. Of the script's own
   *   scenario also how many users or events a second there are, from start on in stages, and of a spike how many events, all of
   *   the whole test
   * @example
   * verity.preflight(planRun({ users: { users: 100, rampUp: '1m', hold: '5m', rampDown: '1m', thinkSeconds: { min: 1, max: 2 } } }).asks);
   */
  export function planRun(plan: { users: PlannedUsers } | { purchases: PlannedPurchases }): {
    asks: PreflightPlan; seconds: number; start: number; stages: { seconds: number; target: number }[]; events?: number;
  };

  /** This runner's share of the test, by --execution-segment: 1 for the whole. Not in the init context. */
  export function runnerShare(): number;

  /**
   * Counts an operation that the extension does not count itself in `operations` and `error_rate`, with the tag name. An error is
   * also counted for printSummary, which shows one example for each operation, name and status.
   *
   * @example
   * try { await user.leave(); countOperation('queue_leave'); } catch (error) { countOperation('queue_leave', error); }
   */
  export function countOperation(operation: string, error?: unknown): void;

  /**
   * Writes a line to k6's stdout without mixing it with the progress bars.
   *
   * @param options.wrap break the line at the width of the terminal, or at 80 columns without one: default false
   */
  export function print(line: string, options?: { wrap?: boolean }): void;

  /**
   * Writes the findings of a run in addition to k6's summary: what ended it early, operations and errors by kind, throttled
   * routes, lost tokens, crossed thresholds. For handleSummary, which must return the result. Lines are broken at the width of
   * the terminal (COLUMNS, if it is set), or at 80 columns without one.
   *
   * With GITHUB_STEP_SUMMARY, the Markdown is also appended to that file.
   *
   * @returns the result for handleSummary: undefined, so that k6's own summary follows or, if the run was refused before its load,
   *   an empty text in place of that summary, which would have no data
   * @param options.reportDir a folder for the same as Markdown, as JUnit XML and, if describeRun() was called, as a page with
   *   charts. The files are named after the profile or else the scenario, and replace those of an earlier run; default: no files.
   *   The folder is created if it does not exist (prepareReports() tries that before the run). A folder that cannot be written,
   *   or a name with a / or \, adds a line to the summary
   * @example export const handleSummary = (data) => printSummary({ scenario: 'mine', target: __ENV.BASE_URL, data });
   */
  export function printSummary(options: {
    scenario: string;
    target: string;
    data: object;
    profile?: string;
    reportDir?: string;
  }): { stdout: string } | undefined;

  /**
   * Creates a folder for reports, and throws if no file can be written there. For the init context of a run.
   *
   * With `of`, the files of an earlier run of that profile, or else scenario, are removed. If refuse() then ends the run in the
   * init context, a report says why, and is also appended to the file of GITHUB_STEP_SUMMARY. An empty `dir` means no folder.
   */
  export function prepareReports(dir: string, of?: { scenario: string; profile?: string; target?: string }): void;

  /**
   * Ends the run with this one line and exit code 107, for an invalid configuration, in the init context or in setup(). It cannot
   * be caught. A thrown error does the same, followed by the script's stack.
   *
   * @example if (!(readers >= 1)) { refuse(`READERS must be a number from 1, got ${JSON.stringify(__ENV.READERS)}`); }
   */
  export function refuse(message: string): never;

  /**
   * The least memory in bytes that this runner needs for its share of these VUs, users and sockets of the whole test, and the
   * available memory, of the machine or the container; 0 if that is unknown. k6 creates all VUs before setup().
   *
   * @example const { needed, available } = planMemory({ vus: 200, users: 10000, sockets: 10000 });
   */
  export function planMemory(load: { vus?: number; users?: number; sockets?: number }): { needed: number; available: number };

  /** A claim of a run; docs/verdict.md says how each kind is judged. */
  export type Claim =
    | { claim: 'users' | 'waiting'; least: number }
    | { claim: 'latency'; operations: string[]; withinMs: number; quantile?: number }
    | { claim: 'match'; withinMs: number; quantile?: number }
    | { claim: 'errors'; below: number }
    | { claim: 'tokens' }
    | { claim: 'sessions'; least: number; forSeconds: number; below?: number }
    | { claim: 'purchases'; withinMs: number; sendWithinMs: number; quantile?: number; sent?: number };

  /**
   * For setup(): describes the run, for its evidence, verdict and reports.
   *
   * Throws a TypeError for a claim that cannot be judged; docs/verdict.md has the claims.
   *
   * @example describeRun({ scenario: 'mine', target: __ENV.BASE_URL, plan: '20 users read', users: 20 });
   */
  export function describeRun(run: {
    scenario?: string;
    /** The profile that makes the claims; files are named after it, or else after the scenario. */
    profile?: string;
    target?: string;
    /** One sentence on what the run does. */
    plan?: string;
    /** The planned number of users in stays of the whole test; printSummary compares it with the actual one. */
    users?: number;
    /** The highest planned number of events a second of the whole test, if it has no users. */
    rate?: number;
    /** The number of users, or events a second, at the start (default 0), and its linear ramps: within `seconds` to `target`. */
    start?: number;
    stages?: { seconds: number; target: number }[];
    /** What the run claims, as in js/profiles.json. */
    claims?: Claim[];
    /** Why a run with a profile makes no claims. */
    noClaims?: string;
    /** The variables that the user set, without secrets: the report shows them, so that the run can be repeated. */
    variables?: { [name: string]: string };
    /** A folder for the file of the evidence, NAME.evidence.jsonl.gz; default: it is kept in memory only. */
    reportDir?: string;
  }): void;

  /**
   * The event that this iteration sends, of the arrival rate given to describeRun. Call it first in the iteration. The time of
   * an event counts from when it was due.
   *
   * @example
   * const sending = arrival();
   * await verity.webhook(event).then(() => sending.answered(), (error) => sending.answered(error));
   */
  export function arrival(): {
    /** How late the iteration began after the event was due, in s. */
    readonly lateSeconds: number;
    /** Records that the event was answered as asked for or, with an error, that it failed. */
    answered(error?: unknown): void;
  };

  /** Whether this process runs the script (k6 run), and does not only inspect or archive it. */
  export const willRun: boolean;

  /** The error of a call whose operation did not succeed. */
  export interface VerityError extends Error {
    name:
      | 'ThrottledError' // 429
      | 'AuthError' // 401 in spite of a refresh, or a revoked session
      | 'InsufficientTokensError' // 400, no token left to join with
      | 'ConflictError' // 409 for 4 s: another operation of this user is under way
      | 'HTTPError' // any other unexpected status
      | 'TimeoutError' // no answer within timeoutSeconds, or for more than 5 s when the run ended
      | 'ConnectionError' // no answer: refused, reset, DNS or TLS
      | 'ProtocolError' // an answer that violates the contract, or is larger than 1 MB
      | 'UnexpectedAnswerError' // an answer with the expected status and an unexpected content; see expect
      | 'SocketError' // no socket: refused, not opened in time, or lost
      | 'StoppedError'; // the run ended first: neither a success nor a failure
    /**
     * The value of the tag name: auth_signup, auth_refresh, queue_join, queue_leave, tokens_balance, stripe_webhook,
     * session_choice, or that of a request(); or socket, or wait_for.
     */
    operation: string;
    /** Of the answer; 0 if none came. */
    status: number;
    /** Of a ThrottledError: seconds to wait, from Retry-After. */
    retryAfter?: number;
  }
}
