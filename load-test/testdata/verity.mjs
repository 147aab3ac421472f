// A Verity that shares no line with the extension: docs/verity-api.md once more, in plain Node, whose HTTP server has the habits
// of the real one (5 s keep-alive, Express' cookies, body parsing before anything else). The scenario tests judge a run
// by what this server saw. Its sockets are those of the reference package socket.io, installed beside the tests of
// extension/socketio; where it is missing, there are none. It has no POST /sessions/<id>/choice.
//
//   node verity.mjs [--throttle] [--lose-refunds 0.2] …
//
// It prints one line of JSON with its URL and whether it has sockets. GET /__state, outside the contract, tells what it saw; POST /__ban?user=<id>
// suspends a user.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    secret: { type: 'string', default: 'whsec_node' }, // of the webhook
    throttle: { type: 'boolean', default: false },
    'session-seconds': { type: 'string', default: '45' },
    'token-ttl-seconds': { type: 'string', default: '900' },
    'latency-ms': { type: 'string', default: '0' }, // spent where the real service waits for its database
    // Defects on purpose; a rate is from 0 to 1.
    'lose-refunds': { type: 'string', default: '0' }, // of the leaves: answered left, without the token
    'already-queued': { type: 'string', default: '0' }, // of the joins: answered so, and not queued
    'double-credit': { type: 'boolean', default: false }, // an event that comes again is credited again
    'not-verity': { type: 'boolean', default: false }, // 404 for everything
    html: { type: 'boolean', default: false }, // a page for everything
    'lose-match': { type: 'string', default: '0' }, // of the sessions: one of its users hears no match
    'lose-start': { type: 'string', default: '0' }, // of the sessions: neither hears session:start
    'end-early-seconds': { type: 'string', default: '0' }, // every session ends so long before its endAt
    'token-error': { type: 'string', default: '0' }, // of the sessions: end at once, as when video is not configured
    'cross-pairs': { type: 'string', default: '0' }, // of two pairs of one tick and key: a user of each is taken for the other's
    'double-match': { type: 'string', default: '0' }, // of the sessions: both hear match twice
    'drop-sockets-after': { type: 'string', default: '0' }, // seconds after which a connection is cut off; 0 for never
  },
});

const BODY_LIMIT = 100 * 1024;
const INT32_MAX = 2147483647;
const HOUR_MS = 3600 * 1000;
const WINDOW_MS = 60 * 1000;
const STRIPE_TOLERANCE_SECONDS = 300;
const REFRESH_SECONDS = 2592000;
const TICK_MS = 500;
const PAIRS_PER_TICK = 10;

const asked = new Map(); // how often each defect was asked for

/** Whether a defect is due: evenly spread, so that a rate of 0.3 hits 3 of 10 and no run is spared by luck. */
function due(flag) {
  const n = asked.get(flag) ?? 0;
  asked.set(flag, n + 1);
  return Math.floor((n + 1) * Number(flags[flag])) > Math.floor(n * Number(flags[flag]));
}
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const database = () => pause(Number(flags['latency-ms']));
const sha256 = (text) => createHash('sha256').update(text, 'utf8').digest('hex');

// --- Answers -------------------------------------------------------------------------------------------------------------

class Refusal extends Error {
  constructor(status, body, headers = {}) {
    super(body.message);
    Object.assign(this, { status, body, headers });
  }
}

const REASONS = { 400: 'Bad Request', 401: 'Unauthorized', 404: 'Not Found', 409: 'Conflict', 413: 'Payload Too Large' };
const refusal = (status, message) => new Refusal(status, { message, error: REASONS[status], statusCode: status });
const unauthorized = () => new Refusal(401, { message: 'Unauthorized', statusCode: 401 });

// --- JSON Web Tokens -----------------------------------------------------------------------------------------------------

const base64url = (value) => Buffer.from(value).toString('base64url');
const keys = { access: randomBytes(32), refresh: randomBytes(32) };
const mac = (typ, text) => createHmac('sha256', keys[typ]).update(text).digest();

