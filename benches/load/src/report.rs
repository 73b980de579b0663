//! The result of one measurement.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::workload::Load;

/// What one client measured; printed as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The framework's name.
    pub framework: String,
    /// The operation's name.
    pub workload: String,
    /// Callers on the one connection.
    pub callers: usize,
    /// Bytes of payload each way.
    pub size: usize,
    /// Seconds in which calls were counted.
    pub seconds: f64,
    /// Calls that ended in this time.
    pub calls: u64,
    /// Throughput.
    pub calls_per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile in microseconds.
    pub p99_us: f64,
    /// 99.9th percentile in microseconds.
    pub p999_us: f64,
    /// CPU time of the client's process for each call, in microseconds.
    pub client_cpu_us_per_call: f64,
    /// CPU time of the server's process for each call, in microseconds, when its process was named.
    pub server_cpu_us_per_call: Option<f64>,
    /// CPU time of the client's process for each second: how many cores it kept busy.
    pub client_cores: f64,
    /// The same of the server's process.
    pub server_cores: Option<f64>,
}

impl Measurement {
    pub(crate) fn new(
        framework: &str,
        load: Load,
        elapsed: Duration,
        latencies: &Histogram,
        client: Duration,
        server: Option<Duration>,
    ) -> Self {
        let calls = latencies.count();
        let seconds = elapsed.as_secs_f64();
        let quantile = |fraction| micros(latencies.quantile(fraction));
        let per_call = |cpu| micros(cpu) / calls.max(1) as f64;
        Self {
            framework: framework.to_owned(),
            workload: load.operation.name().to_owned(),
            callers: load.callers,
            size: load.size,
            seconds,
            calls,
            calls_per_second: calls as f64 / seconds,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            client_cpu_us_per_call: per_call(client),
            server_cpu_us_per_call: server.map(per_call),
            client_cores: client.as_secs_f64() / seconds,
            server_cores: server.map(|cpu| cpu.as_secs_f64() / seconds),
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
