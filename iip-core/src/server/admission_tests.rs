use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::admission::{
    Admission, ConnectionLimits, REMEMBERED_MAX, Refusal, default_total, parse_open_file_limit,
};
use crate::transport::PeerAddr;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn peer(ip: impl Into<IpAddr>) -> PeerAddr {
    PeerAddr::Tcp((ip.into(), 4000).into())
}

fn v4(n: u32) -> PeerAddr {
    peer(Ipv4Addr::from_bits((10 << 24) + n))
}

fn v6(text: &str) -> PeerAddr {
    peer(text.parse::<Ipv6Addr>().unwrap())
}

fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
}

#[test]
fn the_total_is_kept_and_given_back() {
    let now = Instant::now();
    let admission = Admission::new(limits().total(3));
    let permits: Vec<_> = (0..3)
        .map(|n| admission.admit(&v4(n), now).unwrap())
        .collect();
    assert_eq!(
        admission.admit(&v4(9), now).unwrap_err(),
        Refusal::Total { limit: 3 }
    );
    // Peers without an IP address count in the total.
    assert!(admission.admit(&PeerAddr::Memory, now).is_err());
    let stats = admission.stats();
    assert_eq!((stats.open, stats.limit, stats.refused_total), (3, 3, 2));
    drop(permits);
    assert_eq!(admission.stats().open, 0);
    let _permit = admission.clone().admit(&PeerAddr::Memory, now).unwrap();
    assert_eq!(admission.stats().open, 1);
}

#[test]
fn one_address_has_its_share_and_others_are_not_touched() {
    let now = Instant::now();
    let admission = Admission::new(limits().per_ip(2));
    let one = admission.admit(&v4(1), now).unwrap();
    let _two = admission.admit(&v4(1), now).unwrap();
    let refusal = admission.admit(&v4(1), now).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::PerIp {
            ip: "10.0.0.1".parse().unwrap(),
            limit: 2
        }
    );
    let mapped = PeerAddr::Tcp("[::ffff:10.0.0.1]:1".parse().unwrap());
    assert!(admission.admit(&mapped, now).is_err());
    let _other = admission.admit(&v4(2), now).unwrap();
    drop(one);
    let _again = admission.admit(&v4(1), now).unwrap();
    let stats = admission.stats();
    assert_eq!(
        (stats.open, stats.refused_per_ip, stats.refused_total),
        (3, 2, 0)
    );
}

#[test]
fn a_refused_connection_takes_no_place() {
    let now = Instant::now();
    let admission = Admission::new(limits().total(1).per_ip(1));
    let permit = admission.admit(&v4(1), now).unwrap();
    for _ in 0..10 {
        assert!(admission.admit(&v4(1), now).is_err());
        assert!(admission.admit(&v4(2), now).is_err());
    }
    drop(permit);
    assert_eq!(admission.remembered(), (0, 0));
    let _permit = admission.admit(&v4(2), now).unwrap();
}

#[test]
fn the_default_share_is_512_and_0_is_off() {
    let now = Instant::now();
    let count = |limits: ConnectionLimits, peer: &PeerAddr| {
        let admission = Admission::new(limits.total(2000));
        let permits: Vec<_> = (0..2000)
            .map_while(|_| admission.admit(peer, now).ok())
            .collect();
        permits.len()
    };
    assert_eq!(count(limits(), &v4(1)), 512);
    assert_eq!(count(limits(), &v6("2001:db8::1")), 512);
    assert_eq!(count(limits().per_ip(0), &v4(1)), 2000);
    // Exempt.
    assert_eq!(count(limits(), &peer(Ipv4Addr::LOCALHOST)), 2000);
    assert_eq!(count(limits(), &peer(Ipv6Addr::LOCALHOST)), 2000);
    assert_eq!(count(limits(), &PeerAddr::Memory), 2000);
    assert_eq!(
        count(limits().limit_loopback(), &peer(Ipv4Addr::LOCALHOST)),
        512
    );
    assert_eq!(count(limits().limit_loopback(), &PeerAddr::Memory), 2000);
}

