use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::transport::PeerAddr;

/// Connections of one server, where the limit of descriptors allows it. At 8 KiB for an idle one
/// this is 80 MiB.
const TOTAL: usize = 10_000;

/// Share of the descriptors that connections may take, in percent. The rest is for files, backends
/// and the logger.
const DESCRIPTORS_PERCENT: u64 = 80;

/// Limit of descriptors assumed where the system does not tell it: the usual soft limit.
const DESCRIPTORS_ASSUMED: u64 = 1024;

/// Connections of one IP address: far more than a pool opens, far less than all.
const PER_IP: usize = 512;

/// Violations of the protocol in one window after which an address is refused. A program with a
/// defect reaches it in a second and then costs nothing for a minute; a person trying things by
/// hand does not.
const STRIKES: u32 = 10;
const STRIKE_WINDOW: Duration = Duration::from_secs(60);
const REFUSAL: Duration = Duration::from_secs(60);

/// Addresses whose violations are remembered; beyond it the oldest are forgotten. About 400 KiB.
pub(super) const REMEMBERED_MAX: usize = 4096;

/// Share of the total, in percent, from which a server has to look for connections it can do
/// without.
const CROWDED_PERCENT: usize = 90;

/// How many connections a server has, in all and from one IP address, and when it refuses an
/// address for a while.
///
/// The limits by address count TCP peers. Loopback addresses are exempt, because that is where
/// gateways and side cars of the same machine come from; so are Unix and in-memory peers. Behind a
/// gateway or a proxy all clients have one address: set [`per_ip`](Self::per_ip) and
/// [`strikes`](Self::strikes) to 0 there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    total: usize,
    per_ip: usize,
    strikes: u32,
    strike_window: Duration,
    refusal: Duration,
    ipv6_prefix: u32,
    loopback: Loopback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loopback {
    Exempt,
    Limited,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: default_total(open_file_limit()),
            per_ip: PER_IP,
            strikes: STRIKES,
            strike_window: STRIKE_WINDOW,
            refusal: REFUSAL,
            ipv6_prefix: Ipv6Addr::BITS,
            loopback: Loopback::Exempt,
        }
    }
}

impl ConnectionLimits {
    /// Connections in all: at least 1, default the smaller of 10,000 and 80 % of the limit of open
    /// files (`ulimit -n`) at the time when this value was made.
    ///
    /// A larger value costs memory, up to 8 KiB for each idle connection, and one descriptor each.
    #[must_use]
    pub fn total(mut self, connections: usize) -> Self {
        self.total = connections.max(1);
        self
    }

    /// Connections of one IP address: default 512, 0 for no limit.
    ///
    /// A larger value lets one machine take a larger part of the total.
    #[must_use]
    pub fn per_ip(mut self, connections: usize) -> Self {
        self.per_ip = connections;
        self
    }

    /// Violations of the protocol by one IP address within a [window](Self::strike_window) after
    /// which its new connections are refused for a [while](Self::refusal): default 10, 0 for never.
    ///
    /// A larger value tolerates more defective clients on one address.
    #[must_use]
    pub fn strikes(mut self, violations: u32) -> Self {
        self.strikes = violations;
        self
    }

    /// Length of the window in which violations are counted, which begins with the first one:
    /// default 60 s.
    #[must_use]
    pub fn strike_window(mut self, window: Duration) -> Self {
        self.strike_window = window;
        self
    }

    /// How long new connections of an address are refused: default 60 s. Those it has go on.
    #[must_use]
    pub fn refusal(mut self, time: Duration) -> Self {
        self.refusal = time;
        self
    }

    /// Leading bits of an IPv6 address that make two peers count as one: 1 to 128, default 128
    /// (each address for itself).
    ///
    /// On the internet a customer has at least 64 bits to choose from, so 64 is better there. In a
    /// data centre all machines of a subnet share 64 bits, and would share the limits.
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u32) -> Self {
        self.ipv6_prefix = bits.clamp(1, Ipv6Addr::BITS);
        self
    }

    /// Applies the limits by address to loopback addresses too, which are exempt by default.
    #[must_use]
    pub fn limit_loopback(mut self) -> Self {
        self.loopback = Loopback::Limited;
        self
    }

    /// The address that a peer is counted under, or `None` if it is not counted.
    fn key(&self, peer: &PeerAddr) -> Option<IpAddr> {
        let ip = peer.ip()?;
        if self.loopback == Loopback::Exempt && ip.is_loopback() {
            return None;
        }
        Some(match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(v6) => {
                let host_bits = Ipv6Addr::BITS.saturating_sub(self.ipv6_prefix);
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        })
    }
}

