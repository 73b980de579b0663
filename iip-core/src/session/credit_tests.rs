use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::cost::{MESSAGE_COST, PIECE, begins_message, cancels, cost};
use super::credit::{Excess, Grant, Inflow, MIN_WINDOW, Outflow, Pool, too_many_windows};
use super::*;
use crate::wire::ChannelId;
use crate::wire::record::{RecordKind, encode_header, encode_varint};

const WINDOW: u64 = MIN_WINDOW as u64;
const MIB: u64 = 1 << 20;

fn record(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
    [&encode_header(kind, payload.len() as u64)[..], payload].concat()
}

fn message(length: usize) -> Vec<u8> {
    record(RecordKind::MESSAGE, &vec![0; length])
}

fn start(total: u64, length: usize) -> Vec<u8> {
    let payload = [&encode_varint(total)[..], &vec![0; length]].concat();
    record(RecordKind::MESSAGE_START, &payload)
}

fn part(length: usize) -> Vec<u8> {
    record(RecordKind::MESSAGE_PART, &vec![0; length])
}

fn pool() -> Pool {
    Pool::new(128 << 20, 4 << 20)
}

#[test]
fn messages_cost_their_bytes_and_64() {
    assert_eq!(cost(&[], &[]), 0);
    assert_eq!(cost(&[], &message(0)), MESSAGE_COST);
    assert_eq!(cost(&[], &message(5)), MESSAGE_COST + 5);
    assert_eq!(cost(&[], &start(1000, 300)), MESSAGE_COST + 300);
    assert_eq!(cost(&[], &part(700)), 700);
    let compressed = RecordKind(RecordKind::MESSAGE.0 | RecordKind::COMPRESSED);
    assert_eq!(cost(&[], &record(compressed, b"abc")), MESSAGE_COST + 3);
    for free in [
        RecordKind::HEAD,
        RecordKind::TRAILER,
        RecordKind::CANCEL,
        RecordKind(0x80),
        RecordKind(RecordKind::MESSAGE_PART.0 | RecordKind::COMPRESSED),
    ] {
        assert_eq!(cost(&[], &record(free, b"abc")), 0);
    }
    let several = [message(1), message(2), start(9, 3)].concat();
    assert_eq!(cost(&[], &several), 3 * MESSAGE_COST + 6);
    for at in 0..several.len() {
        let (head, body) = several.split_at(at);
        assert_eq!(cost(head, body), 3 * MESSAGE_COST + 6, "cut at {at}");
    }
    // What cannot be read ends it.
    assert_eq!(cost(&[], &[2, 5, 0]), 0);
    assert_eq!(
        cost(&[], &[&message(1)[..], &[2]].concat()),
        MESSAGE_COST + 1
    );
    assert_eq!(cost(&[], &[3, 1, 0x80]), 0);
}

#[test]
fn chunks_cost_what_was_told_or_what_is_in_them() {
    let chunk = Chunk::new(&[2, 3], bytes::Bytes::from_static(b"abc"));
    assert_eq!(chunk.cost(), MESSAGE_COST + 3);
    assert_eq!(chunk.costing(7).cost(), 7);
}

#[test]
fn frames_are_asked_what_is_in_them() {
    assert!(begins_message(&message(0)) && begins_message(&start(5, 0)));
    assert!(!begins_message(&part(5)) && !begins_message(&[]));
    assert!(cancels(&[6, 1, 0]) && cancels(&[&message(3)[..], &[6, 1, 0]].concat()));
    assert!(!cancels(&message(3)) && !cancels(&[2, 3, 6, 1, 0]));
}

#[test]
fn a_sender_pays_and_is_granted_more() {
    let mut flow = Outflow::new(100);
    assert!(flow.allows(100) && !flow.allows(101));
    assert!(flow.take(60) && !flow.take(41) && flow.take(40));
    assert!(!flow.allows(1) && flow.allows(0));
    assert!(flow.grant(5) && flow.take(5));
    let most = i64::MAX as u64;
    assert!(flow.grant(most) && !flow.grant(1) && !flow.grant(u64::MAX));
    assert!(flow.take(1) && flow.grant(1));
}

