//! Two sessions, the bytes between them, callers and handlers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use iip_core::session::{
    Batch, Chunk, ClientConfig, ClientEvent, ClientSession, Delivery, Format, Limits, Lookup,
    MAX_CHUNK, MESSAGE_COST, MIN_WINDOW, OpenOptions, PIECE, Payload, Profile, RouteInfo,
    ServerEvent, ServerSession,
};
use iip_core::wire::Path;

use super::calls::{Call, Count, Owed};
use super::content::{self, record, request, response, unwrap};
use super::pipe::Pipe;

const PATHS: [Path; 4] = [
    Path::from_static("/raw/whole"),
    Path::from_static("/raw/frames"),
    Path::from_static("/typed.Service/Whole"),
    Path::from_static("/typed.Service/Frames"),
];

pub(super) struct Routes;

impl Lookup for Routes {
    fn find(&self, path: &str) -> Option<RouteInfo> {
        let index = PATHS.iter().position(|known| known.as_str() == path)?;
        let format = if index < 2 {
            Format::Raw
        } else {
            Format::Enveloped
        };
        let delivery = if index % 2 == 0 {
            Delivery::Whole
        } else {
            Delivery::Frames
        };
        Some(RouteInfo {
            index,
            format,
            delivery,
            max_message: None,
        })
    }
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: Instant,
    pub(super) client: ClientSession,
    pub(super) server: ServerSession<Routes>,
    pub(super) client_input: BytesMut,
    pub(super) server_input: BytesMut,
    /// Taken from the client and not accepted by its socket.
    pub(super) client_output: Vec<u8>,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
    /// By channel.
    pub(super) calls: Vec<Option<Call>>,
    /// By channel: the call that used it last.
    pub(super) last_id: Vec<u64>,
    pub(super) owed: Vec<Owed>,
    /// By id: whether the request reached the server, whether a handler can have done anything with it, and whether its
    /// caller gave it up.
    pub(super) delivered: Vec<bool>,
    pub(super) ran: Vec<bool>,
    pub(super) given_up: Vec<bool>,
    pub(super) first_id: u64,
    pub(super) count: Count,
}

impl World {
    pub(super) fn new(seed: u64, plain: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let now = Instant::now();
        // The limits on many large messages at a time have tests of their own.
        let channels = rng.u32(2..80);
        let limits = Limits::default()
            .max_incomplete(10_000)
            .max_channels(channels);
        let limits = Arc::new(limits);
        let config = ClientConfig {
            limits: Arc::clone(&limits),
            plain,
            ..ClientConfig::default()
        };
        Self {
            client: ClientSession::new(config, now),
            server: ServerSession::new(limits, Routes, None, now),
            first_id: seed << 32,
            rng,
            now,
            client_input: BytesMut::new(),
            server_input: BytesMut::new(),
            client_output: Vec::new(),
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            calls: Vec::new(),
            last_id: Vec::new(),
            owed: Vec::new(),
            delivered: Vec::new(),
            ran: Vec::new(),
            given_up: Vec::new(),
            count: Count::default(),
        }
    }

    pub(super) fn index(&self, id: u64) -> usize {
        (id - self.first_id) as usize
    }

    /// Begins calls while there are channels.
    pub(super) fn begin(&mut self, most: usize) {
        for _ in 0..most {
            if self.client.available() == 0 {
                if self.client.is_ready() {
                    self.client.want_channels();
                }
                return;
            }
            let id = self.first_id + self.count.begun as u64;
            let native = self.client.profile() == Some(Profile::Native);
            let data = Bytes::from(request(id));
            let route = self.rng.usize(..PATHS.len());
            let enveloped = native && route >= 2;
            let split = native && self.rng.u8(..8) == 0;
            let (first, rest) = if split {
                self.cut(data, true)
            } else {
                (data, Bytes::new())
            };
            let open = !rest.is_empty();
            let options = OpenOptions {
                format: if route < 2 {
                    Format::Raw
                } else {
                    Format::Enveloped
                },
                delivery: if self.rng.bool() && !content::is_stream(id) {
                    Delivery::Whole
                } else {
                    Delivery::Frames
                },
                deadline: (self.rng.u8(..50) == 0)
                    .then(|| self.now + Duration::from_micros(self.rng.u64(..500))),
                more: open,
            };
            let payload = self.payload(
                first,
                &rest,
                &request(id),
                enveloped,
                route == 3 && content::is_stream(id),
            );
            let call = self
                .client
                .open(&PATHS[route], options, payload, self.now)
                .expect("a free channel");
            let channel = call.channel.0 as usize;
            if self.calls.len() <= channel {
                self.calls.resize_with(channel + 1, || None);
                self.last_id.resize(channel + 1, 0);
            }
            let call = Call {
                call,
                id,
                route,
                rest,
                open,
                enveloped,
                received: Vec::new(),
                unconsumed: 0,
            };
            assert!(
                self.calls[channel].replace(call).is_none(),
                "a channel was leased twice"
            );
            self.last_id[channel] = id;
            self.count.begun += 1;
            self.delivered.push(false);
            self.ran.push(false);
            self.given_up.push(false);
        }
    }