/// Why a connection is refused. The text names the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Total { limit: usize },
    PerIp { ip: IpAddr, limit: usize },
    Strikes { ip: IpAddr, remaining: Duration },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total { limit } => {
                write!(
                    f,
                    "the server has {limit} connections (setting: ConnectionLimits::total)"
                )
            }
            Self::PerIp { ip, limit } => {
                write!(
                    f,
                    "{ip} has {limit} connections (setting: ConnectionLimits::per_ip)"
                )
            }
            Self::Strikes { ip, remaining } => write!(
                f,
                "{ip} has violated the protocol too often and is refused for {} s more \
                 (setting: ConnectionLimits::strikes)",
                remaining.as_secs().saturating_add(1)
            ),
        }
    }
}

/// What admission has done since the server was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdmissionStats {
    /// Connections open now.
    pub open: usize,
    /// Limit of open connections.
    pub limit: usize,
    /// Connections refused because the server had its total.
    pub refused_total: u64,
    /// Connections refused because their IP address had its share.
    pub refused_per_ip: u64,
    /// Connections refused because their IP address had violated the protocol too often.
    pub refused_strikes: u64,
    /// Violations of the protocol reported, of all peers.
    pub violations: u64,
}

/// Decides which connections a server takes. Clones share one count; several listeners use one.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    limits: Arc<ConnectionLimits>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// Has an entry only for addresses with open connections, so it is never larger than the total.
    per_ip: HashMap<IpAddr, usize>,
    /// At most [`REMEMBERED_MAX`] entries.
    strikes: HashMap<IpAddr, Strikes>,
    refused_total: u64,
    refused_per_ip: u64,
    refused_strikes: u64,
    violations: u64,
}

#[derive(Clone, Copy, Debug)]
struct Strikes {
    /// Begin of the window.
    since: Instant,
    count: u32,
    refused_until: Option<Instant>,
}

