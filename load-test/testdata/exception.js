// A stay whose users sign up well, and whose cycle throws.

import { printSummary, stay, StripeSigner, Verity } from 'k6/x/verity';

const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer: new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET) });

export const options = { vus: 1, duration: '2s', thresholds: { operations: ['count>0'], error_rate: ['rate<0.001'] } };

export default () => stay({ users: 2, signUp: () => verity.signUp() }, () => {
  throw new Error('a mistake');
});

export const handleSummary = (data) => printSummary({
  scenario: 'exception', target: __ENV.BASE_URL, reportDir: __ENV.REPORT_DIR, data,
});
