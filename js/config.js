// The configuration of the scenarios: environment variables, read and checked in this one place.
//
// Form and range are checked here, in the init context, before any request. That BASE_URL and the webhook secret are
// there is checked in setup() (see checkTarget), so that `k6 inspect` and `k6 archive` work without them.

import exec from 'k6/execution';
import { PrometheusWatch, prepareReports, QueueProbe, StripeSigner, Verity, willRun } from 'k6/x/verity';
import { profileOf } from './profiles.js';

const MAX_USERS = 1000000;
const MAX_SECONDS = 24 * 3600;
const DAY_MS = 24 * 3600 * 1000;
const UNIT_MS = { ms: 1, s: 1000, m: 60 * 1000, h: 3600 * 1000, d: DAY_MS };

function refuse(name, takes, got) {
  throw new Error(`${name} must be ${takes}, got ${JSON.stringify(got)}`);
}

/** The text of a variable of the environment; an empty one counts as not set, for `docker run -e` and CI files set empty ones. */
function inEnvironment(name) {
  const value = __ENV[name];
  return value === undefined || value === '' ? undefined : value;
}

/** The profile that PROFILE selects, once the scenario is known. */
let profile = { name: '', variables: {} };

/** The text of a variable: of the environment, or else of the profile. */
function given(name) {
  return inEnvironment(name) || profile.variables[name];
}

/**
 * Takes the profile that PROFILE selects for this scenario, from then on, and returns its name with the variables of the
 * environment that win over its own.
 */
function selectProfile(scenario) {
  profile = profileOf(scenario, inEnvironment('PROFILE'));
  const { name, variables } = profile;
  if (name !== '' && flag('USE_SIMPLE', '0')) {
    throw new Error(`PROFILE=${name} and USE_SIMPLE=1 exclude each other: both say how many users there are, and for how long`);
  }
  const overrides = Object.keys(variables)
    .map((variable) => [variable, inEnvironment(variable)])
    .filter(([variable, value]) => value !== undefined && value !== variables[variable])
    .map(([variable, value]) => `${variable}=${value}`);
  return Object.freeze({ name, overrides });
}

function number(name, fallback, least, most, pattern, kind) {
  const text = given(name);
  if (text === undefined) {
    return fallback;
  }
  const value = Number(text);
  if (!pattern.test(text) || value < least || value > most) {
    refuse(name, `a ${kind} from ${least} to ${most}`, text);
  }
  return value;
}

const whole = (name, fallback, least, most) => number(name, fallback, least, most, /^\d+$/, 'whole number');
const decimal = (name, fallback, least, most) => number(name, fallback, least, most, /^\d+(\.\d+)?$/, 'number');

function choice(name, fallback, choices) {
  const text = given(name) || fallback;
  if (!choices.includes(text)) {
    refuse(name, choices.map((c) => JSON.stringify(c)).join(' or '), text);
  }
  return text;
}

const flag = (name, fallback) => choice(name, fallback, ['0', '1']) === '1';

/** Milliseconds of a k6 duration such as 90s, 1m30s or 0m; undefined where it is none. */
export function durationMs(text) {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) {
    return undefined;
  }
  return text.match(/\d+(\.\d+)?(ms|s|m|h|d)/g).reduce((sum, part) => {
    const unit = part.match(/[a-z]+$/)[0];
    return sum + parseFloat(part) * UNIT_MS[unit];
  }, 0);
}

function duration(name, fallback) {
  const text = given(name) || fallback;
  const ms = durationMs(text);
  if (ms === undefined || ms > DAY_MS) {
    refuse(name, 'a duration of at most 24h such as 90s, 1m30s or 10m', text);
  }
  return text;
}

function range(nameMin, fallbackMin, nameMax, fallbackMax) {
  const min = decimal(nameMin, fallbackMin, 0, MAX_SECONDS);
  const max = decimal(nameMax, fallbackMax, 0, MAX_SECONDS);
  if (min > max) {
    throw new Error(`${nameMin} must not be above ${nameMax}, got ${min} and ${max}; set both`);
  }
  return { min, max };
}

