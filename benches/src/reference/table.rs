//! Results as Markdown, with the reference's own beside them.

use std::fmt::Write;

use iip_load::Measurement;

use super::contender::Contender;
use super::published::{PUBLISHED, per_second};
use super::rounds::{ReferenceResults, ReferenceRow, cores_title};
use crate::programs::Name;
use crate::rounds::Row;
use crate::table::{Table, count, micros};
use crate::workload::bytes;

/// The table of what was measured, and the one that the reference publishes.
pub fn reference_markdown(results: &ReferenceResults) -> String {
    let mut text = format!(
        "{}; echo of {}, {} callers; client and server together on so many cores, each with as many threads; \
         {} interleaved rounds of {} s each; load average {} before, {} after\n",
        results.processor,
        bytes(results.size),
        results.callers,
        results.rounds,
        results.seconds,
        results.load_average[0],
        results.load_average[1],
    );
    for table in [measured_table(&results.rows), Some(published_table())]
        .into_iter()
        .flatten()
    {
        text.push('\n');
        text.push_str(&table);
    }
    text
}

fn measured_table(rows: &[ReferenceRow]) -> Option<String> {
    let http = rows.iter().find(|row| row.contender.name == Name::Http1);
    let http = http.map_or("", |row| row.row.framework.as_str());
    let rows: Vec<Row<Measurement>> = rows.iter().map(|row| row.row.clone()).collect();
    let mut table = Table::new(
        &rows,
        "| on | measured here | calls/s | min to max | x HTTP/1.1 | p50 us | p99 us | p99.9 us \
         | CPU us/call client | server | cores client | server |",
    )?;
    for row in &rows {
        let rate = |m: &Measurement| m.calls_per_second;
        let of = |value: fn(&Measurement) -> f64| row.median(value);
        table.line(
            row,
            &[
                count(row.median(rate)),
                row.spread(rate, count),
                row.against(&rows, http, rate),
                micros(of(|m| m.p50_us)),
                micros(of(|m| m.p99_us)),
                micros(of(|m| m.p999_us)),
                micros(of(|m| m.client_cpu_us_per_call)),
                micros(of(|m| m.server_cpu_us_per_call.unwrap_or(f64::NAN))),
                format!("{:.2}", of(|m| m.client_cores)),
                format!("{:.2}", of(|m| m.server_cores.unwrap_or(f64::NAN))),
            ],
        );
    }
    Some(table.text)
}

fn published_table() -> String {
    let mut text = String::from(
        "| client on | the reference's README (Go, another machine, as many callers as cores) | ns/call | calls/s \
         | x HTTP/1.1 |\n|---|---|--:|--:|--:|\n",
    );
    for published in PUBLISHED {
        let mut title = cores_title(published.cores);
        for (name, nanos) in published.lines() {
            let _ = writeln!(
                text,
                "| {title} | {name} | {nanos} | {} | {:.2} |",
                count(per_second(nanos)),
                published.against_http(nanos),
            );
            // The cores are named on their first line only.
            title.clear();
        }
    }
    text
}

impl ReferenceRow {
    /// Calls a second, the median.
    pub(super) fn rate(&self) -> f64 {
        self.row.median(|m| m.calls_per_second)
    }

    /// How many times the throughput of HTTP/1.1 on as many cores; nothing where that was not measured.
    pub(super) fn against_http(&self, rows: &[Self]) -> Option<f64> {
        let is_http = |contender: Contender| contender.name == Name::Http1;
        let http = rows
            .iter()
            .find(|row| row.cores == self.cores && is_http(row.contender))?;
        Some(self.rate() / http.rate())
    }
}
