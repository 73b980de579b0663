use crate::balance::Random;
use crate::balance::rig_tests::{assert_by_weight, counts};

#[test]
fn calls_are_placed_by_weight() {
    for weights in [
        &[1, 1, 1][..],
        &[1, 100],
        &[3, 1, 4, 1, 5, 9, 2, 6],
        &[1; 100],
    ] {
        let counts = counts(&Random::default().seed(1), weights, 100_000);
        assert_by_weight(&counts, weights);
    }
}

#[test]
fn without_a_seed_two_pickers_differ() {
    let counts = || counts(&Random::default(), &[1; 100], 1000);
    assert_ne!(counts(), counts());
}
