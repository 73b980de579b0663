use super::table_tests::{results, row};
use crate::{PUBLISHED, reference_chart};

#[test]
fn every_row_and_every_published_figure_has_a_bar() {
    let rows = vec![
        row(1, "core", &[30e3, 10e3, 20e3]),
        row(1, "http1", &[10e3; 3]),
        row(2, "core:pool", &[200e3; 3]),
        row(2, "http1", &[80e3; 3]),
    ];
    let svg = reference_chart(&results(rows)).unwrap();
    let bars = |class| svg.matches(&format!("<rect class=\"{class}\"")).count();
    assert_eq!(bars("one"), 1 + PUBLISHED.len());
    assert_eq!(bars("pool"), 1 + PUBLISHED.len());
    assert_eq!(bars("baseline"), 2 + PUBLISHED.len());
    // A line at 1 through every group.
    assert_eq!(
        svg.matches("<line class=\"mark\"").count(),
        2 + PUBLISHED.len()
    );
    assert!(svg.contains(">2.50× · 200 k/s</text>"), "{svg}");
    assert!(svg.contains(">0.26× · 613/s</text>"), "{svg}");
    assert!(svg.contains("a processor; client and server share the cores; medians of 3 rounds"));
}

#[test]
fn without_http_there_is_no_chart() {
    assert_eq!(
        reference_chart(&results(vec![row(1, "core", &[20e3])])),
        None
    );
    let missing_on_two = vec![
        row(1, "core", &[20e3]),
        row(1, "http1", &[10e3]),
        row(2, "core", &[20e3]),
    ];
    assert_eq!(reference_chart(&results(missing_on_two)), None);
}
