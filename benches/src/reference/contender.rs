//! Who takes part, and over how many connections.

use std::fmt;
use std::str::FromStr;

use crate::programs::Name;

/// A framework and what its callers share. Written `core` (one connection) or `core:pool`; callers of `http1` never
/// share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// The framework.
    pub name: Name,
    /// Whether its callers share a pool of connections, not one.
    pub pool: bool,
}

impl Contender {
    /// Those that take part unless told otherwise, in the order of the table.
    pub const DEFAULT: [Self; 5] = [
        Self::one(Name::Core),
        Self::pool(Name::Core),
        Self::one(Name::Iip),
        Self::pool(Name::Iip),
        Self::one(Name::Http1),
    ];

    const fn one(name: Name) -> Self {
        Self { name, pool: false }
    }

    const fn pool(name: Name) -> Self {
        Self { name, pool: true }
    }

    /// How many connections that is, with a pool of `pool`.
    pub fn connections(self, callers: usize, pool: usize) -> usize {
        match (self.name, self.pool) {
            (Name::Http1, _) => callers,
            (_, true) => pool,
            (_, false) => 1,
        }
    }

    /// What it is in words, with so many connections.
    pub fn title(self, connections: usize) -> String {
        let what = match self.name {
            Name::Core => "iip-core",
            Name::Iip => "iip-rpc, typed",
            Name::Http1 => "HTTP/1.1 keep-alive (hyper)",
            Name::Tonic => "gRPC (tonic)",
            Name::Raw => "frames without RPC",
        };
        match (self.pool, connections) {
            (true, n) => format!("{what}, pool of {n}"),
            (false, 1) => format!("{what}, one connection"),
            (false, n) => format!("{what}, {n} connections"),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pool = if self.pool { ":pool" } else { "" };
        write!(f, "{}{pool}", self.name)
    }
}

/// A text that names no contender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownContender(String);

impl fmt::Display for UnknownContender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown contender `{}`: use core, iip, raw or tonic, each also with `:pool` behind it, or http1",
            self.0
        )
    }
}

impl std::error::Error for UnknownContender {}

impl FromStr for Contender {
    type Err = UnknownContender;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, pool) = match text.strip_suffix(":pool") {
            Some(name) => (name, true),
            None => (text, false),
        };
        match name.parse() {
            Ok(name) if !(pool && name == Name::Http1) => Ok(Self { name, pool }),
            _ => Err(UnknownContender(text.to_owned())),
        }
    }
}
