use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use crate::memory::{Buffers, IDLE, LARGE, MOST, MOST_BYTES, buffer, make_room};

impl Buffers {
    fn get(&mut self, size: usize, now: Instant) -> BytesMut {
        self.take(size, now, &mut Vec::new())
    }
}

fn filled(mut memory: BytesMut, byte: u8) -> Bytes {
    memory.put_bytes(byte, memory.capacity());
    memory.freeze()
}

#[test]
fn memory_in_use_is_never_handed_out() {
    let mut buffers = Buffers::default();
    let now = Instant::now();
    let mut kept = Vec::new();
    for round in 0..10_000u32 {
        let size = LARGE * (1 + round as usize * 7 % 5);
        let byte = round as u8;
        let used = filled(buffers.get(size, now), byte);
        assert!(used.len() >= size);
        // Any part of it keeps it in use.
        match round % 3 {
            0 => kept.push((byte, used.slice(100..200))),
            1 => kept.push((byte, used)),
            _ => {}
        }
        if kept.len() > 100 {
            let (byte, used) = kept.swap_remove(round as usize % kept.len());
            assert!(used.iter().all(|kept| *kept == byte));
        }
    }
    for (byte, used) in kept {
        assert!(used.iter().all(|kept| *kept == byte));
    }
}

#[test]
fn memory_is_used_again_whoever_dropped_it() {
    let mut buffers = Buffers::default();
    let now = Instant::now();
    let mut places = std::collections::HashSet::new();
    for size in [2 * LARGE, LARGE].into_iter().cycle().take(1000) {
        let used = filled(buffers.get(size, now), 1);
        places.insert(used.as_ptr() as usize);
        std::thread::spawn(move || drop(used)).join().unwrap();
    }
    assert_eq!(places.len(), 1);
    // Most of a much larger one would be wasted.
    let large = buffers.get(5 * LARGE, now);
    let place = large.as_ptr();
    drop(large);
    assert_ne!(buffers.get(2 * LARGE, now).as_ptr(), place);
    assert_eq!(buffers.get(3 * LARGE, now).as_ptr(), place);
}

#[test]
fn no_more_is_remembered_than_the_limits_say() {
    let mut buffers = Buffers::default();
    let now = Instant::now();
    let used: Vec<_> = (0..3 * MOST).map(|_| buffers.get(LARGE, now)).collect();
    assert_eq!((buffers.known.len(), buffers.bytes), (MOST, MOST * LARGE));
    drop(used);
    let used: Vec<_> = (0..10).map(|_| buffers.get(MOST_BYTES / 4, now)).collect();
    assert_eq!((buffers.known.len(), buffers.bytes), (4, MOST_BYTES));
    drop(used);
}

#[test]
fn what_was_not_used_for_a_while_is_given_back() {
    let mut buffers = Buffers::default();
    let start = Instant::now();
    let early = buffers.get(LARGE, start);
    let late = buffers.get(LARGE, start + IDLE / 2);
    assert!(
        buffers
            .release(start + IDLE - Duration::from_nanos(1))
            .is_empty()
    );
    assert_eq!(buffers.bytes, 2 * LARGE);
    assert_eq!(buffers.release(start + IDLE).len(), 1);
    assert_eq!(buffers.bytes, LARGE);
    assert_eq!(buffers.release(start + 2 * IDLE).len(), 1);
    assert_eq!((buffers.known.len(), buffers.bytes), (0, 0));
    drop((early, late));
}

#[test]
fn what_is_forgotten_is_left_to_who_holds_no_lock() {
    let mut buffers = Buffers::default();
    let start = Instant::now();
    // Too many, and too much.
    let mut forgotten = Vec::new();
    let used: Vec<_> = (0..MOST + 3)
        .map(|_| buffers.take(LARGE, start, &mut forgotten))
        .collect();
    assert_eq!(forgotten.len(), 3);
    let large = buffers.take(MOST_BYTES - LARGE, start, &mut forgotten);
    assert_eq!(forgotten.len(), 3 + MOST - 1);
    // Used too long ago, also if there is one to be used again.
    drop(large);
    forgotten.clear();
    let again = buffers.take(MOST_BYTES - LARGE, start + IDLE, &mut forgotten);
    assert_eq!((forgotten.len(), buffers.known.len()), (1, 1));
    assert_eq!(buffers.bytes, MOST_BYTES - LARGE);
    drop((used, again));
}

#[test]
fn without_connections_nothing_is_remembered() {
    let mut buffers = Buffers::default();
    let start = Instant::now();
    buffers.users = 2;
    drop(buffers.get(LARGE, start));
    drop(buffers.get(2 * LARGE, start + IDLE / 2));
    assert_eq!(buffers.leave(start + IDLE).len(), 1);
    assert_eq!((buffers.users, buffers.bytes), (1, 2 * LARGE));
    assert_eq!(buffers.leave(start + IDLE).len(), 1);
    assert_eq!((buffers.users, buffers.bytes), (0, 0));
}

#[test]
fn room_follows_what_has_arrived() {
    let mut data = BytesMut::new();
    let expected = 10 << 20;
    while data.len() < expected {
        make_room(&mut data, 1 << 10, expected);
        assert!(data.capacity() - data.len() >= 1 << 10);
        data.put_bytes((data.len() >> 10) as u8, 1 << 10);
        // What is used again may be twice as large.
        let room = (8 * data.len()).min(256 << 10).max(2 * data.len());
        assert!(data.capacity() <= 2 * room.min(expected).max(LARGE));
    }
    assert!(
        data.iter()
            .enumerate()
            .all(|(at, byte)| *byte == (at >> 10) as u8)
    );
    // What was announced wrongly does not stop it.
    make_room(&mut data, 1, 0);
    assert!(data.capacity() > expected);
    assert_eq!(buffer(0).capacity(), 0);
}
