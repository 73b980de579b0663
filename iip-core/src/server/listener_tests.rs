use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listener::Listener;
use crate::transport::{Address, PeerAddr, Stream, TcpOptions, connect, memory_listener};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

async fn bind(text: &str) -> Listener {
    Listener::bind(&address(text), &TcpOptions::default())
        .await
        .unwrap()
}

/// Connects to the listener and lets one byte through.
async fn serves_one(listener: &mut Listener) -> PeerAddr {
    let local = listener.local_addr().unwrap().clone();
    let (mut near, _) = connect(&local, Duration::from_secs(60), &TcpOptions::default())
        .await
        .unwrap();
    let (mut far, peer) = listener.accept().await;
    near.write_all(b"x").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'x');
    peer
}

fn unix_address() -> Address {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("iip-listener-{}-{number}", std::process::id()));
    Address::unix(path).unwrap()
}

#[tokio::test]
async fn every_kind_of_address_can_be_listened_on() {
    let mut tcp = bind("127.0.0.1:0").await;
    assert_ne!(tcp.local_addr().unwrap().port(), Some(0));
    assert!(matches!(serves_one(&mut tcp).await, PeerAddr::Tcp(_)));

    let mut named = bind("localhost:0").await;
    assert!(matches!(serves_one(&mut named).await, PeerAddr::Tcp(_)));

    let mut unix = bind(&unix_address().to_string()).await;
    assert!(matches!(serves_one(&mut unix).await, PeerAddr::Unix { .. }));

    let mut memory = bind("memory://listener-tests").await;
    assert_eq!(serves_one(&mut memory).await, PeerAddr::Memory);
    assert_eq!(memory.stats().accepted, 1);
}

#[tokio::test]
async fn listeners_of_the_users_own() {
    let mut tokio_tcp = Listener::from(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    serves_one(&mut tokio_tcp).await;

    let std_tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    serves_one(&mut Listener::try_from(std_tcp).unwrap()).await;

    let path = unix_address();
    let path = path.unix_path().unwrap();
    let mut tokio_unix = Listener::from(tokio::net::UnixListener::bind(path).unwrap());
    serves_one(&mut tokio_unix).await;
    drop(tokio_unix);
    assert!(path.exists(), "the file is the user's");
    std::fs::remove_file(path).unwrap();
    let std_unix = std::os::unix::net::UnixListener::bind(path).unwrap();
    serves_one(&mut Listener::try_from(std_unix).unwrap()).await;
    std::fs::remove_file(path).unwrap();

    let (memory, _) = memory_listener();
    serves_one(&mut Listener::from(memory)).await;
}

#[tokio::test]
async fn accepted_tcp_connections_have_the_options() {
    let mut listener = bind("127.0.0.1:0").await;
    let port = listener.local_addr().unwrap().socket_addr().unwrap();
    let _near = TcpStream::connect(port).await.unwrap();
    let (Stream::Tcp(far), _) = listener.accept().await else {
        panic!("not TCP")
    };
    let socket = socket2::SockRef::from(&far);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(
        socket.tcp_keepalive_time().unwrap(),
        Duration::from_secs(15)
    );
}

#[tokio::test]
async fn a_failure_to_listen_says_where_and_what_to_do() {
    let taken = bind("127.0.0.1:0").await;
    let local = taken.local_addr().unwrap();
    let error = Listener::bind(local, &TcpOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(text.starts_with(&format!("listen on {local}: ")), "{text}");
    assert!(text.contains("choose port 0"), "{text}");

    // 192.0.2.0/24 is reserved for documentation, so no machine has it.
    let error = Listener::bind(&address("192.0.2.1:0"), &TcpOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("0.0.0.0"), "{error}");
}

#[tokio::test]
async fn connections_that_wait_are_still_served_before_closing() {
    let mut listener = bind("127.0.0.1:0").await;
    assert!(listener.accept_waiting().await.is_none());
    let to = listener.local_addr().unwrap().socket_addr().unwrap();
    let mut near = Vec::new();
    // More than a batch of the loop and than the runtime's budget.
    for _ in 0..300 {
        near.push(TcpStream::connect(to).await.unwrap());
    }
    let mut far = Vec::new();
    while let Some(connection) = listener.accept_waiting().await {
        far.push(connection);
    }
    assert_eq!(far.len(), 300);
}

const SERVER: &str = "IIP_TEST_EMFILE_SERVER";
const OPEN_FILES: u32 = 64;
const CLIENTS: usize = 300;

/// A server process with room for 64 descriptors and 300 clients: it turns some away, sits the
/// shortage out without spinning, and serves again when the clients have gone.
#[test]
fn it_survives_a_real_shortage_of_descriptors() {
    if std::env::var_os(SERVER).is_some() {
        return run_short_server();
    }
    let mut server = ShortServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clients_come_and_go = async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(TcpStream::connect(server.address).await.unwrap());
        }
        // Three clients are turned away one after the other: the shortage is there, and the loop
        // goes on.
        let mut closed = 0;
        let read = |mut client: TcpStream| async move {
            let served = client.read_u8().await.is_ok();
            (served, client)
        };
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|client| tokio::spawn(read(client)))
            .collect();
        let mut held = Vec::new();
        for task in tasks {
            if closed == 3 {
                task.abort();
                continue;
            }
            let (served, client) = task.await.unwrap();
            closed += u32::from(!served);
            held.push(client);
        }
        assert_eq!(closed, 3);
        assert!(held.len() > 40, "{} served", held.len());
        drop(held);
        // The clients have gone. As soon as the server has seen it, new ones are served.
        loop {
            let mut client = TcpStream::connect(server.address).await.unwrap();
            if let Ok(byte) = client.read_u8().await {
                assert_eq!(byte, b'.');
                break;
            }
        }
    };
    // Only so that a defect fails the test instead of hanging it.
    let guard = Duration::from_secs(60);
    runtime
        .block_on(async { tokio::time::timeout(guard, clients_come_and_go).await })
        .expect("the server does not go on");
    let report = server.stop();
    let numbers: Vec<u64> = report
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    let [accepted, resource_errors, shed] = numbers[..] else {
        panic!("{report:?}")
    };
    assert!(accepted >= 41 && shed >= 3, "{report}");
    // A loop that spins makes tens of thousands.
    assert!((shed..200).contains(&resource_errors), "{report}");
}

