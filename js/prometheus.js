// What the servers did beside what the users saw: readings of Prometheus, where PROMETHEUS_URL is set.

/** To be called in setup(), before the load. A Prometheus that fails costs a warning, never the run. */
export async function startReadings(config) {
  if (config.prometheus) {
    await config.prometheus.start();
  }
}

/** To be called in teardown(), after the load: waits for Prometheus to scrape it. The summary shows the table. */
export async function endReadings(config) {
  if (config.prometheus) {
    await config.prometheus.end();
  }
}
