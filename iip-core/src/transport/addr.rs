use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// `sun_path` of `sockaddr_un` has 108 bytes on Linux, the last of them NUL.
const UNIX_PATH_MAX: usize = 107;

/// Longest name in the DNS (RFC 1035, 2.3.4), and longest label in it.
const DNS_NAME_MAX: usize = 253;
const DNS_LABEL_MAX: usize = 63;

/// Longest in-memory name. It only has to be readable in a log line.
const MEMORY_NAME_MAX: usize = 128;

/// How much of a refused text an error message repeats.
const SHOWN_MAX: usize = 128;

/// One place to connect to or to listen on.
///
/// | written | means |
/// | --- | --- |
/// | `iip://host:port`, `tcp://host:port`, `host:port` | TCP; a host name is resolved at each dial, and all its addresses are tried |
/// | `iip://[::1]:9090`, `[::1]:9090` | TCP over IPv6; a link-local scope is a number: `[fe80::1%2]:9090` |
/// | `unix:///run/app.sock`, `unix:app.sock` | a Unix socket, by absolute or relative path; nothing in it is percent-decoded |
/// | `memory://name` | a [`MemoryListener`](crate::transport::MemoryListener) of this process |
///
/// An address is one endpoint: lists, weights and service discovery belong to the layers above.
/// There is no default port. Port 0 can be listened on (the system picks one) but not dialed.
///
/// [`Display`](fmt::Display) writes the canonical form (`iip://…` for TCP, host in lower case), and
/// parsing that gives the same address again; the exception is a Unix path that is not UTF-8.
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    place: Place,
}

/// The kinds of [`Address`], taken apart by the transports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Ip(SocketAddr),
    Name { host: Arc<str>, port: u16 },
    Unix(Arc<Path>),
    Memory(Arc<str>),
}

impl Address {
    /// A TCP address of a host, which is a DNS name or an IP address (IPv6 without brackets), and a
    /// port.
    ///
    /// # Errors
    ///
    /// When the host is neither an IP address nor a well-formed DNS name.
    pub fn tcp(host: &str, port: u16) -> Result<Self, AddressError> {
        let place = match host.parse::<IpAddr>() {
            Ok(ip) => Ok(Place::Ip(SocketAddr::new(ip, port))),
            Err(_) => dns_name(host).map(|host| Place::Name { host, port }),
        };
        Self::built(place, host)
    }

    /// The address of a Unix socket.
    ///
    /// # Errors
    ///
    /// When the path is empty, longer than 107 bytes or holds a NUL.
    pub fn unix(path: impl AsRef<Path>) -> Result<Self, AddressError> {
        let path = path.as_ref();
        Self::built(unix_path(path), &path.to_string_lossy())
    }

    /// The address of an in-memory listener of this process.
    ///
    /// # Errors
    ///
    /// When the name is empty, longer than 128 bytes or holds anything but letters, digits, `-`,
    /// `_` and `.`.
    pub fn memory(name: &str) -> Result<Self, AddressError> {
        Self::built(memory_name(name), name)
    }

    /// The host of a TCP address as it is dialed: a DNS name, or an IP address without brackets.
    pub fn host(&self) -> Option<String> {
        match &self.place {
            Place::Ip(address) => Some(address.ip().to_string()),
            Place::Name { host, .. } => Some(host.to_string()),
            Place::Unix(_) | Place::Memory(_) => None,
        }
    }

