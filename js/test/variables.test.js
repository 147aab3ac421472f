import {
  anything, belongsTo, choice, decimal, duration, durationMs, flag, moment, readVariables, refusing, seconds, whole,
} from '../variables.js';
import { once, same } from './same.js';

export const options = once();

export default function () {
  const second = 1000;
  for (const [text, ms] of Object.entries({
    '90s': 90 * second, '1m30s': 90 * second, '0m': 0, '1.5h': 5400 * second, '1d': 86400 * second, '500ms': 500, '1h0m0s': 3600 * second,
    '': undefined, 90: undefined, '-1s': undefined, '1 s': undefined, '1us': undefined, 'a while': undefined,
  })) {
    same(`durationMs of "${text}"`, durationMs(text), ms);
  }

  for (const [what, takes, text, value] of [
    ['a whole number', whole(1, 10), '10', 10],
    ['a number above the most', whole(1, 10), '11', undefined],
    ['a fraction', whole(1, 10), '1.5', undefined],
    ['a decimal', decimal(0, 1), '0.25', 0.25],
    ['a negative decimal', decimal(0, 1), '-0.1', undefined],
    ['seconds without a unit', seconds(0, 60), '6', 6],
    ['seconds with a unit', seconds(0, 60), '500ms', 0.5],
    ['too many seconds', seconds(0, 60), '2m', undefined],
    ['a duration without a unit', duration, '90', '90s'],
    ['a duration of more than a day', duration, '25h', undefined],
    ['one of two', choice('a', 'b'), 'b', 'b'],
    ['neither', choice('a', 'b'), 'c', undefined],
    ['no', flag, '0', false],
    ['yes', flag, '1', true],
    ['neither yes nor no', flag, 'true', undefined],
    ['any text', anything, ' x ', ' x '],
  ]) {
    same(what, takes.read(text), value);
  }

  const noon = Date.parse('2026-11-28T12:00:00Z');
  for (const [text, at] of [
    ['+90s', '2026-11-28T12:01:30.000Z'], ['+90', '2026-11-28T12:01:30.000Z'], ['14:30', '2026-11-28T14:30:00.000Z'],
    ['14:30:15', '2026-11-28T14:30:15.000Z'], ['2026-11-29T01:00:00+02:00', '2026-11-28T23:00:00.000Z'],
    ['2026-11-28T14:30:00.123456789Z', '2026-11-28T14:30:00.123Z'],
  ]) {
    same(`the moment ${text}`, new Date(moment.read(text)(noon)).toISOString(), at);
  }
  for (const text of ['24:00', '2026-11-28', '+25h', 'soon', '2026-13-01T00:00:00Z']) {
    same(`no moment: ${text}`, moment.read(text), undefined);
  }

  const table = {
    USERS: { takes: whole(1, 9), of: { mine: 5, theirs: 7 } }, TIMEOUT: { takes: seconds(0, 9), default: 3 }, THEIRS: { takes: flag, of: { theirs: '1' } },
    REGION: { takes: anything },
  };
  same('a variable of all', belongsTo(table.TIMEOUT, 'mine'), true);
  same("another scenario's", belongsTo(table.THEIRS, 'mine'), false);
  const given = { USERS: '2' };
  same('the environment wins', readVariables(table, 'mine', { variables: { USERS: '3', TIMEOUT: '1s' } }, (name) => given[name]), { USERS: 2, TIMEOUT: 1 });
  same('defaults', readVariables(table, 'theirs', { variables: {} }, () => undefined), { USERS: 7, TIMEOUT: 3, THEIRS: true });

  same('what the work returns', refusing({}, () => 5), 5);
}
