// token-purchase-spike whose summary is everything that k6 hands to handleSummary, setup data and options included.

export * from '../token-purchase-spike.js';
export { default } from '../token-purchase-spike.js';

export const handleSummary = (data) => ({ stdout: JSON.stringify(data) });
