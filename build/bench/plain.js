// queue-concurrency for stock k6, with k6/http, k6/crypto and one user in each VU, to compare this extension with
// (go run ./build/bench). It has the same requests, think times, thresholds and ramp.
import crypto from 'k6/crypto';
import exec from 'k6/execution';
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';

const baseUrl = __ENV.BASE_URL;
const secret = __ENV.STRIPE_WEBHOOK_SECRET;
const users = Number(__ENV.TARGET_VUS);
const think = { min: Number(__ENV.THINK_TIME_MIN), max: Number(__ENV.THINK_TIME_MAX) };

const joinLatency = new Trend('queue_join_latency', true);
const operations = new Counter('operations');
const errorRate = new Rate('error_rate');

export const options = {
  scenarios: {
    plain: {
      executor: 'ramping-vus',
      startVUs: 0,
      stages: [
        { duration: __ENV.RAMP_UP, target: users },
        { duration: __ENV.HOLD, target: users },
        { duration: __ENV.RAMP_DOWN, target: 0 },
      ],
      gracefulStop: '0s',
      gracefulRampDown: '0s',
    },
  },
  thresholds: {
    http_req_duration: ['p(95)<100'],
    'http_req_duration{name:queue_join}': ['p(95)<100'],
    'http_req_duration{name:queue_leave}': ['p(95)<100'],
    queue_join_latency: ['p(95)<3000'],
    http_req_failed: ['rate<0.001'],
    error_rate: ['rate<0.001'],
  },
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'count'],
};

/** Checks an answer and counts the operation. */
function count(name, response, status, isRight = () => true) {
  const ok = check(response, { [`${name} is answered ${status}`]: (r) => r.status === status, [`${name} is right`]: isRight });
  operations.add(1, { name });
  errorRate.add(!ok, { name });
  return ok;
}

function signUp() {
  const response = http.post(`${baseUrl}/auth/signup-anonymous`, null, { tags: { name: 'auth_signup' } });
  count('auth_signup', response, 201);
  const body = response.json();
  return { id: body.user.id, token: body.accessToken };
}

function buyTokens(user, tokens) {
  const now = Math.floor(Date.now() / 1000);
  const unique = `${user.id}_${exec.vu.idInTest}_${exec.vu.iterationInInstance}`;
  const body = JSON.stringify({
    id: `evt_${unique}`,
    type: 'checkout.session.completed',
    data: {
      object: {
        id: `cs_${unique}`,
        object: 'checkout.session',
        payment_status: 'paid',
        metadata: { userId: user.id, packId: 'starter', tokens: String(tokens) },
      },
    },
  });
  const signature = crypto.hmac('sha256', secret, `${now}.${body}`, 'hex');
  const response = http.post(`${baseUrl}/webhooks/stripe`, body, {
    headers: { 'Content-Type': 'application/json', 'Stripe-Signature': `t=${now},v1=${signature}` },
    tags: { name: 'stripe_webhook' },
  });
  count('stripe_webhook', response, 200);
}

const bearer = (user) => ({ Authorization: `Bearer ${user.token}` });

function checkBalance(user) {
  const response = http.get(`${baseUrl}/tokens/balance`, { headers: bearer(user), tags: { name: 'tokens_balance' } });
  count('tokens_balance', response, 200, (r) => r.json('tokenBalance') === 2);
}

function join(user) {
  const body = JSON.stringify({ region: 'australiaCentral', preferences: { loadTestUser: exec.vu.idInTest } });
  const response = http.post(`${baseUrl}/queue/join`, body, {
    headers: { ...bearer(user), 'Content-Type': 'application/json' },
    tags: { name: 'queue_join' },
  });
  if (count('queue_join', response, 201, (r) => r.json('status') === 'queued')) {
    joinLatency.add(response.timings.duration);
  }
}

function leave(user) {
  const response = http.del(`${baseUrl}/queue/leave`, null, { headers: bearer(user), tags: { name: 'queue_leave' } });
  count('queue_leave', response, 200, (r) => r.json('status') === 'left');
}

const ponder = () => sleep(think.min + Math.random() * (think.max - think.min));

let user;
let turn = 0;

export default function () {
  if (!user) {
    user = signUp();
    buyTokens(user, 2);
  }
  turn += 1;
  if (turn % 10 === 0) {
    checkBalance(user);
  }
  join(user);
  ponder();
  leave(user);
  ponder();
}
