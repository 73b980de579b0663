use super::builder::default_receive_budget;

#[test]
fn the_receive_budget_is_a_quarter_of_the_memory() {
    let table = "MemTotal:        2048000 kB\nMemFree:  1 kB\n";
    assert_eq!(default_receive_budget(Some(table)), 512_000 * 1024);
    let large = "MemTotal:       264000000 kB\n";
    assert_eq!(default_receive_budget(Some(large)), 1 << 30);
    assert_eq!(default_receive_budget(Some("nonsense")), 256 << 20);
    assert_eq!(default_receive_budget(None), 256 << 20);
}
