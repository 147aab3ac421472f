// queue-concurrency with a threshold that is crossed at once and ends the run.

import { options as scenario } from '../queue-concurrency.js';

export * from '../queue-concurrency.js';
export { default } from '../queue-concurrency.js';

export const options = {
  ...scenario,
  thresholds: { queue_join_latency: [{ threshold: 'max<0', abortOnFail: true, delayAbortEval: '3s' }] },
};
