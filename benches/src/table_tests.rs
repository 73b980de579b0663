use iip_load::{BesideMeasurement, CrowdMeasurement, Measurement, StreamMeasurement};

use crate::table::{count, mebibytes, median, micros};
use crate::{Footprint, Results, Row, StalledMeasurement, footprints_markdown, markdown};

fn row<M>(framework: &str, numbers: &[f64], measured: fn(&str, f64) -> M) -> Row<M> {
    Row {
        workload: "load".to_owned(),
        title: "the load".to_owned(),
        framework: framework.to_owned(),
        rounds: numbers.iter().map(|&n| measured(framework, n)).collect(),
    }
}

fn calls(framework: &str, calls_per_second: f64) -> Measurement {
    Measurement {
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
    }
}

fn stream(framework: &str, messages_per_second: f64) -> StreamMeasurement {
    StreamMeasurement {
        framework: framework.to_owned(),
        size: 1 << 20,
        messages_per_call: 1,
        seconds: 2.0,
        calls: 1,
        messages_per_second,
        bytes_per_second: messages_per_second * f64::from(1 << 20),
        client_cores: 1.0,
        server_cores: Some(0.5),
    }
}

fn beside(framework: &str, p99_us: f64) -> BesideMeasurement {
    let crowd = CrowdMeasurement {
        callers: 4,
        size: 32,
        pause_ms: 1,
        calls: 1,
        calls_per_second: 500.0,
        bytes_per_second: p99_us * f64::from(1 << 20),
        p50_us: 100.0,
        p99_us,
        p999_us: 300.0,
    };
    BesideMeasurement {
        framework: framework.to_owned(),
        seconds: 2.0,
        small: crowd.clone(),
        bulk: crowd,
        client_cores: 1.0,
        server_cores: None,
    }
}

fn stalled(framework: &str, p99_us: f64) -> StalledMeasurement {
    let measurement = |calls, p99_us| Measurement {
        calls,
        p99_us,
        ..self::calls(framework, 1e6)
    };
    StalledMeasurement {
        without: measurement(300_000, p99_us),
        with: measurement(200_000, p99_us * 1.5),
    }
}

fn results() -> Results {
    Results {
        processor: "a processor".to_owned(),
        cores: 2,
        load_average: ["0".to_owned(), "1".to_owned()],
        rounds: 3,
        seconds: 2.0,
        rows: Vec::new(),
        streams: Vec::new(),
        beside: Vec::new(),
        stalled: Vec::new(),
    }
}

#[test]
fn the_table_has_medians_extremes_and_ratios() {
    let results = Results {
        rows: vec![
            row("iip", &[500e3, 100e3, 600e3], calls),
            row("tonic", &[50e3; 3], calls),
        ],
        ..results()
    };
    let text = markdown(&results);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("3 interleaved rounds"));
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(lines[2].matches('|').count(), lines[4].matches('|').count());
    assert!(
        lines[4].starts_with("| the load | iip | 500 k | 100 k to 600 k | 100 |"),
        "{text}"
    );
    assert!(lines[4].ends_with("| 10.00 | - |"), "{text}");
    assert!(lines[5].starts_with("|  | tonic | 50.0 k |"), "{text}");
}

#[test]
fn every_kind_of_load_has_a_table() {
    let results = Results {
        streams: vec![
            row("iip", &[100.0, 2000.0], stream),
            row("raw", &[2100.0], stream),
        ],
        beside: vec![row("iip", &[20.0], beside), row("tonic", &[40.0], beside)],
        stalled: vec![row("iip", &[200.0], stalled)],
        ..results()
    };
    let text = markdown(&results);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[4],
        "| the load | iip | 1.05 k | 100 to 2.00 k | 1.03 GiB | 1.00 | 0.50 | - | 0.50 |"
    );
    assert_eq!(
        lines[9],
        "| the load | iip | 100 | 20.0 | 20.0 to 20.0 | 0.50 | - | 500 | 20 MiB | 20 MiB to 20 MiB | 0.50 | - |"
    );
    assert_eq!(
        lines[14],
        "| the load | iip | 200 k | 200 | 200 to 200 | 300 | 300 to 300 | 1.50 |"
    );
    for head in [2, 7, 12] {
        let columns = |line: &str| line.matches('|').count();
        assert_eq!(columns(lines[head]), columns(lines[head + 1]));
        assert_eq!(columns(lines[head]), columns(lines[head + 2]));
    }
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
    assert_eq!(mebibytes(1.4e9), "1.30 GiB");
    assert_eq!(mebibytes(5e8), "477 MiB");
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
