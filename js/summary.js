// The output of a run in addition to k6's own.

import { describeRun, print, printSummary } from 'k6/x/verity';
import { planOf } from './load.js';
import { isSimple, totalUsers, usersPerVu } from './options.js';
import { refusing } from './variables.js';

/**
 * Describes the run, and prints its start line. To be called once in setup(). `users` is the planned number of users in stays of
 * the whole test, if any.
 */
export function announce(config, what, users = 0) {
  if (config.preflightOnly === 'json') {
    return; // only JSON is printed
  }
  refusing({ claims: `the profile ${config.profile.name}` }, () => describeRun({
    scenario: config.name, target: config.baseUrl, plan: `${describeProfile(config.profile)}${what}`, reportDir: config.reportDir, variables: config.given,
    ...loadOf(config, users), ...claimsOf(config),
  }));
  print(`  VERITY ${config.name} on ${config.baseUrl}: ${describeProfile(config.profile)}${what}`, { wrap: true });
  if (users > 0 && !config.preflightOnly) {
    const each = usersPerVu(config) === 1 ? '1 user' : `${usersPerVu(config)} users`;
    print(`  k6 counts VUs, each of ${each}. One iteration is the whole stay of a VU's users; if a ramp-down ends it, k6 shows it as `
      + 'interrupted until the run is over', { wrap: true });
  }
}

/** The planned number of users or events over time, for describeRun. */
function loadOf(config, users) {
  if (isSimple(config) || (config.spikeRate === undefined && config.rampUp === undefined)) {
    return { users }; // k6's flags or a scenario of the user's own determine the load
  }
  const { start, stages } = planOf(config);
  return config.spikeRate === undefined ? { users, stages } : { rate: config.spikeRate, start, stages };
}

/** The claims of the run's profile; none if the run is a lighter load than its profile. */
function claimsOf({ profile }) {
  if (profile.name === '') {
    return {};
  }
  if (profile.less.length > 0) {
    return { noClaims: `no claim is made: ${profile.less.join(', ')} asks less of the service than the profile ${profile.name} does` };
  }
  return { profile: profile.name, claims: profile.claims };
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

/**
 * Returns a handleSummary that adds our lines and files to k6's own summary. For a run that was refused, whose thresholds would have
 * no data, it prints only our lines.
 */
export const summarize = (config) => (data) => printSummary({
  scenario: config.name, profile: claimsOf(config).profile, target: config.baseUrl, reportDir: config.reportDir, data,
});
