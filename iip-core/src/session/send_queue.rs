//! What a connection has still to send, in the order in which it goes out (`docs/protocol.md`, section 8).
//!
//! A message of one small frame is encoded at once, behind everything that is ready. What is larger than a chunk
//! waits in a queue of its channel, and the queues take turns by deficit round robin, so that bulk never holds up a
//! small message by more than one chunk for each bulk channel.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::channel::CallId;
use super::cost::PIECE;
use super::framing::Framing;
use super::payload::{Chunk, MAX_CHUNK, Payload};
use crate::wire::ChannelId;

/// Bytes a channel may send in one turn. Half a chunk: two channels with full chunks alternate frame by frame.
const QUANTUM: usize = 16 * 1024;

/// Unsent bytes at which whoever sends piece by piece waits.
pub(crate) const SEND_AHEAD: usize = 2 * MAX_CHUNK;

/// Unsent bytes at which it goes on: early enough for the next piece to be there before the last one is out.
const SEND_AGAIN: usize = SEND_AHEAD / 2;

/// A piece up to this size is put behind the one before in the same frame, if that still waits. Copying a larger one
/// costs more than a frame.
const MERGED: usize = 4 * 1024;

/// Bytes handed to the driver at a time. Small, so that what is queued meanwhile gets in between.
const TRANSMIT_TARGET: usize = 64 * 1024;

#[derive(Debug)]
struct Item {
    call: CallId,
    framing: Framing,
    body: Body,
    /// What the records cost of the call's credit.
    cost: usize,
    first: bool,
    last: bool,
}

#[derive(Debug)]
enum Body {
    Chunk(Chunk),
    /// Several small pieces of records in one frame.
    Batch(Vec<u8>),
    /// Cut into frames of `Framing::room` as they go out.
    Split(Bytes),
}

#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<Item>,
    deficit: usize,
    /// Unsent bytes.
    queued: usize,
}

/// What [`SendQueue::withdraw`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withdrawn {
    /// All that was queued of the call is out.
    Nothing,
    /// The message has begun and lacks its last frame now.
    Rest,
    /// No frame of the message was out: it was never sent.
    Everything,
}

/// Everything a connection has still to send.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    ready: Vec<u8>,
    lanes: HashMap<ChannelId, Lane>,
    turns: VecDeque<ChannelId>,
    queued: usize,
    /// Bytes handed to the driver since the start.
    handed_out: u64,
    steps: Vec<Step>,
}

/// What became of a message that waited in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) call: CallId,
    /// Offset in the stream at which the frame ends that left the queue.
    pub(crate) end: u64,
    /// It was the message's first frame.
    pub(crate) first: bool,
    /// It was the message's last frame.
    pub(crate) last: bool,
    /// Nothing of the call is queued any more.
    pub(crate) drained: bool,
    /// Little enough is queued now for its sender to go on, and was not before.
    pub(crate) room: bool,
}

impl SendQueue {
    /// Queues the next part of a message. A message of one small frame goes out next, and so does a small part of a longer
    /// one while little else does: what its sender gives faster than the peer reads waits in a queue. Returns the offset in the stream at which it ends if it was encoded at once;
    /// `None` if it waits in a queue, to be reported by [`take_steps`](Self::take_steps).
    pub(crate) fn push(
        &mut self,
        call: CallId,
        framing: &Framing,
        payload: Payload,
        first: bool,
        last: bool,
    ) -> Option<u64> {
        let queued_before = !self.lanes.is_empty() && self.lanes.contains_key(&call.channel);
        match payload {
            Payload::Whole(data)
                if !queued_before
                    && data.len() <= framing.room().min(MAX_CHUNK)
                    && (first && last || self.ready.len() < TRANSMIT_TARGET) =>
            {
                framing.encode(&mut self.ready, call, (first, last), &[], &data);
                Some(self.handed_out + self.ready.len() as u64)
            }
            Payload::Whole(data) => {
                self.enqueue(call, framing, Body::Split(data), first, last);
                None
            }
            Payload::Chunks(mut chunks) => {
                if framing.envelope.is_none() {
                    // A frame without data cannot be sent, and the envelope is the only data these would have.
                    chunks.retain(|chunk| !chunk.is_empty());
                }
                if chunks.is_empty() && framing.envelope.is_some() {
                    return self.push(call, framing, Payload::Whole(Bytes::new()), first, last);
                }
                let count = chunks.len();
                for (index, chunk) in chunks.into_iter().enumerate() {
                    let (first, last) = (first && index == 0, last && index + 1 == count);
                    let body = if framing.envelope.is_none() && chunk.len() > framing.room() {
                        Body::Split([chunk.head(), &chunk.body].concat().into())
                    } else {
                        Body::Chunk(chunk)
                    };
                    self.enqueue(call, framing, body, first, last);
                }
                None
            }
        }
    }

    /// Queues a piece of records. Behind another small one that still waits, it joins that one's frame.
    pub(crate) fn push_chunk(
        &mut self,
        call: CallId,
        framing: &Framing,
        chunk: Chunk,
        first: bool,
        last: bool,
    ) {
        if !first
            && chunk.len() <= MERGED
            && let Some(lane) = self.lanes.get_mut(&call.channel)
            && let Some(item) = lane.items.back_mut()
            && item.merge(call, &chunk, last)
        {
            lane.queued += chunk.len();
            self.queued += chunk.len();
            return;
        }
        self.enqueue(call, framing, Body::Chunk(chunk), first, last);
    }

