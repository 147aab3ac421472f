// k6's options: executors, thresholds and the statistics of the summary.

import exec from 'k6/execution';
import { planRun, refuse } from 'k6/x/verity';
import { durationMs } from './variables.js';

/** The longest last stage, which takes the rate to 0 and is as long as the ramp-down. */
const LAST_STAGE_MS = 60 * 1000;

/** The longest time in s over which users leave: a stay must be over 75 s after its end. */
const LONGEST_LEAVE_S = 60;

/**
 * The thresholds of every scenario. Each limit is accompanied by a condition that fails if nothing was measured, as k6 passes a
 * threshold on a metric without samples.
 *
 * @param operations the name tags of the scenario's main requests
 */
export function thresholds(operations, more = {}) {
  const limits = {
    http_reqs: ['count>0'],
    http_req_duration: ['p(95)<100', 'max>0'],
    http_req_failed: ['rate<0.001'],
    operations: ['count>0'],
    error_rate: ['rate<0.001'],
    throttled_requests: ['count<1'],
    ...more,
  };
  for (const operation of operations) {
    limits[`http_req_duration{name:${operation}}`] = ['p(95)<100', 'max>0'];
  }
  return limits;
}

/** More thresholds for users that wait for a match on sockets. */
export const matchThresholds = () => ({
  match_time: ['p(95)<3000', 'max>0'],
  match_attempts: ['count>0'],
  match_failed: ['rate<0.001'],
  session_dropped: ['rate<0.001'],
  sockets_opened: ['count>0'],
  socket_dropped: ['rate<0.001'],
});

/** More thresholds for users that hold sessions: some must have started. */
export const sessionThresholds = () => ({ sessions_started: ['count>0'] });

/** The executor of a preflight-only run: no iterations, one VU. */
const NO_LOAD = {
  executor: 'ramping-arrival-rate', startRate: 0, preAllocatedVUs: 1, stages: [{ duration: '1ms', target: 0 }], gracefulStop: '0s',
};

/**
 * k6's options of a scenario, with the options that all scenarios share. With USE_SIMPLE there is no executor: k6's flags determine
 * it. The executor's `env` has the variables that determine it, so that an archive keeps them (see requireOptionsOf).
 */
export function scenarioOptions(config, scenario, limits) {
  if (config.preflightOnly) {
    return { scenarios: { [config.name]: { ...NO_LOAD, env: { PREFLIGHT_ONLY: config.preflightOnly } } } };
  }
  const common = {
    thresholds: limits,
    summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'count'],
    setupTimeout: '10m',
    teardownTimeout: config.deleteAccounts ? '20m' : '10m',
  };
  return config.useSimple ? common : { ...common, scenarios: { [config.name]: { ...scenario, env: config.plan } } };
}

/**
 * Refuses variables that contradict the options of the run. An archive keeps the options from the variables with which it was made;
 * other variables would be announced but have no effect. Not in the init context.
 */
export function requireOptionsOf({ name, plan, preflightOnly, useSimple }) {
  const scenario = exec.test.options.scenarios[name];
  if (!scenario) {
    return; // k6's flags determine the options
  }
  const madeWith = scenario.env || {};
  const otherRun = { PREFLIGHT_ONLY: preflightOnly, USE_SIMPLE: useSimple ? '1' : undefined };
  const now = { ...plan, ...otherRun };
  const contradicting = Object.keys({ ...madeWith, ...otherRun }).filter((variable) => madeWith[variable] !== now[variable])
    .map((variable) => `${variable} was ${madeWith[variable] || 'not set'} and is ${now[variable] || 'not set'}`);
  if (contradicting.length > 0) {
    refuse(`the options of this run were made with other variables: ${contradicting.join(', ')}; an archive keeps the options of the `
      + 'variables with which it was made: run it with the same ones, or make it anew');
  }
}

/** The number of VUs of the script's own scenario. */
export const plannedVus = (config) => Math.ceil(config.users / config.plannedPerVu);

/** Options for users that arrive, stay and leave. The stay drains in Go, so k6's own grace times are 0. */
export function rampingUsers(config, limits) {
  const vus = plannedVus(config);
  return scenarioOptions(config, {
    executor: 'ramping-vus',
    startVUs: 0,
    stages: [
      { duration: config.rampUp, target: vus },
      { duration: config.hold, target: vus },
      { duration: config.rampDown, target: 0 },
    ],
    gracefulStop: '0s',
    gracefulRampDown: '0s',
  }, limits);
}

