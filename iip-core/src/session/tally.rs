//! What one connection has counted since its figures were last added to the server's. Plain numbers under the
//! connection's own lock: a call costs a few additions, and nothing that other connections write too.

use std::time::Instant;

use crate::wire::ChannelId;

/// Stands for "no route": frames of the protocol itself and of unknown paths.
pub(crate) const NO_ROUTE: u32 = u32::MAX;

/// Channels with higher numbers are counted together.
const COUNTED_CHANNELS: usize = 2048;

/// Of a channel that is not counted yet: more than there can be.
const NO_PLACE: u16 = u16::MAX;

/// Upper ends of the first seven ranges of durations, nanoseconds; the eighth has no end.
const RANGE_ENDS: [u64; 7] = [
    100_000_000,
    200_000_000,
    300_000_000,
    500_000_000,
    700_000_000,
    1_000_000_000,
    1_500_000_000,
];

/// Frames, messages and bytes in both directions. A message is a whole request or response; bytes are those of whole
/// frames, headers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Frames put on their way.
    pub frames_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Messages whose last frame was put on its way.
    pub messages_sent: u64,
    /// Messages whose last frame was received.
    pub messages_received: u64,
    /// Bytes of the frames sent.
    pub bytes_sent: u64,
    /// Bytes of the frames received.
    pub bytes_received: u64,
}

impl Traffic {
    #[inline]
    fn receive(&mut self, bytes: usize, last: bool) {
        self.frames_received += 1;
        self.messages_received += u64::from(last);
        self.bytes_received += bytes as u64;
    }

    #[inline]
    fn send(&mut self, bytes: usize, last: bool) {
        self.frames_sent += 1;
        self.messages_sent += u64::from(last);
        self.bytes_sent += bytes as u64;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.frames_sent += other.frames_sent;
        self.frames_received += other.frames_received;
        self.messages_sent += other.messages_sent;
        self.messages_received += other.messages_received;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }
}

/// Calls within one range of durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurationRange {
    /// Their durations together, nanoseconds.
    pub nanos: u64,
    /// How many they are.
    pub calls: u64,
}

impl DurationRange {
    fn record(&mut self, nanos: u64, calls: u64) {
        self.nanos = self.nanos.saturating_add(nanos.saturating_mul(calls));
        self.calls += calls;
    }

    fn add(&mut self, other: Self) {
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.calls += other.calls;
    }
}

/// Calls that were answered, by how long that took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durations {
    /// Up to 100, 200, 300, 500, 700, 1000 and 1500 ms, and longer.
    pub ranges: [DurationRange; 8],
}

impl Durations {
    fn record(&mut self, nanos: u64, calls: u64) {
        let range = RANGE_ENDS.iter().position(|end| nanos <= *end);
        if let Some(range) = self.ranges.get_mut(range.unwrap_or(RANGE_ENDS.len())) {
            range.record(nanos, calls);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (own, other) in self.ranges.iter_mut().zip(other.ranges) {
            own.add(other);
        }
    }

    /// All calls.
    pub fn calls(&self) -> u64 {
        self.ranges.iter().map(|range| range.calls).sum()
    }

    /// Their durations together, nanoseconds.
    pub fn nanos(&self) -> u64 {
        let sum = |sum: u64, range: &DurationRange| sum.saturating_add(range.nanos);
        self.ranges.iter().fold(0, sum)
    }
}

/// What was counted of one route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RouteTally {
    pub(crate) traffic: Traffic,
    pub(crate) durations: Durations,
}

/// Calls of one route that arrived together and were answered together.
#[derive(Debug, Clone, Copy)]
struct Answered {
    route: u32,
    calls: u64,
    arrived: Instant,
}

/// See the module's documentation.
///
/// Most connections use one route at a time, so that the figures of that one stand here and cost no memory elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The route counted last, what was counted of it since the one before, and its calls in the first range.
    route: u32,
    traffic: Traffic,
    quick: DurationRange,
    /// What was counted of [`NO_ROUTE`] until another was. It has no durations.
    other: Traffic,
    /// The same of the routes counted before, and calls that took long.
    routes: Routes,
    /// Since the connection began, by channel, and of the channels beyond.
    channels: Vec<(u32, Traffic)>,
    /// Where in `channels` each is. Channels are many, and few of them are used on most connections.
    places: Vec<u16>,
    beyond: Option<Box<Traffic>>,
    /// Answered since the clock was read last: the calls that arrived last, and those before.
    answered: Option<Answered>,
    earlier: Vec<Answered>,
    /// The second, as the server counts, in which the durations were recorded.
    pub(crate) second: u64,
    /// When that second ends; `None` before the first.
    pub(crate) until: Option<Instant>,
}

type Routes = Vec<Option<Box<RouteTally>>>;

fn of_route(routes: &mut Routes, route: u32) -> &mut RouteTally {
    let index = route as usize;
    if index >= routes.len() {
        routes.resize_with(index + 1, || None);
    }
    routes[index].get_or_insert_default()
}

impl Tally {
    #[inline(always)]
    fn route(&mut self, route: u32) -> &mut Traffic {
        if route != self.route {
            self.change_route(route);
        }
        &mut self.traffic
    }

