// Two users are matched and hold their session. Needs BASE_URL and STRIPE_WEBHOOK_SECRET, such as those of
// `k6 x verity standin --session 3s`.
import { check } from 'k6';
import { StripeSigner, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer });

export const options = { thresholds: { checks: ['rate==1'], session_dropped: ['rate==0'], sessions_started: ['count>0'] } };

export default async function () {
  const place = { city: 'Perth', preferences: { example: `session-${Date.now()}` } };
  const users = await Promise.all([verity.signUp({ tokens: 1 }), verity.signUp({ tokens: 1 })]);
  await Promise.all(users.map((user) => user.connect()));
  const held = await Promise.all(users.map((user) => user.holdSession({ place })));
  check(held, {
    'both held the same session': ([a, b]) => a.outcome === 'held' && b.outcome === 'held' && a.sessionId === b.sessionId,
    'it ended in time': ([a, b]) => a.reason === 'timeout' && b.reason === 'timeout',
  });
  await Promise.all(users.map((user) => user.close()));
}
