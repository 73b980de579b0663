use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::balance::rig_tests::{counted, counts, endpoints};
use crate::balance::{Pick, Policy, RoundRobin};

const WEIGHTS: [&[u8]; 5] = [
    &[1],
    &[1, 1, 1],
    &[5, 1, 1],
    &[100, 99, 1],
    &[10, 20, 30, 40],
];

#[test]
fn each_round_is_exactly_by_weight_wherever_it_begins() {
    for weights in WEIGHTS {
        let round: usize = weights.iter().map(|&weight| usize::from(weight)).sum();
        for rounds in 1..=3 {
            let expected: Vec<usize> = weights
                .iter()
                .map(|&weight| rounds * usize::from(weight))
                .collect();
            let policy = RoundRobin::default();
            assert_eq!(counts(&policy, weights, rounds * round), expected);
        }
    }
}

#[test]
fn turns_are_spread_over_the_round() {
    let weights = [5, 1, 3];
    let endpoints = endpoints(&weights);
    let picker = RoundRobin::default().picker(&endpoints);
    let pick = Pick::new(Instant::now());
    let turns: Vec<usize> = (0..900).map(|_| picker.pick(&pick).unwrap()).collect();
    for (index, &weight) in weights.iter().enumerate() {
        let turns = turns.iter().enumerate().filter(|(_, turn)| **turn == index);
        let places: Vec<usize> = turns.map(|(place, _)| place).collect();
        let ideal = 9.0 / f64::from(weight);
        for gap in places.windows(2).map(|pair| (pair[1] - pair[0]) as f64) {
            assert!((gap - ideal).abs() <= 2.0, "{gap}, not {ideal}");
        }
    }
}

#[test]
fn many_clients_begin_everywhere_and_follow_one_another_nowhere() {
    let endpoints = endpoints(&[1; 10]);
    let pick = Pick::new(Instant::now());
    let (mut firsts, mut followers) = ([0; 10], [0; 10]);
    for seed in 0..10_000 {
        let picker = RoundRobin::default().seed(seed).picker(&endpoints);
        let (first, second) = (picker.pick(&pick).unwrap(), picker.pick(&pick).unwrap());
        firsts[first] += 1;
        followers[(second + 10 - first) % 10] += 1;
    }
    assert!(
        firsts.iter().all(|count| (850..1150).contains(count)),
        "{firsts:?}"
    );
    assert_eq!(followers[0], 0);
    assert!(
        followers[1..]
            .iter()
            .all(|count| (950..1280).contains(count)),
        "{followers:?}"
    );
}

#[test]
fn threads_share_a_round() {
    let endpoints = endpoints(&[3, 2, 1]);
    let picker = RoundRobin::default().picker(&endpoints);
    let sums = Mutex::new([0; 3]);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let counts = counted(&*picker, 3, 2000);
                let mut sums = sums.lock().unwrap();
                sums.iter_mut()
                    .zip(counts)
                    .for_each(|(sum, count)| *sum += count);
            });
        }
    });
    assert_eq!(sums.into_inner().unwrap(), [3000, 2000, 1000]);
}
