use std::time::Instant;

use super::lease::{Channel, Stage};
use super::state::{ClientSession, MAX_PLAIN_CHANNELS};
use crate::session::channel::{CallId, Delivery, Format, MessageState, Profile};
use crate::session::control::ConnectionEvent;
use crate::session::event::ClientEvent;
use crate::session::framing::Framing;
use crate::session::keep_alive::Need;
use crate::session::payload::{Chunk, MAX_CHUNK, Payload};
use crate::session::send_queue::Withdrawn;
use crate::session::tally::NO_ROUTE;
use crate::wire::{ChannelId, MAX_DATA, Path};

/// A CANCEL record with reason 0.
const CANCEL: [u8; 3] = [6, 1, 0];

/// How a call is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// What the data is.
    pub format: Format,
    /// How the response is handed over.
    pub delivery: Delivery,
    /// When to give up waiting.
    pub deadline: Option<Instant>,
    /// Whether the payload is only the request's beginning.
    pub more: bool,
}

/// Why a call could not begin. Nothing was sent; the payload comes back.
#[derive(Debug)]
pub enum OpenError {
    /// Every channel is in use. [`ClientEvent::Capacity`] follows if one becomes free.
    NoChannel(Payload),
    /// The connection takes no more calls.
    Closed(Payload),
    /// The request is empty, which IIP cannot carry.
    Empty,
    /// A plain server takes a request of one frame only.
    TooLarge,
}

/// What became of a request that was to end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is complete, or was answered.
    No,
    /// The server is told, and answers.
    Told,
    /// Nothing of it was sent, and no answer will come.
    Withdrawn,
}

/// How the parts of a request look that follow its first; without a sequence number it is a raw one.
fn further(envelope: Option<u16>) -> Framing {
    Framing {
        response: false,
        route: NO_ROUTE,
        path: None,
        envelope: envelope.map(|seq| (0, seq)),
        max_data: MAX_CHUNK,
    }
}

impl ClientSession {
    /// Begins a call: leases a channel and queues the request.
    ///
    /// # Errors
    ///
    /// Nothing was sent, see [`OpenError`].
    pub fn open(
        &mut self,
        path: &Path,
        options: OpenOptions,
        payload: Payload,
        now: Instant,
    ) -> Result<CallId, OpenError> {
        let Some(profile) = self
            .profile
            .filter(|_| self.ended.is_none() && !self.is_draining())
        else {
            return Err(OpenError::Closed(payload));
        };
        let native = profile == Profile::Native;
        let enveloped = native && options.format == Format::Enveloped;
        if !enveloped && payload.is_empty() {
            return Err(OpenError::Empty);
        }
        if !native && (options.more || payload.len() > MAX_DATA as usize) {
            return Err(OpenError::TooLarge);
        }
        let Some(id) = self.leases.take() else {
            self.want_channels();
            return Err(OpenError::NoChannel(payload));
        };
        if self.in_flight == 0 {
            self.ping_if_due(now);
        }
        let channel = self.channels.entry(id);
        channel.generation += 1;
        channel.stage = Stage::Leased;
        channel.envelope = if enveloped {
            Some(channel.next_seq())
        } else {
            None
        };
        channel.delivery = options.delivery;
        channel.response = MessageState::Idle;
        channel.request_complete = !options.more;
        channel.response_complete = false;
        channel.cancelled = false;
        channel.first_end = u64::MAX;
        channel.sent_end = u64::MAX;
        channel.runs_early = options.more || !enveloped;
        channel.deadline = options.deadline;
        channel.path = if native {
            None
        } else {
            Some(path.without_query())
        };
        let call = CallId {
            channel: id,
            generation: channel.generation,
        };
        let framing = Framing {
            response: false,
            route: NO_ROUTE,
            path: Some(path.clone()),
            envelope: channel.envelope.map(|seq| (0, seq)),
            max_data: if native { MAX_CHUNK } else { MAX_DATA as usize },
        };
        self.in_flight += 1;
        let end = self
            .output
            .push(call, &framing, payload, true, !options.more);
        if let Some(end) = end {
            let channel = self.channels.entry(id);
            channel.first_end = end;
            if !options.more {
                channel.sent_end = end;
            }
        }
        self.arm(options.deadline);
        Ok(call)
    }

