// queue-concurrency with a scenario beside it that ends the run after 4 s.

import exec from 'k6/execution';
import { options as scenario } from '../queue-concurrency.js';

export * from '../queue-concurrency.js';
export { default } from '../queue-concurrency.js';

export const options = {
  ...scenario,
  scenarios: {
    ...scenario.scenarios,
    abort: { executor: 'shared-iterations', exec: 'abort', startTime: '4s' },
  },
};

export function abort() {
  exec.test.abort('enough seen');
}
