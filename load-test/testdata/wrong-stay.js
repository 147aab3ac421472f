// A stay with an option that there is not, called in each iteration.
import { stay } from 'k6/x/verity';

export const options = { vus: 5, duration: '10s' };

export default () => stay({ users: 5, signup: () => {} }, () => {});
