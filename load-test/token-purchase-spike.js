// Tests whether Verity handles a spike of Stripe webhooks, and credits each event exactly once.
// Variables, thresholds and the safe execution plan: load-test/README.md.

import exec from 'k6/execution';
import { arrival, think } from 'k6/x/verity';
import { checkPlan, checkTarget, tokenPurchaseSpike } from '../js/config.js';
import { audit, backOff, cleanUp, seedUsers, sell } from '../js/journey.js';
import { asks } from '../js/load.js';
import { arrivalSpike, dropThreshold, thresholds } from '../js/options.js';
import { endReadings, startReadings } from '../js/prometheus.js';
import { announce, describeSpike, summarize } from '../js/summary.js';

const config = tokenPurchaseSpike();

export const options = arrivalSpike(config, thresholds(['stripe_webhook'], {
  // No balance may be wrong, and at least one must have been read.
  'error_rate{name:tokens_balance}': ['rate==0'],
  'operations{name:tokens_balance}': ['count>0'],
  ...dropThreshold(config),
}));

export function setup() {
  checkPlan(config);
  announce(config, describeSpike(config));
  return checkTarget(config, asks)
    .then(() => startReadings(config))
    .then(() => seedUsers(config, config.seedUserCount));
}

export default async function ({ userIds }) {
  const sending = arrival();
  const userId = userIds[exec.scenario.iterationInTest % userIds.length];
  try {
    await purchase(config.signer.checkoutCompleted({ userId, tokens: config.tokensPerEvent }), sending);
    await think(config.think.min, config.think.max);
  } catch (error) {
    await backOff(error);
  }
}

/** Sends an event. REPLAY_RATE of the events are sent twice: half of them at once, the others a little later. */
async function purchase(event, sending) {
  const replayed = Math.random() < config.replayRate;
  const atOnce = replayed && Math.random() < 0.5;
  await sell(config, event, atOnce ? 2 : 1).then(() => sending.answered(), (error) => {
    sending.answered(error);
    throw error;
  });
  if (replayed && !atOnce) {
    await think(0.5, 2);
    await sell(config, event);
  }
}

export const teardown = () => audit(config).then(() => endReadings(config)).then(() => cleanUp(config));

export const handleSummary = summarize(config);
