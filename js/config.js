// The configuration of the scenarios, from their environment variables, which are in one table.
//
// Form and range of the values are checked in the init context, before any request. Whether BASE_URL and the webhook secret are
// set is checked only in a run (see requireTarget), so that `k6 inspect` and `k6 archive` work without them.

import exec from 'k6/execution';
import { planMemory, print, PrometheusWatch, prepareReports, QueueProbe, refuse, StripeSigner, Verity } from 'k6/x/verity';
import { plannedVus, requireOptionsOf } from './options.js';
import { requireStart, waitForStart } from './start.js';
import { profileOf } from './profiles.js';
import {
  anything, beginsRun, belongsTo, choice, decimal, duration, durationMs, flag, inEnvironment, moment, readVariables, refuseUnheeded, refusing,
  seconds, whole,
} from './variables.js';

const QUEUE = 'queue-concurrency';
const SESSIONS = 'video-session-sustain';
const SPIKE = 'token-purchase-spike';

const MAX_USERS = 1000000;
const MAX_SECONDS = 24 * 3600;
const MAX_TOKENS = 2147483647;

/** The same default for the two scenarios with users. */
const both = (value) => ({ [QUEUE]: value, [SESSIONS]: value });

/**
 * The variables: the valid values (`takes`) and the default, in every scenario or in those of `of`. `also` are wrong names that
 * users may try. load-test/README.md says what the variables mean.
 */
const VARIABLES = {
  BASE_URL: { takes: anything },
  STRIPE_WEBHOOK_SECRET: { takes: anything, also: ['STRIPE_SECRET', 'WEBHOOK_SECRET'] },
  PROFILE: { takes: anything },
  PROFILES_FILE: { takes: anything },
  SKIP_PREFLIGHT: { takes: flag, default: '0', also: ['NO_PREFLIGHT'] },
  TRIAL: { takes: flag },
  PREFLIGHT_ONLY: { takes: choice('table', 'json') },
  REPORT_DIR: { takes: anything },
  START_AT: { takes: moment, also: ['BEGIN_AT', 'START_TIME'] },
  USE_SIMPLE: { takes: flag, default: '0', also: ['SIMPLE'] },
  DELETE_ACCOUNTS: { takes: flag, default: '0', also: ['CLEANUP', 'CLEAN_UP', 'DELETE_USERS'] },
  ALLOW_UNKNOWN_VARIABLES: { takes: flag, default: '0' },
  PROMETHEUS_URL: { takes: anything },
  PROMETHEUS_BEARER_TOKEN: { takes: anything, also: ['PROMETHEUS_TOKEN'] },
  PROMETHEUS_QUERIES: { takes: anything },
  THINK_TIME_MIN: { takes: seconds(0, MAX_SECONDS), of: { ...both(0.5), [SPIKE]: 0.05 } },
  THINK_TIME_MAX: { takes: seconds(0, MAX_SECONDS), of: { [QUEUE]: 2, [SESSIONS]: 1.5, [SPIKE]: 0.2 } },
  RAMP_UP: { takes: duration, of: { [QUEUE]: '10m', [SESSIONS]: '5m', [SPIKE]: '1m' } },
  RAMP_DOWN: { takes: duration, of: { ...both('2m'), [SPIKE]: '1m' } },

  TARGET_VUS: { takes: whole(1, MAX_USERS), of: { [QUEUE]: 10000 }, also: ['TARGET_USERS', 'QUEUE_USERS', 'QUEUE_VUS'] },
  SESSION_VUS: { takes: whole(1, MAX_USERS), of: { [SESSIONS]: 2000 }, also: ['SESSION_USERS'] },
  SESSION_HOLD_SECONDS: { takes: seconds(0.1, 3600), of: { [SESSIONS]: 45 }, also: ['SESSION_HOLD', 'HOLD_SECONDS'] },
  HOLD: { takes: duration, of: { [QUEUE]: '0m', [SESSIONS]: '10m' }, also: ['HOLD_TIME'] },
  USERS_PER_VU: { takes: whole(1, 10000), of: both() },
  MATCH_TIMEOUT: { takes: seconds(0.1, 3600), of: both(30), also: ['MATCH_TIMEOUT_SECONDS'] },
  QUEUE_MODE: { takes: choice('isolated', 'shared'), of: { [QUEUE]: 'isolated', [SESSIONS]: 'shared' } },
  QUEUE_SHARDS: { takes: whole(1, MAX_USERS), of: both() },
  QUEUE_REGION: { takes: anything, of: both('australiaCentral') },
  SEED_TOKENS: { takes: flag, of: both('1') },
  TOKENS_PER_USER: { takes: whole(1, MAX_TOKENS), of: { [QUEUE]: 2, [SESSIONS]: 5 } },
  AUTO_TOP_UP: { takes: flag, of: both('1') },
  TOP_UP_TOKENS: { takes: whole(1, MAX_TOKENS), of: both(5) },
  BALANCE_CHECK_EVERY: { takes: whole(0, MAX_USERS), of: { [QUEUE]: 10, [SESSIONS]: 3 } },
  REDIS_URL: { takes: anything, of: both() },

  SEED_USER_COUNT: { takes: whole(1, 100000), of: { [SPIKE]: 100 }, also: ['SEED_USERS'] },
  TOKENS_PER_EVENT: { takes: whole(1, MAX_TOKENS), of: { [SPIKE]: 5 } },
  BASE_RATE: { takes: whole(0, 100000), of: { [SPIKE]: 20 } },
  SPIKE_RATE: { takes: whole(1, 100000), of: { [SPIKE]: 400 } },
  SPIKE_HOLD: { takes: duration, of: { [SPIKE]: '2m' } },
  REPLAY_RATE: { takes: decimal(0, 1), of: { [SPIKE]: 0 } },
  PREALLOCATED_VUS: { takes: whole(1, MAX_USERS), of: { [SPIKE]: undefined } },
  MAX_VUS: { takes: whole(1, MAX_USERS), of: { [SPIKE]: undefined } },
};