/** The optional Redis of the Verity under test. Its form is checked; it is never shown, for it may hold a password. */
function redisUrl() {
  const url = given('REDIS_URL');
  if (url !== undefined) {
    try {
      new QueueProbe(url);
    } catch (error) {
      throw new Error(error.message.replace('QueueProbe: redis URL', 'REDIS_URL'));
    }
  }
  return url;
}

/** How a run that only looks says what it found: "table" or "json"; undefined for a run that goes on. */
function preflightAs() {
  const form = given('PREFLIGHT_ONLY') === undefined ? undefined : choice('PREFLIGHT_ONLY', '', ['table', 'json']);
  if (form && flag('USE_SIMPLE', '0')) {
    throw new Error('PREFLIGHT_ONLY and USE_SIMPLE=1 exclude each other: the flags that say how many users there are would be '
      + 'carried out');
  }
  return form;
}

/** The folder for the reports of a run, if it is to write some. A run whose results cannot be written is refused before it. */
function makeReportDir(dir) {
  if (dir === undefined) {
    return;
  }
  try {
    prepareReports(dir);
  } catch (error) {
    throw new Error(error.message.replace('the folder for reports', 'REPORT_DIR'));
  }
}

const OPTION_OF = {
  PROMETHEUS_URL: 'url of PrometheusWatch',
  PROMETHEUS_BEARER_TOKEN: 'bearerToken of PrometheusWatch',
  PROMETHEUS_QUERIES: 'queries of PrometheusWatch',
};

/** The optional Prometheus of the Verity under test. The token is never shown. */
function prometheus() {
  const url = given('PROMETHEUS_URL');
  if (url === undefined) {
    for (const name of ['PROMETHEUS_BEARER_TOKEN', 'PROMETHEUS_QUERIES']) {
      if (given(name) !== undefined) {
        throw new Error(`${name} is set, but PROMETHEUS_URL is not; set both, or unset ${name}`);
      }
    }
    return undefined;
  }
  const bearerToken = given('PROMETHEUS_BEARER_TOKEN') || '';
  const queries = prometheusQueries();
  try {
    return new PrometheusWatch({ url, bearerToken, queries });
  } catch (error) {
    const name = Object.keys(OPTION_OF).find((variable) => error.message.startsWith(OPTION_OF[variable]));
    throw name ? new Error(error.message.replace(OPTION_OF[name], name)) : error;
  }
}

/** An object of expressions by name; its entries are checked by PrometheusWatch. */
function prometheusQueries() {
  const text = given('PROMETHEUS_QUERIES');
  if (text === undefined) {
    return undefined;
  }
  let queries;
  try {
    queries = JSON.parse(text);
  } catch (error) {
    queries = null;
  }
  if (queries === null || typeof queries !== 'object' || Array.isArray(queries)) {
    refuse('PROMETHEUS_QUERIES', 'a JSON object of PromQL expressions by name, such as {"logins": "sum(logins_total)"}', text);
  }
  return queries;
}

/** What every scenario needs. */
function target(name) {
  const selected = selectProfile(name);
  const baseUrl = given('BASE_URL') || '';
  const signer = new StripeSigner(given('STRIPE_WEBHOOK_SECRET') || '');
  let verity;
  try {
    verity = new Verity({ baseUrl, signer });
  } catch (error) {
    throw new Error(error.message.replace('baseUrl of Verity', 'BASE_URL'));
  }
  const reportDir = given('REPORT_DIR');
  if (willRun && __VU === 0) {
    requireTarget({ baseUrl, signer });
    makeReportDir(reportDir);
  }
  const preflightOnly = preflightAs();
  return {
    name, profile: selected, baseUrl, signer, verity, prometheus: prometheus(), reportDir, preflightOnly, useSimple: flag('USE_SIMPLE', '0'),
    skipPreflight: flag('SKIP_PREFLIGHT', '0'),
  };
}

/**
 * How many users a VU carries where USERS_PER_VU does not say: as many as leave 20 VUs, so that a ramp has steps enough and
 * each processor an event loop, and 100 at most. A VU takes a third of a megabyte, a user in it a twentieth of that.
 */
