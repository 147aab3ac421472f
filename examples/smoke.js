// Runs the examples that need no server. `xk6 lint` runs this file.
import queueKey from './queue-key.js';
import queueShards from './queue-shards.js';
import stripeSigner from './stripe-signer.js';

export const options = { thresholds: { checks: ['rate==1'] } };

export default function () {
  queueKey();
  queueShards();
  stripeSigner();
}