    /// Sends a further part of a request; `last` completes it. False, and nothing is sent, if the request was completed
    /// or the call is over.
    pub fn send(&mut self, call: CallId, payload: Payload, last: bool) -> bool {
        let Some(channel) = self
            .channel_of(call)
            .filter(|channel| !channel.request_complete)
        else {
            return false;
        };
        let envelope = channel.envelope;
        if channel.response_complete || (payload.is_empty() && envelope.is_none() && !last) {
            return !channel.response_complete;
        }
        channel.request_complete = last;
        let framing = further(envelope);
        // IIP has no empty frame: a raw request that ends with nothing to say cannot be told from one that ends with
        // a byte, so its sender holds the last piece back instead.
        debug_assert!(envelope.is_some() || !payload.is_empty());
        let end = self.output.push(call, &framing, payload, false, last);
        if let (Some(end), true) = (end, last) {
            self.channels.entry(call.channel).sent_end = end;
        }
        true
    }

    /// Sends a further piece of a request of records; `last` completes it. False, and nothing is sent, if the request was
    /// completed or the call is over.
    pub fn push(&mut self, call: CallId, chunk: Chunk, last: bool) -> bool {
        let Some(channel) = self
            .channel_of(call)
            .filter(|channel| !channel.request_complete && !channel.response_complete)
        else {
            return false;
        };
        let Some(seq) = channel.envelope else {
            return false;
        };
        channel.request_complete = last;
        let framing = further(Some(seq));
        self.output.push_chunk(call, &framing, chunk, false, last);
        true
    }

    /// Ends a request of records before its time, with CANCEL in its last frame.
    pub fn cancel_request(&mut self, call: CallId) -> Cancelled {
        let open = self.channel_of(call).is_some_and(|channel| {
            !channel.request_complete && !channel.response_complete && channel.envelope.is_some()
        });
        if !open {
            return Cancelled::No;
        }
        self.give_up(call);
        match self.channel_of(call) {
            Some(channel) if channel.response_complete => Cancelled::Withdrawn,
            _ => Cancelled::Told,
        }
    }

    /// Nobody waits for the call any more, who is to be told how it ended before it is released: what was not sent of its
    /// request is not. Whether the server can run it nevertheless; what was encoded is on its way, even if the socket has
    /// not accepted it yet.
    pub fn expire(&mut self, call: CallId) -> bool {
        let Some(channel) = self
            .channel_of(call)
            .filter(|channel| channel.sent_end == u64::MAX && !channel.response_complete)
        else {
            return true;
        };
        // Of a typed request that its handler gets whole, and that ends with CANCEL, no handler hears.
        let unheard = channel.envelope.is_some() && !channel.runs_early;
        self.give_up(call);
        let withdrawn = |channel: &mut Channel| channel.response_complete;
        !unheard && !self.channel_of(call).is_some_and(withdrawn)
    }

    /// Whether the call was begun here and not released.
    pub fn is_current(&self, call: CallId) -> bool {
        self.channels.get(call.channel).is_some_and(|channel| {
            channel.generation == call.generation && channel.stage == Stage::Leased
        })
    }

    /// The caller is done with the call, whatever its state. The channel is free when both directions are complete.
    pub fn release(&mut self, call: CallId, now: Instant) {
        let Some(channel) = self.channel_of(call) else {
            return;
        };
        channel.stage = Stage::Abandoned;
        channel.deadline = None;
        let flow = channel.flow.take();
        let assembled = channel.assembly.take().map(|assembly| assembly.held());
        if let Some(held) = assembled {
            self.held -= held;
            self.incomplete -= 1;
        }
        if let Some(flow) = flow {
            self.end_flow(call.channel, *flow);
        }
        self.in_flight -= 1;
        self.tombstones += 1;
        self.give_up(call);
        self.acknowledge();
        self.settle(call.channel);
        let channel = self.channels.entry(call.channel);
        if channel.stage == Stage::Abandoned && channel.generation == call.generation {
            channel.abandoned_at = Some(now);
            self.arm(Some(now + super::timeout::ABANDONED_LIMIT));
        }
        self.end_when_done();
    }

