// Webhooks that must be accepted, and one that must be refused. Needs BASE_URL and STRIPE_WEBHOOK_SECRET.
import { check } from 'k6';
import { StripeSigner, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer });

export const options = { thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'] } };

export default async function () {
  const user = await verity.signUp();
  const event = signer.checkoutCompleted({ userId: user.id, tokens: 5 });
  await verity.webhook(event);
  await verity.webhook(event); // sent again: credited once
  const stale = signer.checkoutCompleted({ userId: user.id, tokens: 5, timestamp: Math.floor(Date.now() / 1000) - 301 });
  const refused = await verity.webhook(stale, { expectedStatuses: [500] });
  check(refused, { 'a stale event is refused': (r) => r.status === 500 });
  check(await user.balance(), { 'credited once': (balance) => balance === 5 });
}
