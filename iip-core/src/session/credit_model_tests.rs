//! Every order in which two calls of a connection can send, deliver, consume and grant, with windows and a pool so
//! small that everything has to wait: nothing is sent beyond its credit, no grant is lost, and nobody waits for ever.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use super::cost::{MESSAGE_COST, cost};
use super::credit::{Grant, Inflow, Outflow, Pool};
use crate::wire::ChannelId;
use crate::wire::record::{RecordKind, encode_header, encode_varint};

/// A window is four units, and a piece two: as a piece is at most half of the least window.
const UNIT: usize = MESSAGE_COST;
const WINDOW: usize = 4 * UNIT;
const PIECE: usize = 2 * UNIT;

/// Frames of messages of these sizes, each cut where it has to be.
fn frames(sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for &size in sizes {
        if size + MESSAGE_COST <= PIECE {
            let header = encode_header(RecordKind::MESSAGE, size as u64);
            frames.push([&header[..], &vec![0; size]].concat());
            continue;
        }
        let total = encode_varint(size as u64);
        let first = PIECE - MESSAGE_COST;
        let header = encode_header(RecordKind::MESSAGE_START, (total.len() + first) as u64);
        frames.push([&header[..], &total, &vec![0; first]].concat());
        let mut rest = size - first;
        while rest > 0 {
            let part = rest.min(PIECE);
            let header = encode_header(RecordKind::MESSAGE_PART, part as u64);
            frames.push([&header[..], &vec![0; part]].concat());
            rest -= part;
        }
    }
    frames
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Call {
    sizes: Vec<usize>,
    /// Frames sent, and delivered.
    sent: usize,
    delivered: usize,
    credit: Outflow,
    grants: VecDeque<u64>,
    flow: Option<Inflow>,
    /// Messages consumed.
    consumed: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    calls: Vec<Call>,
    pool: Pool,
}

impl Call {
    fn new(sizes: &[usize]) -> Self {
        Self {
            sizes: sizes.to_vec(),
            sent: 0,
            delivered: 0,
            credit: Outflow::new(WINDOW as u64),
            grants: VecDeque::new(),
            flow: Some(Inflow::new(WINDOW as u64)),
            consumed: 0,
        }
    }

    /// Frames of the first messages.
    fn frames_of(&self, messages: usize) -> usize {
        frames(&self.sizes[..messages]).len()
    }

    fn is_over(&self) -> bool {
        self.flow.is_none()
    }
}

impl State {
    /// As the sessions do.
    fn grant(&mut self, index: usize, now: Instant) -> bool {
        let id = ChannelId(index as u32);
        let Some(flow) = &mut self.calls[index].flow else {
            return true;
        };
        let turn = self.pool.next_waiting().is_none_or(|next| next == id);
        match flow.grant(&mut self.pool, turn, now) {
            Grant::Nothing => true,
            Grant::Bytes(bytes) => {
                self.calls[index].grants.push_back(bytes);
                true
            }
            Grant::Later => {
                self.pool.wait(id);
                false
            }
        }
    }

    fn serve_waiting(&mut self, now: Instant) {
        while let Some(next) = self.pool.next_waiting() {
            if !self.grant(next.0 as usize, now) {
                return;
            }
            self.pool.forget(next);
        }
    }

    /// What can happen next, each done.
    fn successors(&self, now: Instant) -> Vec<Self> {
        let mut all = Vec::new();
        for index in 0..self.calls.len() {
            let call = &self.calls[index];
            let frames = frames(&call.sizes);
            if let Some(frame) = frames.get(call.sent) {
                let price = cost(&[], frame) as u64;
                if call.credit.allows(price) {
                    let mut next = self.clone();
                    assert!(next.calls[index].credit.take(price));
                    next.calls[index].sent += 1;
                    all.push(next);
                }
            }
            if call.delivered < call.sent {
                let mut next = self.clone();
                let flow = next.calls[index].flow.as_mut().unwrap();
                let frame = &frames[call.delivered];
                assert_eq!(flow.receive(frame, 10_000), Ok(()), "within its credit");
                next.calls[index].delivered += 1;
                next.grant(index, now);
                all.push(next);
            }
            if !call.grants.is_empty() {
                let mut next = self.clone();
                let bytes = next.calls[index].grants.pop_front().unwrap();
                assert!(next.calls[index].credit.grant(bytes));
                all.push(next);
            }
            // Only whole messages are consumed.
            if call.consumed < call.sizes.len()
                && call.delivered >= call.frames_of(call.consumed + 1)
            {
                let mut next = self.clone();
                let price = (call.sizes[call.consumed] + MESSAGE_COST) as u64;
                let flow = next.calls[index].flow.as_mut().unwrap();
                flow.consume(price, &mut next.pool);
                next.calls[index].consumed += 1;
                if next.calls[index].consumed == call.sizes.len() {
                    let flow = next.calls[index].flow.take().unwrap();
                    flow.end(&mut next.pool);
                    next.pool.forget(ChannelId(index as u32));
                } else {
                    next.grant(index, now);
                }
                next.serve_waiting(now);
                all.push(next);
            }
        }
        all
    }
}

/// Walks through every order; returns how many states there are.
fn explore(calls: &[&[usize]], budget: usize, max_message: usize) -> usize {
    let now = Instant::now();
    let start = State {
        calls: calls.iter().map(|sizes| Call::new(sizes)).collect(),
        pool: Pool::new(budget, max_message),
    };
    let mut seen = HashSet::new();
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        let next = state.successors(now);
        if next.is_empty() {
            assert!(
                state.calls.iter().all(Call::is_over),
                "somebody waits for ever"
            );
            assert_eq!(state.pool.lent(), 0, "what was lent is given back");
            assert_eq!(state.pool.next_waiting(), None);
        }
        open.extend(next);
    }
    seen.len()
}

#[test]
fn one_call_in_every_order() {
    let mut states = 0;
    for first in 0..=6 {
        for second in 0..=6 {
            for third in [0, 3] {
                let sizes = [first * UNIT, second * UNIT, third * UNIT];
                // A pool for one largest message, and one in which windows grow.
                states += explore(&[&sizes], 0, 6 * UNIT);
                states += explore(&[&sizes], 100 * UNIT, 6 * UNIT);
            }
        }
    }
    assert!(states > 5_000, "{states}");
}

#[test]
fn two_calls_that_share_a_pool_in_every_order() {
    let mut states = 0;
    let few = [0, 1, 3, 6];
    for index in 0..256 {
        let [a, b, c, d] = [0, 2, 4, 6].map(|shift| few[index >> shift & 3] * UNIT);
        states += explore(&[&[a, b], &[c, d]], 0, 6 * UNIT);
        states += explore(&[&[a, b], &[c, d]], 20 * UNIT, 6 * UNIT);
    }
    assert!(states > 100_000, "{states}");
}