    fn enqueue(&mut self, call: CallId, framing: &Framing, body: Body, first: bool, last: bool) {
        let lane = self.lanes.entry(call.channel).or_default();
        if lane.items.is_empty() {
            self.turns.push_back(call.channel);
        }
        self.queued += body.len();
        lane.queued += body.len();
        let cost = match &body {
            Body::Chunk(chunk) if framing.envelope.is_some() => chunk.cost(),
            _ => 0,
        };
        lane.items.push_back(Item {
            call,
            framing: framing.clone(),
            body,
            cost,
            first,
            last,
        });
    }

    /// Whether there is anything to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.turns.is_empty()
    }

    /// Bytes that went out since the start.
    pub(crate) fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// Unsent bytes.
    pub(crate) fn len(&self) -> usize {
        self.ready.len() + self.queued
    }

    /// Unsent bytes in the queue of one channel.
    pub(crate) fn queued_on(&self, channel: ChannelId) -> usize {
        self.lanes.get(&channel).map_or(0, |lane| lane.queued)
    }

    /// Whether no frame of the call's message is out yet.
    pub(crate) fn has_first(&self, call: CallId) -> bool {
        self.lanes.get(&call.channel).is_some_and(|lane| {
            lane.items
                .iter()
                .any(|item| item.call == call && item.first)
        })
    }

    /// Whether any message waits of which no frame is out yet.
    pub(crate) fn has_any_first(&self) -> bool {
        let mut items = self.lanes.values().flat_map(|lane| &lane.items);
        items.any(|item| item.first)
    }

    /// Drops what is queued of a call.
    pub(crate) fn withdraw(&mut self, call: CallId) -> Withdrawn {
        let Some(lane) = self.lanes.get_mut(&call.channel) else {
            return Withdrawn::Nothing;
        };
        let mut result = Withdrawn::Nothing;
        let mut dropped = 0;
        lane.items.retain(|item| {
            if item.call != call {
                return true;
            }
            if result == Withdrawn::Nothing {
                result = if item.first {
                    Withdrawn::Everything
                } else {
                    Withdrawn::Rest
                };
            }
            dropped += item.body.len();
            false
        });
        self.queued = self.queued.saturating_sub(dropped);
        lane.queued = lane.queued.saturating_sub(dropped);
        if lane.items.is_empty() {
            self.lanes.remove(&call.channel);
            self.turns.retain(|channel| *channel != call.channel);
        }
        result
    }

    /// Moves bytes to send to the end of `out`, at most about 64 KiB unless small frames alone are more. Of what waits
    /// in queues a chunk goes out each time, however much small frames there are.
    pub(crate) fn transmit(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        if out.is_empty() {
            std::mem::swap(out, &mut self.ready);
        } else {
            out.append(&mut self.ready);
        }
        let target = (out.len() + 1).max(before + TRANSMIT_TARGET);
        while out.len() < target {
            let Some(channel) = self.turns.pop_front() else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(&channel) else {
                continue;
            };
            lane.deficit += QUANTUM;
            while let Some(item) = lane.items.front_mut() {
                let size = item.next_frame();
                if size > lane.deficit && size <= MAX_CHUNK {
                    break;
                }
                lane.deficit = lane.deficit.saturating_sub(size);
                self.queued = self.queued.saturating_sub(size);
                let before_this = lane.queued;
                lane.queued = lane.queued.saturating_sub(size);
                let (call, first, last) = (item.call, item.first, item.last);
                let done = item.encode_next(out);
                if done {
                    lane.items.pop_front();
                }
                let step = Step {
                    call,
                    end: self.handed_out + (out.len() - before) as u64,
                    first,
                    last: last && done,
                    drained: lane.items.front().is_none_or(|next| next.call != call),
                    room: before_this >= SEND_AGAIN && lane.queued < SEND_AGAIN,
                };
                if step.first || step.last || step.drained || step.room {
                    self.steps.push(step);
                }
            }
            if lane.items.is_empty() {
                self.lanes.remove(&channel);
            } else {
                self.turns.push_back(channel);
            }
        }
        self.handed_out += (out.len() - before) as u64;
    }

    /// What left its queue since the last time.
    pub(crate) fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// Gives back memory that a burst needed.
    pub(crate) fn shrink(&mut self) {
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
        if self.lanes.is_empty() {
            self.lanes.shrink_to_fit();
            self.turns.shrink_to_fit();
        }
    }
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.len(),
            Self::Batch(data) => data.len(),
            Self::Split(data) => data.len(),
        }
    }
}

impl Item {
    /// Puts a small piece into the same frame, if it belongs to the call and there is room. False: it does not.
    fn merge(&mut self, call: CallId, chunk: &Chunk, last: bool) -> bool {
        let cost = self.cost + chunk.cost();
        let fits = self.body.len() + chunk.len() <= self.framing.room() && cost <= PIECE;
        if self.call != call || self.last || self.framing.envelope.is_none() || !fits {
            return false;
        }
        if let Body::Chunk(before) = &self.body {
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
    fn next_frame(&self) -> usize {
        match &self.body {
            Body::Chunk(chunk) => chunk.len(),
            Body::Batch(data) => data.len(),
            Body::Split(data) => data.len().min(self.framing.room()),
        }
    }

    /// Encodes the next frame; true if it was the item's last one.
    fn encode_next(&mut self, out: &mut Vec<u8>) -> bool {
        match &mut self.body {
            Body::Chunk(chunk) => {
                self.framing.encode(
                    out,
                    self.call,
                    (self.first, self.last),
                    chunk.head(),
                    &chunk.body,
                );
                true
            }
            Body::Batch(data) => {
                let place = (self.first, self.last);
                self.framing.encode(out, self.call, place, &[], data);
                true
            }
            Body::Split(data) => {
                let piece = data.split_to(data.len().min(self.framing.room()));
                let done = data.is_empty();
                self.framing
                    .encode(out, self.call, (self.first, self.last && done), &[], &piece);
                self.first = false;
                done
            }
        }
    }
}