    /// Cuts a part off the front, if there is enough. Between the first and the last part none is so small that it would
    /// count towards a flood.
    pub(super) fn cut(&mut self, mut data: Bytes, first: bool) -> (Bytes, Bytes) {
        let least = if first { 1 } else { 400 };
        if data.len() <= least {
            return (data, Bytes::new());
        }
        let at = self.rng.usize(least..data.len());
        (data.split_to(at), data)
    }

    /// A piece of `whole`, after which `rest` comes.
    pub(super) fn payload(
        &mut self,
        data: Bytes,
        rest: &[u8],
        whole: &[u8],
        enveloped: bool,
        stream: bool,
    ) -> Payload {
        let at = whole.len() - rest.len() - data.len();
        let unary = data.len() == whole.len() && data.len() + MESSAGE_COST <= MIN_WINDOW as usize;
        if enveloped && unary && self.rng.u8(..4) > 0 {
            return Payload::from(Bytes::from(record(&data, 0, data.len()).0));
        }
        if !enveloped && self.rng.bool() {
            return Payload::from(data);
        }
        let mut chunks = Vec::new();
        let (mut at, mut rest) = (at, data);
        while !rest.is_empty() {
            let most = match enveloped {
                true => PIECE - MESSAGE_COST,
                false => MAX_CHUNK,
            };
            let piece = rest.split_to(rest.len().min(self.rng.usize(400..=most)));
            let length = piece.len();
            let (piece, cost) = match enveloped {
                true if stream => record(&piece, 0, piece.len()),
                true => record(&piece, at, whole.len()),
                false => (piece.to_vec(), 0),
            };
            at += length;
            let head = self.rng.usize(..=24).min(piece.len());
            let chunk = Chunk::new(&piece[..head], Bytes::copy_from_slice(&piece[head..]));
            chunks.push(match self.rng.bool() {
                true => chunk.costing(cost),
                false => chunk,
            });
        }
        Payload::from(chunks)
    }

    /// A random call of those that match.
    pub(super) fn pick(&mut self, wanted: impl Fn(&Call) -> bool) -> Option<usize> {
        let count = self.calls.len();
        let from = self.rng.usize(..count.max(1));
        (from..count)
            .chain(0..from)
            .find(|&channel| self.calls[channel].as_ref().is_some_and(&wanted))
    }

    /// Sends more of a request that is open.
    pub(super) fn continue_request(&mut self) {
        let Some(channel) = self.pick(|call| call.open) else {
            return;
        };
        let Some(mut call) = self.calls[channel].take() else {
            return;
        };
        let rest = std::mem::take(&mut call.rest);
        let (piece, rest) = if self.rng.bool() {
            self.cut(rest, false)
        } else {
            (rest, Bytes::new())
        };
        let payload = self.payload(
            piece,
            &rest,
            &request(call.id),
            call.enveloped,
            call.route == 3 && content::is_stream(call.id),
        );
        // Not sent: the answer came early.
        call.open = self.client.send(call.call, payload, rest.is_empty()) && !rest.is_empty();
        call.rest = rest;
        self.calls[channel] = Some(call);
    }

    pub(super) fn give_up(&mut self) {
        // A raw request cannot be cut short, so its caller has to stay until it is sent.
        if let Some(channel) = self.pick(|call| !call.open || call.enveloped) {
            self.drop_call(channel);
            self.count.given_up += 1;
        }
    }

    pub(super) fn drop_call(&mut self, channel: usize) {
        if let Some(call) = self.calls[channel].take() {
            let index = self.index(call.id);
            self.given_up[index] = true;
            self.client.release(call.call, self.now);
        }
    }

