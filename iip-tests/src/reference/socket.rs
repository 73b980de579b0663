use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, lookup_host};

/// Bytes of each of the kernel's buffers that the reference asks for. Who writes more waits for acknowledgements.
const BUFFER: u32 = 16 * 1024;

/// The first address of a name.
pub(super) async fn lookup(address: &str) -> io::Result<SocketAddr> {
    let first = lookup_host(address).await?.next();
    first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// A socket with the reference's options; accepted connections have them from their listener.
pub(super) fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.set_recv_buffer_size(BUFFER)?;
    Ok(socket)
}
