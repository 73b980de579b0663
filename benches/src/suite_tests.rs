use crate::{Stalled, Suite};

#[test]
fn a_suite_reads_as_it_is_written() {
    let all = Suite::default();
    let names = all
        .calls
        .iter()
        .map(ToString::to_string)
        .chain(all.streams.iter().map(ToString::to_string))
        .chain(all.beside.iter().map(ToString::to_string))
        .chain(all.stalled.iter().map(ToString::to_string));
    assert_eq!(Vec::from_iter(names).join(",").parse(), Ok(all));
}

#[test]
fn groups_and_single_workloads_mix() {
    let suite: Suite = "handlers,echo:7:3,stream:100,stalled".parse().unwrap();
    assert_eq!(suite.calls.len(), 3);
    assert_eq!((suite.calls[2].size, suite.calls[2].callers), (7, 3));
    assert_eq!(suite.streams[0].size, 100);
    assert_eq!(suite.stalled, [Stalled]);
    assert_eq!("all".parse(), Ok(Suite::default()));
    assert_eq!(
        "small,large,handlers,streams,beside,stalled".parse(),
        Ok(Suite::default())
    );
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
        "stream:",
        "beside:32",
        "stalled:1",
        "echo:x:1",
    ] {
        let error = text.parse::<Suite>().unwrap_err();
        assert!(error.to_string().contains(&format!("`{text}`")));
    }
}
