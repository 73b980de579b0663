use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::lease::{Channel, Leases, Stage};
use crate::session::assembly::SmallFrames;
use crate::session::batch::Batch;
use crate::session::channel::{CallId, Profile};
use crate::session::control::{self, ConnectionEvent, Hello};
use crate::session::credit::Pool;
use crate::session::encodings::Encodings;
use crate::session::error::{Ended, Violation};
use crate::session::event::ClientEvent;
use crate::session::framing::Framing;
use crate::session::keep_alive::{KeepAlive, Pinger};
use crate::session::limits::Limits;
use crate::session::output::Sink;
use crate::session::payload::MAX_CHUNK;
use crate::session::progress::ReadProgress;
use crate::session::rate::TokenBucket;
use crate::session::send_queue::SendQueue;
use crate::session::table::ChannelTable;
use crate::session::tally::NO_ROUTE;
use crate::wire::{ChannelId, Decoded, Decoder, MAX_DATA, Path};

/// How long the hello and the first channel may take.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Most channels used on a plain connection: the reference's write queue holds 100 frames.
pub(super) const MAX_PLAIN_CHANNELS: u32 = 96;

/// What a client's connection is made with.
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// Limits of this side.
    pub limits: Arc<Limits>,
    /// When to ping.
    pub keep_alive: KeepAlive,
    /// Skip the hello: the server is known to be plain.
    pub plain: bool,
}

/// The client's side of one connection, as a pure state machine: calls, bytes and the time go in, events and bytes
/// come out.
#[derive(Debug)]
pub struct ClientSession {
    pub(super) config: ClientConfig,
    decoder: Decoder,
    pub(super) profile: Option<Profile>,
    pub(super) server_timeout: Option<Duration>,
    pub(super) server_max_message: usize,
    pub(super) server_encodings: Encodings,
    pub(super) channels: ChannelTable<Channel>,
    pub(super) leases: Leases,
    /// What is owed on channel 0, in order.
    pub(super) system: VecDeque<System>,
    pub(super) system_data: Option<Vec<u8>>,
    pub(super) events_channel: Option<(CallId, u16)>,
    /// Where in the stream the first frame on `/sys/events` ends: others may go ahead of data, but not of this one.
    pub(super) events_opened: u64,
    /// What responses may be granted beyond the window that each begins with.
    pub(super) pool: Pool,
    /// When something was received last.
    pub(super) last_read: Instant,
    /// WINDOW records received.
    pub(super) windows: u64,
    pub(super) output: SendQueue,
    pub(super) pending_events: VecDeque<ClientEvent>,
    pub(super) control: TokenBucket,
    pub(super) small_frames: SmallFrames,
    progress: ReadProgress,
    pub(super) pinger: Pinger,
    hello_deadline: Option<Instant>,
    pub(super) incomplete: usize,
    pub(super) held: usize,
    pub(super) in_flight: usize,
    pub(super) tombstones: usize,
    pub(super) stuck: bool,
    /// Bytes the socket has accepted since the start.
    written: u64,
    pub(super) next_timer: Option<Instant>,
    pub(super) draining: bool,
    /// The server waits for the ACK of its GOAWAY.
    pub(super) owes_ack: bool,
    pub(super) closing: bool,
    pub(super) ended: Option<Ended>,
}

/// A request on channel 0 that this side made for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Hello,
    NewChannel,
    /// Any answer shows that the server lives.
    Ping,
}

