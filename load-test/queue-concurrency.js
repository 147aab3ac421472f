// Tests whether Verity can hold thousands of users in its queue. Isolated users repeatedly join, think, leave and think; shared
// users join and wait for their match on their own socket.
// Variables, thresholds and the safe execution plan: load-test/README.md.

import { queueConcurrency } from '../js/config.js';
import { join, leave, match, prepare } from '../js/journey.js';
import { matchThresholds, rampingUsers, thresholds } from '../js/options.js';
import { queueShards } from '../js/queues.js';
import { summarize } from '../js/summary.js';
import { beginUsers, carryUsers, endUsers } from '../js/users.js';

const config = queueConcurrency();
const shards = queueShards(config);
const shared = config.mode === 'shared';

export const options = rampingUsers(config, shared
  ? thresholds(['queue_join'], { queue_join_latency: ['p(95)<3000', 'max>0'], ...matchThresholds() })
  : thresholds(['queue_join', 'queue_leave'], { queue_join_latency: ['p(95)<3000', 'max>0'] }));

export const setup = () => beginUsers(config, shards);

export default function () {
  return carryUsers(config, shared ? matchAgain : [joinWhenReady, leave]);
}

/** Avoids async/await on the hot path: makes a promise only if there is something to wait for. */
function joinWhenReady(user, turn) {
  const joinNow = () => join(user, shards().place(user.number));
  const ready = prepare(config, user, turn);
  return ready ? ready.then(joinNow) : joinNow();
}

/** A matched user goes on without waiting for the end of the session. */
async function matchAgain(user, turn) {
  await prepare(config, user, turn);
  await match(config, user, shards().place(user.number));
}

export const teardown = () => endUsers(config);

export const handleSummary = summarize(config);
