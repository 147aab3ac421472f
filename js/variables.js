// Reads the environment variables of the scenarios by a table, in the init context, before any request.
//
// The table has the valid values and the default of each variable. It gives the values, the refusal of invalid ones, and the
// refusal of variables that would have no effect: another scenario's, or misspelled ones.

import { refuse, willRun } from 'k6/x/verity';

const UNIT_MS = { ms: 1, s: 1000, m: 60 * 1000, h: 3600 * 1000, d: 24 * 3600 * 1000 };
const LONGEST_MS = 24 * 3600 * 1000;

/** The milliseconds of a k6 duration such as 90s, 1m30s or 0m; undefined if it is invalid. */
export function durationMs(text) {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) {
    return undefined;
  }
  return text.match(/\d+(\.\d+)?(ms|s|m|h|d)/g).reduce((sum, part) => {
    const unit = part.match(/[a-z]+$/)[0];
    return sum + parseFloat(part) * UNIT_MS[unit];
  }, 0);
}

/** A duration with its unit: 6 is 6s. */
const withUnit = (text) => (/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);

// The kinds of values: `takes` describes the valid ones, and `read` returns the value of a text, or undefined if it is invalid.

const within = (value, least, most) => (value >= least && value <= most ? value : undefined);

export const whole = (least, most) => ({
  takes: `a whole number from ${least} to ${most}`,
  read: (text) => (/^\d+$/.test(text) ? within(Number(text), least, most) : undefined),
});

export const decimal = (least, most) => ({
  takes: `a number from ${least} to ${most}`,
  read: (text) => (/^\d+(\.\d+)?$/.test(text) ? within(Number(text), least, most) : undefined),
});

/** A number of seconds, given as 6, 6s, 500ms or 1m30s. */
export const seconds = (least, most) => ({
  takes: `a number of seconds from ${least} to ${most}, such as 6, 6s or 500ms`,
  read: (text) => within(durationMs(withUnit(text)) / 1000, least, most),
});

/** A duration as in k6's options. */
export const duration = {
  takes: 'a duration of at most 24h such as 90s, 1m30s or 10m',
  read: (text) => (durationMs(withUnit(text)) <= LONGEST_MS ? withUnit(text) : undefined),
};

/** A time of day of today, in UTC, or a date and a time. */
const TIME_OF_DAY = /^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$/;
const DATE_AND_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** A moment, as a function from the present to it, both in ms since the epoch. */
export const moment = {
  takes: 'a UTC time such as 14:30, 14:30:15 or 2026-11-28T14:30:00Z, or a time from the start of setup() such as +90s',
  read: (text) => {
    if (text.startsWith('+')) {
      const ms = durationMs(withUnit(text.slice(1)));
      return ms <= LONGEST_MS ? (now) => now + ms : undefined;
    }
    if (TIME_OF_DAY.test(text)) {
      return (now) => Date.parse(`${new Date(now).toISOString().slice(0, 10)}T${text.length === 5 ? `${text}:00` : text}Z`);
    }
    const at = DATE_AND_TIME.test(text) ? Date.parse(text.replace(/(\.\d{3})\d+/, '$1')) : NaN;
    return Number.isNaN(at) ? undefined : () => at;
  },
};

export const choice = (...choices) => ({
  takes: choices.map((one) => JSON.stringify(one)).join(' or '),
  read: (text) => (choices.includes(text) ? text : undefined),
});

export const flag = {
  takes: choice('0', '1').takes,
  read: (text) => ({ 0: false, 1: true })[text],
};

/** Any text; it is checked where it is used. */
export const anything = { takes: 'a text', read: (text) => text };

/**
 * Returns the result of `work`. If it throws, the run is refused with that message; `variables` has the variables of options, whose
 * names replace those of the options in the message.
 */
export function refusing(variables, work) {
  try {
    return work();
  } catch (error) {
    const variable = variables[error.option];
    return refuse(variable ? error.messageFor(variable) : error.message);
  }
}

/** The text of an environment variable. An empty one counts as not set, as `docker run -e` and CI files set empty ones. */
export function inEnvironment(name) {
  const value = __ENV[name];
  return value === undefined || value === '' ? undefined : value;
}

/** The default of a variable in a scenario: from `of` if not all scenarios have the variable. */
const defaultOf = (variable, scenario) => (variable.of ? variable.of[scenario] : variable.default);

export const belongsTo = (variable, scenario) => !variable.of || scenario in variable.of;

/** The values of a scenario's variables by name: from the environment, else from the profile, else the default. */
export function readVariables(table, scenario, profile, given = inEnvironment) {
  const values = {};
  for (const [name, variable] of Object.entries(table)) {
    if (belongsTo(variable, scenario)) {
      values[name] = valueOf(name, variable, given(name) || profile.variables[name], defaultOf(variable, scenario));
    }
  }
  return Object.freeze(values);
}

function valueOf(name, { takes }, text, fallback) {
  const given = text === undefined && fallback !== undefined ? String(fallback) : text;
  if (given === undefined) {
    return undefined;
  }
  const value = takes.read(given);
  if (value === undefined) {
    refuse(`${name} must be ${takes.takes}, got ${JSON.stringify(given)}`);
  }
  return value;
}

/** The variable that allows variables without effect. */
const ALLOW = 'ALLOW_UNKNOWN_VARIABLES';

/** Names of other programs' variables that are similar to one of ours. */
const OTHERS = ['REDIS_URI', 'REDIS_URLS', 'REPORTS_DIR', 'PROFILER'];

/** Refuses variables that seem to be meant for the run but have no effect. */
export function refuseUnheeded(table, scenario) {
  if (__VU !== 0 || inEnvironment(ALLOW) === '1') {
    return;
  }
  for (const name of Object.keys(__ENV).filter(inEnvironment)) {
    const variable = table[name];
    if (variable && !belongsTo(variable, scenario)) {
      refuse(`${name} is a variable of ${Object.keys(variable.of).join(' and ')}, and ${scenario} would not heed it; unset it, or `
        + `set ${ALLOW}=1`);
    }
    const meant = variable ? undefined : nearest(name, table, scenario);
    if (meant) {
      refuse(`${name} is no variable of ${scenario}, but ${meant} is: rename it, or set ${ALLOW}=1 if it is for something else`);
    }
  }
}

/** The variable of the scenario that a wrong name probably means, or undefined. */
function nearest(name, table, scenario) {
  if (name.startsWith('K6_') || OTHERS.includes(name)) {
    return undefined;
  }
  const ours = Object.keys(table).filter((one) => belongsTo(table[one], scenario));
  return ours.find((one) => (table[one].also || []).includes(name) || isMisspelled(name.toUpperCase(), one));
}

/**
 * Whether a name differs from ours by a letter or, if it is long, by two. Names of up to four letters, and names with another first
 * letter, count as different: BATCH_TIMEOUT is not MATCH_TIMEOUT.
 */
function isMisspelled(name, ours) {
  const most = ours.length < 12 ? 1 : 2;
  return ours.length > 4 && name[0] === ours[0] && Math.abs(name.length - ours.length) <= most && distance(name, ours) <= most;
}

/** The number of letters to insert, remove, replace or swap with the next to turn one text into the other. */
function distance(a, b) {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? rows[i - 2][j - 2] + 1 : replaced;
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced, swapped);
    }
  }
  return rows[a.length][b.length];
}

/** Whether this is the first init context of `k6 run`, where a run is checked once. */
export const beginsRun = willRun && __VU === 0;
