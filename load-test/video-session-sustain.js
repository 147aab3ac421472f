// Tests whether Verity can hold a thousand video sessions at once. Each user connects once, and then repeatedly waits for a match,
// holds the session to its end, and thinks.
// Variables, thresholds and the safe execution plan: load-test/README.md.

import { videoSessionSustain } from '../js/config.js';
import { holdSession, prepare } from '../js/journey.js';
import { matchThresholds, rampingUsers, sessionThresholds, thresholds } from '../js/options.js';
import { queueShards } from '../js/queues.js';
import { summarize } from '../js/summary.js';
import { beginUsers, carryUsers, endUsers } from '../js/users.js';

const config = videoSessionSustain();
const shards = queueShards(config);

export const options = rampingUsers(config, thresholds(['queue_join'], {
  queue_join_latency: ['p(95)<3000', 'max>0'], ...matchThresholds(), ...sessionThresholds(),
}));

export const setup = () => beginUsers(config, shards, `sessions of ${config.holdSeconds} s; `);

export default function () {
  return carryUsers(config, async (user, turn) => {
    await prepare(config, user, turn);
    await holdSession(config, user, shards().place(user.number));
  });
}

export const teardown = () => endUsers(config);

export const handleSummary = summarize(config);
