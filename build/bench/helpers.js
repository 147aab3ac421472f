// Compares the helpers of this extension with the same in JavaScript with k6/crypto, side by side in one run. Prints a line of
// JSON for each helper, with medians of rounds; build/bench adds plain Go.
import { hmac, sha256 } from 'k6/crypto';
import { print, queueKey, StripeSigner } from 'k6/x/verity';

const ROUNDS = 9;
const ROUND_MS = 200;
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

/** A complete signed event, as a script without this extension would make it. */
let events = 0;
function checkoutInJavaScript({ userId, tokens }) {
  events += 1;
  const body = JSON.stringify({
    id: `evt_${__VU}_${events}`,
    type: 'checkout.session.completed',
    data: {
      object: {
        id: `cs_${__VU}_${events}`,
        object: 'checkout.session',
        payment_status: 'paid',
        metadata: { userId, packId: 'starter', tokens: String(tokens) },
      },
    },
  });
  return { id: `evt_${__VU}_${events}`, body, headers: { 'Stripe-Signature': signInJavaScript(body) } };
}

function signInJavaScript(body) {
  const now = Math.floor(Date.now() / 1000);
  return `t=${now},v1=${hmac('sha256', SECRET, `${now}.${body}`, 'hex')}`;
}

const SECRET = 'whsec_bench';
const signer = new StripeSigner(SECRET);
const purchase = { userId: 'cjld2cjxh0000qzrmn831i7rn', tokens: 5 };

const comparisons = {
  'queueKey, isolated user': {
    ours: queueKey, theirs: queueKeyInJavaScript, input: { region: 'australiaCentral', preferences: { seed: '1-0-123456789' } }, same: true,
  },
  'queueKey, profile': {
    ours: queueKey,
    theirs: queueKeyInJavaScript,
    input: {
      city: 'Sydney',
      preferences: {
        ageRange: { min: 25, max: 35 }, genders: ['f', 'nb'], interests: ['hiking', 'music'], distanceKm: 12.5, verifiedOnly: true,
        note: null,
      },
    },
    same: true,
  },
  sign: { ours: (body) => signer.sign(body), theirs: signInJavaScript, input: checkoutInJavaScript(purchase).body, same: true },
  checkoutCompleted: { ours: (what) => signer.checkoutCompleted(what), theirs: checkoutInJavaScript, input: purchase },
};

function perSecond(work, input) {
  const start = Date.now();
  let n = 0;
  for (; Date.now() - start < ROUND_MS; n += 100) {
    for (let i = 0; i < 100; i++) {
      work(input);
    }
  }
  return Math.round((1000 * n) / (Date.now() - start));
}

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Two that are made within one second are the same; the clock may tick in between once. */
const agree = ({ ours, theirs, input, same }) => !same || [1, 2].some(() => ours(input) === theirs(input));

export default function () {
  for (const [name, comparison] of Object.entries(comparisons)) {
    if (!agree(comparison)) {
      throw new Error(`the two disagree on ${name}`);
    }
    const ours = [];
    const theirs = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(perSecond(comparison.ours, comparison.input));
      theirs.push(perSecond(comparison.theirs, comparison.input));
    }
    print(JSON.stringify({ name, input: comparison.input, verity: median(ours), javascript: median(theirs) }));
  }
}
