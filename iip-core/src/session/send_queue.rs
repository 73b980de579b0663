//! What a connection has still to send, in the order in which it goes out (`docs/protocol.md`, section 8).
//!
//! A message of one small frame is encoded at once, behind everything that is ready. What is larger than a chunk
//! waits in a queue of its channel, and the queues take turns by deficit round robin, so that bulk never holds up a
//! small message by more than one chunk for each bulk channel.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::channel::CallId;
use super::cost::PIECE;
use super::credit::{MIN_WINDOW, Outflow};
use super::framing::Framing;
use super::lane::{Body, Item, Lane, MERGED};
use super::output::{SMALL_STEP, Sink};
use super::payload::{Chunk, MAX_CHUNK, Payload};
use super::tally::Tally;
use crate::wire::ChannelId;

/// Bytes a channel may send in one turn. Half a chunk: two channels with full chunks alternate frame by frame.
const QUANTUM: usize = 16 * 1024;

/// Unsent bytes at which whoever sends piece by piece waits.
const SEND_AHEAD: usize = 2 * MAX_CHUNK;

/// The same for a sender whose credit covers them: a reader that keeps up is given much at a time, since each turn costs
/// both sides a wake-up.
const SEND_FAR_AHEAD: usize = 4 * SEND_AHEAD;

/// Unsent bytes at which such a sender goes on: early enough for the next piece to be there before the last one is out.
const fn again(ahead: usize) -> usize {
    ahead / 2
}

/// Parts of messages are encoded at once while less than this waits behind the encoded ones, bytes.
const ENCODED_AT_ONCE: usize = 64 * 1024;

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
#[derive(Debug)]
pub(crate) struct SendQueue {
    /// Goes ahead of everything else.
    urgent: Vec<u8>,
    ready: Vec<u8>,
    lanes: HashMap<ChannelId, Lane>,
    turns: VecDeque<ChannelId>,
    queued: usize,
    /// Of these, bytes that need no credit, and bytes in lanes that wait for credit.
    free: usize,
    waiting: usize,
    /// The window the peer announced.
    window: u64,
    /// What the calls may still send whose messages take more than one frame, until their last one is out.
    flows: HashMap<CallId, Outflow>,
    /// Credit used since the start.
    used: u64,
    /// Bytes handed to the driver since the start.
    handed_out: u64,
    steps: Vec<Step>,
    /// What a server has sent and received.
    pub(crate) tally: Tally,
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

impl Default for SendQueue {
    fn default() -> Self {
        Self {
            urgent: Vec::new(),
            ready: Vec::new(),
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            queued: 0,
            free: 0,
            waiting: 0,
            window: u64::from(MIN_WINDOW),
            flows: HashMap::new(),
            used: 0,
            handed_out: 0,
            steps: Vec::new(),
            tally: Tally::default(),
        }
    }
}

impl SendQueue {
    /// The peer has said what every call may send to begin with.
    pub(crate) fn set_window(&mut self, window: u32) {
        self.window = u64::from(window);
    }

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
            // Of a message that is one frame, the credit that every call begins with is enough.
            Payload::Whole(data) if framing.envelope.is_some() && !(first && last) => {
                self.push_chunk(call, framing, Chunk::new(&[], data), first, last);
                None
            }
            Payload::Whole(data)
                if !queued_before
                    && data.len() <= framing.room().min(MAX_CHUNK)
                    && (first && last || self.ready.len() < ENCODED_AT_ONCE) =>
            {
                Some(self.push_ready(call, framing, &data, first, last))
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
            if lane.waits {
                self.waiting += chunk.len();
            } else if lane.items.len() == 1 {
                self.review(call.channel);
            }
            return;
        }
        self.enqueue(call, framing, Body::Chunk(chunk), first, last);
    }

    fn enqueue(&mut self, call: CallId, framing: &Framing, body: Body, first: bool, last: bool) {
        let cost = match &body {
            Body::Chunk(chunk) if framing.envelope.is_some() => chunk.cost(),
            _ => 0,
        };
        if framing.envelope.is_some() && !(last && cost == 0) {
            let window = self.window;
            self.flows
                .entry(call)
                .or_insert_with(|| Outflow::new(window));
        }
        let lane = self.lanes.entry(call.channel).or_default();
        lane.mixed |= lane.items.back().is_some_and(|item| item.call != call);
        let size = body.len();
        self.queued += size;
        lane.queued += size;
        if framing.envelope.is_none() {
            self.free += size;
        }
        if lane.waits {
            self.waiting += size;
        }
        let is_first = lane.items.is_empty();
        lane.items.push_back(Item {
            call,
            framing: framing.clone(),
            body,
            cost,
            first,
            last,
        });
        if is_first {
            self.place(call.channel);
        }
    }

