// What a run asks of the service in its busiest minute, and of this runner: the numbers that the preflight holds against
// rate limits, file descriptors and ports.
//
// The limits are per client address, so everything is this runner's part of the test. With N users at the top, of whom A
// arrive in the busiest minute, cycles of C seconds, and a run of S seconds, per minute:
//
//   auth_signup     A
//   queue_join      N · min(60, S) / C. C is two think times where nobody matches; where users share keys it is what
//                   planQueue makes of waiting, holding and thinking.
//   queue_leave     the same where nobody matches; otherwise N in the ramp-down, for who waits then leaves
//   stripe_webhook  A, for users buy as they arrive, and where users match one for each TOP_UP_TOKENS joins, if the run is
//                   long enough to use up TOKENS_PER_USER
//   tokens_balance  one for each BALANCE_CHECK_EVERY joins, if the run is long enough for that; or, if that is more, one for
//                   each user at the end, of 1,000 at most
//   auth_refresh    A, if the run is longer than a token is used: who arrived in one minute refreshes in one minute
//
// token-purchase-spike: the events of the busiest minute and those sent again, and one sign-up and one balance for each
// seeded user, whom every runner has.

import exec from 'k6/execution';
import { runnerShare } from 'k6/x/verity';
import { durationMs } from './variables.js';
import { AUDITED_USERS } from './journey.js';
import { isSimple, totalUsers, usersPerVu } from './options.js';
import { planOfQueues } from './queues.js';

const MINUTE = 60; // s

/** Verity's access tokens live 900 s, and are refreshed up to 120 s ahead. */
const TOKEN_USE_SECONDS = 780;

/** Verity closes an idle connection after 5 s. Users do not use one that has been idle for 4.5 s, and close it. */
const KEEP_ALIVE_SECONDS = 5;
const IDLE_SECONDS = 4.5;

/** No cycle is shorter, for a request takes its time. */
const SHORTEST_SECONDS = 0.001;

const seconds = (duration) => durationMs(duration) / 1000;
const mean = ({ min, max }) => (min + max) / 2;
const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');
const rounded = (n) => String(Math.round(n * 100) / 100);
const count = (n, what) => `${thousands(Math.ceil(n))} ${what}`;

/** The stages of a run as lines: [{ begin, length, from, to }], in seconds. */
function lines(start, stages) {
  let begin = 0;
  let from = start;
  return stages.map(({ duration, target }) => {
    const line = { begin, length: seconds(duration), from, to: target };
    begin += line.length;
    from = target;
    return line;
  });
}

const lengthOf = (drawn) => drawn.reduce((sum, line) => sum + line.length, 0);

/**
 * The most that a minute brings of what `upTo` counts from the start to a time. The busiest minute begins or ends at a
 * corner, or has one in it.
 */
function busiestMinute(drawn, upTo) {
  let most = 0;
  for (const corner of [0, ...drawn.map((line) => line.begin + line.length)]) {
    for (let start = corner - MINUTE; start <= corner; start++) {
      most = Math.max(most, upTo(start + MINUTE) - upTo(start));
    }
  }
  return most;
}

/** How many arrived until a time, on lines of how many are there. A line without a length is a step right after its begin. */
const arrived = (drawn) => (time) => drawn.reduce((sum, { begin, length, from, to }) => {
  const part = length > 0 ? Math.min(1, Math.max(0, (time - begin) / length)) : Number(time > begin);
  return sum + Math.max(0, to - from) * part;
}, 0);

/** How many events came until a time, on lines of events a second. */
const events = (drawn) => (time) => drawn.reduce((sum, { begin, length, from, to }) => {
  const passed = Math.min(length, Math.max(0, time - begin));
  return sum + from * passed + (length > 0 ? ((to - from) * passed ** 2) / (2 * length) : 0);
}, 0);

/** The one scenario that k6 makes of its flags. */
const ofFlags = () => Object.values(exec.test.options.scenarios)[0];

/** How many users there are, how they come, and for how long: of this runner. */
function crowd(config) {
  const share = runnerShare();
  const users = totalUsers(config) * share;
  if (!isSimple(config)) {
    const drawn = lines(0, [
      { duration: config.rampUp, target: users }, { duration: config.hold, target: users }, { duration: config.rampDown, target: 0 },
    ]);
    return {
      users, share, arrivals: busiestMinute(drawn, arrived(drawn)), how: `${count(users, 'users')} within ${config.rampUp}`,
      length: lengthOf(drawn), wayOut: seconds(config.rampDown), turns: Infinity,
    };
  }
  const { startVUs, stages, duration, iterations } = ofFlags();
  const atOnce = { users, share, arrivals: users, how: `${count(users, 'users')} at once`, wayOut: 0, turns: Infinity };
  if (stages) {
    const drawn = lines((startVUs || 0) * usersPerVu(config) * share,
      stages.map((stage) => ({ ...stage, target: stage.target * usersPerVu(config) * share })));
    const arrivals = busiestMinute(drawn, arrived(drawn)) + drawn[0].from;
    return { ...atOnce, arrivals, how: `of up to ${count(users, 'users')}`, length: lengthOf(drawn) };
  }
  if (iterations) {
    // Each iteration is one turn of new users.
    const turns = iterations * usersPerVu(config) * share;
    return { ...atOnce, arrivals: turns, how: `${count(turns, 'users')}, one turn each`, length: Infinity, turns };
  }
  return { ...atOnce, length: seconds(duration) };
}

