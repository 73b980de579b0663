use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::session::assembly::{Assembly, SmallFrames};
use crate::session::batch::Batch;
use crate::session::channel::{CallId, MessageState, Profile};
use crate::session::credit::{Inflow, Pool};
use crate::session::criticality::Refusing;
use crate::session::encodings::Encodings;
use crate::session::error::Ended;
use crate::session::event::{Lookup, RouteInfo, ServerEvent};
use crate::session::framing::Framing;
use crate::session::limits::Limits;
use crate::session::output::Sink;
use crate::session::progress::ReadProgress;
use crate::session::rate::TokenBucket;
use crate::session::send_queue::SendQueue;
use crate::session::table::ChannelTable;
use crate::session::tally::{NO_ROUTE, Tally};
use crate::wire::{ChannelId, Decoded, Decoder, Path};

/// Most channels one connection can be granted in its life.
pub(super) const MAX_GRANTED: u32 = 1 << 20;

/// Waiting requests smaller than this are copied: a quarter of the largest read buffer that one of them can keep alive.
const MAX_COPIED: usize = 16 * 1024;

/// The server's side of one connection, as a pure state machine: bytes and the time go in, events and bytes come
/// out. It answers the `/sys/…` paths itself.
#[derive(Debug)]
pub struct ServerSession<L> {
    pub(super) limits: Arc<Limits>,
    pub(super) routes: L,
    pub(super) default_timeout: Option<Duration>,
    pub(super) decoder: Decoder,
    pub(super) profile: Profile,
    pub(super) client_encodings: Encodings,
    pub(super) channels: ChannelTable<ServerChannel>,
    pub(super) last_typed: LastTyped,
    pub(super) granted: u32,
    /// Of the call begun last, on any channel: a late answer can never meet a later call.
    pub(super) generation: u64,
    pub(super) events_channel: Option<(CallId, u16)>,
    /// Where in the stream the first frame on `/sys/events` ends: others may go ahead of data, but not of this one.
    pub(super) events_opened: u64,
    /// What requests may be granted beyond the window that each begins with.
    pub(super) pool: Pool,
    /// Bytes of messages that were handed over one by one and not consumed.
    pub(super) unconsumed: u64,
    /// WINDOW and CANCEL records received.
    pub(super) windows: u64,
    pub(super) cancels: u64,
    pub(super) output: SendQueue,
    pub(super) pending_events: VecDeque<ServerEvent>,
    pub(super) control: TokenBucket,
    pub(super) small_frames: SmallFrames,
    pub(super) progress: ReadProgress,
    pub(super) incomplete: usize,
    /// Bytes in unfinished and queued messages.
    pub(super) held: usize,
    /// Calls handed over and not answered.
    pub(super) in_flight: usize,
    /// Requests waiting behind another on their channel, and channels on which too many do.
    pub(super) queued: usize,
    pub(super) full_channels: usize,
    pub(super) last_activity: Instant,
    /// When a connection that was idle for too long ends, unless its client says something.
    pub(super) idle_end: Option<Instant>,
    pub(super) next_timer: Option<Instant>,
    pub(super) drain: Drain,
    pub(super) drain_times: Option<Box<DrainTimes>>,
    /// No further call comes: the client said so, or took too long to.
    pub(super) acknowledged: bool,
    pub(super) acknowledge_by: Option<Instant>,
    /// Since when nothing is in flight, once that matters.
    pub(super) quiet_since: Option<Instant>,
    /// Of a plain client: see [`begin_round_trip`](Self::begin_round_trip).
    pub(super) turned_at: Option<Instant>,
    pub(super) round_trip: Option<Duration>,
    /// Since when more is unsent than the hard limit, and what had gone out by then.
    pub(super) overfull: Option<(Instant, u64)>,
    pub(super) eof: bool,
    deferred: bool,
    pub(super) pressed: bool,
    /// What there is no room for, and how many requests were refused since somebody asked.
    pub(super) refusing: Option<Refusing>,
    pub(super) refused: u64,
    pub(super) ended: Option<Ended>,
}

