//! Our server's statistics, read by the reference's client.

use std::time::Duration;

use iip_core::server::{Incoming, StatisticsAccess, handler_fn};
use iip_rpc::{Server, iip_core, tokio};
use serde_json::Value;

use super::running::Ours;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn our_statistics_are_read() {
    let echo = handler_fn(|request: Incoming| async { Ok(request.into_data()) });
    let mut server = Ours::start(Server::builder().handler("/echo", echo)).await;
    let client = server.client().await;
    let zero = client.channel_zero();
    let ask = async |path: &str, data: &str| {
        let answer = zero.request(path, data, LONG).await;
        String::from_utf8(answer.expect("an answer")).expect("text")
    };
    let json = async |path: &str, data: &str| -> Value {
        serde_json::from_str(&ask(path, data).await).expect("JSON")
    };
    let channel = client.new_channel().await.expect("a channel");
    for _ in 0..3 {
        channel.request("/echo", "hello", LONG).await.expect("echo");
    }
    assert_eq!(
        ask("/sys/path_count", "/echo").await,
        r#"{"PacketsSent":3,"PacketReceived":3,"WholePacketSent":3,"WholePacketReceived":3,"BytesSent":60,"BytesReceived":60}"#
    );
    // Everything counts, not only registered paths: the request for a channel, the three calls, and two for statistics.
    let total = json("/sys/server_count", "{}").await;
    assert_eq!(total["WholePacketReceived"], 6);
    assert_eq!(total["WholePacketSent"], 5);
    let measure = json("/sys/path_measure", "/echo").await;
    assert_eq!(measure["all_requests"], 3);
    let seconds = measure["five_minute_requests"].as_array().expect("a list");
    assert_eq!(seconds.len(), 301);
    let sum: u64 = seconds.iter().filter_map(Value::as_u64).sum();
    assert_eq!(sum, 3);
    let all = json("/sys/server_measure", "{}").await;
    assert!(all["all_requests"].as_u64() > Some(3));
    assert_eq!(
        all["all_timecount"]["range_count"].as_array().map(Vec::len),
        Some(8)
    );
    let open = json("/sys/connection_statis", "{}").await;
    let open = open.as_object().expect("connections");
    assert_eq!(open.len(), 1);
    let connection = open.values().next().expect("a connection");
    assert_eq!(connection["Channels"]["1"]["Count"]["PacketReceived"], 3);
    let words = ask("/sys/statis", r#"{"time_unit":"second"}"#).await;
    assert!(words.contains("\n/echo count: {"), "{words}");
    drop((zero, channel));
    client.close();
    server.stop();
    server.stopped().await;
}

#[tokio::test]
async fn our_statistics_are_not_for_everybody() {
    let builder = Server::builder().statistics(StatisticsAccess::nobody());
    let echo = handler_fn(|request: Incoming| async { Ok(request.into_data()) });
    let mut server = Ours::start(builder.handler("/echo", echo)).await;
    let client = server.client().await;
    for path in ["/sys/server_count", "/sys/connection_statis"] {
        let answer = client.channel_zero().request(path, "{}", LONG).await;
        let refused = r#"{"code":102,"message":"handle error"}"#;
        assert_eq!(answer.expect("an answer"), refused.as_bytes());
    }
    client.close();
    server.stop();
    server.stopped().await;
}
