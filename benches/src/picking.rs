//! What it costs to choose an endpoint for a call.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use iip_core::balance::{
    ConsistentHash, Endpoint, LeastPending, PeakEwma, Pick, PickFirst, Picker, Policy, Random,
    RoundRobin, Target, Weight,
};
use iip_load::Failure;

const COUNTS: [usize; 4] = [3, 10, 100, 1000];

/// How often each is measured; the median counts.
const ROUNDS: usize = 201;

/// Picks of one measurement: a millisecond or two, which a scheduler seldom interrupts.
const PICKS: u64 = 10_000;

/// Calls that each endpoint has in flight on average.
const IN_FLIGHT: usize = 2;

/// A table of nanoseconds for each pick, by policy, endpoints and threads that pick at the same time.
///
/// # Errors
///
/// An endpoint that cannot be made.
pub fn picking_markdown() -> Result<String, Failure> {
    let policies: [(&str, Arc<dyn Policy>); 6] = [
        ("round robin", Arc::new(RoundRobin::default())),
        ("random", Arc::new(Random::default())),
        ("least pending", Arc::new(LeastPending::default())),
        ("peak EWMA", Arc::new(PeakEwma::default())),
        ("consistent hash", Arc::new(ConsistentHash::default())),
        ("pick first", Arc::new(PickFirst::default())),
    ];
    let mut table = String::from("| ns for a pick | weights | threads |");
    for count in COUNTS {
        let _ = write!(table, " {count} |");
    }
    table.push_str("\n|---|---|---|---|---|---|---|\n");
    for (name, policy) in policies {
        for (weights, heaviest) in [("equal", 1), ("1 to 10", 10)] {
            for threads in [1, 2] {
                let _ = write!(table, "| {name} | {weights} | {threads} |");
                for count in COUNTS {
                    let nanos = measure(&*policy, count, heaviest, threads)?;
                    let _ = write!(table, " {nanos:.0} |");
                }
                table.push('\n');
            }
        }
    }
    Ok(table)
}

/// Nanoseconds of a pick.
fn measure(
    policy: &dyn Policy,
    count: usize,
    heaviest: usize,
    threads: usize,
) -> Result<f64, Failure> {
    let endpoints = endpoints(count, heaviest)?;
    let now = Instant::now();
    let mut calls = Vec::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        endpoint.record_latency(Duration::from_micros(500 + index as u64 % 7), now);
        calls.extend((0..index % (2 * IN_FLIGHT + 1)).map(|_| endpoint.begin_call()));
    }
    let picker = policy.picker(&endpoints);
    let stop = AtomicBool::new(false);
    let mut rounds = thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    picks(&*picker, now);
                }
            });
        }
        let rounds: Vec<Duration> = (0..ROUNDS).map(|_| picks(&*picker, now)).collect();
        stop.store(true, Ordering::Relaxed);
        rounds
    });
    rounds.sort_unstable();
    let median = rounds.get(ROUNDS / 2).copied().unwrap_or_default();
    Ok(median.as_nanos() as f64 / PICKS as f64)
}

fn picks(picker: &dyn Picker, now: Instant) -> Duration {
    let pick = Pick::new(now + Duration::from_millis(10));
    let began = Instant::now();
    for key in 0..PICKS {
        black_box(picker.pick(black_box(&pick.with_key(key))));
    }
    began.elapsed()
}

fn endpoints(count: usize, heaviest: usize) -> Result<Vec<Arc<Endpoint>>, Failure> {
    (0..count)
        .map(|index| {
            let target: Target = format!("memory://server-{index}").parse()?;
            let weight = Weight::new((index % heaviest) as u8 + 1).unwrap_or_default();
            Ok(Endpoint::new(target.with_weight(weight)))
        })
        .collect()
}