    /// The client's socket accepts some bytes.
    pub(super) fn write_client(&mut self, limit: usize) {
        if self.client_output.is_empty() {
            self.client.poll_transmit(&mut self.client_output);
        }
        let count = self.client_output.len().min(limit);
        if count > 0 {
            let arrives = self.now + Duration::from_micros(self.rng.u64(..200));
            self.to_server.push(&self.client_output[..count], arrives);
            self.client_output.drain(..count);
            self.client.written(count);
        }
    }

    pub(super) fn write_server(&mut self) {
        let mut output = Vec::new();
        self.server.poll_transmit(&mut output);
        if !output.is_empty() {
            let arrives = self.now + Duration::from_micros(self.rng.u64(..200));
            self.to_client.push(&output, arrives);
        }
    }

    pub(super) fn read_server(&mut self, limit: usize) {
        let count = self.to_server.pop(&mut self.server_input, limit, self.now);
        let batch = Batch::of(self.server_input.len());
        self.server
            .handle_batch(&mut self.server_input, count, batch, self.now);
        while self.server.has_deferred() && self.server.wants_read() {
            self.server
                .handle_batch(&mut self.server_input, 0, batch, self.now);
        }
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Request {
                    call,
                    route,
                    data,
                    enveloped,
                    complete,
                    path,
                    arrived,
                } => {
                    assert!(arrived <= self.now);
                    let id = self.last_id[call.channel.0 as usize];
                    assert_eq!(path.is_none(), enveloped);
                    assert!(path.is_none_or(|path| path == PATHS[route]));
                    let index = self.index(id);
                    assert!(
                        !std::mem::replace(&mut self.delivered[index], true),
                        "a request came twice"
                    );
                    let mut owed = Owed {
                        call,
                        id,
                        received: Vec::new(),
                        complete,
                        rest: None,
                        enveloped,
                        unconsumed: 0,
                    };
                    owed.take(&data);
                    self.check_request(&owed);
                    self.owed.push(owed);
                }
                ServerEvent::Data { call, data, last } => {
                    if let Some(at) = self.owed.iter().position(|owed| owed.call == call) {
                        let mut owed = self.owed.swap_remove(at);
                        assert!(!owed.complete);
                        owed.take(&data);
                        owed.complete = last;
                        self.check_request(&owed);
                        self.owed.push(owed);
                    }
                }
                ServerEvent::Cancelled { call, .. } => {
                    let id = self.last_id[call.channel.0 as usize];
                    let index = self.index(id);
                    assert!(self.given_up[index], "a call nobody gave up");
                    self.owed.retain(|owed| owed.call != call);
                    let trailer = Payload::from(Bytes::from_static(&[5, 0]));
                    // Told twice, it is answered once.
                    self.server.abort(call, trailer);
                    self.count.cancelled += 1;
                }
                ServerEvent::Expired { .. } | ServerEvent::Stalled { .. } => {
                    panic!("no time passes")
                }
                ServerEvent::Writable { .. } => {}
            }
        }
        assert_eq!(self.server.in_flight(), self.owed.len());
    }

    pub(super) fn check_request(&mut self, owed: &Owed) {
        let index = self.index(owed.id);
        // A typed handler can do nothing before its message is whole, unless its caller sends one after another.
        self.ran[index] |= owed.complete || !owed.enveloped;
        let expected = request(owed.id);
        if !owed.complete {
            assert!(
                expected.starts_with(&owed.received),
                "a request of another call"
            );
        } else {
            assert!(expected == owed.received, "a request of another call");
        }
    }

    /// A handler says something.
    pub(super) fn answer(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.owed.len());
        if !self.owed[at].complete && self.rng.u8(..4) > 0 {
            return;
        }
        let mut owed = self.owed.swap_remove(at);
        let first = owed.rest.is_none();
        let data = owed.rest.take().unwrap_or_else(|| response(owed.id).into());
        let (piece, rest) = if self.rng.u8(..6) == 0 {
            self.cut(data, first)
        } else {
            (data, Bytes::new())
        };
        let payload = self.payload(
            piece,
            &rest,
            &response(owed.id),
            owed.enveloped,
            content::is_stream(owed.id),
        );
        if !rest.is_empty() {
            assert!(self.server.send(owed.call, payload, false));
            owed.rest = Some(rest);
            self.owed.push(owed);
            return;
        }
        assert!(self.server.send(owed.call, payload, true));
        assert!(
            !self
                .server
                .respond(owed.call, Payload::from(Bytes::from_static(b"again")))
        );
    }

    pub(super) fn read_client(&mut self, limit: usize) {
        let count = self.to_client.pop(&mut self.client_input, limit, self.now);
        self.client.handle(&mut self.client_input, count, self.now);
        self.hear();
    }

    pub(super) fn hear(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Response { call, data, last } => {
                    let channel = call.channel.0 as usize;
                    let Some(known) = self.calls[channel]
                        .as_mut()
                        .filter(|known| known.call == call)
                    else {
                        continue;
                    };
                    if known.enveloped {
                        known.unconsumed += unwrap(&data, &mut known.received);
                    } else {
                        known.received.extend_from_slice(&data);
                    }
                    if last {
                        assert!(
                            known.received == response(known.id),
                            "the answer to another call"
                        );
                        self.calls[channel] = None;
                        self.client.release(call, self.now);
                        self.count.answered += 1;
                    }
                }
                ClientEvent::Expired { call } => {
                    let channel = call.channel.0 as usize;
                    // As above: a raw request that is open is not given up here.
                    let ours = self.calls[channel]
                        .as_ref()
                        .is_some_and(|known| known.call == call);
                    if ours
                        && self.calls[channel]
                            .as_ref()
                            .is_some_and(|known| !known.open || known.enveloped)
                    {
                        self.drop_call(channel);
                        self.count.expired += 1;
                    }
                }
                ClientEvent::Refused { .. } | ClientEvent::TooLarge { .. } | ClientEvent::Stuck => {
                    panic!("{event:?}")
                }
                _ => {}
            }
        }
    }

    /// Some of those who have received something consume it.
    pub(super) fn consume(&mut self) {
        for call in self.calls.iter_mut().flatten() {
            if call.unconsumed > 0 && self.rng.bool() {
                let cost = self.rng.usize(..=call.unconsumed);
                call.unconsumed -= cost;
                self.client.consumed(call.call, cost, self.now);
            }
        }
        for owed in &mut self.owed {
            if owed.unconsumed > 0 && self.rng.bool() {
                let cost = self.rng.usize(..=owed.unconsumed);
                owed.unconsumed -= cost;
                self.server.consumed(owed.call, cost);
            }
        }
    }

    /// How many bytes come at once: mostly many, sometimes one.
    pub(super) fn some_bytes(&mut self) -> usize {
        match self.rng.u8(..16) {
            0 => 1,
            1 => self.rng.usize(1..30),
            2..=5 => self.rng.usize(1..2000),
            _ => 1 << 17,
        }
    }

    pub(super) fn round(&mut self, begin: bool) {
        self.now += Duration::from_micros(self.rng.u64(..60));
        for step in 0..8 {
            if self.rng.u8(..4) == 0 {
                continue;
            }
            match step {
                0 if begin => {
                    let most = self.rng.usize(1..24);
                    self.begin(most);
                }
                1 => {
                    (0..self.rng.usize(..4)).for_each(|_| self.continue_request());
                    self.consume();
                }
                2 if self.rng.u8(..12) == 0 => self.give_up(),
                3 => {
                    let limit = self.some_bytes();
                    self.write_client(limit);
                }
                4 => {
                    let limit = self.some_bytes();
                    self.read_server(limit);
                }
                5 => (0..self.rng.usize(..32)).for_each(|_| self.answer()),
                6 => self.write_server(),
                7 => {
                    let limit = self.some_bytes();
                    self.read_client(limit);
                }
                _ => {}
            }
        }
        if self.client.poll_timeout().is_some_and(|at| at <= self.now) {
            self.client.handle_timeout(self.now);
            self.hear();
        }
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
        }
        assert_eq!((self.client.ended(), self.server.ended()), (None, None));
    }

    pub(super) fn active(&self) -> usize {
        self.calls.iter().flatten().count()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.active() == 0
            && self.owed.is_empty()
            && self.client_output.is_empty()
            && !self.client.has_output()
            && !self.server.has_output()
            && self.to_server.pieces.is_empty()
            && self.to_client.pieces.is_empty()
            && self.server_input.is_empty()
    }
}
