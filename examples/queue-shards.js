// Spreads users over queue keys. Needs no server.
import { check } from 'k6';
import { QueueShards } from 'k6/x/verity';

const shared = new QueueShards({ region: 'australiaCentral', mode: 'shared', users: 200, shards: 4 });
const isolated = new QueueShards({ region: 'australiaCentral', mode: 'isolated', users: 200 });

export const options = { thresholds: { checks: ['rate==1'] } };

export default function () {
  check(shared, {
    'one key a shard': (s) => s.keys.length === 4,
    'partners wait in the same key': (s) => s.place(10).queueKey === s.place(11).queueKey,
    'the next pair waits in the next': (s) => s.place(10).queueKey !== s.place(12).queueKey,
  });
  check(isolated, {
    'nobody shares a key': (s) => s.place(10).queueKey !== s.place(11).queueKey,
  });
}
