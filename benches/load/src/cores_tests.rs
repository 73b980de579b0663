use std::thread;

use crate::cores::confine;

/// In a thread of its own, which takes the consequences.
fn confined(cores: usize) -> Option<usize> {
    let thread = thread::spawn(move || {
        confine(cores).ok()?;
        // What it starts from now on is confined too.
        let inner = thread::spawn(|| thread::available_parallelism().map_or(0, usize::from));
        inner.join().ok()
    });
    thread.join().unwrap()
}

#[test]
fn threads_stay_on_as_many_cores_as_asked_for() {
    let all = thread::available_parallelism().unwrap().get();
    assert_eq!(confined(1), Some(1));
    assert_eq!(confined(all), Some(all));
}

#[test]
fn cores_that_are_not_there_are_refused() {
    assert_eq!(confined(0), None);
    assert_eq!(confined(100_000), None);
}