/** The profile of a run, and the variables of the environment that override its own. */
function selectProfile(scenario, own, table) {
  const { name, variables, claims = [] } = profileOf(scenario, inEnvironment('PROFILE'), own);
  const unheeded = Object.keys(variables).find((variable) => !table[variable] || !belongsTo(table[variable], scenario));
  if (unheeded) {
    refuse(`the profile ${name} has ${unheeded}, which is no variable of ${scenario}; its variables: `
      + Object.keys(table).filter((variable) => belongsTo(table[variable], scenario)).join(', '));
  }
  const overrides = Object.keys(variables)
    .map((variable) => [variable, inEnvironment(variable)])
    .filter(([variable, value]) => value !== undefined && value !== variables[variable])
    .map(([variable, value]) => `${variable}=${value}`);
  return Object.freeze({ name, overrides, variables, claims });
}

/** For each variable, whether a value is a lighter load than the profile's: a lower one, a higher one, or any other. */
const LESS = {
  TARGET_VUS: (is, was) => is < was,
  SESSION_VUS: (is, was) => is < was,
  SPIKE_RATE: (is, was) => is < was,
  THINK_TIME_MIN: (is, was) => is > was,
  THINK_TIME_MAX: (is, was) => is > was,
  QUEUE_MODE: (is, was) => is !== was,
  SESSION_HOLD_SECONDS: (is, was) => is !== was,
};

/** The variables, as VARIABLE=value, with which a run is a lighter load than its profile. */
const lessThanProfile = (values, profileValues) => Object.keys(LESS)
  .filter((name) => values[name] !== undefined && profileValues[name] !== undefined && LESS[name](values[name], profileValues[name]))
  .map((name) => `${name}=${values[name]}`);

/** The range from the values of two variables. */
function range(values, nameMin, nameMax) {
  const [min, max] = [values[nameMin], values[nameMax]];
  if (min > max) {
    refuse(`${nameMin} must not be above ${nameMax}, got ${min} and ${max}; set both`);
  }
  return { min, max };
}

/** The URL of the optional Redis of the Verity under test. Its form is checked; it is never shown, as it may hold a password. */
function redisUrl(url) {
  if (url !== undefined) {
    refusing({ url: 'REDIS_URL' }, () => new QueueProbe(url));
  }
  return url;
}

/** The variables for the options of PrometheusWatch. */
const PROMETHEUS = { url: 'PROMETHEUS_URL', bearerToken: 'PROMETHEUS_BEARER_TOKEN', queries: 'PROMETHEUS_QUERIES' };

/** The optional Prometheus of the Verity under test. The token is never shown. */
function prometheus(values) {
  const url = values.PROMETHEUS_URL;
  if (url === undefined) {
    for (const name of ['PROMETHEUS_BEARER_TOKEN', 'PROMETHEUS_QUERIES']) {
      if (values[name] !== undefined) {
        refuse(`${name} is set, but PROMETHEUS_URL is not; set both, or unset ${name}`);
      }
    }
    return undefined;
  }
  const bearerToken = values.PROMETHEUS_BEARER_TOKEN || '';
  const queries = prometheusQueries(values.PROMETHEUS_QUERIES);
  return refusing(PROMETHEUS, () => new PrometheusWatch({ url, bearerToken, queries }));
}

