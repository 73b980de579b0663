use iip_load::Measurement;

use crate::{PUBLISHED, ReferenceResults, ReferenceRow, Row, reference_markdown};

/// One contender's rounds, with these calls a second.
pub(crate) fn row(cores: usize, contender: &str, rates: &[f64]) -> ReferenceRow {
    let contender: crate::Contender = contender.parse().unwrap();
    let connections = contender.connections(64, 2);
    let measured = |&calls_per_second: &f64| Measurement {
        framework: contender.name.to_string(),
        workload: "echo".to_owned(),
        callers: 64,
        size: 14 << 10,
        seconds: 2.0,
        calls: 1,
        calls_per_second,
        p50_us: 100.0,
        p99_us: 200.0,
        p999_us: 300.0,
        client_cpu_us_per_call: 1.5,
        server_cpu_us_per_call: Some(2.5),
        client_cores: 1.0,
        server_cores: Some(0.5),
    };
    ReferenceRow {
        cores,
        contender,
        connections,
        row: Row {
            workload: format!("cores:{cores}"),
            title: format!("{cores} on"),
            framework: contender.title(connections),
            rounds: rates.iter().map(measured).collect(),
        },
    }
}

pub(crate) fn results(rows: Vec<ReferenceRow>) -> ReferenceResults {
    ReferenceResults {
        processor: "a processor".to_owned(),
        load_average: ["0".to_owned(), "1".to_owned()],
        rounds: 3,
        seconds: 2.0,
        callers: 64,
        size: 14 << 10,
        rows,
    }
}

#[test]
fn each_is_compared_with_http_on_as_many_cores() {
    let text = reference_markdown(&results(vec![
        row(1, "core", &[30e3, 10e3, 20e3]),
        row(1, "http1", &[10e3; 3]),
        row(2, "core:pool", &[200e3; 3]),
        row(2, "http1", &[80e3; 3]),
    ]));
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].starts_with("a processor; echo of 14 KiB, 64 callers;"),
        "{text}"
    );
    assert_eq!(
        lines[4],
        "| 1 on | iip-core, one connection | 20.0 k | 10.0 k to 30.0 k | 2.00 | 100 | 200 | 300 | 1.50 | 2.50 \
         | 1.00 | 0.50 |"
    );
    assert!(
        lines[6].starts_with("| 2 on | iip-core, pool of 2 | 200 k | 200 k to 200 k | 2.50 |"),
        "{text}"
    );
    let columns = |line: &str| line.matches('|').count();
    assert_eq!(columns(lines[2]), columns(lines[3]));
    assert_eq!(columns(lines[2]), columns(lines[4]));
}

#[test]
fn the_reference_s_own_table_is_beside_it() {
    let text = reference_markdown(&results(vec![row(1, "core", &[20e3])]));
    let (_, published) = text.rsplit_once("\n\n").unwrap();
    let lines: Vec<_> = published.lines().collect();
    assert_eq!(lines.len(), 2 + 3 * PUBLISHED.len());
    assert_eq!(
        lines[2],
        "| 1 core | reference, one channel | 1944837 | 514 | 1.72 |"
    );
    // On eight cores its single channel is 3.8 times slower than HTTP/1.1.
    assert_eq!(
        lines[8],
        "| 8 cores | reference, one channel | 1630507 | 613 | 0.26 |"
    );
    assert_eq!(
        lines[9],
        "|  | reference, load-balancing client | 305865 | 3.27 k | 1.40 |"
    );
    assert!(lines[10].ends_with("| 428245 | 2.34 k | 1.00 |"));
}

#[test]
fn without_http_there_are_no_ratios() {
    let text = reference_markdown(&results(vec![row(1, "core", &[20e3])]));
    assert!(text.contains("| 20.0 k | 20.0 k to 20.0 k | - |"), "{text}");
}