    /// Nobody waits for the answer: what was not sent of the request need not be, and the server is told, once: in the
    /// request's last frame, or on the event stream if that is on its way.
    fn give_up(&mut self, call: CallId) {
        let channel = self.channels.entry(call.channel);
        if channel.sent_end != u64::MAX {
            if let (Some(seq), false, false) = (
                channel.envelope,
                channel.response_complete,
                channel.cancelled,
            ) {
                channel.cancelled = true;
                let (channel, sent_end) = (call.channel, channel.sent_end);
                self.push_urgent(&ConnectionEvent::Cancel { channel, seq }, sent_end);
            }
        } else if channel.envelope.is_some() || channel.response_complete {
            self.end_request(call);
        } else if channel.request_complete && self.output.has_first(call) {
            self.output.withdraw(call);
            let channel = self.channels.entry(call.channel);
            channel.response_complete = true;
            channel.sent_end = 0;
        }
        // A raw request that has begun cannot be cancelled: cut short, it would look complete to its handler. What is
        // queued goes out; what its sender never gave leaves the channel abandoned, until the server's limits answer.
    }

    /// Ends a request before its time: drops what is queued of it, and sends the last frame.
    pub(super) fn end_request(&mut self, call: CallId) {
        let withdrawn = self.output.withdraw(call);
        let channel = self.channels.entry(call.channel);
        if withdrawn == Withdrawn::Nothing && channel.request_complete {
            return;
        }
        channel.request_complete = true;
        if withdrawn == Withdrawn::Everything {
            // Nothing is owed for what was never sent.
            channel.response_complete = true;
            channel.sent_end = 0;
            return;
        }
        let envelope = channel.envelope;
        let framing = further(envelope);
        // A raw request gets here only when it was answered, and the server reads past the byte.
        let last: &'static [u8] = if envelope.is_some() { &CANCEL } else { &[0] };
        // Nothing of the call is queued any more.
        let end = self.output.push_ready(call, &framing, last, false, true);
        self.output.forget(call);
        let channel = self.channels.entry(call.channel);
        channel.sent_end = end;
        channel.cancelled = envelope.is_some();
    }

    /// Free channels: how many calls may begin at once.
    pub fn available(&self) -> usize {
        if self.ended.is_some() || self.profile.is_none() || self.is_draining() {
            return 0;
        }
        self.leases.available()
    }

    /// Most channels this side uses.
    pub(super) fn channel_limit(&self) -> u32 {
        match self.profile {
            Some(Profile::Native) => self.config.limits.native_channels(),
            _ => self.config.limits.max_channels.min(MAX_PLAIN_CHANNELS),
        }
    }

    /// Asks for more channels, where the server has not said that there are no more. True: some are on their way, or a
    /// [`ClientEvent::Capacity`] that says that there are none.
    pub fn want_channels(&mut self) -> bool {
        let limit = self.channel_limit();
        let have = self.leases.total + self.leases.requested;
        if self.is_draining() || self.ended.is_some() {
            return false;
        }
        if self.leases.exhausted || self.leases.requested > 0 {
            return self.leases.requested > 0;
        }
        // Doubling: as many round trips as the number has bits, and never more than twice what is needed.
        let more = have.clamp(1, 64).min(limit.saturating_sub(have));
        for _ in 0..more {
            self.request_channel();
        }
        more > 0
    }

    fn ping_if_due(&mut self, now: Instant) {
        if let Need::Ping(token) = self.pinger.poll(true, now) {
            self.ping(token);
        }
        let deadline = self.pinger.deadline(true);
        self.arm(Some(deadline));
    }

    /// Frees the channel of an abandoned call once both directions are complete.
    pub(super) fn settle(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        if channel.stage == Stage::Abandoned && channel.is_complete() {
            channel.stage = Stage::Free;
            channel.abandoned_at = None;
            channel.path = None;
            self.tombstones -= 1;
            let none_before = self.leases.available() == 0;
            self.leases.give_back(id);
            if none_before {
                self.pending_events.push_back(ClientEvent::Capacity);
            }
            self.end_when_done();
        }
    }

    /// The channel of a call that was not released.
    pub(super) fn channel_of(&mut self, call: CallId) -> Option<&mut Channel> {
        self.channels.get_mut(call.channel).filter(|channel| {
            channel.generation == call.generation && channel.stage == Stage::Leased
        })
    }
}
