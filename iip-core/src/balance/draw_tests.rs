use super::dice::Dice;
use super::draw::Draw;
use super::rig_tests::{assert_by_weight, endpoints};

const WEIGHTS: [&[u8]; 6] = [
    &[1, 1, 1],
    &[7],
    &[1, 100],
    &[3, 1, 4, 1, 5, 9, 2, 6],
    &[100, 1, 1, 1, 1, 1],
    &[2, 2, 1],
];

#[test]
fn each_is_drawn_as_often_as_its_weight_says() {
    for weights in WEIGHTS {
        let (draw, dice) = (Draw::new(&endpoints(weights)), Dice::new(Some(1)));
        let mut counts = vec![0; weights.len()];
        for _ in 0..100_000 {
            counts[draw.one(&dice).unwrap()] += 1;
        }
        assert_by_weight(&counts, weights);
    }
}

#[test]
fn of_two_the_first_is_by_weight_and_none_is_among_them_more_than_three_times_its_share() {
    for weights in WEIGHTS {
        let (draw, dice) = (Draw::new(&endpoints(weights)), Dice::new(Some(2)));
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let (mut firsts, mut among) = (vec![0; weights.len()], vec![0; weights.len()]);
        for _ in 0..100_000 {
            let (first, second) = draw.two(&dice).unwrap();
            firsts[first] += 1;
            among[first] += 1;
            among[second] += usize::from(first != second);
        }
        assert_by_weight(&firsts, weights);
        for (index, &weight) in weights.iter().enumerate() {
            let share = f64::from(weight) / total;
            let seen = among[index] as f64 / 100_000.0;
            assert!(seen <= 3.0 * share * 1.1, "{seen} of {share}: {weights:?}");
        }
    }
}

#[test]
fn two_of_equal_weight_differ_and_are_any_two() {
    let (draw, dice) = (Draw::new(&endpoints(&[5; 4])), Dice::new(Some(3)));
    let mut pairs = [[0; 4]; 4];
    for _ in 0..120_000 {
        let (first, second) = draw.two(&dice).unwrap();
        pairs[first][second] += 1;
    }
    for (first, row) in pairs.iter().enumerate() {
        for (second, &count) in row.iter().enumerate() {
            let expected = if first == second { 0..1 } else { 9_600..10_400 };
            assert!(expected.contains(&count), "{first}, {second}: {count}");
        }
    }
}

#[test]
fn of_none_and_of_one() {
    let dice = Dice::new(None);
    let none = Draw::new(&[]);
    assert_eq!((none.one(&dice), none.two(&dice)), (None, None));
    let one = Draw::new(&endpoints(&[9]));
    assert_eq!((one.one(&dice), one.two(&dice)), (Some(0), Some((0, 0))));
}

#[test]
fn a_seed_repeats_and_threads_have_their_own() {
    let rolls = |dice: &Dice| (0..10).map(|_| dice.roll()).collect::<Vec<_>>();
    let seeded = || Dice::new(Some(4));
    assert_eq!(rolls(&seeded()), rolls(&seeded()));
    assert_ne!(rolls(&seeded()), rolls(&Dice::new(Some(5))));
    assert_ne!(rolls(&Dice::new(None)), rolls(&Dice::new(None)));
    let mut order: Vec<u32> = (0..100).collect();
    seeded().shuffle(&mut order);
    assert_ne!(order, (0..100).collect::<Vec<_>>());
    order.sort_unstable();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
}
