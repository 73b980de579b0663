//! Bytes that move, and connections that end.

use iip_core::session::Ended;

use super::pipe::Pipe;
use super::recorder::{Outcome, Promise};
use super::world::World;

impl World {
    /// Deals with a connection that has ended on one side.
    pub(super) fn end_connection(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if let Some(how) = connection.quarrel() {
            self.recorder.breach(Promise::Peace, how);
        }
        if !connection.client_gone && connection.client.ended().is_some() {
            connection.client_gone = true;
            self.lose(index);
        }
        let connection = &mut self.connections[index];
        // What a client that is gone has sent may still arrive, and so may what a server has.
        let no_more = connection.client_gone && connection.to_server.is_empty();
        // What a server has said when it ends by itself still goes out.
        let closes = connection.server.ended() == Some(&Ended::Locally);
        connection.finished |= closes;
        let ended = connection.server.ended().is_some() && !closes;
        if !connection.server_gone && (ended || no_more) {
            connection.server.end(Ended::ByPeer);
            connection.server_gone = true;
            connection.handlers.clear();
        }
        let flushed = connection.finished
            && !connection.server.has_output()
            && connection.server_out.is_empty();
        let no_more = (connection.server_gone || flushed) && connection.to_client.is_empty();
        if !connection.client_gone && no_more {
            connection.client.handle_eof();
            connection.client_gone = true;
            self.lose(index);
        }
    }

    /// Every call of a connection that is lost has its outcome.
    fn lose(&mut self, index: usize) {
        let mut at = 0;
        while at < self.callers.len() {
            if !self.callers[at].waits_on(index) {
                at += 1;
                continue;
            }
            let caller = self.callers.swap_remove(at);
            let connection = &mut self.connections[index];
            let outcome = match connection.client.may_have_run(caller.id) {
                true => Outcome::Unknown,
                false => Outcome::NotSent,
            };
            let orderly = connection.finished && !connection.cut && !connection.silent;
            // What its caller does not take, or a handler that it does not wait for, may outlast everything.
            let plan = &self.plan.calls[caller.call];
            let lost = orderly && outcome == Outcome::Unknown && !plan.is_stuck();
            self.recorder.expect(!lost, Promise::Drain, || {
                let shape = plan.shape;
                format!(
                    "call {} ({shape:?}) was lost in an orderly end",
                    caller.call
                )
            });
            self.conclude(&caller, outcome, true);
        }
    }

    /// The connection breaks: what is on its way arrives in part, or not at all.
    fn cut(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.cut = true;
        self.recorder.count.cuts += 1;
        let reset = Ended::Io(std::io::ErrorKind::ConnectionReset);
        let to_server = connection.to_server.is_cut();
        let destroyed = self.rng.u8(..3) == 0;
        let lose = |pipe: &mut Pipe| {
            if destroyed {
                pipe.clear();
            }
        };
        if to_server {
            connection.client.end(reset);
            connection.to_client.clear();
            lose(&mut connection.to_server);
        } else {
            connection.server.end(reset);
            lose(&mut connection.to_client);
        }
    }

    fn some(&mut self, most: usize) -> usize {
        match self.rng.u8(..4) {
            0 => self.rng.usize(1..=most),
            _ => most,
        }
    }

    pub(super) fn write_client(&mut self, index: usize) {
        let most = self.some(self.plan.pace[0]);
        let connection = &mut self.connections[index];
        if connection.client_out.is_empty() {
            connection.client.poll_transmit(&mut connection.client_out);
            self.plant
                .on_output(&mut connection.client_out, &mut self.rng);
        }
        let offered = connection.client_out.len().min(most);
        let count = connection
            .to_server
            .write(&connection.client_out[..offered]);
        connection.client_out.drain(..count);
        connection.client.written(count);
        let cut = connection.to_server.is_cut();
        // What was written may have made room for its sender.
        self.hear_client(index);
        if cut {
            self.cut(index);
        }
    }

    pub(super) fn write_server(&mut self, index: usize) {
        let most = self.some(self.plan.pace[1]);
        let connection = &mut self.connections[index];
        if connection.server_out.is_empty() {
            connection.server.poll_transmit(&mut connection.server_out);
            self.plant
                .on_output(&mut connection.server_out, &mut self.rng);
        }
        let offered = connection.server_out.len().min(most);
        let count = connection
            .to_client
            .write(&connection.server_out[..offered]);
        connection.server_out.drain(..count);
        let cut = connection.to_client.is_cut();
        self.hear_server(index);
        if cut {
            self.cut(index);
        }
    }

    pub(super) fn read_client(&mut self, index: usize) {
        let most = self.some(self.plan.pace[1]);
        let connection = &mut self.connections[index];
        let count = connection.to_client.read(&mut connection.client_in, most);
        connection
            .client
            .handle(&mut connection.client_in, count, self.now);
        self.hear_client(index);
    }

    pub(super) fn read_server(&mut self, index: usize) {
        let most = self.some(self.plan.pace[0]);
        let connection = &mut self.connections[index];
        let count = connection.to_server.read(&mut connection.server_in, most);
        connection
            .server
            .handle(&mut connection.server_in, count, self.now);
        self.hear_server(index);
    }
}