/// How a connection is ended without losing a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    No,
    /// GOAWAY was sent. What arrives is served.
    Announced,
    /// The grace is over: what arrives is refused.
    Refusing,
    /// The event stream was completed, if there was one: nothing more is sent on it, and what arrives is refused.
    Done,
}

/// What is to happen when, on a connection that drains or is to.
#[derive(Debug, Default)]
pub(super) struct DrainTimes {
    /// When the connection is old enough, and the grace that it then has.
    pub(super) age: Option<(Instant, Duration)>,
    pub(super) streams: Option<Instant>,
    pub(super) grace: Option<Instant>,
    pub(super) close: Option<Instant>,
}

impl DrainTimes {
    pub(super) fn next(&self) -> Option<Instant> {
        let age = self.age.map(|(at, _)| at);
        [age, self.streams, self.grace, self.close]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The typed route that was looked up last. A connection calls few methods, mostly the same again, and comparing a path
/// is much cheaper than hashing it.
#[derive(Debug, Default)]
pub(super) struct LastTyped {
    path: Vec<u8>,
    route: Option<RouteInfo>,
}

impl LastTyped {
    pub(super) fn find(&self, path: &[u8]) -> Option<RouteInfo> {
        if self.path == path { self.route } else { None }
    }

    pub(super) fn keep(&mut self, path: &[u8], route: RouteInfo) {
        self.path.clear();
        self.path.extend_from_slice(path);
        self.route = Some(route);
    }
}

#[derive(Debug, Default)]
pub(super) struct ServerChannel {
    pub(super) incoming: MessageState,
    pub(super) reception: Reception,
    pub(super) active: Option<Active>,
    pub(super) queue: VecDeque<Pending>,
}

impl ServerChannel {
    /// The route of the request that is arriving.
    pub(super) fn arriving(&self) -> u32 {
        let route = match (&self.reception, &self.active) {
            (Reception::Assembly(assembling), _) => Some(assembling.request.route),
            (Reception::Stream { .. } | Reception::Discard(_), Some(active)) => Some(active.route),
            _ => None,
        };
        route.map_or(NO_ROUTE, |route| route as u32)
    }

    /// The sequence number of the typed call in progress, as its client counts.
    pub(super) fn seq(&self) -> Option<u16> {
        match (&self.reception, &self.active) {
            (Reception::Assembly(assembling), _) => assembling.request.envelope,
            (_, Some(active)) => active.framing.envelope.map(|(_, seq)| seq),
            _ => None,
        }
    }
}

/// Where the frames of the request that is arriving go.
#[derive(Debug, Default)]
pub(super) enum Reception {
    #[default]
    Nowhere,
    Assembly(Box<Assembling>),
    /// To the active call, one by one.
    Stream {
        envelope: Option<u16>,
    },
    /// Read past: the request was answered before it was complete.
    Discard(Box<Assembly>),
    Events,
}

#[derive(Debug)]
pub(super) struct Assembling {
    pub(super) assembly: Assembly,
    pub(super) request: Queued,
    pub(super) flow: Option<Box<Inflow>>,
}

/// The call whose response is owed next on its channel.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) generation: u64,
    pub(super) framing: Framing,
    /// Whether the response has begun.
    pub(super) begun: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) route: usize,
    /// When its first frame was received.
    pub(super) arrived: Instant,
    /// The route's own limit of a message.
    pub(super) max_message: Option<usize>,
    /// Credit of a request that is handed over frame by frame.
    pub(super) flow: Option<Box<Inflow>>,
}

/// A request behind another one on its channel.
#[derive(Debug)]
pub(super) enum Pending {
    Request(Queued),
    /// One that was given up before its turn.
    Cancelled(Queued),
    /// One the session answers itself, in its turn.
    Answer {
        path: Path,
        data: Bytes,
        /// What it is counted under.
        route: u32,
    },
}

