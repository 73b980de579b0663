use std::sync::Arc;

use proptest::prelude::*;

use super::rig_tests::endpoints;
use super::ring::Ring;
use crate::balance::{Endpoint, EndpointId};

const KEYS: u64 = 4000;

/// Where each key belongs.
fn homes(endpoints: &[Arc<Endpoint>]) -> Vec<EndpointId> {
    let ring = Ring::new(endpoints);
    let home = |key| endpoints[ring.owners(key).next().unwrap()].id();
    (0..KEYS).map(home).collect()
}

fn moved(before: &[EndpointId], after: &[EndpointId]) -> usize {
    let pairs = before.iter().zip(after);
    pairs.filter(|(before, after)| before != after).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn where_one_of_n_goes_its_keys_alone_move_to_all_others(count in 2usize..40, gone in any::<prop::sample::Index>()) {
        let all = endpoints(&vec![1; count]);
        let gone = gone.index(count);
        let mut others = all.clone();
        let id = others.remove(gone).id();
        let (before, after) = (homes(&all), homes(&others));
        let own = before.iter().filter(|&&home| home == id).count();
        prop_assert_eq!(moved(&before, &after), own);
        let expected = KEYS as f64 / count as f64;
        // Points differ by 8 %, and the keys of the test by 1 / sqrt of their number.
        let spread = expected * (0.5 + 5.0 / expected.sqrt());
        prop_assert!((own as f64 - expected).abs() < spread, "{own} of {count} endpoints");
        if count > 2 && own >= 100 {
            let heirs = before.iter().zip(&after).filter(|(before, _)| **before == id);
            let mut heirs: Vec<_> = heirs.map(|(_, heir)| *heir).collect();
            heirs.sort_unstable();
            heirs.dedup();
            prop_assert!(heirs.len() * 2 > count - 1, "{} heirs of {count}", heirs.len());
        }
    }

    #[test]
    fn where_weights_differ_a_change_of_their_average_moves_as_much_more(
        weights in prop::collection::vec(1u8..=100, 2..30),
    ) {
        let all = endpoints(&weights);
        let average = |weights: &[u8]| {
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            total / weights.len() as f64
        };
        let (before, after) = (average(&weights), average(&weights[1..]));
        let share = f64::from(weights[0]) / before / weights.len() as f64;
        let change = 1.0 - (before / after).min(after / before);
        let moved = moved(&homes(&all), &homes(&all[1..])) as f64 / KEYS as f64;
        // Points differ by 8 %, and heavy endpoints have many.
        let most = share * 1.3 + change + 0.03;
        prop_assert!(moved < most, "{moved}, more than {most}: share {share}, change {change}");
    }

    #[test]
    fn the_order_of_the_list_plays_no_part(weights in prop::collection::vec(1u8..=100, 2..30), turn in 1usize..30) {
        let all = endpoints(&weights);
        let mut turned = all.clone();
        turned.rotate_left(turn % weights.len());
        prop_assert_eq!(homes(&all), homes(&turned));
    }

    #[test]
    fn every_key_meets_every_endpoint_once_round(count in 1usize..20, key: u64) {
        let ring = Ring::new(&endpoints(&vec![1; count]));
        let mut owners: Vec<_> = ring.owners(key).collect();
        prop_assert_eq!(owners.len(), 160 * count);
        owners.sort_unstable();
        owners.dedup();
        prop_assert_eq!(owners.len(), count);
    }
}

#[test]
fn keys_belong_to_endpoints_in_proportion_to_weights() {
    let weights = [1, 2, 3, 4, 10];
    let ring = Ring::new(&endpoints(&weights));
    let mut counts = [0; 5];
    for key in 0..100_000 {
        counts[ring.owners(key).next().unwrap()] += 1;
    }
    for (count, weight) in counts.into_iter().zip(weights) {
        let expected = 5_000.0 * f64::from(weight);
        let off = (f64::from(count) - expected).abs() / expected;
        assert!(off < 0.3, "{counts:?}");
    }
}

/// What other processes, and later versions, must agree with.
#[test]
fn keys_stay_where_they_are() {
    let all = endpoints(&[1; 5]);
    let ring = Ring::new(&all);
    let homes: Vec<usize> = (0..16)
        .map(|key| ring.owners(key).next().unwrap())
        .collect();
    assert_eq!(homes, [3, 0, 4, 4, 3, 3, 1, 0, 1, 3, 3, 3, 0, 2, 2, 0]);
}

#[test]
fn an_empty_ring_has_no_owners() {
    assert_eq!(Ring::new(&[]).owners(7).next(), None);
}