/// This test again in a process of its own, with the limit.
struct ShortServer {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl ShortServer {
    fn start() -> Self {
        let module = module_path!().split_once("::").unwrap().1;
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {OPEN_FILES} && exec \"$@\""))
            .arg("sh")
            .arg(std::env::current_exe().unwrap())
            .arg(format!(
                "{module}::it_survives_a_real_shortage_of_descriptors"
            ))
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .env(SERVER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = line_after("LISTENING ", &mut output).parse().unwrap();
        Self {
            child,
            output,
            address,
        }
    }

    fn stop(&mut self) -> String {
        drop(self.child.stdin.take());
        let report = line_after("REPORT ", &mut self.output);
        assert!(self.child.wait().unwrap().success());
        report
    }
}

impl Drop for ShortServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_after(mark: &str, output: &mut impl BufRead) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(
            output.read_line(&mut line).unwrap(),
            0,
            "the server ended before {mark:?}"
        );
        // The test harness may have begun the line.
        if let Some((_, rest)) = line.split_once(mark) {
            return rest.trim().to_owned();
        }
    }
}

fn run_short_server() {
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").unwrap();
        out.flush().unwrap();
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut listener = bind("127.0.0.1:0").await;
        say(format!(
            "LISTENING {}",
            listener.local_addr().unwrap().socket_addr().unwrap()
        ));
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            let _ = stop.send(());
        });
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                (mut stream, _) = listener.accept() => {
                    tokio::spawn(async move {
                        let _ = stream.write_all(b".").await;
                        // Holds the descriptor until the client has gone.
                        let _ = stream.read(&mut [0]).await;
                    });
                }
            }
        }
        let stats = listener.stats();
        say(format!(
            "REPORT {} {} {}",
            stats.accepted, stats.resource_errors, stats.shed
        ));
    });
}

#[cfg(feature = "inherited")]
#[tokio::test]
async fn without_passed_listeners_a_server_listens_itself_or_says_why_not() {
    let options = TcpOptions::default();
    let error = Listener::inherited(&options).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("LISTEN_FDS"), "{error}");
    let server = crate::server::Server::builder().inherited();
    let server = server.bind("127.0.0.1:0").await.unwrap();
    assert!(
        server
            .local_addr()
            .is_some_and(|address| address.port() > Some(0))
    );
    let error = crate::server::Server::builder().inherited().build();
    let error = error.err().expect("no listener").to_string();
    assert!(error.contains("LISTEN_FDS is not set"), "{error}");
}
