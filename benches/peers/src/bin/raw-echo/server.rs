//! Returns all complete frames of a read with one write.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::inbox::Inbox;

pub(crate) async fn serve(listen: SocketAddr, announce: fn(SocketAddr)) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that fails is the client's to report.
        tokio::spawn(echo(stream));
    }
}

/// The frames go back as they came: a request's path and kind in a response cost less than writing others.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut inbox = Inbox::new();
    loop {
        let read = stream.read(inbox.space()).await?;
        if read == 0 {
            return Ok(());
        }
        inbox.advance(read);
        let Some(complete) = inbox.frames(|_, _| {}) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        if complete > 0 {
            stream.write_all(&inbox.bytes()[..complete]).await?;
            inbox.consume(complete);
        }
    }
}
