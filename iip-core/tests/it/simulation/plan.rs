//! What happens in the world of one seed.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use iip_core::session::Limits;

/// What a call is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Raw,
    Unary,
    ClientStream,
    ServerStream,
    Both,
}

/// What its handler does in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Answer,
    /// Fails after some of its messages.
    Fail,
    /// Answers before its request is complete.
    Early,
    /// Is refused the first time, before its handler runs.
    Refuse,
    /// Never answers.
    Silence,
}

/// Who never takes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    Nobody,
    Caller,
    Handler,
}

#[derive(Debug)]
pub(super) struct CallPlan {
    pub(super) shape: Shape,
    /// Sizes of its messages, bytes.
    pub(super) requests: Vec<usize>,
    pub(super) responses: Vec<usize>,
    pub(super) ending: Ending,
    pub(super) stall: Stall,
    pub(super) deadline: Option<Duration>,
    /// Its caller gives it up, sooner or later: one chance in so many at each opportunity.
    pub(super) cancelled: Option<u32>,
    /// The step at which it is made.
    pub(super) from: u32,
}

impl CallPlan {
    pub(super) fn streams_requests(&self) -> bool {
        matches!(self.shape, Shape::ClientStream | Shape::Both)
    }

    /// Whether one side waits for the other on purpose.
    pub(super) fn is_stuck(&self) -> bool {
        self.stall != Stall::Nobody || self.ending == Ending::Silence
    }
}

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What befalls the first connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Nothing,
    /// It breaks at this byte of what one side sends.
    Cut(Side, u64),
    /// From this byte of what one side sends on, nothing arrives.
    Silence(Side, u64),
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) calls: Vec<CallPlan>,
    pub(super) fault: Fault,
    /// The server stops, and says so, at this step.
    pub(super) drain: Option<u32>,
    /// The grace that calls have then.
    pub(super) grace: Option<Duration>,
    /// Most bytes that a socket takes or gives at a time, in each direction.
    pub(super) pace: [usize; 2],
    pub(super) limits: Limits,
    /// Bytes that one side may hold.
    pub(super) budget: usize,
}

impl Plan {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let pace = [pace(rng), pace(rng)];
        // What goes by the byte has to be little.
        let slowest = pace[0].min(pace[1]);
        let most = (slowest * 400).clamp(2 * 1024, 200 * 1024);
        let max_message = 1 << rng.u32(15..18);
        let budget = (1_usize << rng.u32(18..20)).max(2 * max_message + 128);
        let limits = Limits::default()
            .max_channels(rng.u32(3..8))
            .max_message(max_message)
            .receive_budget(budget)
            .write_soft_limit(1 << rng.u32(10..21));
        let calls = (0..rng.usize(3..12))
            .map(|_| call(rng, most, max_message))
            .collect();
        let at = some(rng, 4..18);
        let side = match rng.bool() {
            true => Side::Client,
            false => Side::Server,
        };
        let fault = match rng.u8(..8) {
            0..=2 => Fault::Cut(side, at),
            3 => Fault::Silence(side, at),
            _ => Fault::Nothing,
        };
        Self {
            calls,
            fault,
            drain: (rng.u8(..4) == 0).then(|| rng.u32(..400)),
            grace: (rng.u8(..4) > 0).then(|| Duration::from_micros(some(rng, 0..17))),
            pace,
            limits,
            budget,
        }
    }
}

/// A number of up to so many bits: small ones are as likely as large ones.
fn some(rng: &mut Rng, bits: Range<u32>) -> u64 {
    let bits = rng.u32(bits);
    rng.u64(..1 << bits)
}

/// Mostly as much as there is; else only some, down to a few bytes.
fn pace(rng: &mut Rng) -> usize {
    match rng.u8(..4) {
        0 => 1 << rng.u32(3..14),
        _ => 1 << 17,
    }
}

fn call(rng: &mut Rng, most: usize, max_message: usize) -> CallPlan {
    let shape = match rng.u8(..10) {
        0..=1 => Shape::Raw,
        2..=3 => Shape::Unary,
        4..=5 => Shape::ClientStream,
        6..=7 => Shape::ServerStream,
        _ => Shape::Both,
    };
    let mut size = |least: usize| match rng.u8(..8) {
        0..=3 => rng.usize(least..100),
        4..=5 => rng.usize(least..4096),
        6 => rng.usize(least..(40 * 1024).min(most).min(max_message)),
        _ => rng.usize(least..most.min(max_message)),
    };
    let least = if shape == Shape::Raw { 8 } else { 0 };
    let (one_request, one_response) = (size(least), size(least));
    let mut several = |one: usize, streams: bool| {
        if !streams {
            return vec![one];
        }
        let mut left = most;
        let mut sizes = Vec::new();
        for _ in 0..size(0) % 12 {
            let next = size(0).min(left);
            left -= next;
            sizes.push(next);
        }
        sizes
    };
    let requests = several(
        one_request,
        matches!(shape, Shape::ClientStream | Shape::Both),
    );
    let responses = several(
        one_response,
        matches!(shape, Shape::ServerStream | Shape::Both),
    );
    let ending = match rng.u8(..16) {
        0 => Ending::Fail,
        1..=2 => Ending::Early,
        3 => Ending::Refuse,
        4 => Ending::Silence,
        _ => Ending::Answer,
    };
    let stall = match rng.u8(..16) {
        0 => Stall::Caller,
        1 => Stall::Handler,
        _ => Stall::Nobody,
    };
    let for_ever = ending == Ending::Silence || stall != Stall::Nobody;
    let deadline = match rng.u8(..8) {
        0 => Some(Duration::from_micros(some(rng, 4..16))),
        1..=2 => None,
        _ => Some(Duration::from_millis(rng.u64(1_000..3_000))),
    };
    CallPlan {
        shape,
        requests,
        responses,
        ending,
        stall,
        deadline: deadline.or(for_ever.then_some(Duration::from_secs(2))),
        cancelled: (rng.u8(..4) == 0).then(|| 1 << rng.u32(..9)),
        from: some(rng, 0..9) as u32,
    }
}