    /// Gives a lane that takes no part yet its turn, or lets it wait for credit.
    fn place(&mut self, channel: ChannelId) {
        let Some(lane) = self.lanes.get_mut(&channel) else {
            return;
        };
        lane.waits = lane.lacks_credit(&self.flows);
        if lane.waits {
            lane.deficit = 0;
            self.waiting += lane.queued;
        } else {
            self.turns.push_back(channel);
        }
    }

    /// Looks again whether a lane has to wait.
    fn review(&mut self, channel: ChannelId) {
        let Some(lane) = self.lanes.get_mut(&channel) else {
            return;
        };
        if lane.waits == lane.lacks_credit(&self.flows) {
            return;
        }
        if lane.waits {
            self.waiting = self.waiting.saturating_sub(lane.queued);
        } else {
            self.turns.retain(|turn| *turn != channel);
        }
        self.place(channel);
    }

    /// The peer grants credit to the call on `channel` with this sequence number. `current`: the call that is in
    /// progress there, if it is that one. Nothing happens if there is no such call, or all of it is out. False: more
    /// credit than there can be.
    pub(crate) fn grant(
        &mut self,
        channel: ChannelId,
        seq: u16,
        bytes: u64,
        current: Option<CallId>,
    ) -> bool {
        let queued = self.lanes.get(&channel).and_then(|lane| {
            let of_call = |item: &&Item| item.framing.envelope.is_some_and(|(_, of)| of == seq);
            lane.items.iter().find(of_call).map(|item| item.call)
        });
        let Some(call) = queued.or(current) else {
            return true;
        };
        let window = self.window;
        let flow = self
            .flows
            .entry(call)
            .or_insert_with(|| Outflow::new(window));
        let granted = flow.grant(bytes);
        self.review(channel);
        granted
    }

    /// Nobody waits any more for what is queued of the call on `channel` with this sequence number: only an empty last
    /// frame is left of it.
    pub(crate) fn cut(&mut self, channel: ChannelId, seq: u16) {
        let Some(lane) = self.lanes.get_mut(&channel) else {
            return;
        };
        let is_it = |item: &Item| item.framing.envelope.is_some_and(|(_, of)| of == seq);
        let Some(at) = lane.items.iter().position(is_it) else {
            return;
        };
        // Complete, or its handler still has to be heard.
        if !lane.items.iter().any(|item| is_it(item) && item.last) {
            return;
        }
        let mut dropped = 0;
        let mut index = 0;
        lane.items.retain_mut(|item| {
            let here = index;
            index += 1;
            if !is_it(item) {
                return true;
            }
            dropped += item.body.len();
            item.body = Body::Batch(Vec::new());
            item.cost = 0;
            item.last = true;
            here == at
        });
        if lane.waits {
            self.waiting = self.waiting.saturating_sub(dropped);
        }
        self.queued = self.queued.saturating_sub(dropped);
        lane.queued = lane.queued.saturating_sub(dropped);
        self.review(channel);
    }

    /// The call is over: what it may send is of no interest once nothing of it is queued.
    pub(crate) fn forget(&mut self, call: CallId) {
        if !self.flows.is_empty()
            && self
                .lanes
                .get(&call.channel)
                .is_none_or(|lane| lane.items.iter().all(|item| item.call != call))
        {
            self.flows.remove(&call);
        }
    }

    /// Puts a frame behind what is ready, however much that is. Returns the offset in the stream at which it ends.
    #[inline(always)]
    pub(crate) fn push_ready(
        &mut self,
        call: CallId,
        framing: &Framing,
        data: &[u8],
        first: bool,
        last: bool,
    ) -> u64 {
        let before = self.ready.len();
        framing.encode(&mut self.ready, call, (first, last), &[], data);
        self.count(call, framing, self.ready.len() - before, last);
        self.handed_out + self.ready.len() as u64
    }

    /// Puts a frame ahead of everything that is not handed out yet. It must not overtake what ends at `after`.
    pub(crate) fn push_urgent(&mut self, call: CallId, framing: &Framing, data: &[u8], after: u64) {
        if after > self.handed_out {
            self.push_ready(call, framing, data, false, false);
            return;
        }
        let before = self.urgent.len();
        framing.encode(&mut self.urgent, call, (false, false), &[], data);
        self.count(call, framing, self.urgent.len() - before, false);
    }

    /// Counts a frame of a server.
    #[inline(always)]
    fn count(&mut self, call: CallId, framing: &Framing, bytes: usize, last: bool) {
        if framing.response {
            self.tally.send(framing.route, call.channel, bytes, last);
        }
    }

    /// Frames that wait in queues.
    pub(crate) fn queued_frames(&self) -> usize {
        self.lanes.values().map(|lane| lane.items.len()).sum()
    }

