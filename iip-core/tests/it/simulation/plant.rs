//! Bugs put in on purpose, to see that they are found: between two correct sessions, what one of them would do wrong.

use std::ops::Range;

use fastrand::Rng;
use iip_core::wire::record::{RecordKind, Records};
use iip_core::wire::{ChannelId, FrameKind, encode_frame};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A grant of credit gets lost.
    LostGrant,
    /// A channel is used again although the answer to an abandoned call is still owed on it.
    ReusedTombstone,
    /// A call is answered twice.
    DoubleAnswer,
    /// A server that stops ends a connection without waiting for the acknowledgement of its client.
    HastyEnd,
    /// A server that stops does not answer a call that outlasts the grace.
    UnansweredCut,
}

/// Acts on one of the opportunities of its world.
#[derive(Debug)]
pub(super) struct Plant {
    bug: Option<Bug>,
    /// Opportunities until then.
    left: usize,
    /// An answer that is given once more when so many writes are over.
    again: Option<(usize, Vec<u8>)>,
    events: Option<u32>,
    pub(super) acted: bool,
    pub(super) grants: usize,
}

/// A frame within bytes.
struct Place {
    whole: Range<usize>,
    data: Range<usize>,
    kind: u8,
    channel: u32,
}

impl Plant {
    pub(super) fn new(bug: Option<Bug>, rng: &mut Rng) -> Self {
        Self {
            bug,
            left: rng.usize(..3),
            again: None,
            events: None,
            acted: false,
            grants: 0,
        }
    }

    fn is_time(&mut self, bug: Bug) -> bool {
        if self.bug != Some(bug) || self.acted {
            return false;
        }
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.acted = true;
        true
    }

    /// A draining connection has nothing in flight; whether it is `drained` says the session.
    pub(super) fn ends_hastily(&mut self, drained: bool) -> bool {
        let hasty = self.bug == Some(Bug::HastyEnd);
        self.acted |= hasty && !drained;
        hasty
    }

    /// A call outlasts the grace.
    pub(super) fn forgets_answer(&mut self) -> bool {
        self.bug == Some(Bug::UnansweredCut) && !std::mem::replace(&mut self.acted, true)
    }

    /// What a side sends, whole frames.
    pub(super) fn on_output(&mut self, output: &mut Vec<u8>, rng: &mut Rng) {
        for place in places(output) {
            if output[place.whole.start + 1..].starts_with(b"/sys/events\0") {
                self.events = Some(place.channel);
            }
            if self.events == Some(place.channel) {
                self.on_event(&mut output[place.data]);
            } else if place.kind == FrameKind::ResponseWhole.as_u8()
                && place.channel != 0
                && self.is_time(Bug::DoubleAnswer)
            {
                self.again = Some((rng.usize(..4), output[place.whole].to_vec()));
            }
        }
        if self.again.as_ref().is_some_and(|(left, _)| *left == 0)
            && let Some((_, frame)) = self.again.take()
        {
            output.extend_from_slice(&frame);
        } else if let Some((left, _)) = &mut self.again {
            *left -= 1;
        }
    }

    fn on_event(&mut self, data: &mut [u8]) {
        const ENVELOPE: usize = 4;
        // A grant is short: one byte of kind, one of length.
        const HEADER: usize = 2;
        let grants: Vec<usize> = Records::new(&data[ENVELOPE..])
            .flatten()
            .filter(|record| record.kind == RecordKind::WINDOW)
            .map(|record| ENVELOPE + record.offset - HEADER)
            .collect();
        self.grants += grants.len();
        for at in grants {
            if self.is_time(Bug::LostGrant) {
                // A kind that every peer skips.
                data[at] = RecordKind::FIRST_SKIPPABLE;
            }
        }
    }

    /// There is a channel whose raw call was abandoned and not answered. The answer which makes its client believe that
    /// it may use the channel again.
    pub(super) fn on_tombstone(&mut self, channel: ChannelId) -> Option<Vec<u8>> {
        if !self.is_time(Bug::ReusedTombstone) {
            return None;
        }
        let mut frame = Vec::new();
        encode_frame(&mut frame, FrameKind::ResponseWhole, "/", channel, b"paid").then_some(frame)
    }
}

fn places(bytes: &[u8]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let path = bytes[at + 1..].iter().position(|byte| *byte == 0);
        let numbers = at + 1 + path.expect("the end of a path") + 1;
        let number = |at: usize| {
            let number: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(number)
        };
        let data = numbers + 8;
        let end = data + number(numbers + 4) as usize;
        places.push(Place {
            whole: at..end,
            data: data..end,
            kind: bytes[at],
            channel: number(numbers),
        });
        at = end;
    }
    places
}
