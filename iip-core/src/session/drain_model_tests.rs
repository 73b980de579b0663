//! Every order in which a client and a server that drains can write, read, answer and end, with both sessions as they are:
//! no call is lost. Each is answered, or its caller knows that it did not run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::rig_tests::{Routes, SECOND, payload};
use super::*;
use crate::wire::Path;

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Raw,
    Typed,
    /// Typed, with a request in two frames.
    Halves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Open(usize),
    /// The second half of a request.
    Rest(usize),
    GiveUp(usize),
    ClientWrites,
    ServerReads,
    ServerWrites,
    ClientReads,
    /// A handler answers.
    Answer(usize),
    Drain,
    /// The grace is over.
    Grace,
    /// Nothing is in flight: the server says its last word, and reads no more.
    Finish,
    /// The time after the grace is over, in which everything that was on its way has arrived.
    Close,
}

/// A MESSAGE record of one byte, and a TRAILER that says UNAVAILABLE.
const MESSAGE: [u8; 3] = [2, 1, 7];
const TRAILER: [u8; 4] = [5, 2, 8, 14];

struct Call {
    kind: Kind,
    id: Option<CallId>,
    rest: bool,
    executed: usize,
    over: bool,
}

struct World {
    now: Instant,
    client: ClientSession,
    server: ServerSession<Routes>,
    to_server: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
    calls: Vec<Call>,
    handlers: Vec<CallId>,
    drained: bool,
    grace_over: bool,
    finished: bool,
    client_gone: bool,
    /// What either session was told so far, as a number: all that it depends on.
    histories: [u64; 2],
}

impl World {
    fn new(kinds: &[Kind], now: Instant) -> Self {
        let limits = Arc::new(Limits::default().max_channels(4));
        let config = ClientConfig {
            limits: Arc::clone(&limits),
            ..ClientConfig::default()
        };
        let call = |kind: &Kind| Call {
            kind: *kind,
            id: None,
            rest: false,
            executed: 0,
            over: false,
        };
        Self {
            now,
            client: ClientSession::new(config, now),
            server: ServerSession::new(limits, Routes, None, now),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            calls: kinds.iter().map(call).collect(),
            handlers: Vec::new(),
            drained: false,
            grace_over: false,
            finished: false,
            client_gone: false,
            histories: [0; 2],
        }
    }

    fn after(kinds: &[Kind], steps: &[Step], now: Instant) -> Self {
        let mut world = Self::new(kinds, now);
        for step in steps {
            world.perform(*step);
        }
        world
    }