impl Admission {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits: Arc::new(limits),
            state: Arc::default(),
        }
    }

    /// Takes a connection, or says why not. The connection is counted until the permit is dropped.
    pub(crate) fn admit(&self, peer: &PeerAddr, now: Instant) -> Result<Permit, Refusal> {
        let limits = &*self.limits;
        let key = limits.key(peer);
        let mut state = self.lock();
        if let Some(ip) = key
            && let Some(remaining) = state.refused_for(ip, now)
        {
            state.refused_strikes += 1;
            return Err(Refusal::Strikes { ip, remaining });
        }
        if state.open >= limits.total {
            state.refused_total += 1;
            return Err(Refusal::Total {
                limit: limits.total,
            });
        }
        let counted = key.filter(|_| limits.per_ip > 0);
        if let Some(ip) = counted {
            let open = state.per_ip.entry(ip).or_default();
            if *open >= limits.per_ip {
                state.refused_per_ip += 1;
                return Err(Refusal::PerIp {
                    ip,
                    limit: limits.per_ip,
                });
            }
            *open += 1;
        }
        state.open += 1;
        Ok(Permit {
            state: self.state.clone(),
            counted,
        })
    }

    /// Takes note of a violation of the protocol. True when it is the one after which the address
    /// is refused.
    pub(crate) fn strike(&self, peer: &PeerAddr, now: Instant) -> bool {
        let mut state = self.lock();
        state.violations += 1;
        match self.limits.key(peer) {
            Some(ip) if self.limits.strikes > 0 => state.strike(ip, now, &self.limits),
            _ => false,
        }
    }

    /// Whether more than 90 % of the connections are taken: time to close idle ones.
    pub(crate) fn is_crowded(&self) -> bool {
        self.lock().open > self.limits.total.saturating_mul(CROWDED_PERCENT) / 100
    }

    pub(crate) fn stats(&self) -> AdmissionStats {
        let state = self.lock();
        AdmissionStats {
            open: state.open,
            limit: self.limits.total,
            refused_total: state.refused_total,
            refused_per_ip: state.refused_per_ip,
            refused_strikes: state.refused_strikes,
            violations: state.violations,
        }
    }

    /// Entries in the two maps: addresses with connections, addresses with violations.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> (usize, usize) {
        let state = self.lock();
        (state.per_ip.len(), state.strikes.len())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing panics while it holds the lock; and if it did, the counts would still be whole.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn refused_for(&self, ip: IpAddr, now: Instant) -> Option<Duration> {
        let until = self.strikes.get(&ip)?.refused_until?;
        until
            .checked_duration_since(now)
            .filter(|remaining| !remaining.is_zero())
    }

    fn strike(&mut self, ip: IpAddr, now: Instant, limits: &ConnectionLimits) -> bool {
        let new = Strikes {
            since: now,
            count: 0,
            refused_until: None,
        };
        if !self.strikes.contains_key(&ip) {
            self.make_room(now, limits);
        }
        let entry = self.strikes.entry(ip).or_insert(new);
        if entry.is_over(now, limits) {
            *entry = new;
        }
        if entry.refused_until.is_some() {
            // A connection that it had already. It does not prolong the refusal.
            return false;
        }
        entry.count += 1;
        if entry.count < limits.strikes {
            return false;
        }
        // A time beyond what the clock can count is for ever, and a year is as good.
        let year = Duration::from_secs(365 * 86_400);
        entry.refused_until = now
            .checked_add(limits.refusal)
            .or_else(|| now.checked_add(year));
        true
    }

    /// Keeps the map within its bound. The oldest eighth goes, entries without a refusal before
    /// those with one: many at a time, so that looking through the map costs little for each
    /// violation.
    fn make_room(&mut self, now: Instant, limits: &ConnectionLimits) {
        if self.strikes.len() < REMEMBERED_MAX {
            return;
        }
        self.strikes.retain(|_, entry| !entry.is_over(now, limits));
        let surplus = self.strikes.len().saturating_sub(REMEMBERED_MAX / 8 * 7);
        if surplus == 0 {
            return;
        }
        let mut by_age: Vec<_> = self
            .strikes
            .iter()
            .map(|(ip, entry)| (entry.refused_until.is_some(), entry.since, *ip))
            .collect();
        by_age.sort_unstable();
        for (_, _, ip) in by_age.into_iter().take(surplus) {
            self.strikes.remove(&ip);
        }
    }
}

impl Strikes {
    /// Whether the entry says nothing any more.
    fn is_over(&self, now: Instant, limits: &ConnectionLimits) -> bool {
        match self.refused_until {
            Some(until) => now >= until,
            None => now.saturating_duration_since(self.since) >= limits.strike_window,
        }
    }
}

/// A connection that was admitted. Dropping it gives its place free.
#[derive(Debug)]
#[must_use = "the place is free again when the permit is dropped"]
pub(crate) struct Permit {
    state: Arc<Mutex<State>>,
    counted: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.open = state.open.saturating_sub(1);
        if let Some(ip) = self.counted
            && let Some(open) = state.per_ip.get_mut(&ip)
        {
            *open = open.saturating_sub(1);
            if *open == 0 {
                state.per_ip.remove(&ip);
            }
        }
    }
}

/// The default of [`ConnectionLimits::total`] under a limit of open files; `None` is no limit.
pub(super) fn default_total(open_files: Option<u64>) -> usize {
    let share = open_files.map_or(u64::MAX, |files| {
        files.saturating_mul(DESCRIPTORS_PERCENT) / 100
    });
    usize::try_from(share).unwrap_or(usize::MAX).clamp(1, TOTAL)
}

/// The soft limit of open files of this process; `None` is no limit.
fn open_file_limit() -> Option<u64> {
    // Linux tells it in a file, which needs no foreign function. Elsewhere the usual value is
    // assumed.
    match fs::read_to_string("/proc/self/limits") {
        Ok(limits) => parse_open_file_limit(&limits).unwrap_or(Some(DESCRIPTORS_ASSUMED)),
        Err(_) => Some(DESCRIPTORS_ASSUMED),
    }
}

/// Finds the limit in the text of `/proc/self/limits`: outer `None` if it is not there, inner
/// `None` if unlimited.
pub(super) fn parse_open_file_limit(limits: &str) -> Option<Option<u64>> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(None),
        soft => soft.parse().ok().map(Some),
    }
}
