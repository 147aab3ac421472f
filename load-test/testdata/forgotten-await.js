// A cycle whose first step forgets to await, and whose second does not.
import { stay, StripeSigner, think, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer, countOperations: true });

export const options = { vus: 2, duration: '3s' };

export default () => stay({ users: 2, signUp: () => verity.signUp({ tokens: 1 }), thinkSeconds: { max: 0.5 } }, [
  async (user) => {
    user.balance();
  },
  async (user) => {
    await user.balance();
    await think(0.1);
  },
]);
