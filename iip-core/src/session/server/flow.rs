use super::state::*;
use std::time::Instant;

use crate::session::assembly::Assembly;
use crate::session::channel::CallId;
use crate::session::control::ConnectionEvent;
use crate::session::credit::{Grant, Inflow, too_many_windows};
use crate::session::error::Violation;
use crate::session::event::{Lookup, ServerEvent};
use crate::wire::ChannelId;

/// Cancellations a peer may send beyond one for each of its calls.
const SPARE_CANCELS: u64 = 100;

impl<L: Lookup> ServerSession<L> {
    /// The handler has taken messages of the request that cost so much credit: the client may send as much again.
    pub fn consumed(&mut self, call: CallId, cost: usize) {
        let now = self.last_activity;
        let Some(channel) = self.channels.get_mut(call.channel) else {
            return;
        };
        let open = matches!(channel.reception, Reception::Stream { .. });
        let Some(flow) = channel
            .active
            .as_mut()
            .filter(|active| active.generation == call.generation)
            .and_then(|active| active.flow.as_mut())
        else {
            return;
        };
        let before = flow.unconsumed();
        flow.consume(cost as u64, &mut self.pool);
        self.unconsumed = self.unconsumed.saturating_sub(before - flow.unconsumed());
        if open {
            self.grant_credit(call.channel, now);
        }
        self.serve_waiting(now);
    }

    /// Grants the request that is arriving on a channel what it is to be granted now. False: it has to wait.
    pub(super) fn grant_credit(&mut self, id: ChannelId, now: Instant) -> bool {
        let Some(channel) = self.channels.get_mut(id) else {
            return true;
        };
        let (flow, seq) = match (&mut channel.reception, &mut channel.active) {
            (Reception::Assembly(assembling), _) => {
                (&mut assembling.flow, assembling.request.envelope)
            }
            (Reception::Stream { envelope }, Some(active)) => (&mut active.flow, *envelope),
            _ => return true,
        };
        let (Some(flow), Some(seq)) = (flow, seq) else {
            return true;
        };
        let turn = self.pool.next_waiting().is_none_or(|next| next == id);
        match flow.grant(&mut self.pool, turn, now) {
            Grant::Nothing => {
                self.pool.forget(id);
                true
            }
            Grant::Bytes(bytes) => {
                let window = ConnectionEvent::Window {
                    channel: id,
                    seq,
                    bytes,
                };
                if self.pool.waits(id) {
                    // Its client could not go on before.
                    flow.restart();
                    self.pool.forget(id);
                    self.arm(Some(self.last_activity));
                }
                self.push_urgent(&window);
                true
            }
            Grant::Later => {
                self.pool.wait(id);
                false
            }
        }
    }

    /// Grants what is to be granted after a frame, if anything is.
    pub(super) fn grant_arrived(&mut self, id: ChannelId, grants: bool, now: Instant) {
        let waited = self.pool.waits(id);
        if grants {
            self.grant_credit(id, now);
        } else {
            self.pool.forget(id);
        }
        // Records in an order that is not allowed may have ended what it waited for.
        if waited && !self.pool.waits(id) {
            self.serve_waiting(now);
        }
    }

    /// Lets those go on who wait for the pool, in their order.
    fn serve_waiting(&mut self, now: Instant) {
        while let Some(next) = self.pool.next_waiting() {
            if !self.grant_credit(next, now) {
                return;
            }
            self.pool.forget(next);
        }
    }

    pub(super) fn end_flow(&mut self, id: ChannelId, flow: Inflow) {
        flow.end(&mut self.pool);
        self.pool.forget(id);
        self.serve_waiting(self.last_activity);
    }

    /// A request is assembled no longer.
    pub(super) fn end_assembling(
        &mut self,
        id: ChannelId,
        assembling: Assembling,
    ) -> (Assembly, Queued) {
        let Assembling {
            assembly,
            request,
            flow,
        } = assembling;
        self.incomplete -= 1;
        self.held -= assembly.held();
        if let Some(flow) = flow {
            self.end_flow(id, *flow);
        }
        (assembly, request)
    }

    pub(super) fn handle_window(
        &mut self,
        id: ChannelId,
        seq: u16,
        bytes: u64,
    ) -> Result<(), Violation> {
        self.windows += 1;
        if too_many_windows(self.windows, self.output.used()) {
            return Err(Violation::Flood("grants of credit"));
        }
        let active = self
            .channels
            .get(id)
            .and_then(|channel| channel.active.as_ref())
            .filter(|active| active.framing.envelope.is_some_and(|(_, of)| of == seq));
        let current = active.map(|active| CallId {
            channel: id,
            generation: active.generation,
        });
        if self.output.grant(id, seq, bytes, current) {
            Ok(())
        } else {
            Err(Violation::Overgrant(id))
        }
    }

    /// The client waits no longer for the call on this channel with this sequence number.
    pub(super) fn handle_cancel(
        &mut self,
        id: ChannelId,
        seq: u16,
        now: Instant,
    ) -> Result<(), Violation> {
        self.cancels += 1;
        if self.cancels > self.generation.saturating_add(SPARE_CANCELS) {
            return Err(Violation::Flood("cancellations"));
        }
        let limit = self.message_limit(None);
        let Some(channel) = self.channels.get_mut(id) else {
            return Ok(());
        };
        if let Some(active) = channel
            .active
            .as_ref()
            .filter(|active| active.framing.envelope.is_some_and(|(_, of)| of == seq))
        {
            let call = CallId {
                channel: id,
                generation: active.generation,
            };
            let route = active.route;
            self.pending_events
                .push_back(ServerEvent::Cancelled { call, route });
            return Ok(());
        }
        let is_it = |request: &Queued| request.envelope == Some(seq);
        if let Reception::Assembly(assembling) = &channel.reception
            && is_it(&assembling.request)
        {
            let discard = Reception::Discard(Box::new(Assembly::refused(limit, now)));
            if let Reception::Assembly(assembling) =
                std::mem::replace(&mut channel.reception, discard)
            {
                let request = self.end_assembling(id, *assembling).1;
                self.enqueue(id, Pending::Cancelled(request), true);
            }
            return Ok(());
        }
        for pending in &mut channel.queue {
            if let Pending::Request(request) = pending
                && is_it(request)
            {
                let held = request.data.len();
                let cancelled = Queued {
                    route: request.route,
                    max_message: request.max_message,
                    path: None,
                    data: bytes::Bytes::new(),
                    envelope: request.envelope,
                    arrived: request.arrived,
                };
                *pending = Pending::Cancelled(cancelled);
                self.held -= held;
                return Ok(());
            }
        }
        // It was answered, but the answer may wait for credit that will not come.
        self.output.cut(id, seq);
        Ok(())
    }
}
