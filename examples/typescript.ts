// Two users in TypeScript, which k6 runs directly. Editors and `tsc --strict` get the types from @verity-app/xk6-verity
// (index.d.ts). Needs BASE_URL and STRIPE_WEBHOOK_SECRET.
import type { Options } from 'k6/options';
import { QueueShards, StripeSigner, stay, type User, Verity } from 'k6/x/verity';

const signer = new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET ?? '');
const verity = new Verity({ baseUrl: __ENV.BASE_URL ?? '', signer });
const shards = new QueueShards({ region: 'australiaCentral', mode: 'isolated', users: 2, usersPerVu: 2 });

export const options: Options = {
  vus: 1,
  duration: '3s',
  thresholds: { cycles: ['count>2'], http_req_failed: ['rate==0'] },
};

function signUp(): Promise<User> {
  return verity.signUp({ tokens: 2 });
}

export default function (): Promise<void> {
  return stay({ users: 2, signUp, thinkSeconds: { min: 0.2, max: 0.4 } }, [
    (user: User) => user.join(shards.place(user.number)),
    (user: User) => user.leave(),
  ]);
}
