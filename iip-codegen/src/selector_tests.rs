use crate::selector::selects;

#[test]
fn a_dot_alone_is_everything() {
    assert!(selects(".", "a.B"));
    assert!(selects(".", "B"));
}

#[test]
fn a_leading_dot_starts_a_full_name() {
    assert!(selects(".a.B", "a.B"));
    assert!(selects(".a", "a.B.Get"));
    assert!(!selects(".a", "ab.B"));
    assert!(!selects(".B", "a.B"));
}

#[test]
fn without_one_a_path_is_the_end_of_a_name() {
    assert!(selects("B", "a.B"));
    assert!(selects("B.Get", "a.B.Get"));
    assert!(selects("a.B.Get", "a.B.Get"));
    assert!(!selects("B", "a.AB"));
    assert!(!selects("B", "a.B.Get"));
}