/** The object of expressions by name; PrometheusWatch checks its entries. */
function prometheusQueries(text) {
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
    refuse('PROMETHEUS_QUERIES must be a JSON object of PromQL expressions by name, such as {"logins": "sum(logins_total)"}, got '
      + JSON.stringify(text));
  }
  return queries;
}

/** Refuses variables of which each sets the number of users. */
function requireOnePlan(values) {
  if (!values.USE_SIMPLE) {
    return;
  }
  if (values.PROFILE !== undefined) {
    refuse(`PROFILE=${values.PROFILE} and USE_SIMPLE=1 exclude each other: both say how many users there are, and for how long`);
  }
  if (values.PREFLIGHT_ONLY !== undefined) {
    refuse("USE_SIMPLE=1 leaves the number of users and the length to k6's flags, and a preflight takes none: unset USE_SIMPLE, and set PROFILE or "
      + 'the variables that say it; a run with USE_SIMPLE=1 looks by itself before it begins');
  }
}

/**
 * The configuration of a scenario: its variables, the Verity under test, and the reports. Call it in the init context, also in a
 * scenario of your own.
 *
 * @param own.variables the scenario's own variables by name, as in the table above: { READERS: { takes: whole(1, 100), default: 20 } }
 * @param own.profiles the scenario's own profiles: [{ name, variables: { READERS: '2' } }]
 * @returns an object with `variables`, the values by name, and more
 */
export function configure(name, own = {}) {
  const table = { ...VARIABLES, ...own.variables };
  const reports = beginsRun ? inEnvironment('REPORT_DIR') : undefined;
  const prepare = (profileName) => refusing({ dir: 'REPORT_DIR' }, () => prepareReports(reports || '', { scenario: name, profile: profileName }));
  if (beginsRun) {
    prepare((inEnvironment('PROFILE') || '').replace(/[/\\]/g, '-'));
  }
  refuseUnheeded(table, name);
  const { variables: ofProfile, ...profile } = selectProfile(name, own.profiles, table);
  const values = readVariables(table, name, { variables: ofProfile });
  requireOnePlan(values);
  const less = lessThanProfile(values, readVariables(table, name, { variables: ofProfile }, () => undefined));
  const baseUrl = values.BASE_URL || '';
  const signer = refusing({}, () => new StripeSigner(values.STRIPE_WEBHOOK_SECRET || ''));
  const verity = refusing({ baseUrl: 'BASE_URL' }, () => new Verity({ baseUrl, signer, keepAccounts: values.DELETE_ACCOUNTS }));
  if (beginsRun) {
    requireTarget({ baseUrl, signer });
    if (less.length > 0) {
      prepare(''); // such a run makes no claims, and its files are named after the scenario
    }
  }
  const readings = prometheus(values);
  const afterwards = values.PREFLIGHT_ONLY === undefined ? { prometheus: readings, startAt: values.START_AT } : {}; // a run that only looks ends then
  return {
    name, profile: { ...profile, less }, variables: values, baseUrl, signer, verity, ...afterwards, reportDir: values.REPORT_DIR, given: givenOf(table),
    preflightOnly: values.PREFLIGHT_ONLY, useSimple: values.USE_SIMPLE, skipPreflight: values.SKIP_PREFLIGHT,
    deleteAccounts: values.DELETE_ACCOUNTS,
    plan: planOf(values, Object.keys(own.variables || {}).filter((variable) => table[variable].takes !== anything)),
  };
}

/** Variables that are secrets, may hold one, or differ between runs. */
const KEPT_BACK = [
  'BASE_URL', 'STRIPE_WEBHOOK_SECRET', 'REPORT_DIR', 'PROMETHEUS_URL', 'PROMETHEUS_BEARER_TOKEN', 'PROMETHEUS_QUERIES', 'REDIS_URL', 'PREFLIGHT_ONLY',
];

/** The set variables by name, to repeat the run. A script's own variables of any text are left out, as they may be secrets. */
const givenOf = (table) => Object.fromEntries(Object.keys(table)
  .filter((name) => !KEPT_BACK.includes(name) && (table[name].takes !== anything || VARIABLES[name]) && inEnvironment(name) !== undefined)
  .map((name) => [name, inEnvironment(name)]));

/** The variables that determine k6's options, as texts by name. An archive keeps them with its options. */
const planOf = (values, names) => Object.fromEntries(names.map((name) => [name, String(values[name])]));

/**
 * The default number of users in a VU: so many that there are 20 VUs, for enough steps in a ramp and an event loop for each
 * processor, and at most 100. A VU takes a third of a megabyte, a user in it a twentieth of that.
 */
