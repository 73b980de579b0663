//! Endpoints and counts for the tests of policies.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::{Endpoint, Pick, Picker, Policy, Target, Weight};

/// Endpoints of these weights, with addresses in the order of their numbers.
pub(super) fn endpoints(weights: &[u8]) -> Vec<Arc<Endpoint>> {
    let numbered = weights.iter().enumerate();
    numbered
        .map(|(index, &weight)| {
            let target: Target = format!("10.0.0.1:{}", index + 1).parse().unwrap();
            Endpoint::new(target.with_weight(Weight::new(weight).unwrap()))
        })
        .collect()
}

/// How many of `calls` each endpoint gets, none of which takes any time.
pub(super) fn counts(policy: &impl Policy, weights: &[u8], calls: usize) -> Vec<usize> {
    let endpoints = endpoints(weights);
    counted(&*policy.picker(&endpoints), endpoints.len(), calls)
}

pub(super) fn counted(picker: &dyn Picker, endpoints: usize, calls: usize) -> Vec<usize> {
    let pick = Pick::new(Instant::now());
    let mut counts = vec![0; endpoints];
    for _ in 0..calls {
        counts[picker.pick(&pick).unwrap()] += 1;
    }
    counts
}

/// The sum that has the chi-square distribution if each call was placed at random by weight. With k endpoints it is about
/// k - 1, and beyond k + 4.3 * sqrt(2 * k) + 12 less than once in 100,000.
#[track_caller]
pub(super) fn assert_by_weight(counts: &[usize], weights: &[u8]) {
    let calls: usize = counts.iter().sum();
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let parts = counts.iter().zip(weights);
    let sum: f64 = parts
        .map(|(&count, &weight)| {
            let expected = calls as f64 * f64::from(weight) / total;
            (count as f64 - expected).powi(2) / expected
        })
        .sum();
    let count = weights.len() as f64;
    let most = count + 4.3 * (2.0 * count).sqrt() + 12.0;
    assert!(
        sum < most,
        "chi-square {sum:.1}: {counts:?} for {weights:?}"
    );
}
