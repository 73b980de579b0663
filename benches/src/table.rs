//! Results as Markdown.

use std::fmt::Write;

use iip_load::Measurement;

use crate::memory::Footprint;
use crate::model_tables::{beside_table, stalled_table, streams_table};
use crate::rounds::{Results, Row};

/// A table for each kind of load that was measured.
pub fn markdown(results: &Results) -> String {
    let mut text = format!(
        "{}, {} cores; {} interleaved rounds of {} s each; load average {} before, {} after\n",
        results.processor,
        results.cores,
        results.rounds,
        results.seconds,
        results.load_average[0],
        results.load_average[1],
    );
    let tables = [
        calls_table(&results.rows),
        streams_table(&results.streams),
        beside_table(&results.beside),
        stalled_table(&results.stalled),
    ];
    for table in tables.into_iter().flatten() {
        text.push('\n');
        text.push_str(&table);
    }
    text
}

/// One line for each load and framework: medians over the rounds, smallest and largest throughput, and how many
/// times the throughput of tonic and of raw that is. Nothing without rows, as every table here.
fn calls_table(rows: &[Row<Measurement>]) -> Option<String> {
    let mut table = Table::new(
        rows,
        "| load | framework | calls/s | min to max | p50 us | p99 us | p99.9 us \
         | CPU us/call client | server | cores client | server | x tonic | x raw |",
    )?;
    for row in rows {
        let rate = |m: &Measurement| m.calls_per_second;
        let of = |value: fn(&Measurement) -> f64| row.median(value);
        table.line(
            row,
            &[
                count(row.median(rate)),
                row.spread(rate, count),
                micros(of(|m| m.p50_us)),
                micros(of(|m| m.p99_us)),
                micros(of(|m| m.p999_us)),
                micros(of(|m| m.client_cpu_us_per_call)),
                micros(of(|m| m.server_cpu_us_per_call.unwrap_or(f64::NAN))),
                format!("{:.2}", of(|m| m.client_cores)),
                format!("{:.2}", of(|m| m.server_cores.unwrap_or(f64::NAN))),
                row.against(rows, "tonic", rate),
                row.against(rows, "raw", rate),
            ],
        );
    }
    Some(table.text)
}

/// A table whose first two columns are load and framework.
pub(crate) struct Table {
    pub(crate) text: String,
    load: String,
}

impl Table {
    pub(crate) fn new<M>(rows: &[Row<M>], head: &str) -> Option<Self> {
        if rows.is_empty() {
            return None;
        }
        let numbers = head.matches('|').count() - 3;
        Some(Self {
            text: format!("{head}\n|---|---|{}\n", "--:|".repeat(numbers)),
            load: String::new(),
        })
    }

    pub(crate) fn line<M>(&mut self, row: &Row<M>, cells: &[String]) {
        // The load is named on its first line only.
        let title = if self.load == row.workload {
            ""
        } else {
            &row.title
        };
        let _ = writeln!(
            self.text,
            "| {title} | {} | {} |",
            row.framework,
            cells.join(" | ")
        );
        self.load.clone_from(&row.workload);
    }
}

impl<M> Row<M> {
    pub(crate) fn median(&self, value: impl Fn(&M) -> f64) -> f64 {
        median(self.rounds.iter().map(value))
    }

    /// The smallest and the largest.
    pub(crate) fn spread(&self, value: impl Fn(&M) -> f64, show: fn(f64) -> String) -> String {
        let values = || self.rounds.iter().map(&value);
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(0.0, f64::max);
        format!("{} to {}", show(low), show(high))
    }

    /// How many times the median of `framework` under the same load.
    pub(crate) fn against(
        &self,
        rows: &[Self],
        framework: &str,
        value: impl Fn(&M) -> f64,
    ) -> String {
        let peer = rows
            .iter()
            .find(|peer| peer.workload == self.workload && peer.framework == framework);
        match peer {
            Some(peer) => format!("{:.2}", self.median(&value) / peer.median(&value)),
            None => "-".to_owned(),
        }
    }
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

/// Bytes a second.
pub(crate) fn mebibytes(value: f64) -> String {
    match value / f64::from(1 << 20) {
        v if v >= 1023.5 => format!("{:.2} GiB", v / 1024.0),
        v => format!("{v:.0} MiB"),
    }
}