export const defaultUsersPerVu = (users) => Math.min(100, Math.max(1, Math.floor(users / 20)));

/** The configuration of a scenario with users in a queue. `usersName` is the variable for their number. */
function queueScenario(name, usersName) {
  const common = configure(name);
  const values = common.variables;
  const config = {
    ...common,
    usersName,
    users: values[usersName],
    usersPerVu: values.USERS_PER_VU,
    plannedPerVu: values.USERS_PER_VU || defaultUsersPerVu(values[usersName]),
    region: values.QUEUE_REGION,
    mode: values.QUEUE_MODE,
    shards: values.QUEUE_SHARDS,
    think: range(values, 'THINK_TIME_MIN', 'THINK_TIME_MAX'),
    seedTokens: values.SEED_TOKENS,
    tokensPerUser: values.TOKENS_PER_USER,
    autoTopUp: values.AUTO_TOP_UP,
    topUpTokens: values.TOP_UP_TOKENS,
    balanceCheckEvery: values.BALANCE_CHECK_EVERY,
    rampUp: values.RAMP_UP,
    hold: values.HOLD,
    rampDown: values.RAMP_DOWN,
    redisUrl: redisUrl(values.REDIS_URL),
    matchTimeout: values.MATCH_TIMEOUT,
    holdSeconds: values.SESSION_HOLD_SECONDS,
  };
  config.plan = {
    ...planOf(values, [usersName, 'RAMP_UP', 'HOLD', 'RAMP_DOWN', 'QUEUE_MODE']), USERS_PER_VU: String(config.plannedPerVu),
  };
  if (!config.seedTokens && !config.autoTopUp) {
    refuse('SEED_TOKENS and AUTO_TOP_UP must not both be 0: nobody could ever join');
  }
  if (!config.useSimple) {
    requirePlan(config);
  }
  return Object.freeze(config);
}

/** Refuses impossible numbers of users and lengths, if the variables and not k6's flags determine them. */
function requirePlan(config) {
  const { usersName, users, shards, rampUp, hold, rampDown } = config;
  if (config.mode === 'shared' && users < 2) {
    refuse(`${usersName} must be at least 2 where QUEUE_MODE is "shared", for a match needs two, got "${users}"`);
  }
  if (shards > users / 2) {
    refuse(`QUEUE_SHARDS must be at most half of ${usersName}, for a shard needs two users, got ${shards} and ${users}`);
  }
  if (durationMs(rampUp) + durationMs(hold) + durationMs(rampDown) === 0) {
    refuse('RAMP_UP, HOLD and RAMP_DOWN must not all be 0: the run would have no length');
  }
  requireMemory(config, `${usersName}=${users} with ${config.plannedPerVu} users a VU`, {
    vus: plannedVus(config), users, sockets: config.mode === 'shared' ? users : 0,
  });
}

/** Refuses a run that needs more memory than this machine has. k6 creates all VUs before setup(), so the preflight is too late. */
function requireMemory({ skipPreflight }, what, load) {
  if (!beginsRun || skipPreflight) {
    return;
  }
  const { needed, available } = planMemory(load);
  if (available > 0 && needed > available) {
    refuse(`${what} takes about ${gigabytes(needed)}, and this machine has ${gigabytes(available)}: plan fewer users, more users a `
      + 'VU, or several runners; SKIP_PREFLIGHT=1 runs it all the same');
  }
}

