use std::convert::Infallible;

use bytes::Bytes;

use super::write;

fn piece(len: usize, byte: u8) -> Bytes {
    write::<Infallible>(len, |buffer| {
        buffer.resize(len, byte);
        Ok(())
    })
    .unwrap()
}

#[test]
fn pieces_in_use_are_never_written_again() {
    let mut kept = Vec::new();
    for round in 0..100_000u32 {
        let byte = round as u8;
        let piece = piece(1 + round as usize % 700, byte);
        assert!(piece.iter().all(|b| *b == byte));
        if round % 997 == 0 {
            kept.push((byte, piece));
        }
    }
    for (byte, piece) in kept {
        assert!(piece.iter().all(|b| *b == byte));
    }
}

#[test]
fn memory_is_used_again_once_its_pieces_are_dropped() {
    // A thread of its own: its buffers are fresh.
    std::thread::spawn(|| {
        let mut places = std::collections::HashSet::new();
        for _ in 0..100_000 {
            places.insert(piece(100, 1).as_ptr() as usize / (32 * 1024));
        }
        assert!(places.len() <= 4, "{}", places.len());
    })
    .join()
    .unwrap();
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let failed = write(4, |buffer| {
        buffer.extend_from_slice(b"half");
        Err("no")
    });
    assert_eq!(failed, Err("no"));
    assert_eq!(&piece(2, b'x')[..], b"xx");
}

#[test]
fn writes_may_nest_and_may_be_large() {
    let outer = write::<Infallible>(8, |buffer| {
        buffer.extend_from_slice(&piece(4, b'i'));
        buffer.extend_from_slice(b"-end");
        Ok(())
    })
    .unwrap();
    assert_eq!(&outer[..], b"iiii-end");
    assert_eq!(piece(1 << 20, 7).len(), 1 << 20);
}
