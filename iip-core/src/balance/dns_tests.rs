use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

use super::discover::Discover;
use super::dns::{Dns, Service, targets, used_for};

const A: u16 = 1;
const SRV: u16 = 33;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

/// What the server answers questions of a type with: a response code and the data of records.
#[derive(Clone, Default)]
struct Zone {
    code: u8,
    kind: u16,
    records: Vec<Vec<u8>>,
}

fn addresses(last: &[u8]) -> Zone {
    Zone {
        code: 0,
        kind: A,
        records: last.iter().map(|last| vec![10, 0, 0, *last]).collect(),
    }
}

fn failing(code: u8) -> Zone {
    Zone {
        code,
        ..Zone::default()
    }
}

/// A small DNS server. Its records are valid for a minute.
struct Server {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    /// A permit for each question that was answered, of the zone's kind or with a failure.
    answered: Arc<Semaphore>,
}

impl Server {
    async fn start(zone: Zone) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::new(Mutex::new(zone)),
            answered: Arc::new(Semaphore::new(0)),
        };
        let (zone, answered) = (Arc::clone(&server.zone), Arc::clone(&server.answered));
        tokio::spawn(async move {
            let mut question = [0; 512];
            loop {
                let (len, client) = socket.recv_from(&mut question).await.unwrap();
                let zone = zone.lock().unwrap().clone();
                let (answer, of_kind) = answer(&question[..len], &zone);
                socket.send_to(&answer, client).await.unwrap();
                if of_kind {
                    answered.add_permits(1);
                }
            }
        });
        server
    }

    fn set(&self, zone: Zone) {
        *self.zone.lock().unwrap() = zone;
    }

    /// Waits until so many more questions were answered.
    async fn answered(&self, count: u32) {
        let wait = self.answered.acquire_many(count);
        let wait = tokio::time::timeout(Duration::from_secs(60), wait);
        wait.await.expect("a question").unwrap().forget();
    }
}

/// The response to a message of one question (RFC 1035, 4.1), and whether that was of the zone's kind.
fn answer(message: &[u8], zone: &Zone) -> (Vec<u8>, bool) {
    let mut end = 12;
    while message[end] != 0 {
        end += 1 + usize::from(message[end]);
    }
    let question = &message[12..end + 5];
    let kind = u16::from_be_bytes([message[end + 1], message[end + 2]]);
    let records: &[Vec<u8>] = match kind == zone.kind {
        true => &zone.records,
        false => &[],
    };
    let mut response = Vec::from(&message[..2]);
    response.extend([0x84, 0x80 | zone.code, 0, 1]);
    response.extend((records.len() as u16).to_be_bytes());
    response.extend([0; 4]);
    response.extend(question);
    for record in records {
        // The name of the question, the kind, the class of the internet, and the TTL.
        response.extend([0xc0, 12]);
        response.extend(kind.to_be_bytes());
        response.extend([0, 1, 0, 0, 0, 60]);
        response.extend((record.len() as u16).to_be_bytes());
        response.extend(record);
    }
    (response, kind == zone.kind || zone.code != 0)
}

fn dns(text: &str, server: &Server) -> Dns {
    let dns: Dns = text.parse().unwrap();
    dns.server(server.address)
        .min_interval(Duration::from_millis(10))
        .max_interval(Duration::from_millis(10))
}