    /// The port of a TCP address.
    pub fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Ip(address) => Some(address.port()),
            Place::Name { port, .. } => Some(*port),
            Place::Unix(_) | Place::Memory(_) => None,
        }
    }

    /// The socket address, where this is TCP with an IP address and not a name.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Ip(address) => Some(*address),
            _ => None,
        }
    }

    /// The path of a Unix socket.
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// The address of a listener whose name was checked when it began to listen.
    pub(crate) fn from_memory_name(name: Arc<str>) -> Self {
        Self {
            place: Place::Memory(name),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    fn built(place: Result<Place, String>, text: &str) -> Result<Self, AddressError> {
        match place {
            Ok(place) => Ok(Self { place }),
            Err(reason) => Err(AddressError {
                text: shown(text),
                reason,
            }),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self {
            place: Place::Ip(address),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::built(parse(text), text)
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Ip(address) => write!(f, "iip://{address}"),
            Place::Name { host, port } => write!(f, "iip://{host}:{port}"),
            Place::Unix(path) if path.is_absolute() => write!(f, "unix://{}", path.display()),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Memory(name) => write!(f, "memory://{name}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// A text that is not an [`Address`]. The message says what is wrong with it and what to write
/// instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    reason: String,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid address {:?}: {}", self.text, self.reason)
    }
}

impl std::error::Error for AddressError {}

/// The head of a text; an address from a configuration file can be anything.
fn shown(text: &str) -> String {
    let mut head: String = text.chars().take(SHOWN_MAX).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}

fn parse(text: &str) -> Result<Place, String> {
    if text.is_empty() {
        return Err("it is empty; write host:port, unix:///path or memory://name".into());
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.strip_prefix("//") {
            None => unix_path(Path::new(path)),
            Some(absolute) if absolute.starts_with('/') => unix_path(Path::new(absolute)),
            Some(rest) => Err(format!(
                "after unix:// comes an absolute path; write unix:///{rest} for that, \
                 or unix:{rest} for a relative one"
            )),
        };
    }
    match text.split_once("://") {
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "iip" | "tcp" => tcp(rest),
            "memory" => memory_name(rest),
            _ => Err(format!(
                "unknown scheme {:?}; write iip://host:port, unix:///path or memory://name",
                shown(scheme)
            )),
        },
        None if ["/", "./", "../"]
            .iter()
            .any(|start| text.starts_with(start)) =>
        {
            Err(format!(
                "it looks like a file; write unix:{} for a Unix socket",
                shown(text)
            ))
        }
        None => tcp(text),
    }
}

fn tcp(authority: &str) -> Result<Place, String> {
    // Whatever joins URLs likes to end them with a slash; it changes nothing.
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if let Some(at) = authority.find(['/', '?', '#']) {
        return Err(format!(
            "an address ends after its port; remove {:?}",
            shown(&authority[at..])
        ));
    }
    if authority.contains(',') {
        return Err("this is a list; an address is one host:port".into());
    }
    if authority.contains('@') {
        return Err("user names have no place in an address; remove everything up to the @".into());
    }
    if authority.starts_with('[') {
        return ip_v6(authority);
    }
    let Some((host, port)) = authority.rsplit_once(':') else {
        return Err(format!(
            "no port, and there is no default one; write {}:9090",
            shown(authority)
        ));
    };
    if host.contains(':') {
        return Err("an IPv6 address stands in brackets; write [::1]:9090".into());
    }
    if host.is_empty() {
        return Err(format!(
            "no host; write 127.0.0.1:{0} for this machine, \
             or 0.0.0.0:{0} to listen on every interface",
            shown(port)
        ));
    }
    let port = port_number(port)?;
    match host.parse::<Ipv4Addr>() {
        Ok(ip) => Ok(Place::Ip((ip, port).into())),
        Err(_) => dns_name(host).map(|host| Place::Name { host, port }),
    }
}

fn ip_v6(authority: &str) -> Result<Place, String> {
    if let Ok(address @ SocketAddr::V6(_)) = authority.parse::<SocketAddr>() {
        return Ok(Place::Ip(address));
    }
    match authority.rsplit_once("]:") {
        None => Err("no port after the brackets; write [::1]:9090".into()),
        Some((_, port)) => {
            port_number(port)?;
            Err(
                "what stands in the brackets is not an IPv6 address; write [::1]:9090, \
                 with a scope [fe80::1%2]:9090 where 2 is the number of the interface"
                    .into(),
            )
        }
    }
}

fn port_number(text: &str) -> Result<u16, String> {
    // `u16::from_str` alone would take "+80".
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err(format!(
            "the port {:?} is not a number from 0 to 65535",
            shown(text)
        )),
    }
}

fn dns_name(host: &str) -> Result<Arc<str>, String> {
    if !host.is_ascii() {
        return Err("the host name is not ASCII; write its encoded form, xn--…".into());
    }
    // A final dot marks a name as complete, and belongs to no label.
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > DNS_NAME_MAX {
        return Err(format!(
            "the host name has {} bytes, and a DNS name at most {DNS_NAME_MAX}",
            name.len()
        ));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("the host name has an empty label; remove the surplus dot".into());
        }
        if label.len() > DNS_LABEL_MAX {
            return Err(format!(
                "{label:?} in the host name is longer than {DNS_LABEL_MAX} bytes"
            ));
        }
        if let Some(bad) = label
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
        {
            return Err(format!(
                "{bad:?} cannot be in a host name; it has letters, digits, dots, - and _"
            ));
        }
    }
    // The resolver would read "1.2.3" as 1.2.0.3: surely not what was meant.
    if name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(
            "it is neither an IPv4 address of four numbers up to 255 nor a host name".into(),
        );
    }
    Ok(host.to_ascii_lowercase().into())
}

fn unix_path(path: &Path) -> Result<Place, String> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err("the path is empty; write unix:///run/app.sock".into());
    }
    if bytes.contains(&0) {
        return Err("the path holds a NUL byte; remove it".into());
    }
    if bytes.len() > UNIX_PATH_MAX {
        return Err(format!(
            "the path has {} bytes, and the system takes {UNIX_PATH_MAX} for a socket; \
             choose a shorter folder",
            bytes.len()
        ));
    }
    Ok(Place::Unix(path.into()))
}

fn memory_name(name: &str) -> Result<Place, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() {
        return Err("the name is empty; write memory://name".into());
    }
    if name.len() > MEMORY_NAME_MAX || !name.bytes().all(allowed) {
        return Err(format!(
            "a name has at most {MEMORY_NAME_MAX} letters, digits, -, _ and ."
        ));
    }
    Ok(Place::Memory(name.into()))
}
