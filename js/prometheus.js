// Metrics of the servers: readings of Prometheus, if PROMETHEUS_URL is set.

/** To be called in setup(), before the load. A Prometheus that fails costs a warning, never the run. */
export async function startReadings(config) {
  if (config.prometheus) {
    await config.prometheus.start();
  }
}

/** To be called in teardown(), after the load: waits until Prometheus has scraped the servers. The summary shows the table. */
export async function endReadings(config) {
  if (config.prometheus) {
    await config.prometheus.end();
  }
}
