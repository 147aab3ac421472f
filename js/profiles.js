// The steps of the safe execution plan (load-test/README.md): named sets of variables, one of which PROFILE selects.
// `k6 x verity profiles` lists the same file.

import { refuse } from 'k6/x/verity';
import { inEnvironment } from './variables.js';

// Opened in every run, so that an archive has it; parsed only if a profile is selected, as each VU would keep the result.
const text = open(import.meta.resolve('./profiles.json'));

/** More profiles, in the user's file; one of the same name replaces ours. */
const more = inEnvironment('PROFILES_FILE');
const moreText = more === undefined ? '[]' : readMore();

function readMore() {
  if (!/^(\/|[A-Za-z]:\\)/.test(more)) {
    refuse(`PROFILES_FILE must be an absolute path, got ${JSON.stringify(more)}`);
  }
  try {
    return open(more);
  } catch (error) {
    return refuse(`PROFILES_FILE must be a file with profiles, got ${JSON.stringify(more)}, which cannot be read`);
  }
}

function moreProfiles() {
  let profiles;
  try {
    profiles = JSON.parse(moreText);
  } catch (error) {
    refuse(`PROFILES_FILE must be a JSON array of profiles as in js/profiles.json: ${more} is not JSON`);
  }
  const areTexts = (variables) => variables && typeof variables === 'object' && !Array.isArray(variables)
    && Object.values(variables).every((value) => typeof value === 'string');
  const isProfile = (profile) => profile && profile.name && profile.scenario && areTexts(profile.variables);
  if (!Array.isArray(profiles) || !profiles.every(isProfile)) {
    refuse(`PROFILES_FILE must be a JSON array of profiles with name, scenario and variables, as in js/profiles.json: ${more} is not`);
  }
  return profiles;
}

/** The profile of a run that selects none. */
const NONE = Object.freeze({ name: '', variables: Object.freeze({}), claims: [] });

/** The profile with this name, which must be of this scenario: from the plan, the user's file, or the scenario's own. */
export function profileOf(scenario, name, own = []) {
  if (name === undefined) {
    return NONE;
  }
  const profiles = [...moreProfiles(), ...JSON.parse(text), ...own.map((profile) => ({ ...profile, scenario }))];
  const found = profiles.find((profile) => profile.name === name);
  if (!found) {
    refuse(`PROFILE must be ${profiles.map((profile) => `"${profile.name}"`).join(' or ')}, got ${JSON.stringify(name)}`);
  }
  if (found.scenario !== scenario) {
    const ours = profiles.filter((profile) => profile.scenario === scenario).map((profile) => profile.name);
    refuse(`PROFILE=${name} is of ${found.scenario}.js, and this is ${scenario}.js; its profiles: ${ours.join(', ') || 'none'}`);
  }
  return found;
}
