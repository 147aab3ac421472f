/**
 * k6/x/verity: load-test a Verity from k6.
 *
 * Every call that waits returns a promise and leaves the VU's event loop free, so that one VU can carry many users.
 * Nothing connects in the init context. Unknown option keys, wrong types and numbers out of range are TypeErrors that name
 * the option, the value and what it takes. One about an option has its name as `option`, and `messageFor(name)` returns the
 * message with another name for it, such as that of the environment variable from which a script took it. Facts about the wire
 * are from Verity's contract, docs/verity-api.md.
 *
 * Requests emit k6's own http_* metrics, with the tag `name` set to the operation: auth_signup, auth_refresh, queue_join,
 * queue_leave, tokens_balance or stripe_webhook. No secret and no token is ever in a message, a tag, a URL or a log line.
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
  /** Signs webhooks as Stripe does. Make it in the init context; the secret is looked up at first use. */
  export class StripeSigner {
    /**
     * @param secret the endpoint secret, whsec_…; one with white space in it and an API key (sk_…, pk_…, rk_…) throw. An empty one
     *   is looked up under STRIPE_WEBHOOK_SECRET in k6's secret sources (--secret-source), the default one first, at first use,
     *   which throws where there is none
     */
    constructor(secret: string);

    /**
     * The Stripe-Signature header for exactly this body: `t=<s>,v1=<hex HMAC-SHA256>`.
     *
     * @param options.timestamp whole seconds since the epoch, 0 to 253402300799; default now. Verity takes up to 300 s of
     *   age and any time in the future.
     * @example http.post(url, body, { headers: { 'Stripe-Signature': signer.sign(body) } });
     */
    sign(body: string, options?: { timestamp?: number }): string;

    /**
     * A complete signed checkout.session.completed event, ready to post. Its ids are unique across VUs, runners and runs.
     * Sent with Verity.webhook, it is booked to its user if setup() signed that user up.
     *
     * @example const event = signer.checkoutCompleted({ userId: user.id, tokens: 5 });
     */
    checkoutCompleted(purchase: Purchase): SignedEvent;
  }

  /** What a checkout.session.completed event says. */
  export interface Purchase {
    /** The user to credit; not empty. */
    userId: string;
    /** How many tokens Verity credits, whatever the pack: 1 to 2147483647. */
    tokens: number;
    /** Default: starter for 5 tokens, plus for 15, pro for 30, otherwise starter. */
    packId?: string;
    /** Default: a new evt_…. The same id sent again is credited once. */
    eventId?: string;
    /** Default: a new cs_…. A new event with an old session id is answered 500 and not credited. */
    sessionId?: string;
    /** Default paid; an unpaid session is answered 200 and not credited. */
    paymentStatus?: 'paid' | 'unpaid';
    /** Of the signature: whole seconds since the epoch; default now. */
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
   * The key under which Verity queues this body of POST /queue/join, such as `canberra:015abd7f5cc5`. Throws, in Verity's
   * own words, what the service would answer 400 to.
   *
   * @example queueKey({ city: 'Perth', preferences: { mode: 'shared' } });
   */
  export function queueKey(body: Place): string;

  /** A body of POST /queue/join. `city` wins over `region`; without both the city is canberra. */
  export interface Place {
    city?: string;
    region?: string;
    preferences?: object;
  }

  /**
   * Spreads the users of a test over queue keys. Isolated users wait alone and never match; shared ones wait with the other
   * users of their shard, where partners always sit together and nobody sits alone. The same user number gives the same
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
      /** How many users the whole test has, on all its runners: 1 to 1000000. */
      users: number;
      /** How many users each VU carries: 1 (default) to 100000. */
      usersPerVu?: number;
      /** Into how many keys shared users are spread; default: what planQueue advises, rounded up to as many for each runner. */
      shards?: number;
      /** What the shards are planned for, as planQueue takes it; without any of it, users who hold sessions of 45 s. */
      holdSeconds?: number;
      thinkSeconds?: number;
      maxWaitSeconds?: number;
      arriveSeconds?: number;
      /** Keeps two runs on one Verity apart. */
      namespace?: string;
    });

    /** The queue key of each shard; none in isolated mode. */
    readonly keys: string[];

    /**
     * Where a user joins: its shard, or a key that nobody else has.
     *
     * @param user the user's number across the whole test, from 0 (User.number); default: that of this VU
     */
    place(user?: number): PlannedPlace;
  }

  /** A place that QueueShards chose. User.join takes it as it is. */
  export interface PlannedPlace extends Place {
    readonly preferences: object;
    /** The key under which Verity will queue the user. */
    readonly queueKey: string;
    /** The number of the shard, from 0; -1 in isolated mode. */
    readonly shard: number;
  }

  /**
   * What Verity's matcher can carry: the smallest number of shards in which 95 % of the matches take at most
   * maxWaitSeconds, in the ramp too where arriveSeconds is given, or, with `shards`, what that number makes of the load. The formulas are in extension/queue/plan.go,
   * Predict; the matcher makes 10 pairs per key every 500 ms.
   *
   * @example planQueue({ users: 2000, holdSeconds: 45, shards: 1 }).explanation;
   */
  export function planQueue(load: {
    /** 2 to 1000000. */
    users: number;
    /** From a match until the user may think about the next: 45 for whole sessions, 0 (default) for users who go on; to 86400. */
    holdSeconds?: number;
    /** Mean time between that and the next join: 0 (default) to 86400 s. */
    thinkSeconds?: number;
    /** The wanted wait: 0.001 to 86400 s, default 3. */
    maxWaitSeconds?: number;
    /** Over how long the users arrive, evenly: 0 (default: the ramp is left out) to 86400 s. */
    arriveSeconds?: number;
    /** The matcher's timer: 1 to 60000 ms, default 500. */
    tickMs?: number;
    /** 1 to 10000, default 10. */
    pairsPerTick?: number;
    /** Predict this number of shards instead of planning it: 1 to half of the users. */
    shards?: number;
  }): QueuePlan;

  /** What a number of shards makes of a load. */
  export interface QueuePlan {
    readonly shards: number;
    /** Sessions at once, on average. */
    readonly sessions: number;
    readonly pairsPerSecond: number;
    /** Median wait for a match, in s, once the users are out of step. */
    readonly medianWaitSeconds: number;
    /** The 95th percentile of the wait, in s. */
    readonly waitSeconds: number;
    /** The 95th percentile in the ramp: for those who arrive, and those who come back meanwhile. waitSeconds without a ramp. */
    readonly rampWaitSeconds: number;
    /** Seconds until all are matched if all join at once. */
    readonly drainSeconds: number;
    /** What keeps the pairs from being more. */
    readonly limit: 'matcher' | 'users' | 'partners';
    /** One sentence for a reader. */
    readonly explanation: string;
  }

  /**
   * Reads queue depth from Verity's Redis without blocking it: SSCAN and pipelined ZCARD, never KEYS. It connects at first
   * use, and is no load.
   */
  export class QueueProbe {
    /** @param redisUrl redis://[user:password@]host[:port][/database], or rediss:// for TLS; never shown in a message */
    constructor(redisUrl: string);
    /** How many users are queued, in total and under each key that Redis lists. */
    depths(): Promise<{ total: number; keys: Record<string, number> }>;
    /** Users who are queued by half: members of a queue without a state, and states without a member. */
    ghosts(): Promise<{ members: number; states: number }>;
    /** Closes the connections. */
    close(): Promise<void>;
  }

  /**
   * For setup(): from then on stays read the queue depth of the whole service from this Redis every 2 s, into queue_depth. A
   * Redis that fails is logged once; the run goes on and the summary says that the depth is unknown.
   */
  export function watchDepth(redisUrl: string): void;

  /** For teardown(): reads the depth one last time, and the ghosts that the run left, for printSummary. */
  export function endDepthWatch(): Promise<void>;

  /**
   * Reads PromQL once, outside of k6's http metrics and data_sent. null: no such series. Rejects where Prometheus cannot be
   * read, or an expression has more than one series or is no number; the message names the query.
   *
   * @param options.url of Prometheus, with the path under which it is served, if any
   * @param options.bearerToken default: PROMETHEUS_BEARER_TOKEN of a k6 secret source, if it has one
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
   * What the servers did during a run: reads Prometheus at the start and at the end, and has printSummary show one table. Make
   * it in the init context. A Prometheus that fails costs a warning, never the run. Of several runners the one of the first
   * execution segment reads.
   */
  export class PrometheusWatch {
    constructor(options: {
      /** As of snapshot(). */
      url: string;
      bearerToken?: string;
      /**
       * Adds to the default queries, or replaces one of the same name; null turns one off. The kind of a new one is counter
       * where the expression is a selector whose name ends in _total, or the sum() of one, otherwise gauge. A counter is
       * counted series by series where its expression is a selector or the sum() of one; anything else by its own value.
       */
      queries?: Record<string, string | null | { expr: string; kind?: 'counter' | 'gauge' }>;
      /** Of one request: 0.001 to 60 s, default 5. */
      timeoutSeconds?: number;
    });
    /** For setup(), before the load. Takes at most 10 s. */
    start(): Promise<void>;
    /**
     * For teardown(), after the load. Waits for Prometheus to scrape it: at most 20 s or two intervals between scrapes and, for
     * Postgres, 11 s more; never more than 2 minutes or than teardownTimeout allows.
     */
    end(): Promise<void>;
  }

  /** One Verity under test. Make it in the init context; a missing baseUrl is an error at first use. */
  export class Verity {
    constructor(options: {
      /** Scheme, host and port, such as https://staging.example.com; no credentials, path or query. */
      baseUrl: string;
      /** Needed to buy tokens. */
      signer?: StripeSigner;
      /** How long a request may take: 0.001 to 3600 s, default 60. */
      timeoutSeconds?: number;
      /**
       * Counts each sign-up and each operation of its users in `operations` and `error_rate`, as countOperation() does, and an
       * error for printSummary; match() and holdSession() under queue_join, connect() under socket, choose() under
       * session_choice, waitFor() under wait_for, request() under its name. What the end of the run
       * cut counts as nothing. Default true; false: the script counts. webhook() is never counted, for copies of one event are
       * one operation: count it with countOperation().
       *
       * The first error of each operation, name and status is logged as a warning in any case.
       */
      countOperations?: boolean;
      /** Keeps in mind which accounts this process signs up, for deleteAccounts(): default false. */
      keepAccounts?: boolean;
    });

    /**
     * Signs up an anonymous user, with an HTTP connection and a cookie of its own.
     * Users who are signed up in setup() live as long as the run: user() finds them in every VU.
     *
     * @param options.tokens bought at once through the webhook: 0 (default) to 2147483647. In a stay a purchase that fails is
     *   sent again until it is credited or the stay ends: after 1 s, 2 s, 4 s … 30 s, or as long as a ThrottledError says. The
     *   account is kept meanwhile, and each try counts as an operation stripe_webhook. Elsewhere the first failure rejects
     */
    signUp(options?: { tokens?: number }): Promise<User>;

    /** The user of this id whom setup() signed up in this process; throws where there is none. */
    user(id: string): User;

    /**
     * Posts a signed event.
     *
     * @param options.expectedStatuses default [200]; any other status rejects, and counts as a failed request
     * @example await verity.webhook(signer.checkoutCompleted({ userId, tokens: 5 }));
     */
    webhook(event: SignedEvent, options?: { expectedStatuses?: number[] }): Promise<WebhookResponse>;

    /**
     * Asks for /health once, outside of k6's http metrics. A target that cannot be reached or is no Verity aborts the run
     * with one message and exit code 108.
     */
    checkHealth(): Promise<void>;

    /**
     * For setup(), before any load: checks the health as checkHealth does, then looks once whether the run can say anything
     * about the service, and prints a table of what it found: the clocks, the webhook secret (an event that credits nothing),
     * the rate limit of each planned route (a request that creates nothing), file descriptors and ports. Outside of k6's http
     * metrics. A ✗ ends the run with one message and exit code 107.
     *
     * @example await verity.preflight({ requests: { queue_join: { perMinute: 600, arithmetic: '10 a second' } }, connections: 25 });
     */
    preflight(plan: PreflightPlan): Promise<void>;

    /**
     * For teardown(): reads the balances of this process's users, those of stays and those of setup(), and holds them against what
     * each bought, spent and got back. One that does not add up, and one that cannot be read, count as failed operations
     * (tokens_balance). Takes 4 minutes at most, and gives a service that hangs up after 10 readings.
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

  /** What a run is about to ask, of the service and of this runner. */
  export interface PreflightPlan {
    /**
     * By operation (auth_signup, auth_refresh, queue_join, queue_leave, tokens_balance, stripe_webhook), from this runner: the
     * requests of the busiest minute, 0 to 1e12, and in words how that number comes about. What is not named is not asked. Of
     * several runners each asks its share of the test or, with ofEach (default false), as much as this one.
     */
    requests?: Record<string, { perMinute: number; arithmetic: string; ofEach?: boolean }>;
    /** HTTP connections and sockets open at once: 0 (default) to 2147483647. */
    connections?: number;
    /** Connections that this side closes in a minute, for which each keeps its port: 0 (default) to 2147483647. */
    closedPerMinute?: number;
    /** A ✗ becomes a warning, and the run goes on: default false. */
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
   * One of Verity's users. It keeps its access token fresh for as long as the run lasts: refreshed ahead of expiry and
   * after an unexpected 401, one refresh at a time, and never again once an answer was lost.
   *
   * Calls reject with a VerityError.
   */
  export interface User {
    /** As Verity gave it: a cuid, which begins with c. */
    readonly id: string;
    /** The user's number across the whole test, from 0, as stay() gave it; -1 outside of a stay. */
    readonly number: number;

    /**
     * Joins a queue, for one token. Emits queue_join_latency (ms) for answers 201. A join or leave that is answered 409, as while
     * the matcher is at this user, is no failed request: it is sent again for 4 s, counts in lock_retries, and rejects with a
     * ConflictError after that.
     *
     * @param options.expect any other status, or another key than place.queueKey, rejects with an UnexpectedAnswerError
     */
    join(place: Place, options?: { expect?: 'queued' }):
      Promise<{ status: 'queued' | 'already_queued'; queueKey: string; position: number | null }>;

    /**
     * Leaves the queue. `not_queued` also means matched already. A refund that did not come (`left` without a refund, or
     * `already_matched`, within an hour of a match) counts in tokens_lost, with the tag why.
     *
     * @param options.expect any other status rejects with an UnexpectedAnswerError: right where nobody else joins the key
     */
    leave(options?: { expect?: 'left' }): Promise<{ status: 'left' | 'not_queued' | 'already_matched'; refunded: boolean }>;

    /**
     * Reads the number of tokens, which tokens() takes over.
     *
     * @param options.expect 0 to 2147483647; any other number rejects with an UnexpectedAnswerError. 'account': by the user's own
     *   account, which is a range while purchases had no good answer, and nothing after such a join or leave
     * @example await user.balance({ expect: 'account' });
     */
    balance(options?: { expect?: number | 'account' }): Promise<number>;

    /**
     * Buys n tokens, 1 to 2147483647, through a signed webhook. Emits stripe_webhook_latency (ms). After a failure the next
     * call with the same n sends the same event again, as Stripe does, so that it is credited once. Of a user whom the signUp of a
     * stay has yet to return, a purchase is sent again by itself, as in signUp({ tokens }).
     */
    buyTokens(n: number): Promise<void>;

    /**
     * What the balance should be by the user's own account: bought less spent plus refunded. null after a request without
     * an answer, until the balance is read.
     */
    tokens(): number | null;

    /** Whether the user is in a queue, or may be after a request without an answer. */
    queued(): boolean;

    /**
     * Opens the user's socket, with both namespaces on it, unless it is open: a Socket.IO connection through k6's dialer and
     * TLS. Connect before joining, for a match is heard on the socket only; a join() of a shared place of QueueShards without a
     * socket is warned of, once in a run. Emits socket_connect_time (ms) and sockets_opened, and when the socket ends
     * socket_dropped and, unless the user closed it, sockets_lost with the tag reason.
     */
    connect(): Promise<void>;

    /** Whether the socket is open. */
    connected(): boolean;

    /**
     * Joins, and waits for the match on the socket; leaves the queue when there is none in time. Emits match_time (ms, from
     * this call to the event, or the time waited in vain; tag outcome), match_attempts and match_failed.
     *
     * @param options.timeoutSeconds 0.001 to 3600, default 30
     * @returns matched: false has a reason: no_match, socket_lost (and then socketLost, as the tag reason of sockets_lost), or
     *   stopped by the end of the run, which counts as nothing
     */
    match(options: { place: Place; timeoutSeconds?: number }):
      Promise<{ matched: boolean; sessionId?: string; matchSeconds: number; reason?: string; socketLost?: SocketLoss }>;

    /**
     * The same, then holds the session to session:end, or for holdSeconds and 5 s more where the session lasts longer. Emits
     * session_start_time and session_held (ms), sessions_started and session_dropped.
     *
     * @param options.matchTimeoutSeconds 0.001 to 3600, default 30
     * @param options.holdSeconds 0.001 to 3600, default: as long as the session lasts
     * @returns reason: how it ended, in the service's words timeout, ended or token_error; hold_over, early_end, late_end,
     *   no_start, no_end, socket_lost, stopped, or the rule that was broken; of an unmatched user the reason of match()
     */
    holdSession(options: { place: Place; matchTimeoutSeconds?: number; holdSeconds?: number }): Promise<{
      outcome: 'held' | 'unmatched' | 'dropped' | 'stopped';
      sessionId?: string;
      matchSeconds?: number;
      heldSeconds?: number;
      reason?: string;
      /** Where the reason is socket_lost: why, as the tag reason of sockets_lost. */
      socketLost?: SocketLoss;
    }>;

    /**
     * Sends any request of the platform's as this user, whose access token stays in the extension and is kept fresh. It goes to
     * the service of `baseUrl` alone; redirects are not followed. Emits k6's http_* metrics with the tag `name`. Joining and
     * leaving in this way goes past the user's own account of its tokens: use join() and leave().
     *
     * @param method GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS
     * @param path such as /users/me or /matches?limit=5; an address is refused
     * @param options.body an object or array goes as JSON, a string as it is; both as application/json
     * @param options.name for metrics and errors; default: method and path, without the query and with :id for each part that is a
     *   number, or has 12 characters or more with a digit in them. A run may have 100 names, for each is a time series
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
     * Waits for the next event of this name on the user's socket, which must be open. It waits from the call on, so call it
     * before the operation that brings the event about, and await it afterwards: what comes in between is not lost, and what
     * came before is not heard again. One that is rejected before it is awaited is no unhandled rejection. Counts as wait_for.
     *
     * Rejects with a TimeoutError; with a SocketError where the user has no socket, closes it or loses it; with a StoppedError
     * where the iteration ends first.
     *
     * @param options.namespace default: either
     * @param options.timeoutSeconds 0.001 to 3600, default 30
     * @returns the payload of the event
     * @example
     * const mutual = user.waitFor('match:mutual', { namespace: '/video', timeoutSeconds: 10 });
     * await user.choose(sessionId, 'MATCH');
     * const { matchId } = await mutual;
     */
    waitFor(event: string, options?: { namespace?: '/queue' | '/video'; timeoutSeconds?: number }): Promise<any>;

    /**
     * Chooses after a session that has ended: pending until both have chosen, then resolved. Emits http_* metrics with the name
     * session_choice. Rejects with an HTTPError of status 400 while the session goes on, 403 for another user's, 404 for none.
     *
     * @example const { status, outcome } = await user.choose(held.sessionId, 'MATCH');
     */
    choose(sessionId: string, choice: 'MATCH' | 'PASS'): Promise<{
      status: 'pending' | 'resolved';
      /** Of a resolved choice. */
      outcome?: 'mutual' | 'non_mutual';
      /** Of a pending one: until when the other may choose, as the service gives it. */
      deadline?: number | string;
    }>;

    /** Leaves the queue if the user may be in one, and closes the socket and the connection. */
    close(): Promise<void>;
  }

  /** The answer to User.request. */
  export interface UserResponse {
    readonly status: number;
    /** What the JSON says, the text of anything else, null where there is none. At most 1 MB, unpacked. */
    readonly body: any;
    /** By canonical name, such as Content-Type; without Set-Cookie, which may be a token. */
    readonly headers: Record<string, string>;
    /** As http_req_duration: sending, waiting and receiving, in ms. */
    readonly durationMs: number;
  }

  /**
   * Why a socket was lost: close_ and the code of the server's close frame (close_1005: it had none; close_1006: no close frame
   * came), reset, too_large (a message over 1 MB), ping_timeout, disconnect (41), auth_refused (41, within 5 s), engine_close,
   * protocol (not Socket.IO), stalled (the server took nothing for 10 s), other.
   */
  export type SocketLoss = string;

  /**
   * Runs `cycle` again and again for each of this VU's users, at once and out of step, until the stay ends: with the
   * iteration's context, at the end of a constant-vus scenario, or after one turn where iterations are counted. Then the
   * users leave their queues and their connections close, also on Ctrl-C; at most 75 s after a scheduled end and 10 s
   * after an abort.
   *
   * Under `stages` (ramping-vus) k6 lets a VU that it takes away go on for gracefulRampDown, 30 s by default, and the stay goes on
   * as long. Set `gracefulRampDown: '0s'`, and `gracefulStop: '0s'` for the end: the users are taken out of their queues all the same.
   *
   * A user whose cycle rejects backs off: as long as a ThrottledError says, otherwise 1 s, 2 s, 4 s … 30 s, and begins the
   * next turn. After an AuthError the user is taken out of its queue, as far as that can be done, and another one signs up in its
   * place, with the same number and an isolated queue key of its own. An error that is none of an operation's is logged once
   * and fails the run. Emits `cycles`, one for each that finished, and `users_present`.
   *
   * What had no answer for more than 5 s when the run ended is a TimeoutError, and counts as one; what was cut earlier counts as
   * nothing. A stay that is called wrongly ends the run at once, with exit code 107. A step that returns while an operation of its
   * user is under way, as without `await`, is warned of once.
   *
   * A cycle may be given in steps, each with a think time after it. That is what thousands of users should have: a step that
   * returns the operation's own promise, and a think time that no function waits for, take a fifth less processor time and
   * nearly half the memory of an async function with think(). At the end of a constant-vus scenario a cycle that has begun goes on
   * to its last step, without think times; at other ends, such as a ramp-down, k6 cuts it and the user leaves its queue.
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
    /** How many users this VU carries: 1 to 100000. */
    users: number;
    /** The users arrive spread over so many seconds: 0 (default) to 86400. */
    arriveWithinSeconds?: number;
    /** Where the schedule ends the stay, the users leave spread over so many seconds: 0 (default) to 60. */
    leaveWithinSeconds?: number;
    /** The number of the first user; default (exec.vu.idInTest - 1) × users. */
    firstNumber?: number;
    /** A random think time after each step of the cycle, in seconds, each 0 to 86400 and min no more than max; default none. */
    thinkSeconds?: { min?: number; max: number };
    /** Called for each user as it arrives, with its number, and again after it rejected. */
    signUp: (number: number) => Promise<User>;
  }, cycle: Step | Step[]): Promise<void>;

  /** A cycle of stay(), or a step of one. `turn` counts the user's cycles, from 0. What it resolves to is not looked at. */
  export type Step = (user: User, turn: number) => Promise<unknown> | void;

  /** A random think time in [minSeconds, maxSeconds], each 0 to 86400; default maxSeconds = minSeconds. Quiet when the run stops. */
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

  /** The part of the test that this runner makes, by --execution-segment: 1 for the whole. Not in the init context. */
  export function runnerShare(): number;

  /**
   * Counts one more operation of the scenario in `operations` and `error_rate`, with the tag name; and with an error also the
   * error, of which printSummary shows one example for each operation, name and status.
   *
   * @example
   * try { await user.leave(); countOperation('queue_leave'); } catch (error) { countOperation('queue_leave', error); }
   */
  export function countOperation(operation: string, error?: unknown): void;

  /**
   * Writes a line to k6's stdout, clear of its progress bars.
   *
   * @param options.wrap break it at the width of the terminal, 80 columns where there is none: default false
   */
  export function print(line: string, options?: { wrap?: boolean }): void;

  /**
   * Writes what a run found beside k6's own summary: what ended it early, operations and errors by kind, throttled routes, lost
   * tokens, crossed thresholds. For handleSummary, which then returns nothing, so that k6's own summary stays. Lines are broken at
   * the width of the terminal (COLUMNS, if it is set), at 80 columns where there is none.
   *
   * With GITHUB_STEP_SUMMARY set the Markdown is appended to that file, too.
   *
   * @returns what handleSummary is to return: nothing, so that k6's own summary follows or, where the run was refused before its load and
   *   that summary would be one of nothing, an empty text in its place
   * @param options.reportDir a folder for the same as Markdown, as JUnit XML and, where describeRun() was called, as a page with charts, in files named after the profile, or else the
   *   scenario, over those of an earlier run; default: no files. It is made if it is not there (prepareReports() tries that before
   *   the run). One that cannot be written, and a name with a / or \ in it, cost a line in the summary
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
   * Makes a folder for reports, and throws where no file can be written there. For the init context of a run.
   *
   * With `of`, the files of an earlier run of that profile, or else scenario, are removed, and where refuse() ends this one in the init
   * context a report says why, which is appended to the file of GITHUB_STEP_SUMMARY, too. An empty `dir` stands for no folder.
   */
  export function prepareReports(dir: string, of?: { scenario: string; profile?: string; target?: string }): void;

  /**
   * Ends the run with this one line and exit code 107: for a configuration that cannot work, in the init context or in setup().
   * Nothing catches it. An error that is thrown does the same, with the stack of the script below it.
   *
   * @example if (!(readers >= 1)) { refuse(`READERS must be a number from 1, got ${JSON.stringify(__ENV.READERS)}`); }
   */
  export function refuse(message: string): never;

  /**
   * What so many VUs, users and sockets of the whole test take of this runner's memory at least, in bytes, and how much there
   * is: of the machine, or of the container. available is 0 where that is unknown. k6 makes all VUs before setup().
   *
   * @example const { needed, available } = planMemory({ vus: 200, users: 10000, sockets: 10000 });
   */
  export function planMemory(load: { vus?: number; users?: number; sockets?: number }): { needed: number; available: number };

  /** What a run claims, of one kind; docs/verdict.md says how each is judged. */
  export type Claim =
    | { claim: 'users' | 'waiting'; least: number }
    | { claim: 'latency'; operations: string[]; withinMs: number; quantile?: number }
    | { claim: 'match'; withinMs: number; quantile?: number }
    | { claim: 'errors'; below: number }
    | { claim: 'tokens' }
    | { claim: 'sessions'; least: number; forSeconds: number; below?: number }
    | { claim: 'purchases'; withinMs: number; sendWithinMs: number; quantile?: number; sent?: number };

  /**
   * For setup(): says what the run is, for its evidence, verdict and reports.
   *
   * Throws a TypeError where a claim cannot be judged; docs/verdict.md has the claims.
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
    /** How many users the whole test is to have in stays; printSummary says how many there were. */
    users?: number;
    /** How many events a second the whole test has at its top, where there are no users. */
    rate?: number;
    /** How many of either there are at the start, default 0, and how that changes: evenly within `seconds` to `target`. */
    start?: number;
    stages?: { seconds: number; target: number }[];
    /** What the run claims, as in js/profiles.json. */
    claims?: Claim[];
    /** Why a run that could make claims makes none. */
    noClaims?: string;
    /** The variables that the user set, without secrets: the report shows them to run the same again. */
    variables?: { [name: string]: string };
    /** A folder for the file of the evidence, NAME.evidence.jsonl.gz; default: it is kept in memory only. */
    reportDir?: string;
  }): void;

  /**
   * The event of an arrival rate that this iteration sends, which describeRun told of. Call it first in the iteration. What an
   * event takes counts from the time when it was due.
   *
   * @example
   * const sending = arrival();
   * await verity.webhook(event).then(() => sending.answered(), (error) => sending.answered(error));
   */
  export function arrival(): {
    /** How long after the time when the event was due the iteration began, in s. */
    readonly lateSeconds: number;
    /** Says that the event was answered as asked or, with an error, that it was not. */
    answered(error?: unknown): void;
  };

  /** Whether this process runs the script (k6 run), rather than inspects or archives it. */
  export const willRun: boolean;

  /** What a call rejects with where Verity's answer is not what was asked for. */
  export interface VerityError extends Error {
    name:
      | 'ThrottledError' // 429
      | 'AuthError' // 401 that a refresh does not mend, or a session that is lost
      | 'InsufficientTokensError' // 400, no token left to join with
      | 'ConflictError' // 409 for 4 s: another operation of this user is under way
      | 'HTTPError' // any other status that was not asked for
      | 'TimeoutError' // no answer within timeoutSeconds, or for more than 5 s when the run ended
      | 'ConnectionError' // no answer: refused, reset, DNS or TLS
      | 'ProtocolError' // an answer that is not what the contract says, or larger than 1 MB
      | 'UnexpectedAnswerError' // an answer that is fine by its status, and wrong by what it says; see expect
      | 'SocketError' // no socket: refused, not opened in time, or lost
      | 'StoppedError'; // the run ended first: neither a success nor a failure
    /**
     * The value of the tag name: auth_signup, auth_refresh, queue_join, queue_leave, tokens_balance, stripe_webhook,
     * session_choice, or that of a request(); or socket, or wait_for.
     */
    operation: string;
    /** Of the answer; 0 where there was none. */
    status: number;
    /** Of a ThrottledError: seconds to wait, from Retry-After. */
    retryAfter?: number;
  }
}