/** The stages of a spike: up to SPIKE_RATE, held, down to BASE_RATE, and to 0. extension/plan has the same ones. */
const spikeStages = (config) => [
  { duration: config.rampUp, target: config.spikeRate },
  { duration: config.spikeHold, target: config.spikeRate },
  { duration: config.rampDown, target: config.baseRate },
  { duration: `${Math.min(LAST_STAGE_MS, durationMs(config.rampDown)) / 1000}s`, target: 0 },
];

/** The spike of the script's own scenario, for planRun. */
export const spike = (config) => ({
  users: config.seedUserCount, vus: config.maxVus, baseRate: config.baseRate, spikeRate: config.spikeRate, rampUp: config.rampUp,
  spikeHold: config.spikeHold, rampDown: config.rampDown, thinkSeconds: config.think, replayRate: config.replayRate,
});

/**
 * The threshold that at least 95 % of the planned events are sent: k6 drops an arrival for which no VU is free. Without dropped
 * arrivals the metric is 0. Of several runners, each may drop as many as the whole test.
 */
export const dropThreshold = (config) => ({
  dropped_iterations: [`count<${Math.max(1, Math.ceil(planRun({ purchases: spike(config) }).events / 20))}`],
});

/** Options for events that arrive at a rate, however fast the service is. */
export function arrivalSpike(config, limits) {
  return scenarioOptions(config, {
    executor: 'ramping-arrival-rate',
    startRate: config.baseRate,
    timeUnit: '1s',
    preAllocatedVUs: config.preallocatedVus,
    maxVUs: config.maxVus,
    stages: spikeStages(config),
  }, limits);
}

/** Whether k6's flags determine the load: with USE_SIMPLE, or with flags such as --vus that override the script's scenario. */
export const isSimple = (config) => config.useSimple || !(config.name in exec.test.options.scenarios);

/** The number of users in a VU. In a simple run, in which k6's flags count VUs, it is 1, or USERS_PER_VU if that is set. */
export const usersPerVu = (config) => (isSimple(config) ? config.usersPerVu || 1 : config.plannedPerVu);

/** The number of users in this VU; the last VU may have fewer than the others. */
export function seats(config) {
  if (isSimple(config)) {
    return usersPerVu(config);
  }
  return Math.max(1, Math.min(usersPerVu(config), config.users - firstNumber(config)));
}

/** The number of this VU's first user across the whole test, from 0. */
export const firstNumber = (config) => (exec.vu.idInTest - 1) * usersPerVu(config);

/** The highest number of users of the whole test. In a simple run it follows from the VUs of k6's flags. */
export function totalUsers(config) {
  if (!isSimple(config)) {
    return config.users;
  }
  const { vus, stages, startVUs } = Object.values(exec.test.options.scenarios)[0];
  const most = Math.max(vus || 0, startVUs || 0, ...(stages || []).map((stage) => stage.target));
  return Math.max(1, most) * usersPerVu(config);
}

/**
 * Over how many seconds the users of this VU arrive: until the ramp starts the next VU, or the first part of a simple run. The last
 * VU starts when the ramp is over: without a hold, its users arrive well before the ramp-down stops it.
 */
export function arriveWithinSeconds(config) {
  if (isSimple(config)) {
    const length = Object.values(exec.test.options.scenarios)[0].duration;
    return length ? Math.min(5, durationMs(length) / 1000 / 10) : 0;
  }
  const vus = plannedVus(config);
  const untilNext = durationMs(config.rampUp) / 1000 / vus;
  if (exec.vu.idInTest < vus) {
    return untilNext;
  }
  const stays = (durationMs(config.hold) + durationMs(config.rampDown) / vus) / 1000;
  return Math.min(untilNext, Math.max(0.5, stays / 2));
}

/** Over how many seconds the users of a VU that is ramped down leave: until the ramp stops the next VU. */
export function leaveWithinSeconds(config) {
  return isSimple(config) ? 0 : Math.min(LONGEST_LEAVE_S, durationMs(config.rampDown) / 1000 / plannedVus(config));
}
