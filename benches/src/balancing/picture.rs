use std::fmt::Write;
use std::time::Duration;

use super::runs::{Figures, Row, SLOW, shown};
use crate::chart::{STYLE, escaped};

/// All lengths in pixels of an image that is shown at its own size.
const WIDTH: usize = 840;
const MARGIN: usize = 20;
/// Where the rows begin, and how high each is.
const TOP: usize = 118;
const ROW: usize = 62;
/// The calls of each server: one bar beside the other.
const SHARES: usize = 150;
const BAR: usize = 15;
const TALLEST: f64 = 44.0;
/// The part of the calls that the highest bar shows.
const MOST: f64 = 0.15;
/// Latencies, by their logarithm.
const FROM: usize = 360;
const TO: usize = WIDTH - 70;
const SHORTEST: f64 = 0.003;
const LONGEST: f64 = 300.0;

const LINES: [(f64, &str); 5] = [
    (0.01, "10 ms"),
    (0.1, "100 ms"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (100.0, "100 s"),
];

/// A row for each policy: on the left what part of the calls each server got, on the right how long calls took.
pub(super) fn svg(took: Duration, rows: &[Row]) -> String {
    let bottom = TOP + rows.len() * ROW;
    let height = bottom + 44;
    let mut body = String::new();
    let title = "One of ten servers is ten times slower";
    text(&mut body, "title", MARGIN, 30, "start", title);
    let note = format!(
        "Half of the load that the healthy fleet can carry, 2,000 calls a second for {:.0} s from 10 clients.",
        took.as_secs_f64()
    );
    text(&mut body, "note", MARGIN, 52, "start", &note);
    text(
        &mut body,
        "head",
        SHARES,
        84,
        "start",
        "calls of each server",
    );
    text(
        &mut body,
        "head",
        FROM,
        84,
        "start",
        "latency: p50, p95, p99",
    );
    text(
        &mut body,
        "note",
        FROM,
        102,
        "start",
        "grey: the same policy while all servers are well",
    );
    text(
        &mut body,
        "note",
        SHARES,
        102,
        "start",
        "orange: the slow one",
    );
    for (seconds, words) in LINES {
        let x = place(seconds);
        let _ = writeln!(
            body,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\"/>",
            TOP - 6
        );
        text(&mut body, "note", x as usize, bottom + 18, "middle", words);
    }
    for (index, row) in rows.iter().enumerate() {
        draw(&mut body, TOP + index * ROW, row);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n\
         <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n{body}</svg>\n",
        WIDTH - 1,
        height - 1,
    )
}

fn draw(body: &mut String, top: usize, row: &Row) {
    let base = top + ROW - 14;
    text(body, "", MARGIN, base, "start", row.name);
    for (server, &share) in row.slow.shares.iter().enumerate() {
        let class = if server == SLOW { "pool" } else { "one" };
        let height = (share / MOST).min(1.0) * TALLEST;
        let _ = writeln!(
            body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{:.1}\" width=\"{}\" height=\"{height:.1}\"/>",
            SHARES + server * BAR,
            base as f64 - height,
            BAR - 3,
        );
    }
    let slow = format!("{:.1} %", row.slow.shares[SLOW] * 100.0);
    text(body, "note", SHARES + 10 * BAR + 2, base, "start", &slow);
    latencies(body, "baseline", base - 4, &row.healthy);
    latencies(body, "one", base - 22, &row.slow);
    let p99 = row.slow.p99;
    let x = place(p99.as_secs_f64()) as usize + 10;
    text(body, "note", x, base - 18, "start", &shown(p99));
}

/// A bar from p50 to p99, and a dot at each of the three.
fn latencies(body: &mut String, class: &str, y: usize, figures: &Figures) {
    let [p50, p95, p99] = [figures.p50, figures.p95, figures.p99].map(seconds);
    let (from, to) = (place(p50), place(p99));
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"2\"/>",
        y - 1,
        to - from,
    );
    for at in [p50, p95, p99] {
        let x = place(at);
        let _ = writeln!(
            body,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y}\" r=\"5\"/>"
        );
    }
}

fn seconds(latency: Duration) -> f64 {
    latency.as_secs_f64()
}

/// Where on the axis so many seconds are.
fn place(seconds: f64) -> f64 {
    let part = (seconds / SHORTEST).ln() / (LONGEST / SHORTEST).ln();
    FROM as f64 + part.clamp(0.0, 1.0) * (TO - FROM) as f64
}

fn text(body: &mut String, class: &str, x: usize, y: usize, anchor: &str, words: &str) {
    let words = escaped(words);
    let _ = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}
