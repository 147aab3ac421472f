// The common parts of the scenarios with users in a queue: their setup(), the stay of a VU's users, and their teardown().

import { stay } from 'k6/x/verity';
import { checkPlan, checkTarget } from './config.js';
import { arrive, audit, cleanUp } from './journey.js';
import { asks } from './load.js';
import { arriveWithinSeconds, firstNumber, leaveWithinSeconds, seats, totalUsers } from './options.js';
import { endReadings, startReadings } from './prometheus.js';
import { describeQueues, endQueueDepth, watchQueueDepth } from './queues.js';
import { announce, describeUsers } from './summary.js';

/** The setup() of such a scenario; `what` is added to the description of its users in the start line. */
export function beginUsers(config, shards, what = '') {
  checkPlan(config);
  announce(config, `${describeUsers(config)}; ${what}${describeQueues(config, shards())}`, totalUsers(config));
  watchQueueDepth(config);
  return checkTarget(config, asks).then(() => startReadings(config));
}

/** The stay of this VU's users, which repeat a cycle: a list of steps, or an async function. */
export const carryUsers = (config, cycle) => stay({
  users: seats(config),
  firstNumber: firstNumber(config),
  arriveWithinSeconds: arriveWithinSeconds(config),
  leaveWithinSeconds: leaveWithinSeconds(config),
  thinkSeconds: config.think,
  signUp: () => arrive(config),
}, cycle);

/** The teardown() of such a scenario. */
export const endUsers = (config) => endQueueDepth().then(() => audit(config)).then(() => endReadings(config)).then(() => cleanUp(config));
