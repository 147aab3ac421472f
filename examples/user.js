// One user: signs up with tokens, joins, leaves. Needs BASE_URL and STRIPE_WEBHOOK_SECRET, such as those of a stand-in.
import { check } from 'k6';
import { StripeSigner, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer });

export const options = { thresholds: { checks: ['rate==1'] } };

export default async function () {
  const user = await verity.signUp({ tokens: 5 });
  const joined = await user.join({ city: 'Perth', preferences: { example: user.id } });
  check(joined, { queued: (j) => j.status === 'queued' });
  const left = await user.leave();
  check(left, { 'left, with the token back': (l) => l.status === 'left' && l.refunded });
  check(await user.balance(), { 'nothing was lost': (balance) => balance === 5 && user.tokens() === 5 });
}