function makeToken(typ, seconds, claims) {
  const now = Math.floor(Date.now() / 1000);
  const text = [{ alg: 'HS256', typ: 'JWT' }, { ...claims, typ, iat: now, exp: now + seconds }]
    .map((part) => base64url(JSON.stringify(part))).join('.');
  return `${text}.${base64url(mac(typ, text))}`;
}

/** The claims of a token that is whole and alive, or undefined. */
function readToken(typ, token) {
  const [head, payload, signature, more] = token.split('.');
  if (!signature || more !== undefined) {
    return undefined;
  }
  const got = Buffer.from(signature, 'base64url');
  const want = mac(typ, `${head}.${payload}`);
  if (got.length !== want.length || !timingSafeEqual(got, want)) {
    return undefined;
  }
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  return claims.typ === typ && claims.exp > Math.floor(Date.now() / 1000) ? claims : undefined;
}

/** The id of the user whose access token the request carries. */
function authenticate(request) {
  const [scheme, token, more] = (request.headers.authorization ?? '').split(' ');
  const claims = scheme === 'Bearer' && token && more === undefined ? readToken('access', token) : undefined;
  if (!claims) {
    throw unauthorized();
  }
  return claims.sub;
}

// --- Accounts ------------------------------------------------------------------------------------------------------------

const users = new Map();
const refreshTokens = new Map(); // by jti: { used, family }
const seen = { deleted: 0, refreshes: 0, reuseIncidents: 0, connections: 0, sessions: 0, answers: {}, remotes: {}, heard: {} };

function newId() {
  const digits = Array.from(randomBytes(24), (byte) => (byte % 36).toString(36));
  return `c${digits.join('')}`;
}

const accessToken = (id) => makeToken('access', Number(flags['token-ttl-seconds']), { sub: id, role: 'user' });

/** Set-Cookie as Express writes it. */
function refreshCookie(id, family) {
  const jti = randomBytes(12).toString('hex');
  refreshTokens.set(jti, { used: false, family });
  const value = encodeURIComponent(makeToken('refresh', REFRESH_SECONDS, { sub: id, jti }));
  const expires = new Date(Date.now() + REFRESH_SECONDS * 1000).toUTCString();
  return `refresh_token=${value}; Max-Age=${REFRESH_SECONDS}; Path=/auth/refresh; Expires=${expires}; HttpOnly; SameSite=Strict`;
}

function signUp({ body, headers }) {
  validate(body, { dateOfBirth: anything, consents: anything, privacyNoticeVersion: anything, tosVersion: anything });
  const user = {
    id: newId(), balance: 0, bought: 0, joins: 0, refunds: 0, spent: 0, lost: 0, queueKey: null, locked: false, banned: false,
    matchedUntil: 0,
  };
  users.set(user.id, user);
  headers['Set-Cookie'] = refreshCookie(user.id, { revoked: false });
  const account = { id: user.id, role: 'user', isAnonymous: true, tokenBalance: user.balance };
  return [201, { user: account, accessToken: accessToken(user.id) }];
}

function cookieOf(request, name) {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const [key, value] = part.trim().split(/=(.*)/s);
    if (key === name && value) {
      return decodeURIComponent(value);
    }
  }
  return undefined;
}

async function refresh({ request, headers }) {
  const cookie = cookieOf(request, 'refresh_token');
  if (!cookie) {
    throw refusal(401, 'Missing refresh token');
  }
  const claims = readToken('refresh', cookie);
  const record = claims && refreshTokens.get(claims.jti);
  if (!record || record.family.revoked) {
    throw refusal(401, 'Invalid or expired refresh token');
  }
  if (record.used) {
    throw reuse(record, 'Refresh token reused');
  }
  await database();
  if (record.used) {
    throw reuse(record, 'Refresh token already used');
  }
  record.used = true;
  seen.refreshes++;
  headers['Set-Cookie'] = refreshCookie(claims.sub, record.family);
  return [200, { accessToken: accessToken(claims.sub) }];
}