export const defaultUsersPerVu = (users) => Math.min(100, Math.max(1, Math.floor(users / 20)));

/** What the scenarios with users in a queue need. `usersName` is the variable that counts them. */
function users(usersName, defaults) {
  const useSimple = flag('USE_SIMPLE', '0');
  const config = {
    users: whole(usersName, defaults.users, 1, MAX_USERS),
    usersPerVu: whole('USERS_PER_VU', undefined, 1, 10000),
    region: given('QUEUE_REGION') || 'australiaCentral',
    mode: choice('QUEUE_MODE', defaults.mode, ['isolated', 'shared']),
    shards: whole('QUEUE_SHARDS', undefined, 1, MAX_USERS),
    think: range('THINK_TIME_MIN', defaults.think[0], 'THINK_TIME_MAX', defaults.think[1]),
    seedTokens: flag('SEED_TOKENS', '1'),
    tokensPerUser: whole('TOKENS_PER_USER', defaults.tokensPerUser, 1, 2147483647),
    autoTopUp: flag('AUTO_TOP_UP', '1'),
    topUpTokens: whole('TOP_UP_TOKENS', 5, 1, 2147483647),
    balanceCheckEvery: whole('BALANCE_CHECK_EVERY', defaults.balanceCheckEvery, 0, MAX_USERS),
    rampUp: duration('RAMP_UP', defaults.rampUp),
    hold: duration('HOLD', defaults.hold),
    rampDown: duration('RAMP_DOWN', defaults.rampDown),
    redisUrl: redisUrl(),
    matchTimeout: decimal('MATCH_TIMEOUT', 30, 0.1, 3600),
  };
  config.plannedPerVu = config.usersPerVu || defaultUsersPerVu(config.users);
  if (!config.seedTokens && !config.autoTopUp) {
    throw new Error('SEED_TOKENS and AUTO_TOP_UP must not both be 0: nobody could ever join');
  }
  if (!useSimple && config.mode === 'shared' && config.users < 2) {
    refuse(usersName, 'at least 2 where QUEUE_MODE is "shared", for a match needs two', String(config.users));
  }
  if (!useSimple && config.shards > config.users / 2) {
    throw new Error(`QUEUE_SHARDS must be at most half of ${usersName}, for a shard needs two users, got ${config.shards} `
      + `and ${config.users}`);
  }
  if (!useSimple && durationMs(config.rampUp) + durationMs(config.hold) + durationMs(config.rampDown) === 0) {
    throw new Error('RAMP_UP, HOLD and RAMP_DOWN must not all be 0: the run would have no length');
  }
  return config;
}

/** queue-concurrency: TARGET_VUS users join and leave. */
export function queueConcurrency() {
  return Object.freeze({
    ...target('queue-concurrency'),
    ...users('TARGET_VUS', {
      users: 10000, mode: 'isolated', think: [0.5, 2], tokensPerUser: 2, balanceCheckEvery: 10,
      rampUp: '10m', hold: '0m', rampDown: '2m',
    }),
  });
}

/** video-session-sustain: SESSION_VUS users hold sessions. */
export function videoSessionSustain() {
  return Object.freeze({
    ...target('video-session-sustain'),
    ...users('SESSION_VUS', {
      users: 2000, mode: 'shared', think: [0.5, 1.5], tokensPerUser: 5, balanceCheckEvery: 3,
      rampUp: '5m', hold: '10m', rampDown: '2m',
    }),
    holdSeconds: decimal('SESSION_HOLD_SECONDS', 45, 0.1, 3600),
  });
}

