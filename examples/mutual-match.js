// From sign-up to a mutual match: two users are matched, hold their session, and both choose MATCH. Needs BASE_URL and
// STRIPE_WEBHOOK_SECRET, such as those of `k6 x verity standin --session 3s`.
import { check } from 'k6';
import { StripeSigner, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer, countOperations: true });

export const options = {
  thresholds: { checks: ['rate==1'], operations: ['count>0'], error_rate: ['rate==0'], sockets_lost: ['count==0'] },
};

export default async function () {
  const place = { city: 'Perth', preferences: { example: `mutual-${Date.now()}` } };
  const users = await Promise.all([verity.signUp({ tokens: 1 }), verity.signUp({ tokens: 1 })]);
  await Promise.all(users.map((user) => user.connect()));

  const [a, b] = await Promise.all(users.map((user) => user.holdSession({ place })));
  check([a, b], { 'both held the same session': () => a.outcome === 'held' && b.outcome === 'held' && a.sessionId === b.sessionId });

  // Call waitFor() before choose(), so that an event which arrives before the answer is not lost.
  const mutual = users.map((user) => user.waitFor('match:mutual', { namespace: '/video', timeoutSeconds: 10 }));
  const first = await users[0].choose(a.sessionId, 'MATCH');
  const second = await users[1].choose(b.sessionId, 'MATCH');
  check([first, second], { 'the second choice decides': () => first.status === 'pending' && second.outcome === 'mutual' });
  check(await Promise.all(mutual), { 'both hear of it': (events) => events.every((event) => event.sessionId === a.sessionId) });

  // Any other endpoint, as this user.
  const { body } = await users[0].request('GET', '/tokens/balance', { name: 'balance_after_match' });
  check(body, { 'the match took the token': ({ tokenBalance }) => tokenBalance === 0 });
  await Promise.all(users.map((user) => user.close()));
}