impl Pending {
    /// Copies what is small: it may wait for long, and would keep the memory of everything that was read with it.
    pub(super) fn detach(&mut self) {
        let copy = |path: &Path| Path::new(path.as_str()).unwrap_or(Path::ROOT);
        match self {
            Self::Answer { path, .. } => *path = copy(path),
            Self::Request(request) | Self::Cancelled(request) => {
                request.path = request.path.as_ref().map(copy);
                if request.data.len() < MAX_COPIED {
                    request.data = Bytes::copy_from_slice(&request.data);
                }
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) route: usize,
    /// The route's own limit of a message.
    pub(super) max_message: Option<usize>,
    pub(super) path: Option<Path>,
    pub(super) data: Bytes,
    pub(super) envelope: Option<u16>,
    /// When its first frame was received.
    pub(super) arrived: Instant,
}

impl<L: Lookup> ServerSession<L> {
    /// A connection that was just accepted. `default_timeout` is announced as the deadline of calls that carry none.
    pub fn new(
        limits: Arc<Limits>,
        routes: L,
        default_timeout: Option<Duration>,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            decoder: Decoder::new(limits.max_frame),
            control: TokenBucket::new(limits.control_rate, limits.control_burst, now),
            pool: Pool::new(limits.receive_budget, limits.max_message),
            events_opened: u64::MAX,
            unconsumed: 0,
            windows: 0,
            cancels: 0,
            limits,
            routes,
            default_timeout,
            profile: Profile::Plain,
            client_encodings: Encodings::NONE,
            channels: ChannelTable::new(),
            last_typed: LastTyped::default(),
            granted: 0,
            generation: 0,
            events_channel: None,
            output: SendQueue::default(),
            // As much as a connection needs that has one call at a time.
            pending_events: VecDeque::with_capacity(1),
            small_frames: SmallFrames::new(),
            progress: ReadProgress::new(now),
            incomplete: 0,
            held: 0,
            in_flight: 0,
            queued: 0,
            full_channels: 0,
            last_activity: now,
            idle_end: None,
            next_timer: None,
            drain: Drain::No,
            drain_times: None,
            acknowledged: false,
            acknowledge_by: None,
            quiet_since: None,
            turned_at: None,
            round_trip: None,
            overfull: None,
            eof: false,
            deferred: false,
            pressed: false,
            refusing: None,
            refused: 0,
            ended: None,
        };
        let first = session.progress.deadline(&session.limits);
        session.arm(first);
        session
    }

    /// Takes what arrived: `received` new bytes at the end of `buf`. Leaves in `buf` what is incomplete, or more
    /// while the connection [is not to be read](Self::wants_read).
    pub fn handle(&mut self, buf: &mut BytesMut, received: usize, now: Instant) {
        self.handle_batch(buf, received, Batch::ALL, now);
    }

    /// As [`handle`](Self::handle), but leaves what is beyond the batch, so that it can be acted on first. Whether
    /// there is more says [`has_deferred`](Self::has_deferred).
    pub fn handle_batch(
        &mut self,
        buf: &mut BytesMut,
        received: usize,
        batch: Batch,
        now: Instant,
    ) {
        if received > 0 {
            self.last_activity = now;
        }
        self.deferred = false;
        let mut taken = batch.start(buf.len());
        while self.ended.is_none() {
            if taken.is_over(buf.len()) {
                self.deferred = true;
                return;
            }
            if !self.wants_read() {
                self.deferred = !buf.is_empty();
                break;
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
                    if let Err(violation) = self.look_ahead(buf, now) {
                        self.fail(violation);
                    }
                    break;
                }
                Ok(Decoded::Close) => self.ended = Some(Ended::ByPeer),
                Err(error) => self.fail(error.into()),
            }
        }
        self.progress
            .observe(&self.decoder, buf.len(), received, now);
        self.note_pause();
        let deadline = self.progress.deadline(&self.limits);
        self.arm(deadline);
    }

    /// The peer will send no more. A plain one still gets the answers to what was read.
    pub fn handle_eof(&mut self) {
        self.eof = true;
        self.end_after_eof();
    }

