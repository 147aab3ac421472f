// What the unit tests of js/ have in common. `go test -run TestScripts ./load-test` runs them in the built k6.

import { check } from 'k6';

/** Of one VU and one iteration; a failed check fails the run. The scenario has a name of ours where the code under test asks for it. */
export const once = (name = 'default') => ({
  scenarios: { [name]: { executor: 'shared-iterations', vus: 1, iterations: 1 } },
  thresholds: { checks: ['rate==1'] },
});

/** An object with its keys in order. */
const ordered = (key, value) => (value && typeof value === 'object' && !Array.isArray(value)
  ? Object.fromEntries(Object.keys(value).sort().map((name) => [name, value[name]])) : value);

const shown = (value) => (value === undefined ? 'undefined' : JSON.stringify(value, ordered));

/** A check that two values are the same, as JSON; one that fails says both. */
export function same(what, actual, wanted) {
  if (!check(actual, { [what]: (value) => shown(value) === shown(wanted) })) {
    console.error(`${what}: ${shown(actual)} instead of ${shown(wanted)}`);
  }
}

/** What some work throws, or its promise is rejected with; undefined for nothing. */
export async function thrown(work) {
  try {
    await work();
  } catch (error) {
    return error.message;
  }
  return undefined;
}