/** token-purchase-spike: webhooks arrive at BASE_RATE, then at SPIKE_RATE. */
export function tokenPurchaseSpike() {
  const config = {
    ...target('token-purchase-spike'),
    seedUserCount: whole('SEED_USER_COUNT', 100, 1, 100000),
    tokensPerEvent: whole('TOKENS_PER_EVENT', 5, 1, 2147483647),
    baseRate: whole('BASE_RATE', 20, 0, 100000),
    spikeRate: whole('SPIKE_RATE', 400, 1, 100000),
    rampUp: duration('RAMP_UP', '1m'),
    spikeHold: duration('SPIKE_HOLD', '2m'),
    rampDown: duration('RAMP_DOWN', '1m'),
    think: range('THINK_TIME_MIN', 0.05, 'THINK_TIME_MAX', 0.2),
    replayRate: decimal('REPLAY_RATE', 0, 0, 1),
  };
  if (config.baseRate > config.spikeRate) {
    throw new Error(`BASE_RATE must not be above SPIKE_RATE, got ${config.baseRate} and ${config.spikeRate}`);
  }
  if (given('USERS_PER_VU') !== undefined) {
    throw new Error('USERS_PER_VU has no meaning in token-purchase-spike: its webhooks come from Stripe; unset it');
  }
  config.preallocatedVus = whole('PREALLOCATED_VUS', vusFor(config), 1, MAX_USERS);
  config.maxVus = whole('MAX_VUS', Math.max(4 * vusFor(config), config.preallocatedVus), 1, MAX_USERS);
  if (config.preallocatedVus > config.maxVus) {
    throw new Error(`PREALLOCATED_VUS must not be above MAX_VUS, got ${config.preallocatedVus} and ${config.maxVus}`);
  }
  return Object.freeze(config);
}

/** Little's law: arrivals per second times the time of an iteration, with 100 ms for the answer and 2 s for a replay. */
function vusFor({ spikeRate, think, replayRate }) {
  return Math.max(1, Math.ceil(spikeRate * (think.max + 0.1 + 2 * replayRate)));
}

/**
 * Refuses a run without a target or a secret. Called in the init context where the script is about to run, so that nothing
 * is made ready in vain, and in setup().
 */
export function requireTarget({ baseUrl, signer }) {
  if (baseUrl === '') {
    throw new Error('BASE_URL is not set; it must be the http or https URL of the Verity under test, such as '
      + 'https://staging.example.com');
  }
  signer.sign('');
}

/** An archive holds the options of the variables with which it was made; other ones cannot be told to it afterwards. */
function requireSameOptions(config) {
  const scenario = exec.test.options.scenarios[config.name];
  if (!scenario || config.users === undefined || config.preflightOnly) {
    return;
  }
  const planned = Math.max(...scenario.stages.map((stage) => stage.target));
  const wanted = Math.ceil(config.users / config.plannedPerVu);
  if (planned !== wanted) {
    throw new Error(`the options have ${planned} VUs, but the variables ask for ${wanted} (${config.users} users, `
      + `${config.plannedPerVu} a VU): an archive keeps the options of the variables with which it was made; make it anew`);
  }
}

/** k6's flags override the script's scenario, of which the profile is a part, and which is none in a run that only looks. */
function requireScenarioIsRun({ name, profile: selected, preflightOnly }) {
  if (name in exec.test.options.scenarios) {
    return;
  }
  if (preflightOnly) {
    throw new Error('PREFLIGHT_ONLY and flags such as --vus, --duration, --iterations and --stage exclude each other');
  }
  if (selected.name !== '') {
    throw new Error(`PROFILE=${selected.name} and flags such as --vus, --duration, --iterations and --stage exclude each `
      + 'other: both say how many users there are, and for how long');
  }
}

/**
 * To be called in setup(): refuses a run that cannot work, aborts one whose target is no Verity, and looks whether the
 * service and this runner stand what the run asks, which `load` computes.
 */
export function checkTarget(config, load) {
  const { executionSegment, executionSegmentSequence } = exec.test.options;
  if (executionSegment && !executionSegmentSequence) {
    throw new Error('--execution-segment needs --execution-segment-sequence beside it: without it every runner numbers '
      + 'its users alike');
  }
  requireScenarioIsRun(config);
  requireSameOptions(config);
  requireTarget(config);
  return config.verity.preflight({
    ...load(config), override: config.skipPreflight, json: config.preflightOnly === 'json',
  });
}
