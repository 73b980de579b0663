//! The tables of loads that are more than one kind of unary call.

use iip_load::{BesideMeasurement, StreamMeasurement};

use crate::rounds::Row;
use crate::table::{Table, count, mebibytes, micros};
use crate::workload::StalledMeasurement;

/// Messages and bytes of payload a second.
pub(crate) fn streams_table(rows: &[Row<StreamMeasurement>]) -> Option<String> {
    let mut table = Table::new(
        rows,
        "| server streaming, one call | framework | messages/s | min to max | bytes/s \
         | cores client | server | x tonic | x raw |",
    )?;
    for row in rows {
        let rate = |m: &StreamMeasurement| m.messages_per_second;
        table.line(
            row,
            &[
                count(row.median(rate)),
                row.spread(rate, count),
                mebibytes(row.median(|m| m.bytes_per_second)),
                format!("{:.2}", row.median(|m| m.client_cores)),
                format!("{:.2}", row.median(|m| m.server_cores.unwrap_or(f64::NAN))),
                row.against(rows, "tonic", rate),
                row.against(rows, "raw", rate),
            ],
        );
    }
    Some(table.text)
}

/// Latency of the small calls and throughput of the large ones.
pub(crate) fn beside_table(rows: &[Row<BesideMeasurement>]) -> Option<String> {
    let mut table = Table::new(
        rows,
        "| small calls beside large ones | framework | small p50 us | p99 us | min to max | x tonic | x raw \
         | small calls/s | large bytes/s each way | min to max | x tonic | x raw |",
    )?;
    for row in rows {
        let p99 = |m: &BesideMeasurement| m.small.p99_us;
        let bulk = |m: &BesideMeasurement| m.bulk.bytes_per_second;
        table.line(
            row,
            &[
                micros(row.median(|m| m.small.p50_us)),
                micros(row.median(p99)),
                row.spread(p99, micros),
                row.against(rows, "tonic", p99),
                row.against(rows, "raw", p99),
                count(row.median(|m| m.small.calls_per_second)),
                mebibytes(row.median(bulk)),
                row.spread(bulk, mebibytes),
                row.against(rows, "tonic", bulk),
                row.against(rows, "raw", bulk),
            ],
        );
    }
    Some(table.text)
}

/// Latency without and with the stalled stream.
pub(crate) fn stalled_table(rows: &[Row<StalledMeasurement>]) -> Option<String> {
    let mut table = Table::new(
        rows,
        "| a stream that nobody reads | framework | fewest calls of a round | p99 us without | min to max \
         | p99 us with | min to max | with / without |",
    )?;
    for row in rows {
        let calls = |m: &StalledMeasurement| m.without.calls.min(m.with.calls);
        let without = |m: &StalledMeasurement| m.without.p99_us;
        let with = |m: &StalledMeasurement| m.with.p99_us;
        let fewest = row.rounds.iter().map(calls).min().unwrap_or(0);
        table.line(
            row,
            &[
                count(fewest as f64),
                micros(row.median(without)),
                row.spread(without, micros),
                micros(row.median(with)),
                row.spread(with, micros),
                format!("{:.2}", row.median(with) / row.median(without)),
            ],
        );
    }
    Some(table.text)
}
