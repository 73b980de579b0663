use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};

use super::addr::{Address, Place};
use super::io::{PeerAddr, Stream};
use super::tcp::{self, TcpOptions};
use super::{memory, unix};

/// Failed addresses that an error message names; the number of the others is told.
const FAILURES_SHOWN: usize = 4;

/// Connects to an address within a time limit, which includes resolving its name.
///
/// All addresses of a host name are tried, up to 16: each gets a head start of 250 ms over the next
/// one, so that one that does not answer costs little, and the first connection wins.
///
/// # Errors
///
/// [`ConnectError`] names the phase, the address and every reason. Nothing was sent to anybody.
///
/// # Cancel safety
///
/// Cancel safe: dropping the future closes whatever was begun.
pub async fn connect(
    address: &Address,
    timeout: Duration,
    options: &TcpOptions,
) -> Result<(Stream, PeerAddr), ConnectError> {
    let failed = |reason| ConnectError {
        address: address.clone(),
        reason,
    };
    // A limit beyond what the clock can count is no limit; a day is as good.
    let now = Instant::now();
    let deadline = now
        .checked_add(timeout)
        .unwrap_or(now + Duration::from_secs(86_400));
    let within = |phase| {
        move |_| Reason::TimedOut {
            phase,
            timeout,
            failures: Vec::new(),
        }
    };
    if address.port() == Some(0) {
        return Err(failed(Reason::PortZero));
    }
    match address.place() {
        Place::Ip(one) => race(&[*one], options, deadline, timeout).await,
        Place::Name { host, port } => match timeout_at(deadline, lookup_host((&**host, *port)))
            .await
        {
            Ok(Ok(resolved)) => race(&tcp::dial_order(resolved), options, deadline, timeout).await,
            Ok(Err(error)) => Err(Reason::Resolve(error)),
            Err(elapsed) => Err(within(Phase::Resolve)(elapsed)),
        },
        Place::Unix(path) => match timeout_at(deadline, unix::connect(path)).await {
            Ok(result) => result
                .map(|(stream, peer)| (stream.into(), peer))
                .map_err(Reason::Connect),
            Err(elapsed) => Err(within(Phase::Connect)(elapsed)),
        },
        Place::Memory(name) => match timeout_at(deadline, memory::connect(name)).await {
            Ok(result) => result
                .map(|stream| (stream.into(), PeerAddr::Memory))
                .map_err(Reason::Connect),
            Err(elapsed) => Err(within(Phase::Connect)(elapsed)),
        },
    }
    .map_err(failed)
}

async fn race(
    addresses: &[SocketAddr],
    options: &TcpOptions,
    deadline: Instant,
    timeout: Duration,
) -> Result<(Stream, PeerAddr), Reason> {
    let mut failures = Vec::new();
    let race = tcp::race(addresses, &mut failures, |address| {
        tcp::connect(address, options)
    });
    match timeout_at(deadline, race).await {
        Ok(Some((stream, address))) => Ok((stream.into(), PeerAddr::Tcp(address))),
        Ok(None) => Err(Reason::AllFailed(failures)),
        Err(_) => Err(Reason::TimedOut {
            phase: Phase::Connect,
            timeout,
            failures,
        }),
    }
}

/// Why a connection could not be made. The message names the phase, the address and what to change.
#[derive(Debug)]
pub struct ConnectError {
    address: Address,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    PortZero,
    Resolve(io::Error),
    Connect(io::Error),
    AllFailed(Vec<(SocketAddr, io::Error)>),
    TimedOut {
        phase: Phase,
        timeout: Duration,
        failures: Vec<(SocketAddr, io::Error)>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Resolve,
    Connect,
}

impl ConnectError {
    /// The address that was dialed.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the time limit ended the attempt.
    pub fn is_timeout(&self) -> bool {
        matches!(self.reason, Reason::TimedOut { .. })
    }

    /// Whether the name could not be resolved.
    pub fn is_resolve(&self) -> bool {
        matches!(
            self.reason,
            Reason::Resolve(_)
                | Reason::TimedOut {
                    phase: Phase::Resolve,
                    ..
                }
        )
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        match &self.reason {
            Reason::PortZero => {
                write!(
                    f,
                    "connect to {address}: port 0 can be listened on but not dialed; \
                     use the server's local address"
                )
            }
            Reason::Resolve(error) => write!(f, "resolve {address}: {error}"),
            Reason::Connect(error) => write!(f, "connect to {address}: {error}"),
            Reason::AllFailed(failures) => {
                write!(f, "connect to {address}: ")?;
                write_failures(f, address, failures)
            }
            Reason::TimedOut {
                phase,
                timeout,
                failures,
            } => {
                match phase {
                    Phase::Resolve => write!(f, "resolve {address}")?,
                    Phase::Connect => write!(f, "connect to {address}")?,
                }
                write!(
                    f,
                    ": no answer within {timeout:?} (setting: connect_timeout)"
                )?;
                if !failures.is_empty() {
                    f.write_str("; before that: ")?;
                    write_failures(f, address, failures)?;
                }
                Ok(())
            }
        }
    }
}

fn write_failures(
    f: &mut fmt::Formatter<'_>,
    dialed: &Address,
    failures: &[(SocketAddr, io::Error)],
) -> fmt::Result {
    if failures.is_empty() {
        return f.write_str("the name has no address");
    }
    for (index, (address, error)) in failures.iter().take(FAILURES_SHOWN).enumerate() {
        if index > 0 {
            f.write_str("; ")?;
        }
        // An address that was dialed as such stands in the message already.
        if dialed.socket_addr().is_none() {
            write!(f, "{address}: ")?;
        }
        write!(f, "{error}")?;
    }
    match failures.len().saturating_sub(FAILURES_SHOWN) {
        0 => Ok(()),
        more => write!(f, "; and {more} more addresses"),
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::PortZero => None,
            Reason::Resolve(error) | Reason::Connect(error) => Some(error),
            Reason::AllFailed(failures) | Reason::TimedOut { failures, .. } => failures
                .last()
                .map(|(_, error)| error as &(dyn Error + 'static)),
        }
    }
}