#[test]
fn a_receiver_grants_again_when_half_a_window_is_consumed() {
    let (mut pool, now) = (pool(), Instant::now());
    let mut flow = Inflow::new(WINDOW);
    for _ in 0..4 {
        flow.receive(&message(8000), MIB).unwrap();
        assert_eq!(flow.grant(&mut pool, true, now), Grant::Nothing);
    }
    flow.consume(8064, &mut pool);
    assert_eq!(flow.grant(&mut pool, true, now), Grant::Nothing);
    flow.consume(8064, &mut pool);
    assert_eq!(flow.grant(&mut pool, true, now), Grant::Nothing, "256 lack");
    flow.consume(8064, &mut pool);
    assert_eq!(flow.grant(&mut pool, true, now), Grant::Bytes(3 * 8064));
    assert_eq!(flow.unconsumed(), 8064);
    // Nobody can consume what did not come.
    flow.consume(u64::MAX, &mut pool);
    assert_eq!(flow.unconsumed(), 0);
    assert_eq!(pool.lent(), 0);
}

#[test]
fn what_an_incomplete_message_lacks_is_granted_at_once() {
    let (mut pool, now) = (pool(), Instant::now());
    let mut flow = Inflow::new(WINDOW);
    flow.receive(&start(MIB, 16_000), 4 * MIB).unwrap();
    let lacking = MIB + 64 - WINDOW;
    assert_eq!(flow.grant(&mut pool, true, now), Grant::Bytes(lacking));
    assert_eq!(pool.lent(), lacking);
    assert_eq!(flow.grant(&mut pool, true, now), Grant::Nothing);
    let mut rest = MIB as usize - 16_000;
    while rest > 0 {
        let length = rest.min(PIECE);
        flow.receive(&part(length), 4 * MIB).unwrap();
        rest -= length;
    }
    assert_eq!(flow.receive(&part(1), 4 * MIB), Err(Excess::Credit));
    flow.consume(MIB + 64, &mut pool);
    assert_eq!(pool.lent(), 0, "given back as it is consumed");
}

#[test]
fn a_message_that_fits_the_window_is_granted_nothing() {
    let (mut pool, now) = (pool(), Instant::now());
    let mut flow = Inflow::new(WINDOW);
    flow.receive(&start(WINDOW - 64, 100), MIB).unwrap();
    assert_eq!(flow.grant(&mut pool, true, now), Grant::Nothing);
}

#[test]
fn more_than_credit_and_messages_too_large_are_told_apart() {
    let mut flow = Inflow::new(WINDOW);
    assert_eq!(flow.receive(&start(1001, 5), 1000), Err(Excess::Message));
    let mut flow = Inflow::new(WINDOW);
    assert_eq!(flow.receive(&message(1001), 1000), Err(Excess::Message));
    let mut flow = Inflow::new(100);
    assert_eq!(flow.receive(&message(36), 1000), Ok(()));
    assert_eq!(flow.receive(&message(0), 1000), Err(Excess::Credit));
    // Nothing is granted to one that is too large, also with its next part.
    let mut flow = Inflow::new(WINDOW);
    assert_eq!(
        flow.receive(&start(MIB, 16_000), 1000),
        Err(Excess::Message)
    );
    assert_eq!(flow.receive(&part(16_000), 1000), Ok(()));
    assert_eq!(
        flow.grant(&mut pool(), true, Instant::now()),
        Grant::Nothing
    );
    // Whatever is announced, sums do not wrap.
    let mut flow = Inflow::new(WINDOW);
    assert_eq!(flow.receive(&start(u64::MAX, 5), u64::MAX), Ok(()));
    let mut pool = pool();
    assert_eq!(flow.grant(&mut pool, true, Instant::now()), Grant::Later);
}

