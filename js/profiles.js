// The steps of the safe execution plan (load-test/README.md): named sets of variables, one of which PROFILE selects.
// `k6 x verity profiles` lists the same file.

import { refuse } from 'k6/x/verity';

// Opened in every run, so that an archive has it, and parsed where one is asked for: each VU would keep it.
const text = open(import.meta.resolve('./profiles.json'));

/** The profile of a run that selects none. */
const NONE = Object.freeze({ name: '', variables: Object.freeze({}), claims: [] });

/** The profile of this name, which must be one of this scenario: of the plan, or of its own. */
export function profileOf(scenario, name, own = []) {
  if (name === undefined) {
    return NONE;
  }
  const profiles = [...JSON.parse(text), ...own.map((profile) => ({ ...profile, scenario }))];
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
