//! The queue of one channel within a [`SendQueue`](super::send_queue::SendQueue).

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::channel::CallId;
use super::cost::{Counted, Counting, PIECE};
use super::credit::Outflow;
use super::framing::Framing;
use super::output::Sink;
use super::payload::Chunk;

/// A piece up to this size is put behind the one before in the same frame, if that still waits. Copying a larger one
/// costs more than a frame.
pub(super) const MERGED: usize = 4 * 1024;

#[derive(Debug)]
pub(super) struct Item {
    pub(super) call: CallId,
    pub(super) framing: Framing,
    pub(super) body: Body,
    /// What the records cost of the call's credit.
    pub(super) cost: usize,
    pub(super) first: bool,
    pub(super) last: bool,
}

#[derive(Debug)]
pub(super) enum Body {
    Chunk(Chunk),
    /// Several small pieces of records in one frame.
    Batch(Vec<u8>),
    /// Cut into frames of `Framing::room` as they go out.
    Split(Bytes),
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) items: VecDeque<Item>,
    pub(super) deficit: usize,
    /// Unsent bytes.
    pub(super) queued: usize,
    /// What is first has to wait for credit: the lane takes no turn.
    pub(super) waits: bool,
    /// Several calls have waited here at once: how much does says little about what is the last one's.
    pub(super) mixed: bool,
}

impl Lane {
    /// Whether what is first costs more than its call may send.
    pub(super) fn lacks_credit(&self, flows: &HashMap<CallId, Outflow>) -> bool {
        self.items.front().is_some_and(|item| {
            let flow = flows.get(&item.call);
            item.cost > 0 && flow.is_some_and(|flow| !flow.allows(item.cost as u64))
        })
    }
}

impl Body {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.len(),
            Self::Batch(data) => data.len(),
            Self::Split(data) => data.len(),
        }
    }
}

impl Item {
    /// Whether it begins with a further part of a message. It can be sent while its message is incomplete, which credit
    /// makes sure of, and only by itself.
    fn continues(head: &[u8], body: &[u8]) -> bool {
        matches!(Counting::new(head, body).next(), Some(Counted::Part(_)))
    }

    /// Puts a small piece into the same frame, if it belongs to the call and there is room. False: it does not.
    pub(super) fn merge(&mut self, call: CallId, chunk: &Chunk, last: bool) -> bool {
        let cost = self.cost + chunk.cost();
        let fits = self.body.len() + chunk.len() <= self.framing.room() && cost <= PIECE;
        if self.call != call || self.last || self.framing.envelope.is_none() || !fits {
            return false;
        }
        if Self::continues(chunk.head(), &chunk.body) {
            return false;
        }
        if let Body::Chunk(before) = &self.body {
            if Self::continues(before.head(), &before.body) {
                return false;
            }
            self.body = Body::Batch([before.head(), &before.body].concat());
        }
        let Body::Batch(data) = &mut self.body else {
            return false;
        };
        data.extend_from_slice(chunk.head());
        data.extend_from_slice(&chunk.body);
        self.cost = cost;
        self.last = last;
        true
    }

    /// Payload bytes of the next frame.
    pub(super) fn next_frame(&self) -> usize {
        match &self.body {
            Body::Chunk(chunk) => chunk.len(),
            Body::Batch(data) => data.len(),
            Body::Split(data) => data.len().min(self.framing.room()),
        }
    }

    /// Encodes the next frame; true if it was the item's last one.
    pub(super) fn encode_next(&mut self, out: &mut impl Sink) -> bool {
        let (framing, call) = (&self.framing, self.call);
        let place = (self.first, self.last);
        match &mut self.body {
            Body::Chunk(chunk) => {
                let body = std::mem::take(&mut chunk.body);
                framing.encode_head(out.bytes(), call, place, chunk.head(), body.len());
                out.put(body);
                true
            }
            Body::Batch(data) => {
                framing.encode(out.bytes(), call, place, &[], data);
                true
            }
            Body::Split(data) => {
                let piece = data.split_to(data.len().min(framing.room()));
                let done = data.is_empty();
                let place = (self.first, self.last && done);
                framing.encode_head(out.bytes(), call, place, &[], piece.len());
                out.put(piece);
                self.first = false;
                done
            }
        }
    }
}
