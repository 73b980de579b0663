use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::session::Criticality;

/// How often it is looked at whether calls wait for too long.
const INTERVAL: Duration = Duration::from_millis(100);

/// Calls that wait no longer than this are a burst, of which the queue makes an even load. When even the shortest wait of
/// an interval is longer, the queue only makes calls late.
const TARGET: Duration = Duration::from_millis(20);

/// What stands for a call that waits.
pub(super) type Ticket = u64;

/// Calls that wait for their turn, the most critical first. Time is an argument.
///
/// Those of one criticality are served in the order in which they came, until they wait for too long all the time. From
/// then on the last one is served first: of those that have just come some can be answered in time, where in order none
/// would be. And what cannot be ended before its deadline is not begun.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    limit: usize,
    len: usize,
    next: Ticket,
    classes: [Class<T>; Criticality::ALL.len()],
}

#[derive(Debug)]
struct Class<T> {
    calls: BTreeMap<Ticket, Entry<T>>,
    /// When the present interval ends, and the shortest wait in it.
    interval: Option<(Instant, Duration)>,
    /// The queue does not empty: the last one first.
    stands: bool,
}

impl<T> Default for Class<T> {
    fn default() -> Self {
        Self {
            calls: BTreeMap::new(),
            interval: None,
            stands: false,
        }
    }
}

#[derive(Debug)]
struct Entry<T> {
    call: T,
    since: Instant,
    deadline: Option<Instant>,
}

/// What becomes of the call whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<T> {
    Begin(T),
    /// Its deadline has passed.
    Expired(T),
    /// It would not be ended by its deadline.
    Hopeless(T),
}

/// What became of a call that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed<T> {
    /// It waits, in the place of that one if there is one.
    Waits(Ticket, Option<T>),
    Full(T),
}

impl<T> Waiting<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            len: 0,
            next: 0,
            classes: Default::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn class(&mut self, criticality: Criticality) -> &mut Class<T> {
        let [sheddable, critical, plus] = &mut self.classes;
        match criticality {
            Criticality::Sheddable => sheddable,
            Criticality::Critical => critical,
            Criticality::CriticalPlus => plus,
        }
    }

    /// Lets a call wait. When the queue is full one of the least critical gives way: the newest to what is more critical;
    /// where the last one is served first, the oldest to any other.
    pub(super) fn push(
        &mut self,
        call: T,
        criticality: Criticality,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Pushed<T> {
        let mut displaced = None;
        if self.len >= self.limit {
            match self.displace(criticality) {
                Some(other) => displaced = Some(other),
                None => return Pushed::Full(call),
            }
        }
        let ticket = self.next;
        self.next += 1;
        self.len += 1;
        let entry = Entry {
            call,
            since: now,
            deadline,
        };
        self.class(criticality).calls.insert(ticket, entry);
        Pushed::Waits(ticket, displaced)
    }

    fn displace(&mut self, criticality: Criticality) -> Option<T> {
        for least in Criticality::ALL {
            let class = self.class(least);
            if class.calls.is_empty() {
                continue;
            }
            let gone = match class.stands {
                true if least <= criticality => class.calls.pop_first(),
                false if least < criticality => class.calls.pop_last(),
                _ => None,
            };
            self.len -= usize::from(gone.is_some());
            return gone.map(|(_, entry)| entry.call);
        }
        None
    }

    /// Takes the next call of those for whose criticality there is room. `service`: how long one like it takes.
    pub(super) fn pop(
        &mut self,
        now: Instant,
        has_room: impl Fn(Criticality) -> bool,
        service: impl Fn(&T) -> Duration,
    ) -> Option<Turn<T>> {
        for criticality in Criticality::ALL.into_iter().rev() {
            if !has_room(criticality) {
                return None;
            }
            let class = self.class(criticality);
            class.observe(now);
            let next = match class.stands {
                true => class.calls.pop_last(),
                false => class.calls.pop_first(),
            };
            if let Some((_, entry)) = next {
                let stands = class.stands;
                self.len -= 1;
                let remaining = entry
                    .deadline
                    .map(|deadline| deadline.saturating_duration_since(now));
                return Some(match remaining {
                    Some(Duration::ZERO) => Turn::Expired(entry.call),
                    Some(remaining) if stands && remaining < service(&entry.call) => {
                        Turn::Hopeless(entry.call)
                    }
                    _ => Turn::Begin(entry.call),
                });
            }
        }
        None
    }

    /// Whether there is a call that [`pop`](Self::pop) would take.
    pub(super) fn has_turn(&self, has_room: impl Fn(Criticality) -> bool) -> bool {
        let mut classes = Criticality::ALL.iter().zip(&self.classes);
        classes.any(|(criticality, class)| !class.calls.is_empty() && has_room(*criticality))
    }

    /// The most critical calls that [`push`](Self::push) would refuse; with them all that are less critical.
    pub(super) fn refuses(&self) -> Option<Criticality> {
        if self.len < self.limit {
            return None;
        }
        let mut refused = None;
        for (least, class) in Criticality::ALL.into_iter().zip(&self.classes) {
            match class.calls.is_empty() {
                // Others give way to as critical ones only where the last one is served first.
                false if class.stands => return refused,
                false => return Some(least),
                true => refused = Some(least),
            }
        }
        refused
    }

    #[cfg(test)]
    pub(super) fn observe_all(&mut self, now: Instant) {
        for class in &mut self.classes {
            class.observe(now);
        }
    }

    /// Takes a call that is not to begin any more; `None` if its turn has come.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let entry = self
            .classes
            .iter_mut()
            .find_map(|class| class.calls.remove(&ticket))?;
        self.len -= 1;
        Some(entry.call)
    }
}

impl<T> Class<T> {
    /// Looks at how long the oldest has waited: as long as that is long, the queue stands.
    fn observe(&mut self, now: Instant) {
        let Some((_, oldest)) = self.calls.first_key_value() else {
            self.interval = None;
            self.stands = false;
            return;
        };
        let waited = now.saturating_duration_since(oldest.since);
        let (ends, shortest) = self.interval.get_or_insert((now + INTERVAL, waited));
        *shortest = waited.min(*shortest);
        if now >= *ends {
            self.stands = *shortest > TARGET;
            self.interval = Some((now + INTERVAL, waited));
        }
    }
}