#[test]
fn ipv6_peers_can_be_counted_by_prefix() {
    let now = Instant::now();
    let admit_both = |limits: ConnectionLimits, one: &str, other: &str| {
        let admission = Admission::new(limits.per_ip(1));
        let _one = admission.admit(&v6(one), now).unwrap();
        admission.admit(&v6(other), now).is_ok()
    };
    assert!(admit_both(limits(), "2001:db8::1", "2001:db8::2"));
    assert!(!admit_both(
        limits().ipv6_prefix(64),
        "2001:db8::1",
        "2001:db8::2"
    ));
    assert!(admit_both(
        limits().ipv6_prefix(64),
        "2001:db8::1",
        "2001:db8:0:1::1"
    ));
    assert!(!admit_both(
        limits().ipv6_prefix(0),
        "2001:db8::1",
        "3001:db8::1"
    ));
    assert!(admit_both(
        limits().ipv6_prefix(1),
        "2001:db8::1",
        "8001:db8::1"
    ));
    assert!(admit_both(
        limits().ipv6_prefix(999),
        "2001:db8::1",
        "2001:db8::2"
    ));
}

#[test]
fn ten_violations_in_a_minute_refuse_an_address_for_a_minute() {
    let start = Instant::now();
    let admission = Admission::new(limits());
    let had_before = admission.admit(&v4(1), start).unwrap();
    for n in 0..9 {
        assert!(!admission.strike(&v4(1), start + seconds(n)));
    }
    let _ninth = admission.admit(&v4(1), start + seconds(9)).unwrap();
    let tenth = start + seconds(59);
    assert!(admission.strike(&v4(1), tenth));
    let refusal = admission.admit(&v4(1), tenth + seconds(1)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Strikes {
            ip: "10.0.0.1".parse().unwrap(),
            remaining: seconds(59)
        }
    );
    let _other = admission.admit(&v4(2), tenth).unwrap();
    // What its older connections do meanwhile does not prolong the refusal.
    assert!(!admission.strike(&v4(1), tenth + seconds(30)));
    assert!(
        admission
            .admit(&v4(1), tenth + Duration::from_millis(59_999))
            .is_err()
    );
    let _permit = admission.admit(&v4(1), tenth + seconds(60)).unwrap();
    // And the count starts from nothing.
    for _ in 0..9 {
        assert!(!admission.strike(&v4(1), tenth + seconds(60)));
    }
    assert!(admission.strike(&v4(1), tenth + seconds(60)));
    let stats = admission.stats();
    assert_eq!((stats.refused_strikes, stats.violations), (2, 21));
    drop(had_before);
}

#[test]
fn violations_spread_over_time_are_forgiven() {
    let start = Instant::now();
    let admission = Admission::new(limits());
    for minute in 0..100 {
        for _ in 0..9 {
            assert!(!admission.strike(&v4(1), start + seconds(60 * minute)));
        }
    }
    assert_eq!(admission.remembered(), (0, 1));
}

#[test]
fn strikes_can_be_off_and_spare_gateways() {
    let now = Instant::now();
    let refused = |limits: ConnectionLimits, peer: &PeerAddr| {
        let admission = Admission::new(limits);
        for _ in 0..1000 {
            admission.strike(peer, now);
        }
        admission.admit(peer, now).is_err()
    };
    let loopback = peer(Ipv4Addr::LOCALHOST);
    assert!(refused(limits(), &v4(1)));
    assert!(!refused(limits().strikes(0), &v4(1)));
    assert!(!refused(limits(), &loopback));
    assert!(refused(limits().limit_loopback(), &loopback));
    assert!(!refused(limits(), &PeerAddr::Memory));
}

