// What a run says to its reader beside k6's own output.

import { notePlan, print, printSummary, runnerShare } from 'k6/x/verity';
import { isSimple, totalUsers, usersPerVu } from './options.js';

/** A line at the start of a run; to be called in setup(), once. `users` is how many the whole test is to have in stays, if any. */
export function announce(config, what, users = 0) {
  if (config.preflightOnly === 'json') {
    return; // a machine reads
  }
  notePlan(what, users > 0 ? { users: Math.max(1, Math.round(users * runnerShare())) } : {});
  print(`  VERITY ${config.name} on ${config.baseUrl}: ${describeProfile(config.profile)}${what}`, { wrap: true });
}

function describeProfile({ name, overrides }) {
  if (name === '') {
    return '';
  }
  return overrides.length > 0 ? `profile ${name} with ${overrides.join(', ')}; ` : `profile ${name}; `;
}

/** Describes the users of a run for announce(). */
export function describeUsers(config) {
  const load = isSimple(config)
    ? `up to ${totalUsers(config)} users, ${usersPerVu(config)} a VU, as k6's flags say`
    : `${config.users} users, ${usersPerVu(config)} a VU; up in ${config.rampUp}, hold ${config.hold}, down in ${config.rampDown}`;
  return `${load}; think ${config.think.min} to ${config.think.max} s`;
}

/** Describes the events of a spike for announce(). */
export function describeSpike(config) {
  const rate = isSimple(config) ? "events one after the other, as k6's flags say," : `${config.baseRate} to ${config.spikeRate} events/s`;
  return `${rate} for ${config.seedUserCount} users, ${config.tokensPerEvent} tokens each, ${100 * config.replayRate} % sent again`;
}

/** A handleSummary that adds our lines and files and, returning nothing, leaves k6's own summary as it is. */
export const summarize = (config) => (data) => {
  printSummary({
    scenario: config.name, profile: config.profile.name, target: config.baseUrl, reportDir: config.reportDir, data,
  });
};
