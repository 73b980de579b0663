use std::net::SocketAddr;

use super::statistics::{ChannelFigures, ConnectionFigures, StatisticsAccess};
use super::statistics_text::{MAX_CONNECTIONS_TEXT, connections};
use crate::session::Traffic;
use crate::session::json::Value;
use crate::transport::PeerAddr;

#[test]
fn peers_of_other_machines_are_not_answered_by_default() {
    let access = StatisticsAccess::default();
    for (peer, allowed) in [
        ("127.0.0.1:1", true),
        ("127.8.9.10:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("10.0.0.1:1", false),
        ("192.0.2.7:1", false),
        ("[::ffff:10.0.0.1]:1", false),
        ("[2001:db8::1]:1", false),
        ("[fe80::1]:1", false),
        ("0.0.0.0:1", false),
    ] {
        let address: SocketAddr = peer.parse().unwrap();
        assert_eq!(access.allows(&PeerAddr::Tcp(address)), allowed, "{peer}");
    }
    assert!(access.allows(&PeerAddr::Memory));
    assert!(!StatisticsAccess::nobody().allows(&PeerAddr::Memory));
    let far = PeerAddr::Tcp("192.0.2.7:1".parse().unwrap());
    assert!(StatisticsAccess::everybody().allows(&far));
}

#[test]
fn the_text_about_connections_is_bounded() {
    let connection = |id: u64| ConnectionFigures {
        id,
        peer: PeerAddr::Memory,
        queued_frames: 0,
        traffic: Traffic::default(),
        channels: (0..2048)
            .map(|channel| ChannelFigures {
                channel,
                queued_requests: 0,
                traffic: Traffic::default(),
            })
            .collect(),
    };
    let one = connections(&[connection(0)]).len();
    let all: Vec<_> = (0..2 * MAX_CONNECTIONS_TEXT / one)
        .map(|id| connection(id as u64))
        .collect();
    let text = connections(&all);
    assert!(text.len() <= MAX_CONNECTIONS_TEXT + 2, "{}", text.len());
    assert!(text.len() > MAX_CONNECTIONS_TEXT - one, "{}", text.len());
    assert!(text.ends_with("}}}"));
    assert!(Value::parse(connections(&all[..1]).as_bytes()).is_some());
}
