use std::time::Instant;

use super::lease::Stage;
use super::state::ClientSession;
use crate::session::channel::{CallId, Delivery};
use crate::session::control::ConnectionEvent;
use crate::session::credit::{Excess, Grant, Inflow, too_many_windows};
use crate::session::error::Violation;
use crate::wire::ChannelId;

impl ClientSession {
    /// Counts a frame of a response. False: a message is too large.
    pub(super) fn receive_records(
        &mut self,
        id: ChannelId,
        records: &[u8],
        last: bool,
        now: Instant,
    ) -> Result<bool, Violation> {
        let window = u64::from(self.config.limits.window_bytes());
        let most = self.config.limits.max_message as u64;
        let channel = self.channels.entry(id);
        let flow = channel
            .flow
            .get_or_insert_with(|| Box::new(Inflow::new(window)));
        let fits = match flow.receive(records, most) {
            Ok(()) => true,
            Err(Excess::Message) => false,
            Err(Excess::Credit) => return Err(Violation::Overrun(id)),
        };
        if channel.delivery == Delivery::Frames && flow.is_chaff() {
            return Err(Violation::Flood("frames that carry next to nothing"));
        }
        if last && channel.delivery == Delivery::Whole {
            if let Some(flow) = channel.flow.take() {
                self.end_flow(id, *flow);
            }
        } else {
            self.grant_arrived(id, fits && !last, now);
        }
        Ok(fits)
    }

    /// The application has taken messages of the response that cost so much credit: the server may send as much again.
    pub fn consumed(&mut self, call: CallId, cost: usize, now: Instant) {
        let Some(channel) = self.channels.get_mut(call.channel).filter(|channel| {
            channel.generation == call.generation && channel.stage == Stage::Leased
        }) else {
            return;
        };
        let Some(flow) = &mut channel.flow else {
            return;
        };
        flow.consume(cost as u64, &mut self.pool);
        if !channel.response_complete {
            self.grant(call.channel, now);
        }
        self.serve_waiting(now);
    }

    /// Grants a response what it is to be granted now. False: it has to wait.
    fn grant(&mut self, id: ChannelId, now: Instant) -> bool {
        let Some(channel) = self.channels.get_mut(id) else {
            return true;
        };
        let (Some(flow), Some(seq)) = (&mut channel.flow, channel.envelope) else {
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
                self.pool.forget(id);
                self.push_urgent(&window, 0);
                true
            }
            Grant::Later => {
                self.pool.wait(id);
                false
            }
        }
    }

    /// Grants what is to be granted after a frame, if anything is.
    fn grant_arrived(&mut self, id: ChannelId, grants: bool, now: Instant) {
        let waited = self.pool.waits(id);
        if grants {
            self.grant(id, now);
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
            if !self.grant(next, now) {
                return;
            }
            self.pool.forget(next);
        }
    }

    pub(super) fn end_flow(&mut self, id: ChannelId, flow: Inflow) {
        flow.end(&mut self.pool);
        self.pool.forget(id);
        self.serve_waiting(self.last_read);
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
        let current = self.channels.get(id).filter(|channel| {
            let live = matches!(channel.stage, Stage::Leased | Stage::Abandoned);
            live && channel.envelope == Some(seq) && channel.sent_end == u64::MAX
        });
        let current = current.map(|channel| CallId {
            channel: id,
            generation: channel.generation,
        });
        match current {
            Some(_) if !self.output.grant(id, seq, bytes, current) => Err(Violation::Overgrant(id)),
            _ => Ok(()),
        }
    }

    /// Credit that is lent to responses beyond the windows they began with.
    pub fn lent(&self) -> u64 {
        self.pool.lent()
    }
}
