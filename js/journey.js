// What the users of a scenario do, and what counts as an error: an operation that did not do what the scenario wanted.

import exec from 'k6/execution';
import { countOperation, think } from 'k6/x/verity';

/** What is wrong although no answer says so. */
class UnexpectedAnswerError extends Error {
  constructor(operation, message) {
    super(`${operation}: ${message}`);
    this.name = 'UnexpectedAnswerError';
    this.operation = operation;
  }
}

/** Counts an operation, and its error, that is none of those that the extension counts. What the end of the run cut counts as nothing. */
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

/** A longer one is no use within a run; stay() waits no longer either. */
const LONGEST_RETRY_AFTER_S = 300;

/**
 * Waits after an operation that failed, as stay() does for its users: as long as the service asks for, otherwise a second or
 * two. The error is counted already; one that is not an operation's is a fault of the script and goes on up.
 */
export async function backOff(error) {
  if (!error.operation && error.name !== 'StoppedError') {
    throw error;
  }
  const least = Math.min(error.retryAfter || 1, LONGEST_RETRY_AFTER_S);
  await think(least, least + 1);
}

/** A new user, with tokens to begin with. A purchase that fails is sent again, and the account kept. */
export const arrive = (config) => config.verity.signUp({ tokens: config.seedTokens ? config.tokensPerUser : 0 });

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

/** Reads the balance, which must be what the user bought, less what it spent, plus what it got back. */
export const checkBalance = (user) => user.balance(BY_ACCOUNT);

const BY_ACCOUNT = { expect: 'account' };
const QUEUED = { expect: 'queued' };
const LEFT = { expect: 'left' };

/** Joins the queue of a place. */
export const join = (user, place) => user.join(place, QUEUED);

/** Leaves a queue that nobody else joins: only "left" is right. A refund that does not come counts in tokens_lost. */
export const leave = (user) => user.leave(LEFT);

/** Joins and waits for the match. Who has none in time counts in match_failed, and is no error. */
export async function match(config, user, place) {
  await connect(user);
  return user.match({ place, timeoutSeconds: config.matchTimeout });
}

/** The same, and holds the session. One that does not last as promised counts in session_dropped, and is no error. */
export async function holdSession(config, user, place) {
  await connect(user);
  return user.holdSession({ place, matchTimeoutSeconds: config.matchTimeout, holdSeconds: config.holdSeconds });
}

/** Opens the user's socket, at first and after it was lost. */
async function connect(user) {
  if (!user.connected()) {
    await user.connect();
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
      const user = await config.verity.signUp();
      userIds.push(user.id);
    });
  } catch (error) {
    exec.test.abort(`${count} users could not be signed up: ${error.message}`);
  }
  return { userIds };
}

/** Of how many users of stays the balances are read after the load. */
export const AUDITED_USERS = 1000;

/**
 * To be called in teardown(): reads the balances of the users, or of a sample of many, and holds them against what they bought,
 * spent and got back. One that does not add up counts as an error, and so does one that cannot be read.
 */
export const audit = (config) => config.verity.audit({ atMost: config.seedUserCount || AUDITED_USERS });

/** To be called last in teardown(): deletes the accounts that this run has made, with DELETE_ACCOUNTS=1. It is no part of the load. */
export async function cleanUp(config) {
  if (config.deleteAccounts) {
    await config.verity.deleteAccounts();
  }
}

/** Does the work for each item, a few at a time, so that it is no load of its own. */
async function inBatches(items, work) {
  const size = 10;
  for (let i = 0; i < items.length; i += size) {
    await Promise.all(items.slice(i, i + size).map(work));
  }
}
