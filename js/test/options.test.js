import { defaultUsersPerVu } from '../config.js';
import { asks, planOf } from '../load.js';
import {
  arrivalSpike, arriveWithinSeconds, dropThreshold, firstNumber, isSimple, leaveWithinSeconds, plannedVus, rampingUsers, scenarioOptions, seats,
  thresholds, totalUsers,
} from '../options.js';
import { describeUsers } from '../summary.js';
import { once, same } from './same.js';

export const options = once('queue-concurrency');

/** 250 users, 100 a VU. */
const users = {
  name: 'queue-concurrency', mode: 'isolated', users: 250, plannedPerVu: 100, rampUp: '60s', hold: '1m', rampDown: '30s', think: { min: 1, max: 3 },
  seedTokens: true, tokensPerUser: 2, autoTopUp: true, topUpTokens: 5, balanceCheckEvery: 10, plan: { TARGET_VUS: '250' },
};

const spike = {
  name: 'token-purchase-spike', seedUserCount: 10, maxVus: 40, preallocatedVus: 20, baseRate: 2, spikeRate: 8, rampUp: '10s', spikeHold: '1m',
  rampDown: '90s', think: { min: 1, max: 1 }, replayRate: 0,
};

export default function () {
  for (const [count, each] of [[1, 1], [19, 1], [40, 2], [1000, 50], [10000, 100]]) {
    same(`users a VU of ${count}`, defaultUsersPerVu(count), each);
  }
  same('VUs with a remainder', plannedVus(users), 3);
  const ramp = rampingUsers(users, {}).scenarios['queue-concurrency'];
  same('the ramp, in VUs', ramp.stages, [{ duration: '60s', target: 3 }, { duration: '1m', target: 3 }, { duration: '30s', target: 0 }]);
  same('what an archive keeps', ramp.env, { TARGET_VUS: '250' });
  same('no executor where flags decide', rampingUsers({ ...users, useSimple: true }, {}).scenarios, undefined);
  same('no load of a preflight', scenarioOptions({ ...users, preflightOnly: 'json' }, {}, {}).scenarios['queue-concurrency'].preAllocatedVUs, 1);
  same('thresholds of an operation', thresholds(['queue_join'])['http_req_duration{name:queue_join}'], ['p(95)<100', 'max>0']);

  same('not simple', isSimple(users), false);
  same('simple, for its scenario is not run', isSimple(spike), true);
  same('users of the test', totalUsers(users), 250);
  same('users of this VU', seats(users), 100);
  same('users of a VU that is alone', seats({ ...users, users: 40 }), 40);
  same('the first number of VU 1', firstNumber(users), 0);
  same('arrive until the next VU comes', arriveWithinSeconds(users), 20);
  same('leave until the next VU goes', leaveWithinSeconds(users), 10);
  same('leave within a minute at most', leaveWithinSeconds({ ...users, rampDown: '1h' }), 60);
  same('the last VU arrives before it is taken away', arriveWithinSeconds({ ...users, users: 100, rampUp: '60s', hold: '0s', rampDown: '20s' }), 10);
  same('what is said of users', describeUsers(users), '250 users, 100 a VU; up in 60s, hold 1m, down in 30s; think 1 to 3 s');

  same('the stages of a spike', arrivalSpike(spike, {}).scenarios['token-purchase-spike'].stages, [
    { duration: '10s', target: 8 }, { duration: '1m', target: 8 }, { duration: '90s', target: 2 }, { duration: '60s', target: 0 },
  ]);
  // 50 on the way up, 480, 450 on the way down, and 60 to nothing.
  same('a twentieth of the events', dropThreshold(spike), { dropped_iterations: ['count<52'] });

  same('the course of the users', planOf(users).stages, [{ seconds: 60, target: 250 }, { seconds: 60, target: 250 }, { seconds: 30, target: 0 }]);
  same('what they ask', asks(users).requests.auth_signup, { arithmetic: '250 users within 60s', ofEach: false, perMinute: 250 });
  same('connections', asks(users).connections, 250);
}
