use std::time::Duration;

use crate::{burn, cpu_time, resident_bytes};

#[test]
fn a_process_can_observe_itself() {
    let own = std::process::id();
    // The threads of other tests come and go, and their time with them: this thread's alone is certain.
    burn(Duration::from_millis(20));
    assert!(cpu_time(own).unwrap() > Duration::ZERO);
    assert!(resident_bytes(own).unwrap() > 100_000);
}

#[test]
fn a_process_that_is_not_there_is_named() {
    let nobody = u32::MAX;
    for error in [
        cpu_time(nobody).unwrap_err(),
        resident_bytes(nobody).unwrap_err(),
    ] {
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}

#[test]
fn threads_may_end_while_they_are_counted() {
    let own = std::process::id();
    let churn = std::thread::spawn(|| {
        for _ in 0..2_000 {
            std::thread::spawn(|| {}).join().unwrap();
        }
    });
    while !churn.is_finished() {
        cpu_time(own).unwrap();
    }
    churn.join().unwrap();
}
