import { backOff, prepare } from '../journey.js';
import { once, same, thrown } from './same.js';

export const options = once();

/** A user who writes down what it is asked to do. */
function user({ queued = false, tokens = 1 } = {}) {
  const did = [];
  let have = tokens;
  return {
    did,
    queued: () => queued,
    tokens: () => have,
    leave: async () => { did.push('leave'); },
    balance: async ({ expect }) => { did.push(`balance ${expect}`); have = have === null ? 3 : have; },
    buyTokens: async (count) => { did.push(`buy ${count}`); have += count; },
  };
}

const config = { balanceCheckEvery: 3, autoTopUp: true, topUpTokens: 5 };

export default async function () {
  const ready = user();
  same('nothing to do is nothing to wait for', prepare(config, ready, 0), undefined);
  same('nothing was done', ready.did, []);

  for (const [what, who, turn, did] of [
    ['a balance is due every third turn', user(), 2, ['balance account']],
    ['out of the queue first', user({ queued: true }), 0, ['leave']],
    ['a user without a token buys', user({ tokens: 0 }), 0, ['buy 5']],
    ['tokens that are not known are read', user({ tokens: null }), 0, ['balance account']],
    ['all of it, in this order', user({ queued: true, tokens: 0 }), 5, ['leave', 'balance account', 'buy 5']],
  ]) {
    await prepare(config, who, turn);
    same(what, who.did, did);
  }
  same('without AUTO_TOP_UP it cannot join', await thrown(() => prepare({ ...config, autoTopUp: false }, user({ tokens: 0 }), 0)),
    'queue_join: the user has no token left; set AUTO_TOP_UP=1, or more TOKENS_PER_USER');
  same('no balance is checked', prepare({ ...config, balanceCheckEvery: 0 }, user(), 2), undefined);

  const fault = new Error('a fault of the script');
  same('what no operation made goes on up', await thrown(() => backOff(fault)), 'a fault of the script');
  const began = Date.now();
  same('what an operation made is waited for', await thrown(() => backOff(Object.assign(new Error(''), { operation: 'queue_join', retryAfter: 0.5 }))), undefined);
  same('for as long as the service asks', Date.now() - began >= 500, true);
}
