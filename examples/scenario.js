// A scenario of your own with the features of those in load-test/: variables with a range and a message, profiles, a preflight,
// thresholds, a start line and a summary. READERS users read their balance repeatedly.
import { stay } from 'k6/x/verity';
import { checkPlan, checkTarget, configure } from '../js/config.js';
import { scenarioOptions, thresholds } from '../js/options.js';
import { announce, summarize } from '../js/summary.js';
import { duration, durationMs, seconds, whole } from '../js/variables.js';

const config = configure('balance-readers', {
  variables: {
    READERS: { takes: whole(1, 10000), default: 5 },
    READ_FOR: { takes: duration, default: '4s' },
    READ_EVERY: { takes: seconds(0.1, 60), default: 0.5 },
  },
  profiles: [{ name: 'readers-dry', variables: { READERS: '2', READ_FOR: '2s' } }],
});
const { READERS, READ_FOR, READ_EVERY } = config.variables;

export const options = scenarioOptions(config, { executor: 'constant-vus', vus: READERS, duration: READ_FOR },
  thresholds(['tokens_balance']));
const load = () => ({
  connections: READERS,
  requests: {
    auth_signup: { perMinute: READERS, arithmetic: 'one for each reader' },
    tokens_balance: { perMinute: READERS * Math.min(60, durationMs(READ_FOR) / 1000) / READ_EVERY, arithmetic: 'READERS / READ_EVERY' },
  },
});

export function setup() {
  checkPlan(config);
  announce(config, `${READERS} users read their balance every ${READ_EVERY} s for ${READ_FOR}`);
  return checkTarget(config, load);
}

export default () => stay({
  users: 1, signUp: () => config.verity.signUp(), thinkSeconds: { min: READ_EVERY, max: READ_EVERY },
}, [(user) => user.balance({ expect: 'account' })]);

export const handleSummary = summarize(config);