#[test]
fn strike_settings_are_kept() {
    let now = Instant::now();
    let admission = Admission::new(
        limits()
            .strikes(2)
            .strike_window(seconds(5))
            .refusal(seconds(7)),
    );
    assert!(!admission.strike(&v4(1), now));
    assert!(!admission.strike(&v4(1), now + seconds(5)));
    assert!(admission.strike(&v4(1), now + seconds(6)));
    assert!(admission.admit(&v4(1), now + seconds(12)).is_err());
    assert!(admission.admit(&v4(1), now + seconds(13)).is_ok());
    let for_ever = Admission::new(limits().strikes(1).refusal(Duration::MAX));
    assert!(for_ever.strike(&v4(1), now));
    assert!(for_ever.admit(&v4(1), now + seconds(1_000_000)).is_err());
}

#[test]
fn many_addresses_do_not_grow_the_memory() {
    let start = Instant::now();
    let admission = Admission::new(limits().strikes(2));
    // The first one is refused; then come very many others, with one violation each.
    admission.strike(&v4(0), start);
    assert!(admission.strike(&v4(0), start));
    for n in 1..20_000 {
        admission.strike(&v4(n), start + seconds(1));
        drop(admission.admit(&v4(n), start + seconds(1)));
        assert!(admission.remembered().1 <= REMEMBERED_MAX);
    }
    assert_eq!(admission.remembered().0, 0);
    assert!(admission.remembered().1 > REMEMBERED_MAX / 2);
    // It was not forgotten, because the refused are forgotten last.
    assert!(admission.admit(&v4(0), start + seconds(2)).is_err());
    // When the window is over, the entries make room for new ones.
    for n in 0..1000 {
        admission.strike(&v4(50_000 + n), start + seconds(120));
    }
    assert!(admission.remembered().1 <= 1000);
    // Even if all are refused, the map stays within its bound.
    for n in 0..5000 {
        admission.strike(&v4(n), start + seconds(130));
        admission.strike(&v4(n), start + seconds(130));
        assert!(admission.remembered().1 <= REMEMBERED_MAX);
    }
}

#[test]
fn a_server_is_crowded_above_nine_tenths() {
    let now = Instant::now();
    let admission = Admission::new(limits().total(10));
    let mut permits: Vec<_> = (0..9)
        .map(|n| admission.admit(&v4(n), now).unwrap())
        .collect();
    assert!(!admission.is_crowded());
    permits.push(admission.admit(&v4(9), now).unwrap());
    assert!(admission.is_crowded());
}

#[test]
fn refusals_name_the_setting() {
    let ip: IpAddr = "10.0.0.1".parse().unwrap();
    let cases = [
        (
            Refusal::Total { limit: 5 },
            "the server has 5 connections (setting: ConnectionLimits::total)",
        ),
        (
            Refusal::PerIp { ip, limit: 5 },
            "10.0.0.1 has 5 connections (setting: ConnectionLimits::per_ip)",
        ),
        (
            Refusal::Strikes {
                ip,
                remaining: Duration::from_millis(1500),
            },
            "10.0.0.1 has violated the protocol too often and is refused for 2 s more \
             (setting: ConnectionLimits::strikes)",
        ),
    ];
    for (refusal, text) in cases {
        assert_eq!(refusal.to_string(), text);
    }
}

#[test]
fn the_default_total_follows_the_limit_of_open_files() {
    assert_eq!(default_total(Some(1024)), 819);
    assert_eq!(default_total(Some(12_500)), 10_000);
    assert_eq!(default_total(Some(1_000_000)), 10_000);
    assert_eq!(default_total(None), 10_000);
    assert_eq!(default_total(Some(0)), 1);
    let total = Admission::new(limits()).stats().limit;
    assert!((1..=10_000).contains(&total));
    assert_eq!(Admission::new(limits().total(0)).stats().limit, 1);
}

#[test]
fn the_limit_of_open_files_is_found() {
    let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                Max cpu time              unlimited            unlimited            seconds   \n\
                Max open files            1024                 1048576              files     \n";
    assert_eq!(parse_open_file_limit(text), Some(Some(1024)));
    assert_eq!(
        parse_open_file_limit(&text.replace("1024 ", "unlimited ")),
        Some(None)
    );
    assert_eq!(parse_open_file_limit("Max open files"), None);
    assert_eq!(parse_open_file_limit("Max open files  many"), None);
    assert_eq!(parse_open_file_limit(""), None);
}