    /// Credit used since the start.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Whether there is anything to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.urgent.is_empty() && self.turns.is_empty()
    }

    /// Bytes that went out since the start.
    pub(crate) fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// Unsent bytes that no credit covers.
    pub(crate) fn uncovered(&self) -> usize {
        self.ready.len() + self.free
    }

    /// Unsent bytes that wait for credit.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Unsent bytes that wait for nothing but the peer's reading them.
    pub(crate) fn len(&self) -> usize {
        self.ready.len() + self.urgent.len() + self.queued.saturating_sub(self.waiting)
    }

    /// Whether whoever sends a call piece by piece may add one.
    pub(crate) fn has_room(&self, call: CallId) -> bool {
        let Some(lane) = self.lanes.get(&call.channel) else {
            return true;
        };
        let covered = |flow: &Outflow| flow.allows((lane.queued + PIECE) as u64);
        // Only what it has queued itself tells it when to go on.
        let nothing = lane.items.back().is_none_or(|item| item.call != call);
        nothing
            || lane.queued < SEND_AHEAD
            || lane.queued < SEND_FAR_AHEAD && self.flows.get(&call).is_some_and(covered)
    }

    #[cfg(test)]
    pub(crate) fn queued_on(&self, channel: ChannelId) -> usize {
        self.lanes.get(&channel).map_or(0, |lane| lane.queued)
    }

    /// Whether anything waits in the queue of one channel.
    pub(crate) fn has_queued(&self, channel: ChannelId) -> bool {
        let lane = self.lanes.get(&channel);
        lane.is_some_and(|lane| !lane.items.is_empty())
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
        let (mut dropped, mut free) = (0, 0);
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
            if item.framing.envelope.is_none() {
                free += item.body.len();
            }
            false
        });
        if lane.waits {
            self.waiting = self.waiting.saturating_sub(dropped);
        }
        self.queued = self.queued.saturating_sub(dropped);
        self.free = self.free.saturating_sub(free);
        lane.queued = lane.queued.saturating_sub(dropped);
        if result != Withdrawn::Nothing {
            self.flows.remove(&call);
        }
        if lane.items.is_empty() {
            self.lanes.remove(&call.channel);
            self.turns.retain(|channel| *channel != call.channel);
        } else {
            self.review(call.channel);
        }
        result
    }

    /// Moves bytes to send to the end of `out`, at most about a step unless small frames alone are more. Of what waits
    /// in queues a chunk goes out each time, however much small frames there are.
    pub(crate) fn transmit(&mut self, out: &mut impl Sink) {
        let before = out.len();
        if !self.urgent.is_empty() {
            out.append(&mut self.urgent);
        }
        out.append(&mut self.ready);
        let target = (out.len() + 1).max(before + self.step(out.step()));
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
                if item.cost > 0
                    && let Some(flow) = self.flows.get_mut(&item.call)
                {
                    if !flow.take(item.cost as u64) {
                        break;
                    }
                    self.used = self.used.saturating_add(item.cost as u64);
                }
                if item.framing.envelope.is_none() {
                    self.free = self.free.saturating_sub(size);
                }
                lane.deficit = lane.deficit.saturating_sub(size);
                self.queued = self.queued.saturating_sub(size);
                let before_this = lane.queued;
                lane.queued = lane.queued.saturating_sub(size);
                let (call, first, last) = (item.call, item.first, item.last);
                let (counted, route) = (item.framing.response, item.framing.route);
                let frame_begins = out.len();
                let done = item.encode_next(out);
                if counted {
                    let bytes = out.len() - frame_begins;
                    self.tally.send(route, channel, bytes, last && done);
                }
                if done {
                    if last && item.framing.envelope.is_some() {
                        self.flows.remove(&call);
                    }
                    lane.items.pop_front();
                }
                let drained = lane.items.front().is_none_or(|next| next.call != call);
                let fell = |again: usize| before_this >= again && lane.queued < again;
                let step = Step {
                    call,
                    end: self.handed_out + (out.len() - before) as u64,
                    first,
                    last: last && done,
                    drained,
                    // Where another call waited, it may have been that one's frame with which it fell.
                    room: fell(again(SEND_AHEAD))
                        || fell(again(SEND_FAR_AHEAD))
                        || drained && lane.mixed,
                };
                if step.first || step.last || step.drained || step.room {
                    self.steps.push(step);
                }
            }
            if lane.items.is_empty() {
                self.lanes.remove(&channel);
            } else {
                self.place(channel);
            }
        }
        self.handed_out += (out.len() - before) as u64;
    }

    /// How much of what is queued goes out at a time: an eighth, so that whoever gives it piece by piece works on the next
    /// while the peer works on this one.
    fn step(&self, most: usize) -> usize {
        let queued = self.queued.saturating_sub(self.waiting);
        most.min(queued / 8).max(SMALL_STEP)
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
        if self.urgent.is_empty() {
            self.urgent = Vec::new();
        }
        if self.flows.is_empty() {
            self.flows.shrink_to_fit();
        }
        if self.lanes.is_empty() {
            self.lanes.shrink_to_fit();
            self.turns.shrink_to_fit();
        }
    }
}
