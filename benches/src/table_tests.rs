use iip_load::Measurement;

use crate::table::{count, median, micros};
use crate::{Footprint, Results, Row, footprints_markdown, markdown};

fn row(framework: &str, rates: &[f64]) -> Row {
    let measurement = |&calls_per_second: &f64| Measurement {
        framework: framework.to_owned(),
        workload: "echo".to_owned(),
        callers: 64,
        size: 32,
        seconds: 2.0,
        calls: 1,
        calls_per_second,
        p50_us: 100.0,
        p99_us: 200.0,
        p999_us: 300.0,
        client_cpu_us_per_call: 1.5,
        server_cpu_us_per_call: None,
        client_cores: 1.0,
        server_cores: Some(0.5),
    };
    Row {
        workload: "echo:32:64".to_owned(),
        title: "32 B, 64 callers".to_owned(),
        framework: framework.to_owned(),
        rounds: rates.iter().map(measurement).collect(),
    }
}

#[test]
fn the_table_has_medians_extremes_and_ratios() {
    let results = Results {
        processor: "a processor".to_owned(),
        cores: 2,
        load_average: ["0".to_owned(), "1".to_owned()],
        seconds: 2.0,
        rows: vec![row("iip", &[500e3, 100e3, 600e3]), row("tonic", &[50e3; 3])],
    };
    let text = markdown(&results);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("3 interleaved rounds"));
    assert!(
        lines[4].starts_with("| 32 B, 64 callers | iip | 500 k | 100 k to 600 k | 100 |"),
        "{text}"
    );
    assert!(lines[4].ends_with("| 10.00 | - |"), "{text}");
    assert!(lines[5].starts_with("|  | tonic | 50.0 k |"), "{text}");
}

#[test]
fn medians() {
    assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    assert!(median([].into_iter()).is_nan());
}

#[test]
fn numbers_are_short() {
    assert_eq!(count(2_400_000.0), "2.40 M");
    assert_eq!(count(62_400.0), "62.4 k");
    assert_eq!(count(1_985.0), "1.99 k");
    assert_eq!(count(12.3), "12");
    assert_eq!(micros(0.123), "0.12");
    assert_eq!(micros(64.23), "64.2");
    assert_eq!(micros(1234.5), "1234");
    assert_eq!(micros(f64::NAN), "-");
}

#[test]
fn a_footprint_is_what_each_connection_added() {
    let footprint = Footprint {
        framework: "iip".to_owned(),
        connections: 1024,
        before: 1 << 20,
        with: 9 << 20,
    };
    assert!(footprints_markdown(&[footprint]).ends_with("| iip | 1024 | 1024 | 9216 | 8.00 |\n"));
}
