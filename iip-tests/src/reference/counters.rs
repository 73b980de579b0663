//! The reference's statistics, as far as their shapes go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::frame::Frame;
use super::replies::to_json;

/// What was counted.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Counters {
    packets_sent: AtomicU64,
    packet_received: AtomicU64,
    whole_packet_sent: AtomicU64,
    whole_packet_received: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self, frame: &Frame) {
        self.packets_sent.fetch_add(1, Ordering::Relaxed);
        self.whole_packet_sent.fetch_add(1, Ordering::Relaxed);
        let bytes = frame.len() as u64;
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Only channels count what they receive.
    pub(super) fn received(&self, frame: &Frame) {
        self.packet_received.fetch_add(1, Ordering::Relaxed);
        let bytes = frame.len() as u64;
        self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn handled(&self) {
        self.whole_packet_received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.to_json()).into_owned()
    }
}

/// Seconds that are kept one by one.
const SECONDS: usize = 301;

/// Upper ends of the ranges into which durations are sorted.
const RANGES: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// How long requests took.
#[derive(Debug, Clone, Serialize)]
struct Figures {
    five_minute_requests: Vec<u64>,
    five_minute_duration: Vec<u64>,
    all_requests: u64,
    all_duration: u64,
    five_minute_timecount: Vec<Ranges>,
    all_timecount: Ranges,
}

#[derive(Debug, Clone, Serialize)]
struct Ranges {
    range_count: Vec<Range>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    duration: u64,
    count: u64,
}

impl Ranges {
    fn new() -> Self {
        let range = |end: &Duration| Range {
            duration: nanoseconds(*end),
            count: 0,
        };
        Self {
            range_count: RANGES.iter().map(range).collect(),
        }
    }

    fn add(&mut self, duration: u64) {
        let found = self
            .range_count
            .iter_mut()
            .find(|range| duration <= range.duration);
        if let Some(range) = found {
            range.count += 1;
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Times of one path, or of all.
#[derive(Debug)]
pub(super) struct Measure(Mutex<Figures>);

impl Default for Measure {
    fn default() -> Self {
        Self(Mutex::new(Figures {
            five_minute_requests: vec![0; SECONDS],
            five_minute_duration: vec![0; SECONDS],
            all_requests: 0,
            all_duration: 0,
            five_minute_timecount: vec![Ranges::new(); SECONDS],
            all_timecount: Ranges::new(),
        }))
    }
}

impl Measure {
    /// A request that was answered `since_start` after the start of the server.
    pub(super) fn add(&self, since_start: Duration, took: Duration) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = usize::try_from(since_start.as_secs()).unwrap_or(0) % SECONDS;
        let took = nanoseconds(took);
        figures.five_minute_requests[second] += 1;
        figures.five_minute_duration[second] += took;
        figures.all_requests += 1;
        figures.all_duration += took;
        figures.five_minute_timecount[second].add(took);
        figures.all_timecount.add(took);
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        to_json(&*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Four lines for people, with times in `unit`.
    pub(super) fn text(&self, unit: Duration) -> String {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unit = nanoseconds(unit).max(1);
        let average = |duration: u64, requests: u64| duration / requests.max(1) / unit;
        let requests: u64 = figures.five_minute_requests.iter().sum();
        let duration: u64 = figures.five_minute_duration.iter().sum();
        let ranges = |ranges: &[Ranges]| -> String {
            let mut counts = [0; RANGES.len()];
            for range in ranges {
                for (count, range) in counts.iter_mut().zip(&range.range_count) {
                    *count += range.count;
                }
            }
            counts.map(|count: u64| count.to_string()).join(" ")
        };
        format!(
            "5 minute requests     : {requests}, average duration: {}\n\
             5 minute ranges       : {}\n\
             all requests          : {}, average duration: {}\n\
             all ranges            : {}",
            average(duration, requests),
            ranges(&figures.five_minute_timecount),
            figures.all_requests,
            average(figures.all_duration, figures.all_requests),
            ranges(std::slice::from_ref(&figures.all_timecount)),
        )
    }
}

/// Counters and times of everything with one name.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) count: Counters,
    pub(super) measure: Measure,
}

/// The unit that a request for `/sys/statis` asks for; microseconds unless it is understood.
pub(super) fn time_unit(request: &[u8]) -> Duration {
    let fields: BTreeMap<String, String> = serde_json::from_slice(request).unwrap_or_default();
    match fields.get("time_unit").map(String::as_str) {
        Some("nanosecond") => Duration::from_nanos(1),
        Some("millisecond") => Duration::from_millis(1),
        Some("second") => Duration::from_secs(1),
        _ => Duration::from_micros(1),
    }
}

/// A channel in `/sys/connection_statis`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChannelState<'a> {
    pub(super) receive_queue: usize,
    pub(super) count: &'a Counters,
}
