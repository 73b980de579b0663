use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use super::tcp::{KeepAlive, TcpOptions, bind, connect, dial_order, met_itself, race};

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn assert_options(stream: &TcpStream, idle: u64, interval: u64, probes: u32, user_timeout: u64) {
    let socket = SockRef::from(stream);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), seconds(idle));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), seconds(interval));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), probes);
    #[cfg(target_os = "linux")]
    assert_eq!(
        socket.tcp_user_timeout().unwrap(),
        Some(seconds(user_timeout))
    );
}

#[tokio::test]
async fn both_ends_have_the_default_options() {
    let options = TcpOptions::default();
    let listener = bind(any_port(), &options).unwrap();
    let near = connect(listener.local_addr().unwrap(), &options)
        .await
        .unwrap();
    assert_options(&near, 15, 5, 3, 20);
    let (far, _) = listener.accept().await.unwrap();
    options.apply(&far);
    assert_options(&far, 15, 5, 3, 20);
}

#[tokio::test]
async fn settings_reach_the_socket() {
    let keep_alive = KeepAlive::default()
        .idle(seconds(40))
        .interval(seconds(7))
        .probes(9);
    let options = TcpOptions::default()
        .keep_alive(keep_alive)
        .user_timeout(seconds(3))
        .backlog(0)
        .receive_buffer(50_000)
        .send_buffer(60_000);
    let listener = bind(any_port(), &options).unwrap();
    let near = connect(listener.local_addr().unwrap(), &options)
        .await
        .unwrap();
    assert_options(&near, 40, 7, 9, 3);
    for socket in [SockRef::from(&near), SockRef::from(&listener)] {
        // Linux doubles what is asked for.
        assert!((50_000..=100_000).contains(&socket.recv_buffer_size().unwrap()));
        assert!((60_000..=120_000).contains(&socket.send_buffer_size().unwrap()));
    }
}

#[tokio::test]
async fn values_out_of_range_are_brought_into_it() {
    let keep_alive = KeepAlive::default()
        .idle(Duration::ZERO)
        .interval(Duration::MAX)
        .probes(0);
    let options = TcpOptions::default()
        .keep_alive(keep_alive)
        .user_timeout(Duration::ZERO);
    let listener = bind(any_port(), &options).unwrap();
    let near = connect(listener.local_addr().unwrap(), &options)
        .await
        .unwrap();
    let socket = SockRef::from(&near);
    assert_eq!(socket.tcp_keepalive_time().unwrap(), seconds(1));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), seconds(32_767));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 1);
    #[cfg(target_os = "linux")]
    assert_eq!(
        socket.tcp_user_timeout().unwrap(),
        Some(Duration::from_millis(1))
    );
}

#[tokio::test]
async fn keep_alive_can_be_off() {
    let options = TcpOptions::default().keep_alive(None).user_timeout(None);
    let listener = bind(any_port(), &options).unwrap();
    let near = connect(listener.local_addr().unwrap(), &options)
        .await
        .unwrap();
    assert!(!SockRef::from(&near).keepalive().unwrap());
}

#[tokio::test]
async fn a_port_is_free_at_once_after_a_restart_and_never_shared() {
    let options = TcpOptions::default();
    let listener = bind(any_port(), &options).unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(
        bind(address, &options).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );

    // The side that closes first keeps the port in TIME_WAIT: let that be the server.
    let mut near = connect(address, &options).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    drop(far);
    drop(listener);
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    drop(near);
    bind(address, &options).unwrap();
}

#[tokio::test]
async fn a_socket_that_met_itself_is_noticed() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(any_port()).unwrap();
    let own = socket.local_addr().unwrap();
    assert!(met_itself(&socket.connect(own).await.unwrap()));

    let listener = bind(any_port(), &TcpOptions::default()).unwrap();
    let honest = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    assert!(!met_itself(&honest));
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn families_alternate_from_the_resolvers_first() {
    let resolved = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.1.1.1:1"]);
    let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    assert_eq!(dial_order(resolved), expected);
    let resolved = addresses(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]);
    let expected = addresses(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]);
    assert_eq!(dial_order(resolved), expected);
    assert_eq!(dial_order([]), []);
}

#[test]
fn a_name_with_very_many_addresses_is_cut() {
    let many = (0..1000u16).map(|n| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 1)));
    assert_eq!(dial_order(many).len(), 16);
}

/// What the attempts of a race do: the outcome after a time in milliseconds; `None` is never.
async fn run(script: &[Option<(u64, bool)>]) -> (Option<u16>, Vec<u16>, Vec<u64>, u64) {
    let started = Instant::now();
    let all: Vec<SocketAddr> = (0..script.len() as u16)
        .map(|n| SocketAddr::from(([127, 0, 0, 1], n)))
        .collect();
    let mut failures = Vec::new();
    let mut starts = Vec::new();
    let winner = race(&all, &mut failures, |address| {
        starts.push(started.elapsed().as_millis() as u64);
        let step = script[usize::from(address.port())];
        async move {
            match step {
                None => std::future::pending().await,
                Some((after, outcome)) => {
                    sleep(Duration::from_millis(after)).await;
                    if outcome {
                        Ok(())
                    } else {
                        Err(Error::from(ErrorKind::ConnectionRefused))
                    }
                }
            }
        }
    })
    .await;
    let failed = failures.iter().map(|(address, _)| address.port()).collect();
    (
        winner.map(|((), address)| address.port()),
        failed,
        starts,
        started.elapsed().as_millis() as u64,
    )
}

#[tokio::test(start_paused = true)]
async fn the_first_address_wins_if_it_answers_in_time() {
    assert_eq!(
        run(&[Some((200, true)), Some((0, true))]).await,
        (Some(0), vec![], vec![0], 200)
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_costs_a_quarter_of_a_second() {
    let script = [None, None, Some((10, true)), Some((0, true))];
    assert_eq!(
        run(&script).await,
        (Some(2), vec![], vec![0, 250, 500], 510)
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_address_costs_nothing_more_than_its_failure() {
    let script = [Some((5, false)), Some((5, false)), Some((5, true))];
    assert_eq!(
        run(&script).await,
        (Some(2), vec![0, 1], vec![0, 5, 10], 15)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_address_can_still_win() {
    let script = [Some((300, true)), Some((100, true))];
    assert_eq!(run(&script).await, (Some(0), vec![], vec![0, 250], 300));
}

#[tokio::test(start_paused = true)]
async fn all_can_fail() {
    let script = [Some((300, false)), Some((5, false)), Some((400, false))];
    assert_eq!(
        run(&script).await,
        (None, vec![1, 0, 2], vec![0, 250, 255], 655)
    );
    assert_eq!(run(&[]).await, (None, vec![], vec![], 0));
}
