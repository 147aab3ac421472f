// One user, who signs up, buys a token, joins, leaves and reads its balance. It asks for no /health first.

import { StripeSigner, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer });

export default async function () {
  const user = await verity.signUp({ tokens: 1 });
  await user.join({ city: 'Perth' });
  await user.leave();
  await user.balance();
  await user.close();
}
