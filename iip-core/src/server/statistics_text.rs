//! The figures as the statistics paths answer them (`docs/statistics.md`).

use std::fmt::Write;

use super::books::Figures;
use super::statistics::ConnectionFigures;
use crate::session::json::{Value, write_string};
use crate::session::{DurationRange, Durations, Traffic};
use crate::transport::PeerAddr;

/// Most text about connections, bytes; what is beyond is left out.
pub(super) const MAX_CONNECTIONS_TEXT: usize = 4 << 20;

// Writing to a String cannot fail.

pub(super) fn write_count(out: &mut String, traffic: &Traffic) {
    let _ = write!(
        out,
        r#"{{"PacketsSent":{},"PacketReceived":{},"WholePacketSent":{},"WholePacketReceived":{},"BytesSent":{},"BytesReceived":{}}}"#,
        traffic.frames_sent,
        traffic.frames_received,
        traffic.messages_sent,
        traffic.messages_received,
        traffic.bytes_sent,
        traffic.bytes_received,
    );
}

fn write_list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn write_durations(out: &mut String, durations: &Durations) {
    out.push_str(r#"{"range_count":"#);
    write_list(out, &durations.ranges, |out, range| {
        let _ = write!(
            out,
            r#"{{"Duration":{},"Count":{}}}"#,
            range.nanos, range.calls
        );
    });
    out.push('}');
}

pub(super) fn write_measure(out: &mut String, figures: &Figures) {
    let recent = figures.ring();
    out.push_str(r#"{"five_minute_requests":"#);
    write_list(out, &recent, |out, second| {
        let _ = write!(out, "{}", second.calls());
    });
    out.push_str(r#","five_minute_duration":"#);
    write_list(out, &recent, |out, second| {
        let _ = write!(out, "{}", second.nanos());
    });
    let all = &figures.durations;
    let _ = write!(
        out,
        r#","all_requests":{},"all_duration":{},"five_minute_timecount":"#,
        all.calls(),
        all.nanos()
    );
    write_list(out, &recent, write_durations);
    out.push_str(r#","all_timecount":"#);
    write_durations(out, all);
    out.push('}');
}

/// Nanoseconds of the unit that a request for `/sys/statis` asks for.
pub(super) fn unit(request: &[u8]) -> u64 {
    let value = Value::parse(request);
    let name = value.as_ref().and_then(|value| value.get("time_unit"));
    match name.and_then(Value::as_str) {
        Some("second") => 1_000_000_000,
        Some("millisecond") => 1_000_000,
        Some("nanosecond") => 1,
        _ => 1000,
    }
}

fn average(nanos: u64, calls: u64, unit: u64) -> u64 {
    nanos.checked_div(calls).unwrap_or(0) / unit
}

fn write_calls(out: &mut String, name: &str, durations: &Durations, unit: u64) {
    let calls = durations.calls();
    let average = average(durations.nanos(), calls, unit);
    let _ = writeln!(out, "{name:<22}: {calls}, average duration: {average}");
}

fn write_ranges(out: &mut String, name: &str, durations: &Durations, unit: u64) {
    let calls = durations.calls();
    let _ = write!(out, "{name:<22}: ");
    for (index, range) in durations.ranges.iter().enumerate() {
        let &DurationRange {
            nanos, calls: of, ..
        } = range;
        let percent = (of * 100).checked_div(calls).unwrap_or(0);
        let average = average(nanos, of, unit);
        let _ = match index {
            7 => write!(out, "other"),
            _ => write!(out, "range{}", index + 1),
        };
        let _ = write!(out, "({of},{percent}%, average {average})");
        out.push_str(if index < 7 { ", " } else { "\n" });
    }
}

fn write_text(out: &mut String, figures: &Figures, unit: u64) {
    let mut recent = Durations::default();
    for second in figures.recent() {
        recent.add(&second);
    }
    out.push('\n');
    write_calls(out, "5 minute requests", &recent, unit);
    write_calls(out, "all requests", &figures.durations, unit);
    write_ranges(out, "5 minute timecount", &recent, unit);
    write_ranges(out, "all timecount", &figures.durations, unit);
}

fn write_both(out: &mut String, name: &str, figures: &Figures, unit: u64) {
    let _ = write!(out, "{name} count: ");
    write_count(out, &figures.traffic);
    let _ = write!(out, "\n{name} measure: \n");
    write_text(out, figures, unit);
    out.push('\n');
}

pub(super) fn statis(total: &Figures, paths: &[(String, Figures)], unit: u64) -> String {
    let mut out = String::new();
    write_both(&mut out, "total", total, unit);
    out.push_str("-----------------------------------\n");
    for (path, figures) in paths {
        write_both(&mut out, path, figures, unit);
        out.push('\n');
    }
    out
}

pub(super) fn connections(all: &[ConnectionFigures]) -> String {
    let mut out = String::from("{");
    for (index, connection) in all.iter().enumerate() {
        let mut text = String::new();
        let name = match &connection.peer {
            PeerAddr::Tcp(address) => address.to_string(),
            // Many connections may have the same.
            other => format!("{other}#{}", connection.id),
        };
        write_string(&mut text, &name);
        text.push_str(r#":{"Channels":{"#);
        for (index, channel) in connection.channels.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(
                text,
                r#"{comma}"{}":{{"ReceiveQueue":{},"Count":"#,
                channel.channel, channel.queued_requests
            );
            write_count(&mut text, &channel.traffic);
            text.push('}');
        }
        let _ = write!(
            text,
            r#"}},"WriteQueue":{},"Count":"#,
            connection.queued_frames
        );
        write_count(&mut text, &connection.traffic);
        text.push('}');
        if out.len() + text.len() > MAX_CONNECTIONS_TEXT {
            break;
        }
        if index > 0 {
            out.push(',');
        }
        out.push_str(&text);
    }
    out.push('}');
    out
}
