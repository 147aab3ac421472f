// An independent implementation of the queue key, from docs/verity-api.md and with JavaScript's JSON, strings and numbers.
// Each line of standard input is a body in hex, each line of standard output the service's result.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

const vanishing = new Set(('__proto__ prototype constructor toString toLocaleString valueOf hasOwnProperty isPrototypeOf ' +
  'propertyIsEnumerable __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__').split(' '));

function canonical(value) {
  if (Array.isArray(value)) return '[' + value.map(canonical).join(',') + ']';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const names = Object.keys(value).filter((name) => !vanishing.has(name)).sort();
  return '{' + names.map((name) => '"' + name + '":' + canonical(value[name])).join(',') + '}';
}

const place = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '');
const refused = (messages, list) => ({ messages, list });

function join(bytes) {
  const text = new TextDecoder().decode(bytes);
  let body;
  try { body = text === '' ? {} : JSON.parse(text); } catch { return { unreadable: true }; }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) return { unreadable: true };

  const has = (name) => Object.hasOwn(body, name);
  const { city, region, preferences } = body;
  const wrong = Object.keys(body).filter((name) => !['city', 'region', 'preferences'].includes(name))
    .map((name) => `property ${name} should not exist`);
  if (has('city') && city !== null && typeof city !== 'string') wrong.push('city must be a string');
  if (has('region') && region !== null && typeof region !== 'string') wrong.push('region must be a string');
  if (has('preferences') && (typeof preferences !== 'object' || Array.isArray(preferences))) wrong.push('preferences must be an object');
  if (wrong.length) return refused(wrong, true);

  let where;
  if (has('city')) {
    where = city === null ? '' : place(city);
    if (where === '') return refused(['City must be a non-empty string when provided'], false);
  } else {
    where = place(region ?? '');
    if (where === '' || where === 'au') where = 'canberra';
  }
  const hash = createHash('sha256').update(canonical(preferences ?? {}), 'utf8').digest('hex').slice(0, 12);
  return { key: where + ':' + hash };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(join(Buffer.from(line, 'hex'))));
}