impl ClientSession {
    /// A connection that was just made. The hello and the first channel request are the first output.
    pub fn new(config: ClientConfig, now: Instant) -> Self {
        let mut session = Self {
            decoder: Decoder::new(config.limits.max_frame),
            profile: config.plain.then_some(Profile::Plain),
            server_timeout: None,
            server_max_message: MAX_DATA as usize,
            server_encodings: Encodings::NONE,
            channels: ChannelTable::new(),
            leases: Leases::default(),
            system: VecDeque::new(),
            system_data: None,
            events_channel: None,
            events_opened: u64::MAX,
            pool: Pool::new(config.limits.receive_budget, config.limits.max_message),
            last_read: now,
            windows: 0,
            output: SendQueue::default(),
            pending_events: VecDeque::new(),
            control: TokenBucket::new(config.limits.control_rate, config.limits.control_burst, now),
            small_frames: SmallFrames::new(),
            progress: ReadProgress::new(now),
            pinger: Pinger::new(config.keep_alive.clone(), now),
            hello_deadline: Some(now + HELLO_TIMEOUT),
            incomplete: 0,
            held: 0,
            in_flight: 0,
            tombstones: 0,
            stuck: false,
            written: 0,
            next_timer: Some(now + HELLO_TIMEOUT),
            draining: false,
            owes_ack: false,
            closing: false,
            ended: None,
            config,
        };
        session.progress.frame_completed();
        if !session.config.plain {
            let hello = Hello {
                version: control::VERSION,
                min: control::VERSION,
                window: session.config.limits.window_bytes(),
                max_message: session.config.limits.max_message,
                channels: session.config.limits.max_channels,
                encodings: session.config.limits.encodings,
            };
            session.request_system(System::Hello, hello.to_json().into());
        }
        session.request_channel();
        session
    }

    pub(super) fn request_channel(&mut self) {
        self.leases.requested += 1;
        self.request_system(System::NewChannel, Bytes::from_static(b"{}"));
    }

    pub(super) fn request_system(&mut self, what: System, data: Bytes) {
        const HELLO: Path = Path::from_static(control::HELLO);
        const NEW_CHANNEL: Path = Path::from_static(control::NEW_CHANNEL);
        const COUNT: Path = Path::from_static(control::SERVER_COUNT);
        let path = match what {
            System::Hello => HELLO,
            System::NewChannel => NEW_CHANNEL,
            System::Ping => COUNT,
        };
        let call = CallId {
            channel: ChannelId::ZERO,
            generation: 0,
        };
        let framing = Framing {
            response: false,
            route: NO_ROUTE,
            path: Some(path),
            envelope: None,
            max_data: MAX_DATA as usize,
        };
        self.system.push_back(what);
        self.output.push(call, &framing, data.into(), true, true);
    }

    /// Takes what arrived: `received` new bytes at the end of `buf`. Leaves in `buf` what is incomplete.
    pub fn handle(&mut self, buf: &mut BytesMut, received: usize, now: Instant) {
        self.handle_batch(buf, received, Batch::ALL, now);
    }

    /// As [`handle`](Self::handle), but leaves what is beyond the batch, so that it can be acted on first. True if there
    /// is more.
    pub fn handle_batch(
        &mut self,
        buf: &mut BytesMut,
        received: usize,
        batch: Batch,
        now: Instant,
    ) -> bool {
        if received > 0 {
            self.pinger.received(now);
            self.last_read = now;
        }
        let mut taken = batch.start(buf.len());
        while self.ended.is_none() {
            if taken.is_over(buf.len()) {
                return true;
            }
            match self.decoder.decode(buf) {
                Ok(Decoded::Frame(frame)) => {
                    self.progress.frame_completed();
                    let announced = frame.header().length as usize;
                    if let Err(violation) = self.handle_frame(frame, announced, now) {
                        self.fail(violation);
                    }
                }
                Ok(Decoded::Incomplete) => {
                    if let Some(header) = self.decoder.pending().copied() {
                        match self.look_ahead(&header) {
                            Ok(true) => {
                                if let Some(frame) = self.decoder.skip(buf) {
                                    let announced = header.length as usize;
                                    if let Err(violation) = self.handle_frame(frame, announced, now)
                                    {
                                        self.fail(violation);
                                    }
                                }
                            }
                            Ok(false) => {}
                            Err(violation) => self.fail(violation),
                        }
                    }
                    break;
                }
                Ok(Decoded::Close) => self.end(Ended::ByPeer),
                Err(error) => self.fail(error.into()),
            }
        }
        self.progress
            .observe(&self.decoder, buf.len(), received, now);
        let deadline = self.progress.deadline(&self.config.limits);
        self.arm(deadline);
        false
    }

