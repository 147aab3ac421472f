// Does Verity carry a thousand video sessions at once? Each user connects once; then it waits for a match, holds the session
// to its end, thinks, and comes back for the next.
// Variables, thresholds and the safe execution plan: load-test/README.md.

import { stay } from 'k6/x/verity';
import { checkPlan, checkTarget, videoSessionSustain } from '../js/config.js';
import { arrive, audit, cleanUp, holdSession, prepare } from '../js/journey.js';
import { userLoad } from '../js/load.js';
import {
  arriveWithinSeconds, firstNumber, leaveWithinSeconds, matchThresholds, rampingUsers, seats, sessionThresholds, thresholds, totalUsers,
} from '../js/options.js';
import { endReadings, startReadings } from '../js/prometheus.js';
import { describeQueues, endQueueDepth, queueShards, watchQueueDepth } from '../js/queues.js';
import { announce, describeUsers, summarize } from '../js/summary.js';

const config = videoSessionSustain();
const shards = queueShards(config);

export const options = rampingUsers(config, thresholds(['queue_join'], {
  queue_join_latency: ['p(95)<3000', 'max>0'], ...matchThresholds(), ...sessionThresholds(),
}));

export function setup() {
  checkPlan(config);
  announce(config, `${describeUsers(config)}; sessions of ${config.holdSeconds} s; ${describeQueues(config, shards())}`, totalUsers(config));
  watchQueueDepth(config);
  return checkTarget(config, userLoad).then(() => startReadings(config));
}

export default function () {
  return stay({
    users: seats(config),
    firstNumber: firstNumber(config),
    arriveWithinSeconds: arriveWithinSeconds(config),
    leaveWithinSeconds: leaveWithinSeconds(config),
    thinkSeconds: config.think,
    signUp: () => arrive(config),
  }, async (user, turn) => {
    await prepare(config, user, turn);
    await holdSession(config, user, shards().place(user.number));
  });
}

export const teardown = () => endQueueDepth().then(() => audit(config)).then(() => endReadings(config)).then(() => cleanUp(config));

export const handleSummary = summarize(config);
