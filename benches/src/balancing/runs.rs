use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use iip_core::balance::{ConsistentHash, LeastPending, PeakEwma, Policy, Random, RoundRobin};

use super::picture;
use crate::fleet::{Fleet, Outcome, Service};

/// Which of the ten servers is slow, and how many times longer its calls take.
pub(super) const SLOW: usize = 9;
const SLOWER: f64 = 10.0;

/// Beside a slow server, and in the healthy fleet, for each policy.
#[derive(Debug)]
pub struct Results {
    /// How long calls came.
    pub(super) took: Duration,
    /// By how the cost of calls is spread.
    pub(super) parts: Vec<Part>,
}

#[derive(Debug)]
pub(super) struct Part {
    title: &'static str,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) slow: Figures,
    pub(super) healthy: Figures,
}

#[derive(Debug)]
pub(super) struct Figures {
    pub(super) p50: Duration,
    pub(super) p95: Duration,
    pub(super) p99: Duration,
    /// By server, parts of all calls.
    pub(super) shares: Vec<f64>,
}

type Named = (&'static str, fn(u64) -> Arc<dyn Policy>);

const POLICIES: [Named; 5] = [
    ("round robin", |seed| {
        Arc::new(RoundRobin::default().seed(seed))
    }),
    ("random", |seed| Arc::new(Random::default().seed(seed))),
    ("consistent hash", |seed| {
        Arc::new(ConsistentHash::default().seed(seed))
    }),
    ("least pending", |seed| {
        Arc::new(LeastPending::default().seed(seed))
    }),
    ("peak EWMA", |seed| Arc::new(PeakEwma::default().seed(seed))),
];

const SERVICES: [(&str, Service); 3] = [
    (
        "The cost of calls is exponentially distributed",
        Service::Exponential,
    ),
    ("All calls cost the same", Service::Fixed),
    (
        "One call of fifty costs ten times as much as the others",
        Service::Mixed,
    ),
];

/// Simulates so many calls under each policy, with a slow server and without.
pub fn run(calls: usize) -> Results {
    // Ten servers, four at a time, 10 ms each, half of it.
    let per_second = 10.0 * 4.0 / 0.010 * 0.5;
    let parts = SERVICES.iter().map(|&(title, service)| Part {
        title,
        rows: rows(calls, service),
    });
    Results {
        took: Duration::from_secs_f64(calls as f64 / per_second),
        parts: parts.collect(),
    }
}

fn rows(calls: usize, service: Service) -> Vec<Row> {
    let healthy = Fleet {
        slowness: vec![1.0; 10],
        weights: vec![1; 10],
        workers: 4,
        clients: 10,
        load: 0.5,
        service,
        heals: None,
        calls,
        seed: 1,
    };
    let mut slow = healthy.clone();
    slow.slowness[SLOW] = SLOWER;
    let row = |(name, policy): &Named| Row {
        name,
        slow: Figures::of(&slow.run(policy)),
        healthy: Figures::of(&healthy.run(policy)),
    };
    POLICIES.iter().map(row).collect()
}

impl Figures {
    fn of(outcome: &Outcome) -> Self {
        Self {
            p50: outcome.percentile(50.0),
            p95: outcome.percentile(95.0),
            p99: outcome.percentile(99.0),
            shares: (0..outcome.calls.len())
                .map(|server| outcome.share(server))
                .collect(),
        }
    }
}

impl Results {
    /// Tables of latencies: beside the slow server, and how many times those of the healthy fleet that is.
    pub fn markdown(&self) -> String {
        let tables: Vec<String> = self.parts.iter().map(Part::markdown).collect();
        tables.join("\n")
    }

    /// The first of the tables as a picture, in SVG.
    pub fn picture(&self) -> String {
        let rows = self.parts.first().map_or(&[][..], |part| &part.rows);
        picture::svg(self.took, rows)
    }
}

impl Part {
    fn markdown(&self) -> String {
        let mut table = format!(
            "{}:\n\n| policy | calls at the slow server | p50 | p95 | p99 |\n|---|---|---|---|---|\n",
            self.title
        );
        for row in &self.rows {
            let (slow, healthy) = (&row.slow, &row.healthy);
            let cell = |slow: Duration, healthy: Duration| {
                let times = slow.as_secs_f64() / healthy.as_secs_f64();
                format!("{} ({})", shown(slow), times_shown(times))
            };
            let _ = writeln!(
                table,
                "| {} | {:.1} % | {} | {} | {} |",
                row.name,
                slow.shares[SLOW] * 100.0,
                cell(slow.p50, healthy.p50),
                cell(slow.p95, healthy.p95),
                cell(slow.p99, healthy.p99),
            );
        }
        table
    }
}

fn times_shown(times: f64) -> String {
    match times {
        100.0.. => format!("×{times:.0}"),
        _ => format!("×{times:.2}"),
    }
}

/// A latency in words.
pub(super) fn shown(latency: Duration) -> String {
    let millis = latency.as_secs_f64() * 1e3;
    match millis {
        1000.0.. => format!("{:.1} s", millis / 1e3),
        100.0.. => format!("{millis:.0} ms"),
        _ => format!("{millis:.1} ms"),
    }
}
