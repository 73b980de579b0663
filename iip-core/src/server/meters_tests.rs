use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::{Incoming, Server, handler_fn};
use crate::client::Client;

/// Keeps everything by name and labels.
#[derive(Default)]
struct Kept {
    numbers: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    lists: Mutex<BTreeMap<String, Arc<List>>>,
    units: Mutex<BTreeMap<String, Unit>>,
}

#[derive(Default)]
struct List(Mutex<Vec<f64>>);

impl HistogramFn for List {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

fn name(key: &Key) -> String {
    let mut labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
    labels.sort();
    format!("{} {}", key.name(), labels.join(" "))
}

impl Kept {
    fn number_of(&self, key: &Key) -> Arc<AtomicU64> {
        Arc::clone(self.numbers.lock().unwrap().entry(name(key)).or_default())
    }

    fn number(&self, name: &str) -> u64 {
        let numbers = self.numbers.lock().unwrap();
        let number = numbers.get(name).unwrap_or_else(|| panic!("{name}"));
        number.load(Ordering::Relaxed)
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.number(name))
    }

    fn list(&self, name: &str) -> Vec<f64> {
        self.lists.lock().unwrap()[name].0.lock().unwrap().clone()
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>) {
        let name = name.as_str().to_owned();
        self.units.lock().unwrap().insert(name, unit.unwrap());
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number_of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number_of(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(
            self.lists.lock().unwrap().entry(name(key)).or_default(),
        ))
    }
}

async fn until(what: &str, ready: impl Fn() -> bool) {
    let wait = async {
        while !ready() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .is_ok(),
        "{what}"
    );
}

#[tokio::test]
async fn the_facade_gets_what_the_server_counts() {
    let kept = Kept::default();
    let recorder = metrics::set_default_local_recorder(&kept);
    let server = Server::builder()
        .handler(
            "/echo",
            handler_fn(|request: Incoming| async move { Ok(request.into_data()) }),
        )
        .bind("memory://meters")
        .await
        .unwrap();
    // The server keeps to the recorder that there was when it was made.
    drop(recorder);
    let address = server.local_addr().unwrap().clone();
    let statistics = server.statistics();
    let serving = tokio::spawn(server.serve());
    let client = Client::builder(address).connect().await.unwrap();
    for _ in 0..5 {
        client
            .call("/echo", Bytes::from_static(b"hello"))
            .await
            .unwrap();
    }
    assert!(
        client
            .call("/unknown", Bytes::from_static(b"x"))
            .await
            .is_ok()
    );
    assert_eq!(kept.gauge("iip_server_connections "), 1.0);
    drop(client);
    until("closed", || kept.gauge("iip_server_connections ") == 0.0).await;

    let echo = statistics.path("/echo").unwrap();
    let total = statistics.total().traffic;
    for (name, of_echo, of_all) in [
        (
            "frames_total {} received",
            echo.traffic.frames_received,
            total.frames_received,
        ),
        (
            "messages_total {} received",
            echo.traffic.messages_received,
            total.messages_received,
        ),
        (
            "bytes_total {} received",
            echo.traffic.bytes_received,
            total.bytes_received,
        ),
        (
            "frames_total {} sent",
            echo.traffic.frames_sent,
            total.frames_sent,
        ),
        (
            "messages_total {} sent",
            echo.traffic.messages_sent,
            total.messages_sent,
        ),
        (
            "bytes_total {} sent",
            echo.traffic.bytes_sent,
            total.bytes_sent,
        ),
    ] {
        let number = |path| kept.number(&format!("iip_server_{}", name.replace("{}", path)));
        assert_eq!(number("/echo"), of_echo, "{name}");
        // The hello, the events of the connection, and the unknown path.
        assert!(number("other") > 0, "{name}");
        assert_eq!(number("/echo") + number("other"), of_all, "{name}");
    }
    assert_eq!(echo.traffic.messages_received, 5);
    let durations = kept.list("iip_server_call_duration_seconds /echo");
    assert_eq!(durations.len(), 5);
    let sum: f64 = durations.iter().sum();
    assert!((sum * 1e9 - echo.durations.nanos() as f64).abs() < 5.0);
    let units = kept.units.lock().unwrap().clone();
    assert_eq!(units["iip_server_bytes_total"], Unit::Bytes);
    assert_eq!(units["iip_server_call_duration_seconds"], Unit::Seconds);
    assert_eq!(units.len(), 8);
    serving.abort();
}

#[tokio::test]
async fn the_facade_gets_what_is_refused() {
    let kept = Kept::default();
    let recorder = metrics::set_default_local_recorder(&kept);
    let echo = handler_fn(|request: Incoming| async move { Ok(request.into_data()) });
    let server = Server::builder().handler("/echo", echo).max_in_flight(0);
    let server = server.bind("memory://meters-refused").await.unwrap();
    drop(recorder);
    let address = server.local_addr().unwrap().clone();
    let serving = tokio::spawn(server.serve());
    let client = Client::builder(address).connect().await.unwrap();
    for _ in 0..3 {
        let refused = client.call("/echo", Bytes::from_static(b"x")).await;
        assert!(refused.unwrap().starts_with(b"{\"code\":109,"));
    }
    let number = |limit| kept.number(&format!("iip_server_calls_refused_total {limit}"));
    assert_eq!(number("in_flight"), 3);
    assert_eq!(number("queue"), 0);
    assert_eq!(kept.gauge("iip_server_calls_limit "), 0.0);
    assert_eq!(kept.gauge("iip_server_calls in_flight"), 0.0);
    serving.abort();
}
