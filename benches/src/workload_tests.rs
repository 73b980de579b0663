use iip_load::Operation;

use crate::{Beside, Calls, Name, Stalled, Stream, Workload};

#[test]
fn titles_name_sizes_in_units() {
    let title = |operation, size, callers| Calls::new(operation, size, callers).title();
    assert_eq!(title(Operation::Echo, 14 << 10, 1), "14 KiB, 1 caller");
    assert_eq!(title(Operation::Echo, 1 << 20, 8), "1 MiB, 8 callers");
    assert_eq!(
        title(Operation::Yield, 32, 64),
        "yields once, 32 B, 64 callers"
    );
    assert_eq!(
        Beside::Unsaturated.title(),
        "4 x 32 B, pausing 1 ms; beside 1 x 8 MiB, pausing 10 ms"
    );
    assert_eq!(Stalled.title(), "32 B, 1000 callers");
}

#[test]
fn a_stream_has_a_million_messages_or_a_gibibyte() {
    assert_eq!(Stream { size: 32 }.messages(), 1_000_000);
    assert_eq!(Stream { size: 64 << 10 }.messages(), 16_384);
    assert_eq!(Stream { size: 0 }.messages(), 1_000_000);
    assert_eq!(
        Stream { size: 64 << 10 }.title(),
        "16384 messages of 64 KiB"
    );
}

#[test]
fn without_rpc_there_are_no_handlers() {
    let burn = Calls::new(Operation::Burn, 32, 64);
    assert!(!burn.supports(Name::Raw) && burn.supports(Name::Tonic));
    assert!(!Stalled.supports(Name::Raw));
    assert!(Stream { size: 32 }.supports(Name::Raw));
    let echo = Calls::new(Operation::Echo, 32, 64);
    for name in [Name::Core, Name::Http1] {
        assert!(echo.supports(name) && !burn.supports(name));
        assert!(!Stream { size: 32 }.supports(name) && !Stalled.supports(name));
        assert!(!Beside::Saturated.supports(name));
    }
}
