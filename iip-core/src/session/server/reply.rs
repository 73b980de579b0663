use super::state::*;
use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::session::assembly::Assembly;
use crate::session::channel::{CallId, MessageState, Profile};
use crate::session::control::{ENVELOPE_RESPONSE, ErrorReply};
use crate::session::event::{Lookup, ServerEvent};
use crate::session::framing::Framing;
use crate::session::payload::{Chunk, MAX_CHUNK, Payload};
use crate::session::send_queue::Withdrawn;
use crate::wire::{ChannelId, MAX_DATA, Path};

impl<L: Lookup> ServerSession<L> {
    pub(super) fn enqueue(&mut self, id: ChannelId, mut pending: Pending, complete: bool) {
        let channel = self.channels.entry(id);
        if channel.active.is_none() && channel.queue.is_empty() {
            self.start(id, pending, complete);
            return;
        }
        pending.detach();
        if let Pending::Request(request) = &pending {
            self.held += request.data.len();
        }
        channel.queue.push_back(pending);
        self.queued += 1;
        if channel.queue.len() == self.limits.max_queued_per_channel {
            self.full_channels += 1;
        }
    }

    pub(super) fn next_call(&mut self, channel: ChannelId) -> CallId {
        self.generation += 1;
        CallId {
            channel,
            generation: self.generation,
        }
    }

    pub(super) fn start(&mut self, id: ChannelId, pending: Pending, complete: bool) {
        let native = self.profile == Profile::Native;
        let call = self.next_call(id);
        let route = match &pending {
            Pending::Answer { route, .. } => *route,
            Pending::Request(request) | Pending::Cancelled(request) => request.route as u32,
        };
        let framing = |path: Option<&Path>, envelope: Option<u16>| Framing {
            response: true,
            route,
            path: if native { None } else { path.cloned() },
            envelope: envelope.map(|seq| (ENVELOPE_RESPONSE, seq)),
            max_data: if native { MAX_CHUNK } else { MAX_DATA as usize },
        };
        let cancelled = matches!(pending, Pending::Cancelled(_));
        match pending {
            Pending::Answer { path, data, .. } => {
                let framing = framing(Some(&path), None);
                self.output
                    .push(call, &framing, Payload::Whole(data), true, true);
            }
            Pending::Request(request) | Pending::Cancelled(request) => {
                self.channels.entry(id).active = Some(Active {
                    generation: call.generation,
                    framing: framing(request.path.as_ref(), request.envelope),
                    begun: false,
                    deadline: None,
                    route: request.route,
                    arrived: request.arrived,
                    max_message: request.max_message,
                    flow: None,
                });
                self.in_flight += 1;
                if cancelled {
                    let route = request.route;
                    self.pending_events
                        .push_back(ServerEvent::Cancelled { call, route });
                    return;
                }
                self.pending_events.push_back(ServerEvent::Request {
                    call,
                    route: request.route,
                    path: request.path,
                    data: request.data,
                    enveloped: request.envelope.is_some(),
                    complete,
                    arrived: request.arrived,
                });
            }
        }
    }

    /// The response of the active call is complete: goes on with what waits on the channel.
    pub(super) fn finish_active(&mut self, id: ChannelId) {
        self.note_pause();
        let limit = self.message_limit(None);
        let activity = self.last_activity;
        let channel = self.channels.entry(id);
        let active = channel.active.take();
        self.in_flight -= 1;
        if matches!(channel.reception, Reception::Stream { .. }) {
            let discard = Assembly::refused(limit, activity);
            channel.reception = Reception::Discard(Box::new(discard));
        }
        if let Some(active) = active {
            let route = active.route as u32;
            self.output.tally.answer(route, active.arrived);
            self.output.forget(CallId {
                channel: id,
                generation: active.generation,
            });
            if let Some(flow) = active.flow {
                self.unconsumed = self.unconsumed.saturating_sub(flow.unconsumed());
                self.end_flow(id, *flow);
            }
        }
        self.settle(id);
        self.end_after_eof();
    }

    /// Starts what waits on a channel, or forgets the channel if nothing does.
    pub(super) fn settle(&mut self, id: ChannelId) {
        loop {
            let channel = self.channels.entry(id);
            if channel.active.is_some() {
                return;
            }
            let full = channel.queue.len() >= self.limits.max_queued_per_channel;
            let Some(pending) = channel.queue.pop_front() else {
                break;
            };
            if full && channel.queue.len() < self.limits.max_queued_per_channel {
                self.full_channels -= 1;
            }
            self.queued -= 1;
            if let Pending::Request(request) = &pending {
                self.held -= request.data.len();
            }
            self.start(id, pending, true);
        }
        let channel = self.channels.entry(id);
        if channel.queue.capacity() > 0 {
            channel.queue = VecDeque::new();
        }
        // The reference's client never gives a number back and goes on to the next.
        let idle = channel.incoming == MessageState::Idle;
        if idle
            && self.profile == Profile::Plain
            && id.index() >= self.limits.max_plain_channels as usize
        {
            self.channels.remove(id);
        }
    }
}

