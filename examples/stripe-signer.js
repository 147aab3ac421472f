// Signs a body, and makes a complete signed event. Needs no server.
import { check } from 'k6';
import { StripeSigner } from 'k6/x/verity';

const signer = new StripeSigner('whsec_example');

export const options = { thresholds: { checks: ['rate==1'] } };

export default function () {
  const event = signer.checkoutCompleted({ userId: 'c0123456789012345678901234', tokens: 5 });
  const { metadata } = JSON.parse(event.body).data.object;
  check(event, {
    'the signature is over the body': (e) => e.headers['Stripe-Signature'].match(/^t=\d+,v1=[0-9a-f]{64}$/) !== null,
    'the pack follows from the tokens': () => metadata.packId === 'starter',
    'the same body at the same time has the same signature': (e) => signer.sign(e.body, { timestamp: 1700000000 })
      === signer.sign(e.body, { timestamp: 1700000000 }),
    'a stale signature can be made on purpose': () => signer.sign('{}', { timestamp: 1700000000 }).startsWith('t=1700000000,'),
  });
}
