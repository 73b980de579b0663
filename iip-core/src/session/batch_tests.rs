//! Input taken in batches.

use super::batch::Batch;
use super::rig_tests::*;
use super::*;

/// How many of `frames` frames of `size` bytes each batch takes.
fn batches(frames: usize, size: usize) -> Vec<usize> {
    let mut buffered = frames * size;
    let batch = Batch::of(buffered);
    let mut taken = Vec::new();
    while buffered > 0 {
        let before = buffered;
        let mut current = batch.start(buffered);
        while buffered > 0 && !current.is_over(buffered) {
            buffered -= size;
        }
        taken.push((before - buffered) / size);
    }
    taken
}

#[test]
fn a_burst_is_cut_into_four_unless_it_is_small() {
    assert_eq!(batches(1, 80), [1]);
    assert_eq!(batches(16, 80), [16]);
    assert_eq!(batches(40, 80), [16, 16, 8]);
    assert_eq!(batches(64, 80), [16, 16, 16, 16]);
    assert_eq!(batches(1024, 80), [256, 256, 256, 256]);
}

#[test]
fn all_is_all() {
    let mut all = Batch::ALL.start(1 << 20);
    assert!((0..1 << 16).all(|_| !all.is_over(1 << 20)));
}

#[test]
fn a_server_acts_on_a_batch_before_it_takes_the_next() {
    let mut rig = ServerRig::plain(Limits::default(), 40);
    for channel in 1..=40 {
        rig.input
            .extend_from_slice(&encode(1, "/raw", channel, b"hi"));
    }
    let received = rig.input.len();
    let batch = Batch::of(received);
    rig.session
        .handle_batch(&mut rig.input, received, batch, rig.now);
    let mut seen = Vec::new();
    loop {
        let events = rig.events();
        seen.push(events.len());
        for event in events {
            match event {
                ServerEvent::Request { call, .. } => rig.answer(call, "ho"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rig.sent().len(), *seen.last().unwrap());
        if !rig.session.has_deferred() {
            break;
        }
        rig.session.handle_batch(&mut rig.input, 0, batch, rig.now);
    }
    assert_eq!(seen, [16, 16, 8]);
    assert!(rig.input.is_empty());
}

#[test]
fn what_is_deferred_is_not_a_slow_peer() {
    let mut rig = ServerRig::plain(Limits::default(), 40);
    for channel in 1..=20 {
        rig.input
            .extend_from_slice(&encode(1, "/raw", channel, b"hi"));
    }
    let received = rig.input.len();
    rig.session
        .handle_batch(&mut rig.input, received, Batch::of(received), rig.now);
    assert!(rig.session.has_deferred());
    let later = rig.now + 60 * SECOND;
    rig.session.handle_timeout(later);
    assert!(rig.session.ended().is_none());
}

#[test]
fn a_client_says_whether_there_is_more() {
    let mut rig = ClientRig::native(ClientConfig::default(), 41);
    let calls: Vec<_> = (0..40).map(|_| rig.raw(b"hi")).collect();
    rig.sent();
    rig.events();
    for call in &calls {
        rig.input
            .extend_from_slice(&encode(5, "/raw", call.channel.0, b"ho"));
    }
    let received = rig.input.len();
    let batch = Batch::of(received);
    let mut more = rig
        .session
        .handle_batch(&mut rig.input, received, batch, rig.now);
    let mut seen = vec![rig.events().len()];
    while more {
        more = rig.session.handle_batch(&mut rig.input, 0, batch, rig.now);
        seen.push(rig.events().len());
    }
    assert_eq!(seen, [16, 16, 8]);
    assert!(rig.input.is_empty());
}
