// The key under which Verity queues a user. Needs no server.
import { check } from 'k6';
import { queueKey } from 'k6/x/verity';

export const options = { thresholds: { checks: ['rate==1'] } };

export default function () {
  check(queueKey({ region: 'australiaCentral', preferences: { mode: 'shared' } }), {
    'the recorded key of shared users': (key) => key === 'australiacentral:3f932d1eb7dd',
  });
  check(queueKey({ city: 'Perth', preferences: { b: 1, a: 2 } }), {
    'the order of keys does not count': (key) => key === queueKey({ city: 'Perth', preferences: { a: 2, b: 1 } }),
  });
}
