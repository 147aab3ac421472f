// The plan of a run, for planRun of k6/x/verity, which computes the load on the service and this runner in the busiest minute, for
// the preflight.

import exec from 'k6/execution';
import { planRun } from 'k6/x/verity';
import { AUDITED_USERS } from './journey.js';
import { isSimple, spike, totalUsers, usersPerVu } from './options.js';
import { crowd } from './queues.js';

/** The plan of k6's flags, where each VU counts as `each` users or events. */
function flags(each) {
  const { startVUs, stages, duration, iterations } = Object.values(exec.test.options.scenarios)[0];
  return {
    start: startVUs ? startVUs * each : undefined,
    stages: stages ? stages.map((stage) => ({ duration: stage.duration, target: stage.target * each })) : undefined,
    duration: duration || undefined,
    iterations: iterations ? iterations * each : undefined,
  };
}

/** The users of a queue. Not in the init context. */
const usersOf = (config) => ({
  ...crowd(config),
  ...(isSimple(config) ? flags(usersPerVu(config)) : { rampUp: config.rampUp, hold: config.hold, rampDown: config.rampDown }),
  match: config.mode === 'shared',
  shards: config.shards,
  firstTokens: config.seedTokens ? config.tokensPerUser : 0,
  topUpTokens: config.autoTopUp ? config.topUpTokens : 0,
  balanceCheckEvery: config.balanceCheckEvery,
  auditedUsers: AUDITED_USERS,
});

/** The webhooks of a spike. Not in the init context. */
function purchasesOf(config) {
  if (!isSimple(config)) {
    return spike(config);
  }
  const { users, thinkSeconds, replayRate } = spike(config);
  return { users, thinkSeconds, replayRate, vus: totalUsers({ ...config, usersPerVu: 1 }), ...flags(1) };
}

/** The plan of a run of one of the three scenarios. */
export const planOf = (config) => planRun(config.spikeRate === undefined ? { users: usersOf(config) } : { purchases: purchasesOf(config) });

/** The load of the run in its busiest minute, for Verity.preflight. */
export const asks = (config) => planOf(config).asks;
