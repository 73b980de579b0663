use iip_load::Operation;

use crate::{Suite, Workload};

#[test]
fn a_workload_reads_as_it_is_written() {
    for workload in Suite::default().0 {
        assert_eq!(workload.to_string().parse(), Ok(workload));
    }
}

#[test]
fn groups_and_single_workloads_mix() {
    let suite: Suite = "handlers,echo:7:3".parse().unwrap();
    assert_eq!(suite.0.len(), 3);
    assert_eq!((suite.0[2].size, suite.0[2].callers), (7, 3));
    assert_eq!("all".parse(), Ok(Suite::default()));
    assert_eq!("small,large,handlers".parse(), Ok(Suite::default()));
}

#[test]
fn what_is_no_workload_is_named() {
    for text in [
        "",
        "echo",
        "echo:32",
        "echo:32:0",
        "echo:32:1:1",
        "stream:32:1",
        "echo:x:1",
    ] {
        let error = text.parse::<Suite>().unwrap_err();
        assert!(error.to_string().contains(&format!("`{text}`")));
    }
}

#[test]
fn titles_name_sizes_in_units() {
    let title = |operation, size, callers| {
        Workload {
            operation,
            size,
            callers,
        }
        .title()
    };
    assert_eq!(title(Operation::Echo, 14 << 10, 1), "14 KiB, 1 caller");
    assert_eq!(title(Operation::Echo, 1 << 20, 8), "1 MiB, 8 callers");
    assert_eq!(
        title(Operation::Yield, 32, 64),
        "yields once, 32 B, 64 callers"
    );
}
