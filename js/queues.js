// The queue keys of a run: their number, the matcher's capacity for them, and the queue depth.

import { endDepthWatch, planQueue, QueueShards, refuse, watchDepth } from 'k6/x/verity';
import { durationMs } from './variables.js';
import { arriveWithinSeconds, isSimple, totalUsers, usersPerVu } from './options.js';

/** The number of isolated users from which on the start line warns that they slow the matcher for all users. */
const MANY_LONE_KEYS = 3000;

/** The longest planned wait for a match: the limit of the threshold on match_time. */
const WANTED_WAIT_SECONDS = 3;

/** The number of users and the times of their cycle, for planRun. Users of queue-concurrency do not wait for the end of a session. */
export const crowd = (config) => ({
  users: totalUsers(config),
  holdSeconds: config.holdSeconds || 0,
  thinkSeconds: config.think,
  maxWaitSeconds: WANTED_WAIT_SECONDS,
  arriveSeconds: isSimple(config) ? arriveWithinSeconds(config) : durationMs(config.rampUp) / 1000,
});

/** The load on the matcher, for planQueue. */
const load = (config) => ({ ...crowd(config), thinkSeconds: (config.think.min + config.think.max) / 2 });

/** Returns a function for the queue keys of a run, made at its first call: k6's flags may determine the number of users. */
export function queueShards(config) {
  const shared = config.mode === 'shared';
  let shards;
  return () => {
    if (shared && totalUsers(config) < 2) {
      refuse('QUEUE_MODE=shared needs at least 2 users, for a match needs two; raise --vus or USERS_PER_VU');
    }
    shards = shards || new QueueShards({
      ...load(config), region: config.region, mode: config.mode, usersPerVu: usersPerVu(config),
      shards: shared ? config.shards : undefined,
    });
    return shards;
  };
}

/** The predicted matches of the run, for the start line, with a warning if users would wait too long. */
export function describeQueues(config, shards) {
  if (config.mode === 'isolated') {
    const many = totalUsers(config) >= MANY_LONE_KEYS
      ? '; so many lone keys keep the matcher busy for seconds: others on this system will wait for their match'
      : '';
    return `a queue key for each user in ${config.region}, nobody matches${many}`;
  }
  const plan = planQueue({ ...load(config), shards: shards.keys.length });
  return `shared keys in ${config.region}: ${plan.explanation}${warningOf(config, plan)}`;
}

function warningOf(config, { shards, waitSeconds, rampWaitSeconds }) {
  if (Math.max(waitSeconds, rampWaitSeconds) <= WANTED_WAIT_SECONDS) {
    return '';
  }
  const when = waitSeconds > WANTED_WAIT_SECONDS ? '' : ' while they arrive';
  const planned = planQueue(load(config)).shards;
  const remedy = planned === shards ? '' : `; set QUEUE_SHARDS to ${planned}, or leave it out`;
  return `. WARNING: 95 % will not be matched within ${WANTED_WAIT_SECONDS} s${when}${remedy}`;
}

/** To be called in setup(): from then on the queue depth is read from REDIS_URL, if it is set. */
export function watchQueueDepth(config) {
  if (config.redisUrl) {
    watchDepth(config.redisUrl);
  }
}

/** To be called in teardown(): reads the last queue depth and the ghosts that the run left, for the summary. */
export const endQueueDepth = () => endDepthWatch();
