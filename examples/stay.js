// Ten users in one VU, each in its own queue, until the run ends. Needs BASE_URL and STRIPE_WEBHOOK_SECRET.
import { QueueShards, StripeSigner, stay, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET);
const verity = new Verity({ baseUrl: __ENV.BASE_URL, signer });
const shards = new QueueShards({ region: 'australiaCentral', mode: 'isolated', users: 10, usersPerVu: 10 });

export const options = { vus: 1, duration: '5s', thresholds: { cycles: ['count>10'], http_req_failed: ['rate==0'] } };

export default function () {
  return stay({
    users: 10, arriveWithinSeconds: 1, signUp: () => verity.signUp({ tokens: 2 }), thinkSeconds: { min: 0.2, max: 0.6 },
  }, [
    (user) => user.join(shards.place(user.number)),
    (user) => user.leave(),
  ]);
}
