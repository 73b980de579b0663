use crate::balance::Weight;

#[test]
fn from_one_to_a_hundred() {
    let accepted: Vec<u8> = (0..=u8::MAX)
        .filter_map(Weight::new)
        .map(Weight::get)
        .collect();
    assert_eq!(accepted, (1..=100).collect::<Vec<_>>());
    assert_eq!((Weight::MIN.get(), Weight::MAX.get()), (1, 100));
    assert_eq!(Weight::default(), Weight::MIN);
}

#[test]
fn texts_are_whole_numbers_in_range() {
    for (text, weight) in [("1", 1), ("007", 7), ("100", 100)] {
        assert_eq!(text.parse::<Weight>().unwrap().get(), weight);
    }
    for text in [
        "", "0", "101", "256", "+1", "-1", "1.0", " 1", "1 ", "x", "१",
    ] {
        let error = text.parse::<Weight>().expect_err(text);
        assert_eq!(
            error.to_string(),
            "a weight is a whole number from 1 to 100"
        );
    }
}