    /// What can happen next.
    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.client_gone {
            return steps;
        }
        let mut moves = false;
        let mut add = |can: bool, step: Step| {
            if can {
                steps.push(step);
            }
            moves |= can;
        };
        add(self.client.has_output(), Step::ClientWrites);
        add(!self.to_server.is_empty(), Step::ServerReads);
        add(self.server.has_output(), Step::ServerWrites);
        let closed = self.finished && !self.server.has_output();
        add(!self.to_client.is_empty() || closed, Step::ClientReads);
        let takes = self.client.available() > 0;
        for (index, call) in self.calls.iter().enumerate() {
            match call.id {
                None if takes => steps.push(Step::Open(index)),
                Some(_) if !call.over => {
                    if call.kind == Kind::Halves && !call.rest {
                        steps.push(Step::Rest(index));
                    }
                    // One is enough to see that it harms no other.
                    if index == 0 {
                        steps.push(Step::GiveUp(index));
                    }
                }
                _ => {}
            }
        }
        steps.extend((0..self.handlers.len()).map(Step::Answer));
        if !self.drained {
            steps.push(Step::Drain);
        } else if !self.finished {
            if !self.grace_over {
                steps.push(Step::Grace);
            }
            if !self.server.has_output() && self.server.is_drained(self.now) {
                steps.push(Step::Finish);
            } else if self.grace_over && !moves {
                steps.push(Step::Close);
            }
        }
        steps
    }

    fn perform(&mut self, step: Step) {
        self.note(step);
        match step {
            Step::Open(index) => self.open(index),
            Step::Rest(index) => {
                let call = &mut self.calls[index];
                call.rest = true;
                let id = call.id.expect("an open call");
                self.client.send(id, payload(MESSAGE), true);
            }
            Step::GiveUp(index) => self.end(index),
            Step::ClientWrites => {
                let mut out = Vec::new();
                self.client.poll_transmit(&mut out);
                self.client.written(out.len());
                self.to_server.push_back(out);
            }
            Step::ServerReads => {
                let bytes = self.to_server.pop_front().expect("bytes");
                if !self.finished {
                    let mut input = BytesMut::from(&bytes[..]);
                    self.server.handle(&mut input, bytes.len(), self.now);
                    assert!(input.is_empty());
                    self.hear_server();
                }
            }
            Step::ServerWrites => {
                let mut out = Vec::new();
                self.server.poll_transmit(&mut out);
                self.to_client.push_back(out);
            }
            Step::ClientReads => match self.to_client.pop_front() {
                Some(bytes) => {
                    let mut input = BytesMut::from(&bytes[..]);
                    self.client.handle(&mut input, bytes.len(), self.now);
                    assert!(input.is_empty());
                    self.hear_client();
                }
                None => self.lose(),
            },
            Step::Answer(handler) => {
                let call = self.handlers.swap_remove(handler);
                assert!(self.server.respond(call, payload(MESSAGE)));
            }
            Step::Drain => {
                self.drained = true;
                self.server.drain(Some(SECOND), self.now);
                self.server.handle_timeout(self.now);
            }
            Step::Grace => {
                self.grace_over = true;
                self.now += SECOND;
                self.server.handle_timeout(self.now);
                self.hear_server();
            }
            Step::Finish => {
                self.server.finish();
                self.finished = true;
            }
            Step::Close => {
                self.now += 2 * SECOND;
                self.server.handle_timeout(self.now);
                assert_eq!(self.server.ended(), Some(&Ended::Locally));
                self.finished = true;
            }
        }
        for ended in [self.client.ended(), self.server.ended()] {
            assert!(
                matches!(ended, None | Some(Ended::Locally | Ended::ByPeer)),
                "{ended:?}"
            );
        }
    }

    fn note(&mut self, step: Step) {
        let (side, read) = match step {
            Step::ClientReads => (0, self.to_client.front()),
            Step::ServerReads => (1, self.to_server.front()),
            Step::Open(_) | Step::Rest(_) | Step::GiveUp(_) | Step::ClientWrites => (0, None),
            _ => (1, None),
        };
        let mut hasher = DefaultHasher::new();
        (self.histories[side], step, read).hash(&mut hasher);
        self.histories[side] = hasher.finish();
    }

    fn open(&mut self, index: usize) {
        let call = &mut self.calls[index];
        let (path, format) = match call.kind {
            Kind::Raw => ("/raw", Format::Raw),
            _ => ("/t.S/M", Format::Enveloped),
        };
        let options = OpenOptions {
            format,
            more: call.kind == Kind::Halves,
            ..OpenOptions::default()
        };
        // What comes first of a request in two halves is a HEAD, empty but for an unknown field.
        let first: &[u8] = match call.kind {
            Kind::Halves => &[1, 0],
            _ => &MESSAGE,
        };
        let opened = self
            .client
            .open(&Path::from_static(path), options, payload(first), self.now);
        call.id = Some(opened.expect("a free channel"));
    }

    /// Its caller has what there is to have, or has lost its patience.
    fn end(&mut self, index: usize) {
        let call = &mut self.calls[index];
        call.over = true;
        self.client
            .release(call.id.expect("an open call"), self.now);
    }

    fn index_of(&self, id: CallId) -> usize {
        let of_id = |call: &Call| call.id == Some(id);
        self.calls.iter().position(of_id).expect("a known call")
    }

    fn hear_server(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Request { call, .. } => {
                    // Each call has a channel of its own, taken in order behind that of the events.
                    let channel = call.channel;
                    let of_channel = |call: &Call| call.id.is_some_and(|id| id.channel == channel);
                    let of_channel: Vec<_> = (0..self.calls.len())
                        .filter(|at| of_channel(&self.calls[*at]))
                        .collect();
                    let at = of_channel
                        .into_iter()
                        .find(|at| self.calls[*at].executed == 0);
                    let at = at.expect("a request that was made, once");
                    self.calls[at].executed += 1;
                    self.handlers.push(call);
                }
                ServerEvent::Cancelled { call, .. } => {
                    self.handlers.retain(|handler| *handler != call);
                    self.server.abort(call, payload(TRAILER));
                }
                ServerEvent::GraceOver => {
                    for call in std::mem::take(&mut self.handlers) {
                        assert!(
                            self.server.abort(call, payload(TRAILER)),
                            "an answer is owed"
                        );
                    }
                }
                ServerEvent::EndStreams => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn hear_client(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Response {
                    call, last: true, ..
                } => {
                    let index = self.index_of(call);
                    self.end(index);
                }
                ClientEvent::Refused { call, reply } => {
                    assert_eq!(reply.code, ErrorReply::DRAINING);
                    let index = self.index_of(call);
                    assert_eq!(self.calls[index].executed, 0, "refused, and it ran");
                    self.end(index);
                }
                ClientEvent::Ready | ClientEvent::Capacity | ClientEvent::Draining => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The client reads the end of the connection.
    fn lose(&mut self) {
        self.client_gone = true;
        self.client.handle_eof();
        for call in &self.calls {
            if let (Some(id), false) = (call.id, call.over) {
                assert!(!self.client.may_have_run(id), "a call was lost");
                assert_eq!(call.executed, 0, "not sent, and it ran");
            }
        }
    }

    /// Equal for worlds that can go on in the same ways only.
    fn fingerprint(&self, known: &mut HashMap<u64, u64>) -> u64 {
        let mut hasher = DefaultHasher::new();
        let [client, server] = self.histories;
        // Writing a session down takes much longer than everything else.
        let mut of = |history: u64, session: &dyn fmt::Debug| {
            *known.entry(history).or_insert_with(|| {
                let mut hasher = DefaultHasher::new();
                format!("{session:?}").hash(&mut hasher);
                hasher.finish()
            })
        };
        (of(client, &self.client), of(server, &self.server)).hash(&mut hasher);
        (&self.handlers, &self.to_server, &self.to_client).hash(&mut hasher);
        (
            self.drained,
            self.grace_over,
            self.finished,
            self.client_gone,
        )
            .hash(&mut hasher);
        for call in &self.calls {
            (call.id, call.rest, call.executed, call.over).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Walks through every order of what can follow `begin`; returns how many states there are.
fn explore(kinds: &[Kind], begin: &[Step]) -> usize {
    let now = Instant::now();
    let mut known = HashMap::new();
    let mut seen = HashSet::new();
    let mut open: Vec<Vec<Step>> = vec![begin.to_vec()];
    while let Some(mut path) = open.pop() {
        let mut world = World::after(kinds, &path, now);
        // On along one way, and later along the others.
        while seen.insert(world.fingerprint(&mut known)) {
            let mut steps = world.steps();
            let Some(step) = steps.pop() else {
                assert!(world.client_gone, "it does not end after {path:?}");
                break;
            };
            for other in steps {
                let mut branch = path.clone();
                branch.push(other);
                open.push(branch);
            }
            path.push(step);
            world.perform(step);
        }
    }
    seen.len()
}

/// The hello, and the stream of events.
const GREETED: [Step; 8] = [
    Step::ClientWrites,
    Step::ServerReads,
    Step::ServerWrites,
    Step::ClientReads,
    Step::ClientWrites,
    Step::ServerReads,
    Step::ServerWrites,
    Step::ClientReads,
];

#[test]
fn a_drain_loses_no_call_in_any_order() {
    let states: usize = [Kind::Raw, Kind::Typed, Kind::Halves]
        .map(|kind| explore(&[kind], &[]))
        .iter()
        .sum();
    assert!(states > 5_000, "{states}");
}

#[test]
fn a_drain_loses_neither_of_two_calls_in_any_order() {
    let pairs = [[Kind::Raw, Kind::Typed], [Kind::Typed, Kind::Typed]];
    let states: usize = pairs.map(|kinds| explore(&kinds, &GREETED)).iter().sum();
    assert!(states > 10_000, "{states}");
}
