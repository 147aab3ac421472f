// Metrics of the servers: readings of Prometheus, if PROMETHEUS_URL is set.

/** To be called in setup(), before the load. If Prometheus fails, there is a warning and the run goes on. */
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
