use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::latency::Latency;
use super::target::Target;
use super::weight::Weight;
use crate::transport::Address;

/// One of the places that a balancer sends calls to, with what is known of it. Shared in an [`Arc`]; nothing in it takes a
/// lock.
pub struct Endpoint {
    id: EndpointId,
    target: Target,
    weight: AtomicU8,
    in_flight: AtomicUsize,
    latency: Latency,
    /// An `f32`, from 0 to 1.
    ramp: AtomicU32,
}

/// Tells endpoints apart: no two of a process have the same, even if one has the address that the other had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(u64);

/// A call that is under way at an endpoint, until this is dropped.
#[derive(Debug)]
#[must_use = "the call counts as in flight only until this is dropped"]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
}

impl Endpoint {
    /// An endpoint of which nothing is known yet. A balancer makes its own; this one is for tests of a
    /// [`Policy`](crate::balance::Policy).
    pub fn new(target: Target) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: EndpointId(NEXT.fetch_add(1, Ordering::Relaxed)),
            weight: AtomicU8::new(target.weight().get()),
            target,
            in_flight: AtomicUsize::new(0),
            latency: Latency::default(),
            ramp: AtomicU32::new(1f32.to_bits()),
        })
    }

    /// What tells it apart from others.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// What it was made from. Its weight may be another one by now.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What is dialed.
    pub fn address(&self) -> &Address {
        self.target.address()
    }

    /// Its share of the calls, in proportion to the others'.
    pub fn weight(&self) -> Weight {
        Weight::new(self.weight.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// A later list gives it another share.
    pub(super) fn set_weight(&self, weight: Weight) {
        self.weight.store(weight.get(), Ordering::Relaxed);
    }

    /// Where it is, if that is known.
    pub fn locality(&self) -> Option<&Arc<str>> {
        self.target.locality()
    }

    /// Calls that this process has under way there, through the balancer that this is of.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a call as in flight until what is returned is dropped.
    pub fn begin_call(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            endpoint: Arc::clone(self),
        }
    }

    /// How long its calls take; `None` before the first has been measured.
    ///
    /// It is a peak-sensitive moving average: a longer latency counts at once and in full, shorter ones bring it down
    /// within about 10 s.
    pub fn latency(&self) -> Option<Duration> {
        self.latency.average()
    }

    /// A call took this long and has ended now.
    ///
    /// Only what says something about the endpoint may be recorded: not a call that failed at once, which would make the
    /// endpoint look fast.
    pub fn record_latency(&self, latency: Duration, now: Instant) {
        self.latency.record(latency, now);
    }

    /// [`latency`](Self::latency) in nanoseconds; more than 0.
    pub(super) fn average(&self) -> Option<f32> {
        self.latency.nanos()
    }

    /// How much [`latency`](Self::latency) is to be trusted: 1 when it was just measured, towards 0 as that gets old.
    pub(super) fn trust(&self, now: Instant) -> f32 {
        self.latency.trust(now)
    }

    /// Which part of its share of the calls it is to have, from 0 to 1: less than 1 while it returns gradually.
    pub fn ramp(&self) -> f32 {
        f32::from_bits(self.ramp.load(Ordering::Relaxed))
    }

    /// Sets what [`ramp`](Self::ramp) returns, within 0 and 1; 1 at the start.
    pub fn set_ramp(&self, part: f32) {
        let part = match part.is_nan() {
            true => 0.0,
            false => part.clamp(0.0, 1.0),
        };
        self.ramp.store(part.to_bits(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("target", &format_args!("{}", self.target))
            .field("in_flight", &self.in_flight())
            .field("latency", &self.latency())
            .field("ramp", &self.ramp())
            .finish_non_exhaustive()
    }
}

impl InFlight {
    /// Where the call is under way.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
