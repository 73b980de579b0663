use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use super::published::Published;

#[test]
fn readers_see_the_value_that_was_published_last() {
    let (one, other) = (Published::new(1), Published::new(String::from("a")));
    for _ in 0..3 {
        assert_eq!(one.with(|&value| value), 1);
        assert_eq!(other.with(String::clone), "a");
    }
    one.publish(2);
    assert_eq!(one.with(|&value| value), 2);
    assert_eq!(other.with(String::clone), "a");
}

#[test]
fn a_thread_uses_more_of_them_than_it_remembers() {
    let all: Vec<_> = (0..100).map(Published::new).collect();
    for round in 0..3 {
        for (index, published) in all.iter().enumerate() {
            assert_eq!(published.with(|&value| value), index + round);
            published.publish(index + round + 1);
        }
    }
}

#[test]
fn a_read_within_a_read_and_a_value_replaced_while_it_is_read() {
    let (one, other) = (Published::new(1), Published::new(10));
    let sum = one.with(|&value| {
        one.publish(2);
        value + one.with(|&new| new) + other.with(|&ten| ten)
    });
    assert_eq!(sum, 1 + 2 + 10);
}

#[test]
fn threads_that_have_read_keep_nothing_alive() {
    let value = Arc::new(());
    let published = Arc::new(Published::new(Arc::clone(&value)));
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let reader = {
        let published = Arc::clone(&published);
        thread::spawn(move || {
            published.with(|_| ());
            tell.send(()).unwrap();
            // Idle until the end of the test.
            let _ = ended.recv();
        })
    };
    told.recv().unwrap();
    published.with(|_| ());
    assert_eq!(Arc::strong_count(&value), 2);
    published.publish(Arc::new(()));
    assert_eq!(Arc::strong_count(&value), 1);
    drop(end);
    reader.join().unwrap();
}

#[test]
fn many_threads_never_see_an_older_value_after_a_newer_one() {
    let published = Published::new(0);
    let (newest, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let least = newest.load(Ordering::Acquire).max(last);
                    last = published.with(|&value| value);
                    assert!(last >= least, "{last} after {least}");
                }
            });
        }
        for value in 1..=2000 {
            published.publish(value);
            newest.store(value, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(published.with(|&value| value), 2000);
}