    #[inline(never)]
    fn change_route(&mut self, route: u32) {
        let traffic = std::mem::take(&mut self.traffic);
        let quick = std::mem::take(&mut self.quick);
        let before = std::mem::replace(&mut self.route, route);
        if before == NO_ROUTE {
            self.other.add(&traffic);
        } else if traffic != Traffic::default() || quick.calls > 0 {
            let tally = of_route(&mut self.routes, before);
            tally.traffic.add(&traffic);
            tally.durations.ranges[0].add(quick);
        }
    }

    #[inline(always)]
    fn channel(&mut self, channel: ChannelId) -> &mut Traffic {
        let index = channel.index();
        let place = self.places.get(index).copied().unwrap_or(NO_PLACE);
        let place = usize::from(place);
        if place < self.channels.len() {
            return &mut self.channels[place].1;
        }
        self.begin_channel(index)
    }

    #[cold]
    fn begin_channel(&mut self, index: usize) -> &mut Traffic {
        if index >= COUNTED_CHANNELS {
            return self.beyond.get_or_insert_default();
        }
        if index >= self.places.len() {
            self.places.resize(index + 1, NO_PLACE);
        }
        let place = self.channels.len();
        self.places[index] = place as u16;
        self.channels.push((index as u32, Traffic::default()));
        &mut self.channels[place].1
    }

    /// A frame of so many bytes was received.
    #[inline(always)]
    pub(crate) fn receive(&mut self, route: u32, channel: ChannelId, bytes: usize, last: bool) {
        self.route(route).receive(bytes, last);
        self.channel(channel).receive(bytes, last);
    }

    /// A frame of so many bytes is on its way.
    #[inline(always)]
    pub(crate) fn send(&mut self, route: u32, channel: ChannelId, bytes: usize, last: bool) {
        self.route(route).send(bytes, last);
        self.channel(channel).send(bytes, last);
    }

    /// A call was answered. How long that took is known when the clock is read next.
    #[inline]
    pub(crate) fn answer(&mut self, route: u32, arrived: Instant) {
        match &mut self.answered {
            Some(last) if last.route == route && last.arrived == arrived => last.calls += 1,
            last => {
                let before = last.replace(Answered {
                    route,
                    calls: 1,
                    arrived,
                });
                if let Some(before) = before {
                    self.earlier.push(before);
                }
            }
        }
    }

    /// Whether calls were answered since the clock was read.
    #[inline]
    pub(crate) fn awaits_clock(&self) -> bool {
        self.answered.is_some()
    }

    /// The time is `now`: so long took what was answered since the last time.
    /// Tells the route, the nanoseconds and the number of calls, for each.
    pub(crate) fn settle(&mut self, now: Instant, mut each: impl FnMut(u32, u64, u64)) {
        if let Some(last) = self.answered.take() {
            self.end(last, now, &mut each);
        }
        if self.earlier.is_empty() {
            return;
        }
        let mut earlier = std::mem::take(&mut self.earlier);
        for before in earlier.drain(..) {
            self.end(before, now, &mut each);
        }
        // Its memory serves the next batch.
        self.earlier = earlier;
    }

    fn end(&mut self, of: Answered, now: Instant, each: &mut impl FnMut(u32, u64, u64)) {
        let took = now.saturating_duration_since(of.arrived);
        let nanos = took.as_secs().saturating_mul(1_000_000_000);
        let nanos = nanos.saturating_add(u64::from(took.subsec_nanos()));
        if of.route == self.route && nanos <= RANGE_ENDS[0] {
            self.quick.record(nanos, of.calls);
        } else {
            let tally = of_route(&mut self.routes, of.route);
            tally.durations.record(nanos, of.calls);
        }
        each(of.route, nanos, of.calls);
    }

    /// Takes out what was counted by route. One route may come twice.
    pub(crate) fn take(&mut self, mut each: impl FnMut(u32, &RouteTally)) {
        let mut tally = RouteTally {
            traffic: std::mem::take(&mut self.traffic),
            ..RouteTally::default()
        };
        tally.durations.ranges[0] = std::mem::take(&mut self.quick);
        if tally != RouteTally::default() {
            each(self.route, &tally);
        }
        let other = RouteTally {
            traffic: std::mem::take(&mut self.other),
            ..RouteTally::default()
        };
        if other != RouteTally::default() {
            each(NO_ROUTE, &other);
        }
        for (index, slot) in self.routes.iter_mut().enumerate() {
            let Some(tally) = slot else { continue };
            if **tally != RouteTally::default() {
                each(index as u32, tally);
                **tally = RouteTally::default();
            }
        }
    }

    /// Since the connection began.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut sum = self.beyond.as_deref().copied().unwrap_or_default();
        for (_, channel) in &self.channels {
            sum.add(channel);
        }
        sum
    }

    /// By channel, in the order of their numbers; those without any left out.
    pub(crate) fn by_channel(&self) -> Vec<(u32, Traffic)> {
        let mut channels = self.channels.clone();
        channels.sort_unstable_by_key(|(channel, _)| *channel);
        channels
    }

    /// Gives back memory. To be called after [`take`](Self::take): what was counted by route is lost.
    pub(crate) fn shrink(&mut self) {
        self.routes = Vec::new();
        if self.earlier.is_empty() {
            self.earlier = Vec::new();
        }
    }
}
