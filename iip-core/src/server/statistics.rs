//! A server's figures for programs, and who may ask for them on the wire.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::admission::AdmissionStats;
use super::books::Figures;
use super::connections::Connections;
use super::overload::OverloadStats;
use crate::conn::now;
use crate::session::Traffic;
use crate::transport::PeerAddr;
use crate::wire::ChannelId;

/// Whose requests for the statistics paths (`docs/statistics.md`) are answered. Others get what an unknown path gets.
///
/// The default is [`local`](Self::local): the paths tell the addresses of all clients, and answer 40 bytes with 67 kB.
#[derive(Clone)]
pub struct StatisticsAccess(Arc<dyn Fn(&PeerAddr) -> bool + Send + Sync>);

impl StatisticsAccess {
    /// Peers of this machine: loopback addresses, Unix sockets, and this process.
    pub fn local() -> Self {
        Self::only(|peer| match peer {
            PeerAddr::Tcp(_) => peer.ip().is_some_and(|ip| ip.is_loopback()),
            PeerAddr::Unix { .. } | PeerAddr::Memory => true,
        })
    }

    /// Nobody.
    pub fn nobody() -> Self {
        Self::only(|_| false)
    }

    /// Every peer. For servers that only trusted networks reach.
    pub fn everybody() -> Self {
        Self::only(|_| true)
    }

    /// Peers of which `may` is true. It is asked once for each connection, when that is accepted, and must not block.
    pub fn only(may: impl Fn(&PeerAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may))
    }

    pub(super) fn allows(&self, peer: &PeerAddr) -> bool {
        (self.0)(peer)
    }
}

impl Default for StatisticsAccess {
    fn default() -> Self {
        Self::local()
    }
}

impl fmt::Debug for StatisticsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatisticsAccess").finish_non_exhaustive()
    }
}

/// Reads the figures of a server, also while it serves and after. Cheap to clone.
///
/// [`total`](Self::total), [`path`](Self::path), [`paths`](Self::paths) and [`connections`](Self::connections) lock every
/// connection in turn, for about a microsecond, to take over what it has counted: ask once a second, not for each call.
/// `docs/statistics.md` says what is counted, and when.
#[derive(Clone)]
pub struct Statistics {
    connections: Arc<Connections>,
}

/// What the calls of a server hold at one moment. All is 0 when no call is in progress, also none whose caller has given it
/// up and whose handler has not ended yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Load {
    /// Handlers that have not ended, those apart which ended at their first poll.
    pub handlers: usize,
    /// Bytes held in unfinished and queued messages, and in those that handlers have not taken.
    pub held: usize,
}

/// One connection, as [`Statistics::connections`] lists it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionFigures {
    /// A number that no other connection of this server has or had.
    pub id: u64,
    /// Who is at the other end.
    pub peer: PeerAddr,
    /// Frames that wait to be sent because others, or the peer's credit, come first.
    pub queued_frames: usize,
    /// Since it began.
    pub traffic: Traffic,
    /// The channels below 2048 on which there was any frame, in the order of their numbers.
    pub channels: Vec<ChannelFigures>,
}

/// One channel of a connection.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ChannelFigures {
    /// Its number.
    pub channel: u32,
    /// Requests that wait behind another.
    pub queued_requests: usize,
    /// Since the connection began.
    pub traffic: Traffic,
}

impl Statistics {
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self { connections }
    }

    /// How many connections there are and were refused. Costs one short lock.
    pub fn admission(&self) -> AdmissionStats {
        self.connections.admission.stats()
    }

    /// What calls hold now. Costs nothing.
    pub fn load(&self) -> Load {
        let core = &self.connections.core;
        Load {
            handlers: core.gate.running(),
            held: core.held.load(Ordering::Relaxed),
        }
    }

    /// How many calls the server takes, and how many it refused. Costs next to nothing.
    pub fn overload(&self) -> OverloadStats {
        self.connections.core.gate.stats()
    }

    /// Of the whole server, everything on `/sys` paths and unknown paths included.
    pub fn total(&self) -> Figures {
        self.connections.collect();
        self.connections.core.books.total(now())
    }

    /// Of one registered path; `None` if there is none such.
    pub fn path(&self, path: &str) -> Option<Figures> {
        let index = self.connections.core.router.registered(path)?;
        self.connections.collect();
        Some(self.connections.core.books.route(index, now()))
    }

    /// Of all registered paths, in the order of their names.
    pub fn paths(&self) -> Vec<(String, Figures)> {
        self.connections.collect();
        let core = &self.connections.core;
        let paths = core.router.all_registered().into_iter();
        paths
            .map(|(path, index)| (path.to_owned(), core.books.route(index, now())))
            .collect()
    }

    /// Of at most `limit` open connections, oldest first.
    pub fn connections(&self, limit: usize) -> Vec<ConnectionFigures> {
        let mut open = self.connections.numbered();
        open.truncate(limit);
        let figures = open.into_iter().map(|(id, shared)| {
            let mut state = shared.lock();
            let counted = state.session.tally().by_channel();
            ConnectionFigures {
                id,
                peer: shared.peer.address.clone(),
                queued_frames: state.session.queued_frames(),
                traffic: state.session.tally().traffic(),
                channels: counted
                    .into_iter()
                    .map(|(channel, traffic)| ChannelFigures {
                        channel,
                        queued_requests: state.session.queued_on(ChannelId(channel)),
                        traffic,
                    })
                    .collect(),
            }
        });
        figures.collect()
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics").finish_non_exhaustive()
    }
}