async fn next(dns: &mut Dns) -> Result<String, String> {
    let next = tokio::time::timeout(Duration::from_secs(60), dns.next());
    match next.await.expect("a list") {
        Ok(targets) => {
            let texts: Vec<_> = targets.iter().map(ToString::to_string).collect();
            Ok(texts.join(","))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn all_addresses_of_a_name_are_endpoints() {
    let server = Server::start(addresses(&[2, 1, 2])).await;
    let mut dns = dns("fleet.test.:9090", &server);
    assert_eq!(
        next(&mut dns).await.unwrap(),
        "iip://10.0.0.1:9090,iip://10.0.0.2:9090"
    );
    // The same in another order is no change.
    server.set(addresses(&[2, 1]));
    let change = tokio::spawn(async move { (next(&mut dns).await, dns) });
    server.answered(3).await;
    server.set(addresses(&[3, 1]));
    let (list, _) = change.await.unwrap();
    assert_eq!(list.unwrap(), "iip://10.0.0.1:9090,iip://10.0.0.3:9090");
}

#[tokio::test]
async fn no_answer_and_an_empty_one_are_errors() {
    let server = Server::start(failing(SERVFAIL)).await;
    let mut dns = dns("fleet.test.:9090", &server);
    let error = next(&mut dns).await.expect_err("no list");
    assert!(error.contains("dns://fleet.test.:9090"), "{error}");
    server.set(addresses(&[1]));
    assert_eq!(next(&mut dns).await.unwrap(), "iip://10.0.0.1:9090");
    for zone in [failing(NXDOMAIN), failing(SERVFAIL), addresses(&[])] {
        server.set(zone);
        next(&mut dns).await.expect_err("no list");
    }
    server.set(addresses(&[1, 2]));
    assert_eq!(
        next(&mut dns).await.unwrap(),
        "iip://10.0.0.1:9090,iip://10.0.0.2:9090"
    );
}

/// The data of an SRV record (RFC 2782).
fn service(priority: u16, weight: u16, port: u16, host: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for number in [priority, weight, port] {
        data.extend(number.to_be_bytes());
    }
    for label in host.split('.') {
        data.push(label.len() as u8);
        data.extend(label.as_bytes());
    }
    data.push(0);
    data
}

#[tokio::test]
async fn records_of_a_service_bring_ports_and_weights() {
    let records = vec![
        service(1, 30, 9091, "b.test"),
        service(1, 60, 9090, "a.test"),
        service(2, 90, 9090, "spare.test"),
    ];
    let server = Server::start(Zone {
        code: 0,
        kind: SRV,
        records,
    })
    .await;
    let mut dns = dns("_iip._tcp.fleet.test.", &server);
    assert_eq!(
        next(&mut dns).await.unwrap(),
        "iip://a.test:9090#100,iip://b.test:9091#50"
    );
}

#[test]
fn weights_of_services_are_scaled() {
    let weights = |weights: &[u16]| -> Vec<u8> {
        let services = weights.iter().zip(1u16..).map(|(weight, port)| Service {
            priority: 0,
            weight: *weight,
            port,
            host: "a.test.".into(),
        });
        let targets = targets(services.collect());
        targets.iter().map(|target| target.weight().get()).collect()
    };
    assert_eq!(weights(&[0, 0]), [1, 1]);
    assert_eq!(weights(&[65_535, 0, 1]), [100, 1, 1]);
    assert_eq!(weights(&[1, 2, 4]), [25, 50, 100]);
    let none = Service {
        priority: 0,
        weight: 0,
        port: 0,
        host: ".".into(),
    };
    assert_eq!(targets(vec![none]), []);
}

#[test]
fn answers_are_used_as_long_as_they_are_valid_within_limits() {
    let seconds = Duration::from_secs;
    let used = |valid| used_for(seconds(valid), seconds(5), seconds(60));
    assert_eq!(
        [0, 5, 30, 60, 3600].map(used),
        [5, 5, 30, 60, 60].map(seconds)
    );
    assert_eq!(used_for(seconds(9), seconds(20), seconds(10)), seconds(20));
}

#[test]
fn names_that_cannot_be_looked_for_are_refused() {
    for text in [
        "",
        "name",
        "name:",
        "name:x",
        "na me:1",
        ":1",
        "name:70000",
        "_a..b",
    ] {
        let error = text.parse::<Dns>().expect_err(text);
        assert!(error.to_string().contains("name:port"), "{error}");
    }
    for text in ["name:1", "_iip._tcp.name", "10.0.0.1:1", "a.b.:65535"] {
        let dns: Dns = text.parse().expect(text);
        assert_eq!(dns.to_string(), format!("dns://{text}"));
    }
}
