//! Results as Markdown.

use std::fmt::Write;

use iip_load::Measurement;

use crate::memory::Footprint;
use crate::rounds::{Results, Row};

/// One line for each load and framework: medians over the rounds, smallest and largest throughput, and how many
/// times the throughput of tonic and of raw that is.
pub fn markdown(results: &Results) -> String {
    let rounds = results.rows.first().map_or(0, |row| row.rounds.len());
    let mut text = format!(
        "{}, {} cores; {rounds} interleaved rounds of {} s each; load average {} before, {} after\n\n",
        results.processor,
        results.cores,
        results.seconds,
        results.load_average[0],
        results.load_average[1],
    );
    text.push_str(
        "| load | framework | calls/s | min to max | p50 us | p99 us | p99.9 us \
         | CPU us/call client | server | cores client | server | x tonic | x raw |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut load = None;
    for row in &results.rows {
        // The load is named on its first line only.
        let title = if load.replace(&row.workload) == Some(&row.workload) {
            ""
        } else {
            &row.title
        };
        let rate = throughput(row);
        let [low, high] = extremes(row);
        let against = |framework: &str| {
            let peer = results
                .rows
                .iter()
                .find(|peer| peer.workload == row.workload && peer.framework == framework);
            match peer {
                Some(peer) => format!("{:.2}", rate / throughput(peer)),
                None => "-".to_owned(),
            }
        };
        let of = |value: fn(&Measurement) -> f64| median(row.rounds.iter().map(value));
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {} to {} | {} | {} | {} | {} | {} | {:.2} | {:.2} | {} | {} |",
            row.framework,
            count(rate),
            count(low),
            count(high),
            micros(of(|m| m.p50_us)),
            micros(of(|m| m.p99_us)),
            micros(of(|m| m.p999_us)),
            micros(of(|m| m.client_cpu_us_per_call)),
            micros(of(|m| m.server_cpu_us_per_call.unwrap_or(f64::NAN))),
            of(|m| m.client_cores),
            of(|m| m.server_cores.unwrap_or(f64::NAN)),
            against("tonic"),
            against("raw"),
        );
    }
    text
}

/// One line for each framework.
pub fn footprints_markdown(footprints: &[Footprint]) -> String {
    let mut text = String::from(
        "| framework | connections | server before KiB | server with them KiB | each KiB |\n|---|--:|--:|--:|--:|\n",
    );
    for footprint in footprints {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.2} |",
            footprint.framework,
            footprint.connections,
            footprint.before / 1024,
            footprint.with / 1024,
            footprint.bytes_each() / 1024.0,
        );
    }
    text
}

fn throughput(row: &Row) -> f64 {
    median(row.rounds.iter().map(|m| m.calls_per_second))
}

fn extremes(row: &Row) -> [f64; 2] {
    let rates = || row.rounds.iter().map(|m| m.calls_per_second);
    [
        rates().fold(f64::INFINITY, f64::min),
        rates().fold(0.0, f64::max),
    ]
}

/// The middle value; between the two middle ones of an even number.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// Three digits mean something, more do not.
pub(crate) fn count(value: f64) -> String {
    match value {
        v if v >= 999_500.0 => format!("{:.2} M", v / 1e6),
        v if v >= 99_950.0 => format!("{:.0} k", v / 1e3),
        v if v >= 9_995.0 => format!("{:.1} k", v / 1e3),
        v if v >= 999.5 => format!("{:.2} k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

pub(crate) fn micros(value: f64) -> String {
    match value {
        v if v.is_nan() => "-".to_owned(),
        v if v >= 99.5 => format!("{v:.0}"),
        v if v >= 9.95 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