    /// The peer will send no more.
    pub fn handle_eof(&mut self) {
        self.end(Ended::ByPeer);
    }

    /// How many bytes are missing of the frame that is arriving.
    pub fn missing(&self, buffered: usize) -> usize {
        self.decoder.missing(buffered)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.pending_events.pop_front()
    }

    /// Moves what is to be sent to the end of `out`.
    pub fn poll_transmit(&mut self, out: &mut impl Sink) {
        self.output.transmit(out);
        for step in self.output.take_steps() {
            let call = step.call;
            if let Some(channel) = self.channels.get_mut(call.channel)
                && channel.generation == call.generation
            {
                if step.first {
                    channel.first_end = step.end;
                }
                if step.last {
                    channel.sent_end = step.end;
                }
            }
            if step.room {
                self.pending_events
                    .push_back(ClientEvent::Writable { call });
            }
            if step.drained {
                self.settle(call.channel);
            }
        }
        self.acknowledge();
    }

    /// Says that no further call comes, as soon as every call that was begun is on its way: the server may close when it
    /// knows, and what still waits here would be lost.
    pub(super) fn acknowledge(&mut self) {
        if self.owes_ack && !self.output.has_any_first() {
            self.owes_ack = false;
            self.push_event(&ConnectionEvent::Ack);
        }
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has anything.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The socket accepted `count` bytes of what was transmitted.
    pub fn written(&mut self, count: usize) {
        self.written += count as u64;
    }

    /// Whether the server can have executed the call: the last byte of its request was accepted by the socket; that of
    /// its first frame, if a handler may get the request frame by frame (all but typed calls given as a whole).
    pub fn may_have_run(&mut self, call: CallId) -> bool {
        let written = self.written;
        self.channel_of(call)
            .is_some_and(|channel| channel.may_have_run(written))
    }

    /// Why the connection is over, if it is.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Ends the connection from this side or for a reason the session cannot know.
    pub fn end(&mut self, why: Ended) {
        self.ended.get_or_insert(why);
    }

    /// What the server speaks; `None` until it is known.
    pub fn profile(&self) -> Option<Profile> {
        self.profile
    }

    /// The deadline the server gives to calls that carry none, as its hello said.
    pub fn server_timeout(&self) -> Option<Duration> {
        self.server_timeout
    }

    /// The largest message the server accepts, bytes, as its hello said; 16 MiB if it is plain.
    pub fn server_max_message(&self) -> usize {
        self.server_max_message
    }

    /// The encodings of compressed messages that the server reads, as its hello said.
    pub fn server_encodings(&self) -> Encodings {
        self.server_encodings
    }

    /// Whether calls may begin: the server is known and has granted a channel.
    pub fn is_ready(&self) -> bool {
        self.profile.is_some() && self.leases.total > 0
    }

    /// Whether [`poll_event`](Self::poll_event) has anything, or the connection is over: the driver should look.
    pub fn has_events(&self) -> bool {
        !self.pending_events.is_empty() || self.ended.is_some()
    }

    #[cfg(test)]
    pub(crate) fn unsent(&self, call: CallId) -> usize {
        self.output.queued_on(call.channel)
    }

    /// Whether little enough of a call's request is unsent for more to be given.
    pub fn has_room(&self, call: CallId) -> bool {
        self.output.has_room(call)
    }

    /// The channels of calls that still wait for their response, and whether each may have run.
    pub(crate) fn unanswered(&mut self) -> Vec<(ChannelId, bool)> {
        let written = self.written;
        self.channels
            .iter_mut()
            .filter(|(_, channel)| channel.stage == Stage::Leased)
            .map(|(id, channel)| (id, channel.may_have_run(written)))
            .collect()
    }

    /// Calls leased and not released.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Calls released whose channels are not free yet: their one response is still owed.
    pub fn abandoned(&self) -> usize {
        self.tombstones
    }

    /// Whether the server asked for calls to be placed elsewhere, or this side is closing.
    pub fn is_draining(&self) -> bool {
        self.draining || self.closing || self.stuck
    }

    /// Whether one of the two said that it takes no more calls here.
    pub fn is_dismissed(&self) -> bool {
        self.draining || self.closing
    }

    /// Gives back memory that a burst needed.
    pub fn shrink(&mut self) {
        self.output.shrink();
        self.pending_events.shrink_to_fit();
        self.system.shrink_to_fit();
    }

    /// No further call will be placed: the connection ends as soon as every call has its answer.
    pub fn close(&mut self) {
        self.closing = true;
        self.end_when_done();
    }

    pub(super) fn end_when_done(&mut self) {
        if self.closing && self.in_flight == 0 && (self.tombstones == 0 || self.stuck) {
            self.end(Ended::Locally);
        }
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        if self.ended.is_none() {
            let mut records = Vec::new();
            let channel = violation.channel();
            let seq = self
                .channels
                .get(channel)
                .and_then(|channel| channel.envelope);
            let (code, seq) = (violation.code(), seq.unwrap_or(0));
            control::encode_goaway(&mut records, code, channel.0, seq, &violation.to_string());
            self.push_event_records(records);
            self.ended = Some(Ended::Violation(violation));
        }
    }

    pub(super) fn arm(&mut self, at: Option<Instant>) {
        if let Some(at) = at {
            self.next_timer = Some(self.next_timer.map_or(at, |next| next.min(at)));
        }
    }

    pub(super) fn push_event(&mut self, event: &ConnectionEvent) {
        let mut records = Vec::new();
        event.encode(&mut records);
        self.push_event_records(records);
    }

    fn push_event_records(&mut self, records: Vec<u8>) {
        if let Some((call, seq)) = self.events_channel {
            let framing = events_framing(seq, false);
            self.output
                .push_ready(call, &framing, &records, false, false);
        }
    }

    /// As [`push_event`](Self::push_event), ahead of everything but what ends at `after`.
    pub(super) fn push_urgent(&mut self, event: &ConnectionEvent, after: u64) {
        if let Some((call, seq)) = self.events_channel {
            let mut records = Vec::new();
            event.encode(&mut records);
            let framing = events_framing(seq, false);
            let after = after.max(self.events_opened);
            self.output.push_urgent(call, &framing, &records, after);
        }
    }

    pub(super) fn open_events(&mut self) {
        let Some(id) = self.leases.take() else {
            return;
        };
        let channel = self.channels.entry(id);
        channel.stage = Stage::Events;
        channel.response_complete = false;
        let call = CallId {
            channel: id,
            generation: channel.generation,
        };
        let seq = channel.next_seq();
        channel.envelope = Some(seq);
        self.events_channel = Some((call, seq));
        let framing = events_framing(seq, true);
        self.events_opened = self.output.push_ready(call, &framing, &[], true, false);
    }

    /// Both the hello and the first channel are there.
    pub(super) fn ready(&mut self) {
        self.hello_deadline = None;
        self.pending_events.push_back(ClientEvent::Ready);
        let deadline = self.pinger.deadline(false);
        self.arm(Some(deadline));
    }

    pub(super) fn check_progress(&mut self, now: Instant) {
        if self.hello_deadline.is_some_and(|at| at <= now) {
            self.end(Ended::Silent("the hello"));
        }
        self.arm(self.hello_deadline);
        if let Some(violation) = self.progress.check(&self.config.limits, now) {
            self.fail(violation);
        }
        let deadline = self.progress.deadline(&self.config.limits);
        self.arm(deadline);
    }
}

fn events_framing(seq: u16, first: bool) -> Framing {
    const EVENTS: Path = Path::from_static(control::EVENTS);
    Framing {
        response: false,
        route: NO_ROUTE,
        path: first.then_some(EVENTS),
        envelope: Some((0, seq)),
        max_data: MAX_CHUNK,
    }
}