/** How long a user takes from one join to the next, and for how long of that the connection is idle at least. */
function cycleOf(config) {
  if (config.mode === 'isolated') {
    return { cycle: Math.max(SHORTEST_SECONDS, 2 * mean(config.think)), pauses: 2, wait: 0 };
  }
  const plan = planOfQueues(config);
  const cycle = Math.max(SHORTEST_SECONDS, totalUsers(config) / (2 * plan.pairsPerSecond));
  return { cycle, pauses: 1, wait: (config.holdSeconds || 0) + plan.medianWaitSeconds };
}

/** The share of the think times that, after so long a wait, are longer than a time. */
function longerThan(time, { min, max }, wait) {
  const longer = time - wait;
  return max > min ? Math.min(1, Math.max(0, (max - longer) / (max - min))) : Number(min > longer);
}

/**
 * The share of the think times after which a user closes its connection, which keeps the port for a minute. After a longer
 * one the service has closed it, and the port is free.
 */
const outlasting = (think, wait) => longerThan(IDLE_SECONDS, think, wait) - longerThan(KEEP_ALIVE_SECONDS, think, wait);

/** What users of a queue ask. */
export function userLoad(config) {
  const { users, arrivals, how, length, wayOut, turns } = crowd(config);
  const { cycle, pauses, wait } = cycleOf(config);
  const matching = config.mode === 'shared';
  const span = Math.min(MINUTE, length);
  const joins = Math.min(turns, users * span / cycle);
  const joining = `${count(users, 'users')} × ${rounded(span)} s / ${rounded(cycle)} s a cycle`;
  const cycles = Math.min(turns / users, length / cycle); // of each user
  const topUps = matching && config.autoTopUp && cycles > (config.seedTokens ? config.tokensPerUser : config.topUpTokens)
    ? joins / config.topUpTokens : 0;

  const requests = {
    auth_signup: { perMinute: arrivals, arithmetic: how },
    stripe_webhook: {
      perMinute: arrivals + topUps,
      arithmetic: topUps > 0 ? `${how}, and ${count(topUps, 'top-ups')}` : how,
    },
    queue_join: { perMinute: joins, arithmetic: joining },
    queue_leave: matching
      ? { perMinute: wayOut > MINUTE ? users * MINUTE / wayOut : users, arithmetic: `who of ${count(users, 'users')} waits at the end` }
      : { perMinute: joins, arithmetic: joining },
  };
  const audited = Math.min(users, AUDITED_USERS);
  const checks = config.balanceCheckEvery > 0 && cycles >= config.balanceCheckEvery ? joins / config.balanceCheckEvery : 0;
  requests.tokens_balance = checks > audited
    ? { perMinute: checks, arithmetic: `${count(joins, 'joins')} / ${config.balanceCheckEvery}` }
    : { perMinute: audited, arithmetic: `${count(audited, 'users')} at the end` };
  if (length > TOKEN_USE_SECONDS && turns === Infinity) {
    requests.auth_refresh = { perMinute: arrivals, arithmetic: `${how}, again and again` };
  }
  return {
    requests,
    connections: Math.ceil(users * (matching ? 2 : 1)),
    closedPerMinute: Math.ceil(joins * pauses * outlasting(config.think, wait)),
  };
}

/** What the webhooks of a spike ask. */
export function purchaseLoad(config) {
  const { perMinute, arithmetic, vus, length } = isSimple(config) ? purchasesOfFlags(config) : purchasesOfSpike(config);
  const { seedUserCount, replayRate } = config;
  const sent = perMinute * (1 + replayRate);
  const again = replayRate > 0 ? `, ${rounded(100 * replayRate)} % sent again` : '';
  const requests = {
    auth_signup: { perMinute: seedUserCount, arithmetic: `${count(seedUserCount, 'users')} before the events`, ofEach: true },
    stripe_webhook: { perMinute: sent, arithmetic: arithmetic + again },
    tokens_balance: { perMinute: seedUserCount, arithmetic: `${count(seedUserCount, 'users')} at the end`, ofEach: true },
  };
  if (length > TOKEN_USE_SECONDS) {
    requests.auth_refresh = { perMinute: seedUserCount, arithmetic: `${count(seedUserCount, 'users')} at the end`, ofEach: true };
  }
  return {
    requests,
    connections: Math.ceil(Math.max(vus * (replayRate > 0 ? 2 : 1), seedUserCount)),
    closedPerMinute: Math.ceil(sent * outlasting(config.think, 0)),
  };
}

function purchasesOfSpike(config) {
  const share = runnerShare();
  const { baseRate, spikeRate, rampUp, spikeHold, rampDown } = config;
  const drawn = lines(baseRate * share, [
    { duration: rampUp, target: spikeRate * share }, { duration: spikeHold, target: spikeRate * share },
    { duration: rampDown, target: baseRate * share }, { duration: rampDown, target: 0 },
  ]);
  const whole = seconds(spikeHold) >= MINUTE;
  return {
    perMinute: busiestMinute(drawn, events(drawn)),
    arithmetic: whole ? `${rounded(spikeRate * share)} a second × 60 s` : `the busiest minute of up to ${rounded(spikeRate * share)} a second`,
    vus: config.maxVus * share,
    length: lengthOf(drawn),
  };
}

function purchasesOfFlags(config) {
  const { duration, stages, iterations } = ofFlags();
  const vus = totalUsers({ ...config, usersPerVu: 1 }) * runnerShare();
  let length = Infinity;
  if (stages) {
    length = lengthOf(lines(0, stages));
  } else if (duration) {
    length = seconds(duration);
  }
  const span = Math.min(MINUTE, length);
  const each = Math.max(SHORTEST_SECONDS, mean(config.think));
  return {
    perMinute: Math.min(iterations ? iterations * runnerShare() : Infinity, vus * span / each),
    arithmetic: `${count(vus, 'VUs')} × ${rounded(span)} s / ${rounded(each)} s an event`,
    vus,
    length,
  };
}