#[test]
fn bytes_that_are_no_messages_are_bounded() {
    let mut flow = Inflow::new(WINDOW);
    let free = record(RecordKind(0x80), &[0; 30_000]);
    for _ in 0..4 {
        flow.receive(&free, MIB).unwrap();
        assert!(!flow.is_chaff());
    }
    flow.receive(&free, MIB).unwrap();
    assert!(flow.is_chaff());
    // A long stream of messages may have as long a stream of headers.
    let (mut flow, mut pool) = (Inflow::new(WINDOW), pool());
    for _ in 0..100_000 {
        flow.receive(&message(1), MIB).unwrap();
        flow.consume(65, &mut pool);
        flow.grant(&mut pool, true, Instant::now());
    }
    assert!(!flow.is_chaff());
}

/// Sends, consumes and grants at once, `every` long after one another. Returns the largest grant.
fn stream(pool: &mut Pool, every: Duration) -> (u64, Inflow) {
    let mut flow = Inflow::new(WINDOW);
    let mut now = Instant::now();
    let mut largest = 0;
    for _ in 0..20_000 {
        flow.receive(&message(4000), MIB).unwrap();
        flow.consume(4064, pool);
        if let Grant::Bytes(bytes) = flow.grant(pool, true, now) {
            largest = largest.max(bytes);
            now += every;
        }
    }
    (largest, flow)
}

#[test]
fn the_window_of_a_quick_call_grows_to_4_mib() {
    let mut pool = pool();
    let (slow, flow) = stream(&mut pool, Duration::from_millis(100));
    assert!(slow < WINDOW, "{slow}");
    flow.end(&mut pool);
    let (quick, flow) = stream(&mut pool, Duration::from_millis(1));
    assert!((2 * MIB..=4 * MIB).contains(&quick), "{quick}");
    assert_eq!(pool.lent(), 4 * MIB - WINDOW);
    flow.end(&mut pool);
    assert_eq!(pool.lent(), 0);
    // Not when too much is held over all.
    pool.pressed = true;
    assert!(stream(&mut pool, Duration::ZERO).0 < WINDOW);
    // Windows leave room for one largest message.
    let mut small = Pool::new(0, 1 << 20);
    assert!(stream(&mut small, Duration::ZERO).0 < WINDOW);
}

#[test]
fn who_waits_for_the_pool_is_served_in_order() {
    let mut pool = Pool::new(0, 1 << 20);
    let now = Instant::now();
    let mut flows: Vec<_> = (0..3).map(|_| Inflow::new(WINDOW)).collect();
    for flow in &mut flows {
        flow.receive(&start(MIB, 0), MIB).unwrap();
    }
    assert!(matches!(
        flows[0].grant(&mut pool, true, now),
        Grant::Bytes(_)
    ));
    assert_eq!(flows[1].grant(&mut pool, true, now), Grant::Later);
    pool.wait(ChannelId(1));
    pool.wait(ChannelId(2));
    pool.wait(ChannelId(1));
    flows.remove(0).end(&mut pool);
    // Who comes later does not overtake.
    assert_eq!(flows[1].grant(&mut pool, false, now), Grant::Later);
    assert_eq!(pool.next_waiting(), Some(ChannelId(1)));
    assert!(matches!(
        flows[0].grant(&mut pool, true, now),
        Grant::Bytes(_)
    ));
    pool.forget(ChannelId(1));
    assert_eq!(pool.next_waiting(), Some(ChannelId(2)));
    pool.forget(ChannelId(2));
    assert_eq!(pool.next_waiting(), None);
}

#[test]
fn grants_are_counted() {
    assert!(!too_many_windows(1000, 0) && too_many_windows(1001, 0));
    assert!(!too_many_windows(1010, 10 * 4096));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(records in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
        let (head, body) = records.split_at(at.min(records.len()));
        prop_assert_eq!(cost(head, body), cost(&[], &records));
        let mut flow = Inflow::new(WINDOW);
        let mut pool = pool();
        let _ = flow.receive(&records, u64::MAX);
        let _ = flow.grant(&mut pool, true, Instant::now());
        flow.consume(u64::MAX, &mut pool);
        flow.end(&mut pool);
        prop_assert_eq!(pool.lent(), 0);
    }
}
