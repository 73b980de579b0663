use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::dice::mixed;
use super::endpoint::Endpoint;

/// What a call says when it is placed.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    now: Instant,
    key: Option<u64>,
    attempt: u32,
}

impl Pick {
    /// A first attempt, now, without a key.
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            key: None,
            attempt: 0,
        }
    }

    /// The hash of some bytes, such as a user's name, as a key. It is the same in all processes, and stays so.
    pub fn key_of(bytes: &[u8]) -> u64 {
        // FNV-1a, and then every bit depends on every other.
        let hash = bytes
            .iter()
            .fold(0xCBF2_9CE4_8422_2325, |hash: u64, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
        mixed(hash)
    }

    /// What it is hashed by, under [`ConsistentHash`](crate::balance::ConsistentHash): calls with the same key go to the
    /// same endpoint.
    #[must_use]
    pub fn with_key(mut self, key: u64) -> Self {
        self.key = Some(key);
        self
    }

    /// Which attempt of the call this is: 0 for the first.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same, after waiting.
    pub(super) fn at(self, now: Instant) -> Self {
        Self { now, ..self }
    }

    /// When the call is placed.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What the call is hashed by.
    pub fn key(&self) -> Option<u64> {
        self.key
    }

    /// Which attempt of the call this is: 0 for the first.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Chooses an endpoint for each call, from those it was made for. Made by a [`Policy`].
///
/// It is called for every attempt of every call, by many threads at a time: it must not block, and should neither lock nor
/// allocate.
pub trait Picker: Send + Sync {
    /// The index of the endpoint for this attempt, in the list that the picker was made for; `None` if none is to get it.
    ///
    /// Where `pick.attempt()` is not 0, an earlier attempt failed: another endpoint than then is better. A balancer asks
    /// again, with the next number, when it gets one that it has tried for this call, a few times.
    fn pick(&self, pick: &Pick) -> Option<usize>;
}

/// How calls are spread over endpoints.
pub trait Policy: fmt::Debug + Send + Sync + 'static {
    /// A picker for these endpoints, which may be none. They are in the order of the list that named them.
    ///
    /// It is made again whenever another set of endpoints can take calls; what is to outlast that belongs into the policy
    /// or is in the endpoints.
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker>;

    /// Whether only one endpoint is to be connected to, the first of the list that can be; default `false`: all are, and
    /// the picker chooses. Then the picker is made for that one endpoint.
    fn one_at_a_time(&self) -> bool {
        false
    }
}

impl<P: Policy + ?Sized> Policy for Arc<P> {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        (**self).picker(endpoints)
    }

    fn one_at_a_time(&self) -> bool {
        (**self).one_at_a_time()
    }
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        (**self).picker(endpoints)
    }

    fn one_at_a_time(&self) -> bool {
        (**self).one_at_a_time()
    }
}
