// START_AT, with which several runners of a test begin at the same moment.

import exec from 'k6/execution';
import { print, refuse, think } from 'k6/x/verity';
import { durationMs, inEnvironment } from './variables.js';

/** When setup() began, in ms since the epoch. It is set once, as setup() has its own JS runtime. */
let setupBegan;

const timeOf = (ms) => new Date(ms).toISOString();
const given = () => `got ${JSON.stringify(inEnvironment('START_AT'))}`;

/** k6's setupTimeout in ms, after which k6 ends setup(). */
const setupTimeoutMs = () => durationMs(exec.test.options.setupTimeout) || 60 * 1000;

/** To be called first in setup(): refuses a start that is in the past, or later than setup() may take. */
export function requireStart({ startAt }) {
  setupBegan = Date.now();
  if (startAt === undefined) {
    return;
  }
  const at = startAt(setupBegan);
  if (at < setupBegan) {
    refuse(`START_AT must not be in the past, ${given()}, and it is ${timeOf(setupBegan)}: give a later time, such as +90s`);
  }
  if (at - setupBegan >= setupTimeoutMs()) {
    refuse(`START_AT must be within setupTimeout, ${given()}, which is ${Math.ceil((at - setupBegan) / 1000)} s away: start the runners `
      + 'later, or set K6_SETUP_TIMEOUT');
  }
}

/** Waits until START_AT. Refuses the run if that has passed during the preflight, as the other runners have begun. */
export async function waitForStart({ startAt }) {
  if (startAt === undefined) {
    return;
  }
  const at = startAt(setupBegan);
  const left = (at - Date.now()) / 1000;
  if (left < 0) {
    refuse(`START_AT was ${(-left).toFixed(1)} s ago when the preflight was over, ${given()}: give a later time`);
  }
  print(`  VERITY waits ${left.toFixed(1)} s, until ${timeOf(at)} (START_AT)`, { wrap: true });
  await think(left);
}
