// queueKey against the same function written in JavaScript, side by side in one run: medians of rounds, and the ratio.
// Run it with `make bench`.
import { sha256 } from 'k6/crypto';
import { print, queueKey } from 'k6/x/verity';

const ROUNDS = 9;
const ROUND_MS = 300;
const VANISHING = new Set(['__proto__', 'prototype', 'constructor', 'toString', 'toLocaleString', 'valueOf', 'hasOwnProperty',
  'isPrototypeOf', 'propertyIsEnumerable', '__defineGetter__', '__defineSetter__', '__lookupGetter__', '__lookupSetter__']);

export const options = { vus: 1, iterations: 1 };

/** What a script without this extension would write. It is right for these bodies, not for lone surrogates in keys. */
function queueKeyInJavaScript({ city, region, preferences }) {
  let place = (city === undefined ? region || '' : city).toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
  if (city === undefined && (place === '' || place === 'au')) {
    place = 'canberra';
  }
  return `${place}:${sha256(canonical(preferences || {}), 'hex').slice(0, 12)}`;
}

function canonical(value) {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(',')}]`;
  }
  if (value === null || typeof value !== 'object') {
    return JSON.stringify(value);
  }
  const keys = Object.keys(value).filter((key) => !VANISHING.has(key)).sort();
  return `{${keys.map((key) => `"${key}":${canonical(value[key])}`).join(',')}}`;
}

const bodies = {
  'isolated user': { region: 'australiaCentral', preferences: { seed: '1-0-123456789' } },
  'realistic profile': {
    city: 'Sydney',
    preferences: {
      ageRange: { min: 25, max: 35 }, genders: ['f', 'nb'], interests: ['hiking', 'music'], distanceKm: 12.5, verifiedOnly: true,
      note: null,
    },
  },
};

function perSecond(work, body) {
  const start = Date.now();
  let n = 0;
  for (; Date.now() - start < ROUND_MS; n += 100) {
    for (let i = 0; i < 100; i++) {
      work(body);
    }
  }
  return Math.round((1000 * n) / (Date.now() - start));
}

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

export default function () {
  print('body               queueKey/s  in JavaScript/s  ratio');
  for (const [name, body] of Object.entries(bodies)) {
    if (queueKey(body) !== queueKeyInJavaScript(body)) {
      throw new Error(`the two disagree on the ${name}`);
    }
    const ours = [];
    const theirs = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(perSecond(queueKey, body));
      theirs.push(perSecond(queueKeyInJavaScript, body));
    }
    const [a, b] = [median(ours), median(theirs)];
    print(`${name.padEnd(18)} ${String(a).padStart(10)}  ${String(b).padStart(15)}  ${(a / b).toFixed(1)}`);
  }
}
