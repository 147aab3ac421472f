// What the users of a scenario do, and what counts as an error: an operation that did not do what the scenario wanted.

import exec from 'k6/execution';
import { countOperation, think } from 'k6/x/verity';

/** An answer that is fine by its status, and wrong by what it says. */
class UnexpectedAnswerError extends Error {
  constructor(operation, message) {
    super(`${operation}: ${message}`);
    this.name = 'UnexpectedAnswerError';
    this.operation = operation;
  }
}

/**
 * Carries out one operation and counts it, and its error. What the end of the run cut counts as nothing.
 *
 * @param judge throws where the answer is not what the scenario wanted
 */
export async function attempt(operation, work, judge) {
  try {
    const result = await work();
    if (judge) {
      judge(result);
    }
    countOperation(operation);
    return result;
  } catch (error) {
    if (error.name !== 'StoppedError') {
      countOperation(operation, error);
    }
    throw error;
  }
}

/**
 * Waits after an operation that failed, as stay() does for its users: as long as the service asks for, otherwise a second or
 * two. attempt() has counted the error; one that is not an operation's is a fault of the script and goes on up.
 */
export async function backOff(error) {
  if (!error.operation && error.name !== 'StoppedError') {
    throw error;
  }
  const least = error.retryAfter || 1;
  await think(least, least + 1);
}

/** A new user, with tokens to begin with. */
export async function arrive(config) {
  const user = await attempt('auth_signup', () => config.verity.signUp());
  if (config.seedTokens) {
    await buy(user, config.tokensPerUser);
  }
  return user;
}

const buy = (user, tokens) => attempt('stripe_webhook', () => user.buyTokens(tokens));

/**
 * Before a join: out of the queue that a failed request may have left the user in, the balance checked every so many
 * turns, and a token at hand. Most of the time there is nothing to do, and so nothing to wait for.
 */
export function prepare(config, user, turn) {
  const due = config.balanceCheckEvery > 0 && (turn + 1) % config.balanceCheckEvery === 0;
  return due || user.queued() || !(user.tokens() >= 1) ? makeReady(config, user, due) : undefined;
}

async function makeReady(config, user, due) {
  if (user.queued()) {
    await attempt('queue_leave', () => user.leave());
  }
  if (due || user.tokens() === null) {
    await checkBalance(user);
  }
  if (user.tokens() >= 1) {
    return;
  }
  if (config.autoTopUp) {
    await buy(user, config.topUpTokens);
    return;
  }
  await attempt('queue_join', () => {
    throw new UnexpectedAnswerError('queue_join', 'the user has no token left; set AUTO_TOP_UP=1, or more TOKENS_PER_USER');
  });
}

/** Reads the balance, which must be what the user bought, less what it spent, plus what it got back. */
export function checkBalance(user) {
  const expected = user.tokens();
  return attempt('tokens_balance', () => user.balance(), (balance) => {
    if (expected !== null && balance !== expected) {
      throw new UnexpectedAnswerError('tokens_balance',
        `the balance is ${balance}, but by what was bought, spent and refunded it must be ${expected}`);
    }
  });
}

/** Joins the queue of a place. */
export function join(user, place) {
  return attempt('queue_join', () => user.join(place), (joined) => {
    if (joined.status !== 'queued') {
      throw new UnexpectedAnswerError('queue_join', `${joined.status}, though this user was in no queue`);
    }
    if (joined.queueKey !== place.queueKey) {
      throw new UnexpectedAnswerError('queue_join', `queued under ${joined.queueKey} instead of ${place.queueKey}`);
    }
  });
}

/** Leaves a queue that nobody else joins: only "left" is right. A refund that does not come counts in tokens_lost. */
export function leave(user) {
  return attempt('queue_leave', () => user.leave(), (left) => {
    if (left.status !== 'left') {
      throw new UnexpectedAnswerError('queue_leave', `${left.status}, though nobody else joins this user's key`);
    }
  });
}

/** Joins and waits for the match. Who has none in time counts in match_failed, and is no error. */
export async function match(config, user, place) {
  await connect(user);
  return attempt('queue_join', () => user.match({ place, timeoutSeconds: config.matchTimeout }));
}

/** The same, and holds the session. One that does not last as promised counts in session_dropped, and is no error. */
export async function holdSession(config, user, place) {
  await connect(user);
  return attempt('queue_join', () => user.holdSession({
    place, matchTimeoutSeconds: config.matchTimeout, holdSeconds: config.holdSeconds,
  }));
}

/** Opens the user's socket, at first and after it was lost. */
async function connect(user) {
  if (!user.connected()) {
    await attempt('socket', () => user.connect());
  }
}

/** Sends an event that sells tokens. `copies` of it are sent at once; then some may be 500, and one must be 200. */
export function sell(config, event, copies = 1) {
  return attempt('stripe_webhook', async () => {
    const expectedStatuses = copies > 1 ? [200, 500] : [200];
    const sent = Array.from({ length: copies }, () => config.verity.webhook(event, { expectedStatuses }));
    const answers = await Promise.all(sent);
    if (!answers.some((answer) => answer.status === 200)) {
      throw new UnexpectedAnswerError('stripe_webhook', `none of ${copies} copies of one event was answered 200`);
    }
  });
}

/**
 * Signs up users for the whole run and returns their ids. Their tokens stay in the extension, for what setup() returns is
 * public. Without its users a run has no point, so one that cannot be signed up aborts it.
 */
export async function seedUsers(config, count) {
  const userIds = [];
  if (config.preflightOnly) {
    return { userIds };
  }
  try {
    await inBatches(Array(count).fill(), async () => {
      const user = await attempt('auth_signup', () => config.verity.signUp());
      userIds.push(user.id);
    });
  } catch (error) {
    exec.test.abort(`${count} users could not be signed up: ${error.message}`);
  }
  return { userIds };
}

/** Reads the balances of users whom seedUsers signed up; one that does not add up counts as an error. */
export async function checkBalances(config, userIds) {
  await inBatches(userIds, (id) => checkBalance(config.verity.user(id)).catch(() => {}));
}

/** Does the work for each item, a few at a time, so that it is no load of its own. */
async function inBatches(items, work) {
  const size = 10;
  for (let i = 0; i < items.length; i += size) {
    await Promise.all(items.slice(i, i + size).map(work));
  }
}
