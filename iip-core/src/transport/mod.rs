//! Byte pipes that know nothing of frames: where to connect to, and how.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `addr` | [`Address`]: what a client dials and a server listens on |
//! | `io` | [`Io`], [`Stream`] and [`PeerAddr`]: what every transport gives |
//! | `tcp` | TCP: socket options, listening, dialing many addresses |
//! | `unix` | Unix sockets: listening with stale files removed, credentials |
//! | `memory` | connections inside one process |
//! | `dial` | [`connect`]: one address, whatever its kind, within a time limit |

mod addr;
mod dial;
mod io;
mod memory;
mod tcp;
mod unix;

#[cfg(test)]
mod addr_tests;
#[cfg(test)]
mod dial_tests;
#[cfg(test)]
mod io_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tcp_tests;
#[cfg(test)]
mod unix_tests;

pub(crate) use addr::Place;
pub use addr::{Address, AddressError};
pub use dial::{ConnectError, connect};
pub(crate) use io::acknowledge_at_once;
pub use io::{Io, PeerAddr, Stream};
pub use memory::{MemoryConnector, MemoryListener, listener as memory_listener};
pub(crate) use tcp::bind as bind_tcp;
pub use tcp::{KeepAlive, TcpOptions};
pub(crate) use unix::{UnixSocket, bind as bind_unix, peer_of as unix_peer};
