use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::io::{Io, PeerAddr, Stream};

async fn echoes(near: impl Io, far: impl Io) {
    let (mut near, mut far) = (near, far);
    near.write_all(b"question").await.unwrap();
    near.flush().await.unwrap();
    let mut got = [0; 8];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"question");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"answer");
}

#[tokio::test]
async fn every_transport_carries_bytes() {
    let (near, far) = tokio::io::duplex(64);
    echoes(Stream::from(near), Stream::from(far)).await;

    let (near, far) = UnixStream::pair().unwrap();
    assert!(Stream::from(near).is_write_vectored());
    drop(far);
    let (near, far) = UnixStream::pair().unwrap();
    echoes(Stream::from(near), Stream::from(far)).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let near = Stream::from(near);
    assert!(near.is_write_vectored());
    echoes(near, Stream::from(far)).await;
}

#[test]
fn peers_are_written_and_counted_by_their_real_address() {
    let tcp = |text: &str| PeerAddr::Tcp(text.parse().unwrap());
    assert_eq!(tcp("10.0.0.1:5").to_string(), "10.0.0.1:5");
    assert_eq!(tcp("10.0.0.1:5").ip(), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(
        tcp("[::ffff:10.0.0.1]:5").ip(),
        Some("10.0.0.1".parse().unwrap())
    );
    assert_eq!(
        tcp("[2001:db8::1]:5").ip(),
        Some("2001:db8::1".parse().unwrap())
    );
    let unix = |pid| PeerAddr::Unix {
        pid,
        uid: 1,
        gid: 2,
    };
    assert_eq!(unix(Some(7)).to_string(), "unix(pid 7, uid 1, gid 2)");
    assert_eq!(unix(None).to_string(), "unix(uid 1, gid 2)");
    assert_eq!(unix(None).ip(), None);
    assert_eq!(PeerAddr::Memory.to_string(), "memory");
    assert_eq!(PeerAddr::Memory.ip(), None);
}