    pub(super) fn end_after_eof(&mut self) {
        let owed = self.profile == Profile::Plain && self.in_flight + self.queued > 0;
        if self.eof && !owed {
            self.end(Ended::ByPeer);
        }
    }

    /// How many bytes are missing of the frame that is arriving.
    pub fn missing(&self, buffered: usize) -> usize {
        self.decoder.missing(buffered)
    }

    /// Whether the last [`handle`](Self::handle) left input that it could have taken, for want of room. It is to be
    /// called again once the connection [is to be read](Self::wants_read).
    pub fn has_deferred(&self) -> bool {
        self.deferred
    }

    /// Whether the socket should be read. False while too much waits for the peer to read or to be answered.
    pub fn wants_read(&self) -> bool {
        !self.eof
            && self.output.uncovered() <= self.limits.write_soft_limit
            && self.full_channels == 0
            && (self.profile == Profile::Native || self.has_plain_room())
    }

    fn has_plain_room(&self) -> bool {
        // A channel has one call at a time, so calls are channels in use.
        self.in_flight < self.limits.max_plain_channels as usize
            && self.in_flight + self.queued < self.limits.max_plain_in_flight
    }

    /// To be called before anything that may end a pause in reading: the time until then is nobody's fault.
    pub(super) fn note_pause(&mut self) {
        if !self.wants_read() {
            self.progress.pause();
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.pending_events.pop_front()
    }

    /// Whether there is an event.
    pub fn has_events(&self) -> bool {
        !self.pending_events.is_empty()
    }

    /// Takes all events at once, in exchange for an empty queue.
    pub fn take_events(&mut self, empty: &mut VecDeque<ServerEvent>) {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut self.pending_events, empty);
    }

    /// Moves what is to be sent to the end of `out`.
    pub fn poll_transmit(&mut self, out: &mut impl Sink) {
        self.note_pause();
        self.output.transmit(out);
        for step in self.output.take_steps() {
            if step.room {
                self.pending_events
                    .push_back(ServerEvent::Writable { call: step.call });
            }
        }
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has anything.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Why the connection is over, if it is. What is still to be sent should be.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Ends the connection from this side or for a reason the session cannot know.
    pub fn end(&mut self, why: Ended) {
        self.ended.get_or_insert(why);
    }

    /// What the peer speaks, as far as is known.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The encodings of compressed messages that the client reads, as its hello said.
    pub fn client_encodings(&self) -> Encodings {
        self.client_encodings
    }

    /// Calls handed over and not answered.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes held in unfinished and queued messages, and in those that were handed over one by one and not consumed.
    pub fn held(&self) -> usize {
        let unconsumed = usize::try_from(self.unconsumed).unwrap_or(usize::MAX);
        self.held.saturating_add(unconsumed)
    }

    /// Credit that is lent to requests beyond the windows they began with.
    pub fn lent(&self) -> u64 {
        self.pool.lent()
    }

    /// When something was received last.
    pub fn last_activity(&self) -> Instant {
        self.last_activity
    }

    /// Says whether all connections together hold as much as they may: then no message of several frames is begun.
    pub fn set_pressed(&mut self, pressed: bool) {
        self.pressed = pressed;
        self.pool.pressed = pressed;
    }

    /// Refuses requests of native peers from here on, unless they are more critical. How many were refused so far.
    pub(crate) fn refuse_from_here(&mut self, refusing: Option<Refusing>) -> u64 {
        self.refusing = refusing;
        std::mem::take(&mut self.refused)
    }

    /// What was sent and received, for whoever adds it to the server's figures.
    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.output.tally
    }

    /// Frames that wait in queues to be sent.
    pub(crate) fn queued_frames(&self) -> usize {
        self.output.queued_frames()
    }

    /// Requests that wait behind another on a channel.
    pub(crate) fn queued_on(&self, channel: ChannelId) -> usize {
        let channel = self.channels.get(channel);
        channel.map_or(0, |channel| channel.queue.len())
    }

    /// Gives back memory that a burst needed.
    pub fn shrink(&mut self) {
        self.output.shrink();
        self.pending_events.shrink_to_fit();
    }
}
