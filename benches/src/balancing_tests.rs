use crate::balancing::run;

#[test]
fn every_policy_has_a_row_in_the_table_and_in_the_picture() {
    let results = run(2_000);
    let (table, picture) = (results.markdown(), results.picture());
    assert_eq!(table.matches("\n| ").count(), 3 * (1 + 5));
    for name in [
        "round robin",
        "random",
        "consistent hash",
        "least pending",
        "peak EWMA",
    ] {
        assert!(table.contains(&format!("| {name} | ")), "{table}");
        assert!(picture.contains(&format!(">{name}</text>")), "{name}");
    }
    // Ten servers each, one of them slow; three latencies each, of both fleets.
    let count = |part: &str| picture.matches(part).count();
    assert_eq!(count("<rect class=\"pool\""), 5);
    assert_eq!(count("<rect class=\"one\""), 5 * (9 + 1));
    assert_eq!(count("<circle "), 5 * 6);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(!picture.contains("NaN"));
}