function reuse(record, message) {
  record.family.revoked = true;
  seen.reuseIncidents++;
  return refusal(401, message);
}

// --- Validation ----------------------------------------------------------------------------------------------------------

const anything = () => undefined;
const aString = (value) => (typeof value === 'string' ? undefined : 'must be a string');
const anObject = (value) => (typeof value === 'object' && !Array.isArray(value) ? undefined : 'must be an object');

/** As class-validator with forbidNonWhitelisted: null counts as not given. */
function validate(body, fields) {
  const faults = Object.keys(body).filter((name) => !Object.hasOwn(fields, name))
    .map((name) => `property ${name} should not exist`);
  for (const [name, check] of Object.entries(fields)) {
    const fault = body[name] === undefined || body[name] === null ? undefined : check(body[name]);
    if (fault) {
      faults.push(`${name} ${fault}`);
    }
  }
  if (faults.length > 0) {
    throw refusal(400, faults);
  }
}

// --- Queue ---------------------------------------------------------------------------------------------------------------

const VANISHING = new Set(['__proto__', 'prototype', 'constructor', 'toString', 'toLocaleString', 'valueOf',
  'hasOwnProperty', 'isPrototypeOf', 'propertyIsEnumerable', '__defineGetter__', '__defineSetter__', '__lookupGetter__',
  '__lookupSetter__']);

