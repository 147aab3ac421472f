// Reads Prometheus during a run, and shows the servers' readings of the run in the summary. Needs PROMETHEUS_URL.
import { check } from 'k6';
import { printSummary, PrometheusWatch, snapshot } from 'k6/x/verity';

const url = __ENV.PROMETHEUS_URL;
const watch = new PrometheusWatch({ url, queries: { scraped_targets: 'sum(up)', postgres_deadlocks: null } });

export const options = { thresholds: { checks: ['rate==1'] } };

export const setup = () => watch.start();

export default async function () {
  const { targets, nothing } = await snapshot({ url, queries: { targets: 'count(up)', nothing: 'no_such_series' } });
  check(targets, { 'something is scraped': (n) => n > 0 });
  check(nothing, { 'null where there is no series': (n) => n === null });
}

export const teardown = () => watch.end();

export function handleSummary(data) {
  printSummary({ scenario: 'prometheus', target: url, data });
}