impl<L: Lookup> ServerSession<L> {
    /// The active call with this identity, if its response is still owed.
    pub(super) fn active(&mut self, call: CallId) -> Option<&mut Active> {
        self.channels
            .get_mut(call.channel)?
            .active
            .as_mut()
            .filter(|active| active.generation == call.generation)
    }

    /// Whether the call's response is still owed.
    pub fn is_owed(&mut self, call: CallId) -> bool {
        self.active(call).is_some()
    }

    /// Answers a call with a whole response, or completes one of records. False, and nothing is sent, if the call was
    /// answered before, or with a part of a raw response, which must not end with what does not belong to it.
    ///
    /// Raw data must not be empty; an empty answer becomes code 101, as the reference has it.
    pub fn respond(&mut self, call: CallId, payload: Payload) -> bool {
        let begun_raw = |active: &Active| active.begun && active.framing.envelope.is_none();
        if self.active(call).is_some_and(|active| begun_raw(active)) {
            return false;
        }
        self.send(call, payload, true)
    }

    /// Sends a part of a response; `last` completes it. False, and nothing is sent, if the response was completed
    /// before.
    pub fn send(&mut self, call: CallId, mut payload: Payload, last: bool) -> bool {
        let Some(active) = self.active(call) else {
            return false;
        };
        if payload.is_empty() && active.framing.envelope.is_none() {
            if !last {
                return true;
            }
            let none = ErrorReply::new(ErrorReply::NO_RESPONSE, "handle no response");
            payload = Payload::Whole(none.to_json().into());
        }
        let first = !active.begun;
        active.begun = true;
        let framing = active.framing.clone();
        self.output.push(call, &framing, payload, first, last);
        if last {
            self.finish_active(call.channel);
        }
        if self.overfull.is_none() && self.output.len() > self.limits.write_hard_limit {
            self.arm(Some(self.last_activity));
        }
        true
    }

    /// Sends a further piece of a response of records; `last` completes it. False, and nothing is sent, if the response
    /// was completed before, or is none of records.
    pub fn push(&mut self, call: CallId, chunk: Chunk, last: bool) -> bool {
        let Some(active) = self
            .active(call)
            .filter(|active| active.framing.envelope.is_some())
        else {
            return false;
        };
        let first = !active.begun;
        active.begun = true;
        let framing = active.framing.clone();
        self.output.push_chunk(call, &framing, chunk, first, last);
        if last {
            self.finish_active(call.channel);
        }
        true
    }

    /// Answers a call that was cancelled, has expired or is cut short: what is unsent of its response, if that is of
    /// records, is dropped, and `payload` ends it. False, and nothing is sent, in the cases of
    /// [`respond`](Self::respond).
    pub fn abort(&mut self, call: CallId, payload: Payload) -> bool {
        let enveloped = self
            .active(call)
            .is_some_and(|active| active.begun && active.framing.envelope.is_some());
        if enveloped
            && self.output.withdraw(call) == Withdrawn::Everything
            && let Some(active) = self.active(call)
        {
            active.begun = false;
        }
        self.respond(call, payload)
    }

    /// Answers a call with an error below the envelope. False if it was answered, or its response had begun.
    pub fn refuse(&mut self, call: CallId, reply: &ErrorReply) -> bool {
        self.refuse_with(call, reply.to_json().into())
    }

    /// As [`refuse`](Self::refuse), with the text of the error object.
    pub(crate) fn refuse_with(&mut self, call: CallId, json: Bytes) -> bool {
        let Some(active) = self.active(call).filter(|active| !active.begun) else {
            return false;
        };
        active.framing.envelope = None;
        self.send(call, Payload::Whole(json), true)
    }

    /// Asks for [`ServerEvent::Expired`] if the call is not answered at `deadline`.
    pub fn set_deadline(&mut self, call: CallId, deadline: Instant) {
        if let Some(active) = self.active(call) {
            active.deadline = Some(deadline);
            self.arm(Some(deadline));
        }
    }

    #[cfg(test)]
    pub(crate) fn unsent(&self, call: CallId) -> usize {
        self.output.queued_on(call.channel)
    }

    /// Whether little enough of a call's response is unsent for more to be given.
    pub fn has_room(&self, call: CallId) -> bool {
        self.output.has_room(call)
    }
}
