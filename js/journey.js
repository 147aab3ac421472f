// The operations of a scenario's users, and what counts as an error: an operation without the result that the scenario expects.

import exec from 'k6/execution';
import { countOperation, think } from 'k6/x/verity';

/** The error of an answer with a success status and an unexpected content. */
class UnexpectedAnswerError extends Error {
  constructor(operation, message) {
    super(`${operation}: ${message}`);
    this.name = 'UnexpectedAnswerError';
    this.operation = operation;
  }
}

/** Counts an operation that the extension does not count itself, and its error. An operation that the end of the run cut is not counted. */
async function attempt(operation, work) {
  try {
    await work();
    countOperation(operation);
  } catch (error) {
    if (error.name !== 'StoppedError') {
      countOperation(operation, error);
    }
    throw error;
  }
}

/** The longest wait after a failed operation, in s, as in stay(): a longer one is no use within a run. */
const LONGEST_RETRY_AFTER_S = 300;

/**
 * Waits after a failed operation, as stay() does for its users: for the service's Retry-After, or else a second or two. The error
 * has been counted. An error that is not of an operation is a fault of the script, and is thrown again.
 */
export async function backOff(error) {
  if (!error.operation && error.name !== 'StoppedError') {
    throw error;
  }
  const least = Math.min(error.retryAfter || 1, LONGEST_RETRY_AFTER_S);
  await think(least, least + 1);
}

/** Signs up a user with its first tokens. A failed purchase is sent again for the same user. */
export const arrive = (config) => config.verity.signUp({ tokens: config.seedTokens ? config.tokensPerUser : 0 });

/**
 * Prepares a user for a join: leaves a queue in which a failed request may have left the user, checks the balance every
 * BALANCE_CHECK_EVERY turns, and makes sure that it has a token. Returns undefined if there is nothing to do, as mostly.
 */
export function prepare(config, user, turn) {
  const due = config.balanceCheckEvery > 0 && (turn + 1) % config.balanceCheckEvery === 0;
  return due || user.queued() || !(user.tokens() >= 1) ? makeReady(config, user, due) : undefined;
}

async function makeReady(config, user, due) {
  if (user.queued()) {
    await user.leave();
  }
  if (due || user.tokens() === null) {
    await checkBalance(user);
  }
  if (user.tokens() >= 1) {
    return;
  }
  if (config.autoTopUp) {
    await user.buyTokens(config.topUpTokens);
    return;
  }
  await attempt('queue_join', () => {
    throw new UnexpectedAnswerError('queue_join', 'the user has no token left; set AUTO_TOP_UP=1, or more TOKENS_PER_USER');
  });
}

/** Reads the balance, and requires it to be the tokens bought, less those spent, plus those refunded. */
export const checkBalance = (user) => user.balance(BY_ACCOUNT);

const BY_ACCOUNT = { expect: 'account' };
const QUEUED = { expect: 'queued' };
const LEFT = { expect: 'left' };

/** Joins the queue of a place. */
export const join = (user, place) => user.join(place, QUEUED);

/** Leaves a queue that no other user joins, so that only "left" is right. A missing refund counts in tokens_lost. */
export const leave = (user) => user.leave(LEFT);

/** Joins and waits for the match. A user without a match in time counts in match_failed, and is not an error. */
export async function match(config, user, place) {
  await connect(user);
  return user.match({ place, timeoutSeconds: config.matchTimeout });
}

/** Matches, and holds the session. A session that does not last as promised counts in session_dropped, and is not an error. */
export async function holdSession(config, user, place) {
  await connect(user);
  return user.holdSession({ place, matchTimeoutSeconds: config.matchTimeout, holdSeconds: config.holdSeconds });
}

/** Opens the user's socket, the first time and after it was lost. */
async function connect(user) {
  if (!user.connected()) {
    await user.connect();
  }
}

/** Sends `copies` of a purchase event at once. Of several copies, one must be answered 200, and the others may be 500. */
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
 * Signs up users for the whole run and returns their ids. Their access tokens stay in the extension, as the result of setup() is
 * public. A user that cannot be signed up aborts the run, which needs all of them.
 */
export async function seedUsers(config, count) {
  const userIds = [];
  if (config.preflightOnly) {
    return { userIds };
  }
  try {
    await inBatches(Array(count).fill(), async () => {
      const user = await config.verity.signUp();
      userIds.push(user.id);
    });
  } catch (error) {
    exec.test.abort(`${count} users could not be signed up: ${error.message}`);
  }
  return { userIds };
}

/** The highest number of users of stays whose balances are read after the load. */
export const AUDITED_USERS = 1000;

/**
 * To be called in teardown(): reads the balances of the users, or of a sample if there are many, and compares them with the tokens
 * bought, spent and refunded. A wrong balance, and one that cannot be read, count as errors.
 */
export const audit = (config) => config.verity.audit({ atMost: config.seedUserCount || AUDITED_USERS });

/** To be called last in teardown(): with DELETE_ACCOUNTS=1, deletes the accounts of this run. It does not count as load. */
export async function cleanUp(config) {
  if (config.deleteAccounts) {
    await config.verity.deleteAccounts();
  }
}

/** Does the work for each item, a few at a time, so that it puts little load on the service. */
async function inBatches(items, work) {
  const size = 10;
  for (let i = 0; i < items.length; i += size) {
    await Promise.all(items.slice(i, i + size).map(work));
  }
}