const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB of memory`;

/** queue-concurrency: TARGET_VUS users join and leave. */
export const queueConcurrency = () => queueScenario(QUEUE, 'TARGET_VUS');

/** video-session-sustain: SESSION_VUS users hold sessions. */
export const videoSessionSustain = () => queueScenario(SESSIONS, 'SESSION_VUS');

/** token-purchase-spike: webhooks arrive at BASE_RATE, then at SPIKE_RATE. */
export function tokenPurchaseSpike() {
  const common = configure(SPIKE);
  const values = common.variables;
  const config = {
    ...common,
    seedUserCount: values.SEED_USER_COUNT,
    tokensPerEvent: values.TOKENS_PER_EVENT,
    baseRate: values.BASE_RATE,
    spikeRate: values.SPIKE_RATE,
    rampUp: values.RAMP_UP,
    spikeHold: values.SPIKE_HOLD,
    rampDown: values.RAMP_DOWN,
    think: range(values, 'THINK_TIME_MIN', 'THINK_TIME_MAX'),
    replayRate: values.REPLAY_RATE,
  };
  if (config.baseRate > config.spikeRate) {
    refuse(`BASE_RATE must not be above SPIKE_RATE, got ${config.baseRate} and ${config.spikeRate}`);
  }
  config.preallocatedVus = values.PREALLOCATED_VUS || vusFor(config);
  config.maxVus = values.MAX_VUS || Math.max(4 * vusFor(config), config.preallocatedVus);
  if (config.preallocatedVus > config.maxVus) {
    refuse(`PREALLOCATED_VUS must not be above MAX_VUS, got ${config.preallocatedVus} and ${config.maxVus}`);
  }
  config.plan = {
    ...planOf(values, ['BASE_RATE', 'SPIKE_RATE', 'RAMP_UP', 'SPIKE_HOLD', 'RAMP_DOWN']),
    PREALLOCATED_VUS: String(config.preallocatedVus), MAX_VUS: String(config.maxVus),
  };
  if (!config.useSimple) {
    requireMemory(config, `PREALLOCATED_VUS=${config.preallocatedVus}`, {
      vus: config.preallocatedVus, users: config.preallocatedVus, sockets: 0,
    });
  }
  return Object.freeze(config);
}

/**
 * The VUs that a spike needs, by Little's law: arrivals a second times the length of an iteration, with 100 ms for the answer and
 * 2 s for a replay.
 */
function vusFor({ spikeRate, think, replayRate }) {
  return Math.max(1, Math.ceil(spikeRate * (think.max + 0.1 + 2 * replayRate)));
}

/**
 * Refuses a run without a target or a secret. Called in the init context of a run, so that k6 does not create VUs first, and
 * in setup().
 */
export function requireTarget({ baseUrl, signer }) {
  if (baseUrl === '') {
    refuse('BASE_URL is not set; it must be an http or https URL of scheme, host and port only, such as https://staging.example.com');
  }
  refusing({}, () => signer.sign(''));
}

/** Refuses k6's flags that override the script's scenario, if a profile or PREFLIGHT_ONLY is set, which are part of it. */
function requireScenarioIsRun({ name, profile, preflightOnly, useSimple }) {
  if (name in exec.test.options.scenarios) {
    return;
  }
  const flags = 'flags such as --vus, --duration, --iterations and --stage';
  if (preflightOnly) {
    refuse(`PREFLIGHT_ONLY and ${flags} exclude each other`);
  }
  if (profile.name !== '') {
    refuse(`PROFILE=${profile.name} and ${flags} exclude each other: both say how many users there are, and for how long`);
  }
  const { vus, duration: length, iterations, stages } = Object.values(exec.test.options.scenarios)[0];
  if (!vus && !length && !iterations && !stages) {
    refuse(`${useSimple ? 'USE_SIMPLE=1' : 'An archive that was made with USE_SIMPLE=1'} leaves the number of users and the length to k6: `
      + 'give it --vus and --duration, such as --vus 10 --duration 30s, or --stage');
  }
}

/** Whether two users match before the load: if its users will, unless TRIAL=0; in a preflight-only run only with TRIAL=1. */
const wantsTrial = ({ mode, variables, preflightOnly }) => (mode === 'shared' && variables.TRIAL !== false
  && (!preflightOnly || variables.TRIAL === true));

/** Says at the end of a preflight that two users could match too, which makes accounts. */
function mentionTrial({ mode, variables, preflightOnly }) {
  if (preflightOnly === 'table' && mode === 'shared' && variables.TRIAL === undefined) {
    print('  The trial match was left out, for it makes two accounts: --trial lets two users match, as each run does before its load', { wrap: true });
  }
}

/** With DELETE_ACCOUNTS=1, deletes the two accounts of a preflight-only run, which has no teardown. */
const deleteTrial = (config) => (config.preflightOnly && config.deleteAccounts && wantsTrial(config) ? config.verity.deleteAccounts() : undefined);

/** To be called first in setup(): refuses a run whose k6 options and flags contradict the variables. */
export function checkPlan(config) {
  const { executionSegment, executionSegmentSequence } = exec.test.options;
  if (executionSegment && !executionSegmentSequence) {
    refuse('--execution-segment needs --execution-segment-sequence beside it: without it every runner numbers its users alike');
  }
  requireScenarioIsRun(config);
  requireOptionsOf(config);
  requireStart(config);
}

/**
 * To be called in setup(): aborts a run whose target is not a Verity, does the preflight for the load that `load` returns, and
 * waits until START_AT.
 */
export function checkTarget(config, load) {
  requireTarget(config);
  return config.verity.preflight({
    ...load(config), override: config.skipPreflight, json: config.preflightOnly === 'json', trial: wantsTrial(config),
  }).then(() => mentionTrial(config)).then(() => deleteTrial(config)).then(() => waitForStart(config));
}
