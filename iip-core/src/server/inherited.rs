use std::env;
use std::io;

use listenfd::ListenFd;
use socket2::SockRef;

use super::listener::Listener;
use crate::transport::TcpOptions;

/// The first descriptor that a service manager passes.
const FIRST: usize = 3;

impl Listener {
    /// The listeners that were passed to this process by the protocol of systemd (`LISTEN_FDS`, `LISTEN_PID`,
    /// `LISTEN_FDNAMES`): TCP and Unix, in the order of the unit file, with their [names](Self::name). `options` apply to
    /// the connections accepted. Whoever passed them keeps them open, so that clients that connect while a server is
    /// replaced wait for the next one instead of being refused; a server that stops leaves them what it has not accepted.
    ///
    /// They can be taken once. The variables are removed from the environment, so that no child takes them for its own:
    /// call this early, before other threads read the environment through C, as name resolution does. Runs inside a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound): none were passed, or they were taken before.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a descriptor is no listener of TCP or Unix.
    pub fn inherited(options: &TcpOptions) -> io::Result<Vec<Self>> {
        let missing = |text: &str| Err(io::Error::new(io::ErrorKind::NotFound, text.to_owned()));
        if env::var_os("LISTEN_FDS").is_none() {
            return missing(
                "no listeners were passed to this process: LISTEN_FDS is not set \
                 (is the service started by its .socket unit?)",
            );
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut passed = ListenFd::from_env();
        if passed.len() == 0 {
            return missing(
                "no listeners were passed to this process: LISTEN_FDS is none, or LISTEN_PID is another process",
            );
        }
        let mut listeners = Vec::new();
        for index in 0..passed.len() {
            let name = names.get(index).copied().unwrap_or_default();
            let listener = take(&mut passed, index, options).map_err(|error| {
                let fd = FIRST + index;
                let text = format!("descriptor {fd} ({name:?}), which LISTEN_FDS passes: {error}");
                io::Error::new(io::ErrorKind::InvalidInput, text)
            })?;
            listeners.push(listener.passed_as(name));
        }
        Ok(listeners)
    }
}

fn take(passed: &mut ListenFd, index: usize, options: &TcpOptions) -> io::Result<Listener> {
    let none = || io::Error::other("it was taken before");
    if let Ok(unix) = passed.take_unix_listener(index) {
        let unix = unix.ok_or_else(none)?;
        check(&SockRef::from(&unix))?;
        return Listener::try_from(unix);
    }
    let tcp = passed.take_tcp_listener(index)?.ok_or_else(none)?;
    check(&SockRef::from(&tcp))?;
    tcp.set_nonblocking(true)?;
    let tcp = tokio::net::TcpListener::from_std(tcp)?;
    Ok(Listener::tcp(tcp, options.clone()))
}

/// A connection is passed to a service that is started for each (`Accept=yes`).
fn check(socket: &SockRef<'_>) -> io::Result<()> {
    match socket.is_listener() {
        Ok(false) => Err(io::Error::other(
            "it is a connection and no listener (Accept=yes in the .socket unit?)",
        )),
        // Where the system cannot tell, the first accept does.
        Ok(true) | Err(_) => Ok(()),
    }
}