/** JSON with sorted keys, which are not escaped. Of lone surrogates UTF-8 makes EF BF BD. */
function canonical(value) {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(',')}]`;
  }
  if (value !== null && typeof value === 'object') {
    const names = Object.keys(value).filter((name) => !VANISHING.has(name)).sort();
    return `{${names.map((name) => `"${name}":${canonical(value[name])}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');

function cityOf({ city, region }) {
  if (city !== undefined) {
    const name = slug(city ?? '');
    if (name === '') {
      throw refusal(400, 'City must be a non-empty string when provided');
    }
    return name;
  }
  const name = slug(region ?? '');
  return name === '' || name === 'au' ? 'canberra' : name;
}

const queueKeyOf = (body) => `${cityOf(body)}:${sha256(canonical(body.preferences ?? {})).slice(0, 12)}`;

const queues = new Map(); // by key: [{ user, at }]

function waiting(key) {
  if (!queues.has(key)) {
    queues.set(key, []);
  }
  return queues.get(key);
}

function unqueue(user) {
  const left = waiting(user.queueKey).filter((entry) => entry.user !== user);
  if (left.length > 0) {
    queues.set(user.queueKey, left);
  } else {
    queues.delete(user.queueKey);
  }
  user.queueKey = null;
}

/** Runs a queue operation of a user who has no other one under way. */
async function locked(user, operation, busy) {
  if (user.locked) {
    return busy();
  }
  user.locked = true;
  try {
    await database();
    return operation();
  } finally {
    user.locked = false;
  }
}

function conflict() {
  throw refusal(409, 'Queue operation in progress');
}

async function join({ request, body }) {
  const id = authenticate(request);
  validate(body, { city: aString, region: aString, preferences: anObject });
  const user = users.get(id);
  if (user?.banned) {
    throw refusal(401, 'Account is temporarily suspended');
  }
  const key = queueKeyOf(body);
  if (!user) {
    throw refusal(400, 'Insufficient token balance');
  }
  const alreadyQueued = () => [201, { status: 'already_queued', queueKey: user.queueKey, position: positionOf(user) }];
  return locked(user, () => {
    if (user.queueKey) {
      return alreadyQueued();
    }
    if (user.balance < 1) {
      throw refusal(400, 'Insufficient token balance');
    }
    if (due('already-queued')) {
      return [201, { status: 'already_queued', queueKey: key, position: null }];
    }
    user.balance--;
    user.joins++;
    user.queueKey = key;
    waiting(key).push({ user, at: Date.now() });
    tellCrowd(key);
    return [201, { status: 'queued', queueKey: key, position: positionOf(user) }];
  }, () => (user.queueKey ? alreadyQueued() : conflict()));
}

const positionOf = (user) => waiting(user.queueKey).findIndex((entry) => entry.user === user);

async function leave({ request }) {
  const user = users.get(authenticate(request));
  const notQueued = [200, { status: 'not_queued', refunded: false }];
  if (!user) {
    return notQueued;
  }
  return locked(user, () => {
    const queueKey = user.queueKey;
    if (!queueKey) {
      return notQueued;
    }
    unqueue(user);
    tellCrowd(queueKey);
    const matched = user.matchedUntil > Date.now();
    if (matched || due('lose-refunds')) {
      user.lost++;
      return [200, { status: matched ? 'already_matched' : 'left', refunded: false, queueKey }];
    }
    user.balance++;
    user.refunds++;
    return [200, { status: 'left', refunded: true, queueKey }];
  }, conflict);
}

/** What the close of a /queue socket does: out of the queue, with refund, as soon as the user's other operation is done. */
async function vacate(user) {
  while (user.locked) {
    await pause(5);
  }
  await locked(user, () => {
    const { queueKey } = user;
    if (queueKey) {
      unqueue(user);
      user.balance++;
      user.refunds++;
      tellCrowd(queueKey);
    }
  });
}

/** One round of the matcher: all keys one after the other, first come first served. */
function match() {
  for (const [key, entries] of queues) {
    entries.sort((a, b) => a.at - b.at || (a.user.id < b.user.id ? -1 : 1));
    const pairs = Math.min(PAIRS_PER_TICK, Math.floor(entries.length / 2));
    const matched = entries.splice(0, 2 * pairs);
    for (const { user, at } of matched) {
      user.queueKey = null;
      user.spent++;
      user.matchedUntil = Date.now() + HOUR_MS;
      waits.push(Date.now() - at);
    }
    if (entries.length === 0) {
      queues.delete(key);
    }
    const sessions = Array.from({ length: pairs }, (_, n) => makeSession(matched[2 * n].user, matched[2 * n + 1].user));
    crossPairs(sessions);
    for (const session of sessions) {
      begin(session, key);
    }
  }
}

const waits = []; // ms from the place in the queue to the match, of each user who was matched

/** The p50 of what users waited, by nearest rank. */
const medianWait = () => waits.toSorted((a, b) => a - b)[Math.ceil(waits.length / 2) - 1] ?? 0;

let liveSessions = 0;

/** A session with its two sides: who it is, and of which session and partner this user hears. */
function makeSession(a, b) {
  const id = newId();
  const startAt = Date.now();
  const side = (user, partner, uid) => ({ user, uid, sessionId: id, partner, channelName: `session-${id}` });
  return { startAt, endAt: startAt + Number(flags['session-seconds']) * 1000, sides: [side(a, b, 1), side(b, a, 2)] };
}

/** A defect: the second users of two sessions hear of each other's. */
function crossPairs(sessions) {
  for (let n = 0; n + 1 < sessions.length; n += 2) {
    if (due('cross-pairs')) {
      const [one, other] = [sessions[n].sides[1], sessions[n + 1].sides[1]];
      [one.user, other.user] = [other.user, one.user];
    }
  }
}

/** Tells both users of the match and of the start, 4 to 20 ms apart in either order, and ends the session in time. */
function begin(session, queueKey) {
  seen.sessions++;
  liveSessions++;
  const end = (reason) => {
    liveSessions--;
    tellEnd(session, reason);
  };
  if (due('token-error')) {
    tellMatch(session, queueKey);
    end('token_error');
    return;
  }
  const events = [() => tellMatch(session, queueKey), due('lose-start') ? () => {} : () => tellStart(session)];
  const [first, second] = Math.random() < 0.5 ? events : events.reverse();
  first();
  setTimeout(second, 4 + Math.random() * 16).unref();
  const early = Number(flags['end-early-seconds']) * 1000;
  setTimeout(() => end('timeout'), session.endAt - session.startAt - early).unref();
}

setInterval(match, TICK_MS).unref();

function balance({ request }) {
  const user = users.get(authenticate(request));
  if (!user) {
    throw refusal(404, 'User not found');
  }
  return [200, { tokenBalance: user.balance }];
}

/** Deletes the account. Its access tokens still work, and a place in the queue stays taken. */
function deleteAccount({ request }) {
  const id = authenticate(request);
  if (!users.delete(id)) {
    throw refusal(404, 'User not found');
  }
  seen.deleted++;
  return [200, { deleted: true }];
}

// --- Stripe --------------------------------------------------------------------------------------------------------------

/** constructEvent of Stripe's node library: throws where it does. */
function verifySignature(raw, header) {
  let timestamp = -1;
  const signatures = [];
  for (const item of header.split(',')) {
    const [key, value] = item.split('=');
    if (key === 't') {
      timestamp = parseInt(value, 10);
    } else if (key === 'v1') {
      signatures.push(value);
    }
  }
  if (timestamp === -1 || Number.isNaN(timestamp) || signatures.length === 0) {
    throw new Error('Unable to extract timestamp and signatures from header');
  }
  const want = Buffer.from(createHmac('sha256', flags.secret).update(`${timestamp}.${raw.toString('utf8')}`, 'utf8').digest('hex'));
  const isRight = (signature) => {
    const got = Buffer.from(signature);
    return got.length === want.length && timingSafeEqual(got, want);
  };
  if (!signatures.some(isRight)) {
    throw new Error('No signatures found matching the expected signature for payload');
  }
  if (Math.floor(Date.now() / 1000) - timestamp > STRIPE_TOLERANCE_SECONDS) {
    throw new Error('Timestamp outside the tolerance zone');
  }
}

const credited = { events: new Set(), sessions: new Set(), underWay: new Set() };

async function credit(event) {
  if (event.type !== 'checkout.session.completed') {
    return;
  }
  const { id: sessionId, payment_status: paymentStatus, metadata } = event.data.object;
  const tokens = Number(metadata?.tokens);
  if (paymentStatus !== 'paid' || !metadata?.userId || !(tokens > 0)) {
    return;
  }
  if (!flags['double-credit']) {
    if (credited.events.has(event.id)) {
      return;
    }
    if (credited.underWay.has(event.id) || credited.sessions.has(sessionId)) {
      throw new Error('Unique constraint failed');
    }
  }
  credited.underWay.add(event.id);
  try {
    await database();
    const user = users.get(metadata.userId);
    if (!user || !Number.isInteger(tokens) || tokens > INT32_MAX) {
      throw new Error('the database refuses it');
    }
    user.balance += tokens;
    if (!credited.events.has(event.id)) {
      user.bought += tokens;
    }
    credited.events.add(event.id);
    credited.sessions.add(sessionId);
  } finally {
    credited.underWay.delete(event.id);
  }
}

async function webhook({ request, raw }) {
  const header = request.headers['stripe-signature'];
  if (!header) {
    throw refusal(400, 'Missing Stripe signature');
  }
  verifySignature(raw, header);
  await credit(JSON.parse(raw.toString('utf8')));
  return [200, { received: true }];
}

// --- Sockets -------------------------------------------------------------------------------------------------------------

const NAMESPACES = ['/queue', '/video'];

/** The reference package, or undefined where it is not installed. */
function socketIo() {
  const require = createRequire(new URL('../../extension/socketio/testdata/oracle/package.json', import.meta.url));
  try {
    return require('socket.io');
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') {
      throw error;
    }
    return undefined;
  }
}

let io; // undefined where there are no sockets

function openSockets(httpServer) {
  const { Server } = socketIo() ?? {};
  if (!Server) {
    return;
  }
  io = new Server(httpServer, { transports: ['websocket'], serveClient: false });
  for (const namespace of NAMESPACES) {
    io.of(namespace).on('connection', (socket) => welcome(namespace, socket));
  }
}

/** The user of a socket, looked up at connect only. An Authorization header wins over auth.token. */
function socketUser({ headers, auth }) {
  const token = headers.authorization === undefined ? auth.token : headers.authorization.split(' ')[1];
  const claims = typeof token === 'string' ? readToken('access', token) : undefined;
  return claims && users.get(claims.sub);
}

function welcome(namespace, socket) {
  const user = socketUser(socket.handshake);
  if (!user) {
    socket.disconnect(true);
    return;
  }
  socket.join(user.id);
  if (namespace === '/queue') {
    socket.on('disconnect', () => vacate(user));
  }
  const dropAfter = Number(flags['drop-sockets-after']);
  if (dropAfter > 0) {
    setTimeout(() => socket.conn.transport.socket._socket?.destroy(), dropAfter * 1000).unref();
  }
}

/** Sends an event to all sockets of a user that are open now. */
function tell(namespace, user, event, payload) {
  if (io?.of(namespace).adapter.rooms.has(user.id)) {
    seen.heard[event] = (seen.heard[event] ?? 0) + 1;
    io.of(namespace).to(user.id).emit(event, payload);
  }
}

/** Tells everybody who is queued in the key how many they are. */
function tellCrowd(key) {
  const crowd = queues.get(key) ?? [];
  for (const { user } of crowd) {
    tell('/queue', user, 'queue:status', { usersSearching: crowd.length });
  }
}

function tellMatch({ sides }, queueKey) {
  const lost = due('lose-match') ? sides[Math.floor(Math.random() * 2)] : undefined;
  const times = due('double-match') ? 2 : 1;
  const matchedAt = Date.now();
  for (const side of sides.filter((each) => each !== lost)) {
    const { user, sessionId, partner } = side;
    const partnerAnonymousId = `anon_${sha256(`${sessionId}:${partner.id}`).slice(0, 12)}`;
    for (let n = 0; n < times; n++) {
      tell('/queue', user, 'match', { sessionId, partnerAnonymousId, queueKey, matchedAt });
    }
  }
}

function tellStart({ sides, startAt, endAt }) {
  for (const { user, uid, sessionId, channelName } of sides) {
    tell('/video', user, 'session:start', {
      sessionId, channelName, startAt, endAt, expiresAt: endAt, durationSeconds: (endAt - startAt) / 1000,
      rtc: { token: `rtc-${sessionId}`, uid }, rtm: { token: `rtm-${sessionId}`, userId: user.id },
    });
  }
}

function tellEnd({ sides }, reason) {
  for (const { user, sessionId } of sides) {
    tell('/video', user, 'session:end', { sessionId, reason, endedAt: Date.now() });
  }
}

// --- HTTP ----------------------------------------------------------------------------------------------------------------

const started = Date.now();
const health = () => [200, { status: 'ok', timestamp: new Date().toISOString(), uptimeSeconds: (Date.now() - started) / 1000 }];

const routes = {
  'GET /health': { limit: 120, handle: health },
  'POST /auth/signup-anonymous': { limit: 10, handle: signUp },
  'POST /auth/refresh': { limit: 20, handle: refresh },
  'POST /queue/join': { limit: 120, handle: join },
  'DELETE /queue/leave': { limit: 120, handle: leave },
  'GET /tokens/balance': { limit: 120, handle: balance },
  'DELETE /users/me': { limit: 120, handle: deleteAccount },
  'POST /webhooks/stripe': { limit: 120, handle: webhook },
};

const clients = new Map(); // by route and address: { times, blockedUntil }

/** Counts a request and returns the headers that tell how many are left. */
function throttle(name, address, limit) {
  const now = Date.now();
  const client = clients.get(name + address) ?? { times: [], blockedUntil: 0 };
  clients.set(name + address, client);
  client.times = client.times.filter((time) => time > now - WINDOW_MS);
  if (client.blockedUntil <= now) {
    client.times.push(now);
    if (client.times.length > limit) {
      client.blockedUntil = now + WINDOW_MS;
    }
  }
  if (client.blockedUntil > now) {
    throw new Refusal(429, { statusCode: 429, message: 'ThrottlerException: Too Many Requests' }, {
      'Retry-After': Math.ceil((client.blockedUntil - now) / 1000),
    });
  }
  return {
    'X-RateLimit-Limit': limit,
    'X-RateLimit-Remaining': limit - client.times.length,
    'X-RateLimit-Reset': Math.ceil((client.times[0] + WINDOW_MS - now) / 1000),
  };
}

/** The body as bytes. One that is too long is read to its end, so that the connection stays usable. */
async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= BODY_LIMIT) {
      chunks.push(chunk);
    }
  }
  if (size > BODY_LIMIT) {
    throw refusal(413, 'request entity too large');
  }
  return Buffer.concat(chunks);
}

/** As express.json(): a body of another type is not looked at. */
function parseBody(request, raw) {
  if (raw.length === 0 || !/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    return {};
  }
  try {
    const body = JSON.parse(raw.toString('utf8'));
    if (typeof body === 'object' && body !== null) {
      return body;
    }
  } catch {
    // Refused below, like JSON that is neither an object nor an array.
  }
  throw refusal(400, 'Unexpected token in JSON at position 0');
}

async function respond(request, name, headers) {
  if (flags['not-verity']) {
    throw refusal(404, `Cannot ${name}`);
  }
  const raw = await readBody(request);
  const body = parseBody(request, raw);
  const route = routes[name];
  if (!route) {
    throw refusal(404, `Cannot ${name}`);
  }
  if (flags.throttle) {
    Object.assign(headers, throttle(name, request.socket.remoteAddress, route.limit));
  }
  return route.handle({ request, raw, body, headers });
}

function errorAnswer(error, headers) {
  if (!(error instanceof Refusal)) {
    return [500, { statusCode: 500, message: 'Internal server error' }];
  }
  Object.assign(headers, error.headers);
  return [error.status, error.body];
}

const known = new WeakSet();

function note(request, name, status) {
  if (!known.has(request.socket)) {
    known.add(request.socket);
    seen.connections++;
    const address = request.socket.remoteAddress;
    seen.remotes[address] = (seen.remotes[address] ?? 0) + 1;
  }
  const route = name in routes ? name : 'unknown';
  seen.answers[route] ??= {};
  seen.answers[route][status] = (seen.answers[route][status] ?? 0) + 1;
}

function introspect(url) {
  if (url.pathname === '/__ban') {
    users.get(url.searchParams.get('user')).banned = true;
  }
  const account = ({ balance: tokens, bought, joins, refunds, spent, lost, queueKey }) => (
    { balance: tokens, bought, joins, refunds, spent, lost, queueKey });
  return { ...seen, live: liveSessions, medianWait: medianWait(), users: Object.fromEntries([...users].map(([id, user]) => [id, account(user)])) };
}

function send(response, status, type, headers, text) {
  response.writeHead(status, { ...headers, 'Content-Type': `${type}; charset=utf-8`, 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://verity');
  if (url.pathname.startsWith('/__')) {
    send(response, 200, 'application/json', {}, JSON.stringify(introspect(url)));
    return;
  }
  const name = `${request.method} ${url.pathname}`;
  if (flags.html) {
    note(request, name, 200);
    send(response, 200, 'text/html', {}, '<!DOCTYPE html><title>Welcome</title><h1>It works</h1>');
    return;
  }
  const headers = {};
  const [status, body] = await respond(request, name, headers).catch((error) => errorAnswer(error, headers));
  note(request, name, status);
  send(response, status, 'application/json', headers, JSON.stringify(body));
});

openSockets(server);
server.listen(Number(flags.port), '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}`, sockets: io !== undefined }));
});
