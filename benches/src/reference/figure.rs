//! Results as a chart, with the reference's own below them.

use super::published::{PUBLISHED, per_second};
use super::rounds::{ReferenceResults, ReferenceRow, cores_title};
use crate::chart::{Bar, Chart, Group, Panel, Series};
use crate::programs::Name;
use crate::table::count;
use crate::workload::bytes;

/// An SVG whose bars are multiples of the throughput of HTTP/1.1 on the same machine and as many cores: what was measured
/// here and what the reference publishes have nothing else in common. Nothing where HTTP/1.1 was not measured.
pub fn reference_chart(results: &ReferenceResults) -> Option<String> {
    let mut groups: Vec<Group> = Vec::new();
    let mut cores = 0;
    for row in &results.rows {
        if row.cores != cores {
            cores = row.cores;
            groups.push(Group {
                title: cores_title(cores),
                bars: Vec::new(),
            });
        }
        let value = row.against_http(&results.rows)?;
        groups
            .last_mut()?
            .bars
            .push(bar(&row.row.framework, row.rate(), value, series(row)));
    }
    let published = PUBLISHED.map(|published| Group {
        title: cores_title(published.cores),
        bars: published
            .lines()
            .into_iter()
            .zip([Series::One, Series::Pool, Series::Baseline])
            .map(|((name, nanos), series)| {
                let value = published.against_http(nanos);
                bar(name, per_second(nanos), value, series)
            })
            .collect(),
    });
    let chart = Chart {
        title: format!(
            "Echo of {}: calls per second, as multiples of HTTP/1.1 on the same machine",
            bytes(results.size)
        ),
        panels: vec![
            Panel {
                title: format!("This project, {} callers", results.callers),
                note: format!(
                    "{}; client and server share the cores; {}",
                    results.processor,
                    match results.rounds {
                        1 => "one round".to_owned(),
                        rounds => format!("medians of {rounds} rounds"),
                    },
                ),
                groups,
            },
            Panel {
                title: "What the reference's README publishes".to_owned(),
                note: "Go, another machine; as many callers as cores of the client, server not limited"
                    .to_owned(),
                groups: published.into(),
            },
        ],
    };
    Some(chart.svg())
}

fn bar(name: &str, rate: f64, value: f64, series: Series) -> Bar {
    Bar {
        name: name.to_owned(),
        value,
        label: format!("{value:.2}× · {}/s", count(rate)),
        series,
    }
}

fn series(row: &ReferenceRow) -> Series {
    match (row.contender.name, row.contender.pool) {
        (Name::Http1, _) => Series::Baseline,
        (_, true) => Series::Pool,
        (_, false) => Series::One,
    }
}
