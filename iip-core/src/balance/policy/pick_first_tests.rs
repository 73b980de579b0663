use std::time::Instant;

use crate::balance::rig_tests::{counts, endpoints};
use crate::balance::{Endpoint, Pick, PickFirst, Policy};

/// The ports of what the first attempts get.
fn ports(policy: &PickFirst, endpoints: &[std::sync::Arc<Endpoint>]) -> Vec<u16> {
    let picker = policy.picker(endpoints);
    let pick = Pick::new(Instant::now());
    (0..endpoints.len() as u32 + 1)
        .filter_map(|attempt| picker.pick(&pick.with_attempt(attempt)))
        .filter_map(|index| endpoints[index].address().port())
        .collect()
}

#[test]
fn the_first_gets_all_calls_and_further_attempts_go_through_the_list() {
    assert_eq!(
        counts(&PickFirst::default(), &[1, 100, 1], 100),
        [100, 0, 0]
    );
    let endpoints = endpoints(&[1; 3]);
    assert_eq!(ports(&PickFirst::default(), &endpoints), [1, 2, 3, 1]);
}

#[test]
fn a_stand_in_stays_until_it_cannot_take_calls() {
    let all = endpoints(&[1; 3]);
    let policy = PickFirst::default();
    assert_eq!(ports(&policy, &all), [1, 2, 3, 1]);
    // The first is gone, and comes back.
    assert_eq!(ports(&policy, &all[1..]), [2, 3, 2]);
    assert_eq!(ports(&policy, &all), [2, 1, 3, 2]);
    // None can take calls for a while.
    assert_eq!(ports(&policy, &[]), [0u16; 0]);
    assert_eq!(ports(&policy, &all), [2, 1, 3, 2]);
    assert_eq!(ports(&policy, &[all[2].clone(), all[0].clone()]), [3, 1, 3]);
}

#[test]
fn it_needs_one_connection() {
    assert!(PickFirst::default().one_at_a_time());
    let boxed: Box<dyn Policy> = Box::new(PickFirst::default());
    assert!(boxed.one_at_a_time());
}
