//! The results of measurements.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::closed_loop::Counted;
use crate::histogram::Histogram;
use crate::workload::{Crowd, Load};

/// What one client measured; printed as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The framework's name.
    pub framework: String,
    /// The operation's name.
    pub workload: String,
    /// Callers, each with one call at a time.
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
    /// Of one group.
    pub(crate) fn new(framework: &str, load: Load, counted: &Counted) -> Self {
        let latencies = &counted.latencies[0];
        let calls = latencies.count();
        let seconds = counted.elapsed.as_secs_f64();
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
            client_cpu_us_per_call: per_call(counted.client),
            server_cpu_us_per_call: counted.server.map(per_call),
            client_cores: counted.client.as_secs_f64() / seconds,
            server_cores: counted.server.map(|cpu| cpu.as_secs_f64() / seconds),
        }
    }
}

/// What one client measured of server-streaming calls, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamMeasurement {
    /// The framework's name.
    pub framework: String,
    /// Bytes of payload of a message.
    pub size: usize,
    /// Messages of one call.
    pub messages_per_call: u64,
    /// Seconds that the calls took.
    pub seconds: f64,
    /// Calls that were made.
    pub calls: u64,
    /// Messages of all calls, for each second.
    pub messages_per_second: f64,
    /// Bytes of payload, for each second.
    pub bytes_per_second: f64,
    /// CPU time of the client's process for each second.
    pub client_cores: f64,
    /// The same of the server's process, when it was named.
    pub server_cores: Option<f64>,
}

/// What one client measured of two crowds on one connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BesideMeasurement {
    /// The framework's name.
    pub framework: String,
    /// Seconds in which calls were counted.
    pub seconds: f64,
    /// The callers with small payloads.
    pub small: CrowdMeasurement,
    /// The callers with large payloads.
    pub bulk: CrowdMeasurement,
    /// CPU time of the client's process for each second.
    pub client_cores: f64,
    /// The same of the server's process, when it was named.
    pub server_cores: Option<f64>,
}

impl BesideMeasurement {
    /// Of two groups.
    pub(crate) fn new(framework: &str, small: Crowd, bulk: Crowd, counted: &Counted) -> Self {
        let seconds = counted.elapsed.as_secs_f64();
        Self {
            framework: framework.to_owned(),
            seconds,
            small: CrowdMeasurement::new(small, seconds, &counted.latencies[0]),
            bulk: CrowdMeasurement::new(bulk, seconds, &counted.latencies[1]),
            client_cores: counted.client.as_secs_f64() / seconds,
            server_cores: counted.server.map(|cpu| cpu.as_secs_f64() / seconds),
        }
    }
}

/// What was measured of the callers of one crowd.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrowdMeasurement {
    /// How many they are.
    pub callers: usize,
    /// Bytes of payload each way.
    pub size: usize,
    /// Milliseconds between their calls.
    pub pause_ms: u64,
    /// Calls that ended in the time that was counted.
    pub calls: u64,
    /// Throughput.
    pub calls_per_second: f64,
    /// Bytes of payload each way, for each second.
    pub bytes_per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile in microseconds.
    pub p99_us: f64,
    /// 99.9th percentile in microseconds.
    pub p999_us: f64,
}

impl CrowdMeasurement {
    fn new(crowd: Crowd, seconds: f64, latencies: &Histogram) -> Self {
        let calls = latencies.count();
        let quantile = |fraction| micros(latencies.quantile(fraction));
        Self {
            callers: crowd.callers,
            size: crowd.size,
            pause_ms: u64::try_from(crowd.pause.as_millis()).unwrap_or(u64::MAX),
            calls,
            calls_per_second: calls as f64 / seconds,
            bytes_per_second: (calls * crowd.size as u64) as f64 / seconds,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
