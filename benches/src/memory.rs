//! What an idle connection costs a server.

use iip_load::{Failure, resident_bytes};
use serde::Serialize;

use crate::programs::{Name, Programs};

/// A server's memory without and with idle connections.
#[derive(Clone, Debug, Serialize)]
pub struct Footprint {
    /// The framework.
    pub framework: String,
    /// Connections that were open, each after one call.
    pub connections: usize,
    /// Resident bytes after one connection, which made one call, had come and gone.
    pub before: u64,
    /// Resident bytes with all connections open.
    pub with: u64,
}

impl Footprint {
    /// Bytes that each connection added.
    pub fn bytes_each(&self) -> f64 {
        self.with.saturating_sub(self.before) as f64 / self.connections.max(1) as f64
    }
}

/// Starts a server, opens `connections` connections, makes one call on each, and reads the server's memory.
///
/// # Errors
///
/// A program fails, or the server's memory cannot be read.
pub fn idle_footprint(
    programs: &Programs,
    name: Name,
    connections: usize,
) -> Result<Footprint, Failure> {
    let server = programs.server(name, &[])?;
    // What the first call of all sets up once belongs to no connection.
    drop(programs.hold_idle(&server, 1)?);
    let before = resident_bytes(server.process())?;
    let clients = programs.hold_idle(&server, connections)?;
    let with = resident_bytes(server.process())?;
    drop(clients);
    Ok(Footprint {
        framework: name.to_string(),
        connections,
        before,
        with,
    })
}
