//! The standard health service: what a reporter says, in the bytes of others too.

use std::time::Duration;

use iip_rpc::health::{
    HealthCheckRequest, HealthCheckResponse, HealthClient, HealthReporter, ServingStatus,
};
use iip_rpc::prost::Message;
use iip_rpc::{Channel, Code, Server, Status, Streaming};

fn asked(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Result<ServingStatus, Status> {
    // A safety net: a change that is not told would be waited for without end.
    let limit = Duration::from_secs(60);
    let message = tokio::time::timeout(limit, stream.message()).await;
    let message = message.expect("a change is told")?;
    Ok(message.expect("it goes on").status())
}

#[tokio::test]
async fn check_says_what_was_set() {
    let reporter = HealthReporter::new();
    let client = HealthClient::new(reporter.service());
    let check = async |service: &str| {
        let answer = client.check(asked(service)).await?;
        Ok::<_, Status>(answer.into_inner().status())
    };
    assert_eq!(check("").await.unwrap(), ServingStatus::Serving);
    assert_eq!(check("a.B").await.unwrap_err().code(), Code::NotFound);
    reporter.set_not_serving("a.B");
    assert_eq!(check("a.B").await.unwrap(), ServingStatus::NotServing);
    reporter.clone().set_serving("a.B");
    assert_eq!(check("a.B").await.unwrap(), ServingStatus::Serving);
    reporter.set_serving("c.D");
    reporter.clear("c.D");
    assert_eq!(check("c.D").await.unwrap_err().code(), Code::NotFound);
    reporter.shutdown();
    reporter.set_serving("a.B");
    for service in ["", "a.B"] {
        assert_eq!(check(service).await.unwrap(), ServingStatus::NotServing);
    }
    assert_eq!(check("c.D").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn watch_tells_each_change_and_nothing_else() {
    let reporter = HealthReporter::new();
    let client = HealthClient::new(reporter.service());
    let mut seen = client.watch(asked("a.B")).await.unwrap().into_inner();
    assert_eq!(
        next(&mut seen).await.unwrap(),
        ServingStatus::ServiceUnknown
    );
    // What concerns others is not told.
    reporter.set_serving("c.D");
    let nothing = tokio::time::timeout(Duration::from_secs(1), seen.message()).await;
    nothing.expect_err("of others");
    reporter.set_serving("a.B");
    assert_eq!(next(&mut seen).await.unwrap(), ServingStatus::Serving);
    reporter.set_serving("a.B");
    reporter.set_not_serving("a.B");
    assert_eq!(next(&mut seen).await.unwrap(), ServingStatus::NotServing);
    reporter.clear("a.B");
    assert_eq!(
        next(&mut seen).await.unwrap(),
        ServingStatus::ServiceUnknown
    );
    reporter.set_serving("a.B");
    assert_eq!(next(&mut seen).await.unwrap(), ServingStatus::Serving);
    reporter.shutdown();
    assert_eq!(next(&mut seen).await.unwrap(), ServingStatus::NotServing);
    assert_eq!(next(&mut seen).await.unwrap_err().code(), Code::Unavailable);
}

/// Who watches learns it, and does not hold up the end.
#[tokio::test]
async fn a_server_that_is_told_to_stop_serves_no_more() {
    let reporter = HealthReporter::new();
    let server = Server::builder()
        .add_service(reporter.service())
        .bind("memory://health-follow")
        .await
        .unwrap();
    let handle = server.handle();
    reporter.follow(handle.clone());
    let serving = tokio::spawn(server.serve());
    let channel = Channel::connect("memory://health-follow").await.unwrap();
    let client = HealthClient::new(channel);
    let mut seen = client.watch(asked("")).await.unwrap().into_inner();
    assert_eq!(next(&mut seen).await.unwrap(), ServingStatus::Serving);
    // Longer than any test: a watcher that held up the end would be noticed.
    handle.drain(Duration::from_secs(86_400));
    assert_eq!(next(&mut seen).await.unwrap(), ServingStatus::NotServing);
    assert_eq!(next(&mut seen).await.unwrap_err().code(), Code::Unavailable);
    serving.await.unwrap().unwrap();
    assert_eq!(reporter.status(""), Some(ServingStatus::NotServing));
}

#[test]
fn the_bytes_are_those_of_the_standard() {
    assert_eq!(asked("a.B").encode_to_vec(), b"\x0a\x03a.B");
    assert_eq!(asked("").encode_to_vec(), b"");
    let statuses = [
        (ServingStatus::Unknown, &b""[..]),
        (ServingStatus::Serving, b"\x08\x01"),
        (ServingStatus::NotServing, b"\x08\x02"),
        (ServingStatus::ServiceUnknown, b"\x08\x03"),
    ];
    for (status, bytes) in statuses {
        assert_eq!(HealthCheckResponse::from(status).encode_to_vec(), bytes);
    }
}

/// The messages are written by hand: they have to be those of the description.
#[test]
fn the_description_says_the_same() {
    let text = include_str!("../../../proto/grpc/health/v1/health.proto");
    for line in [
        "package grpc.health.v1;",
        "service Health {",
        "rpc Check(HealthCheckRequest) returns (HealthCheckResponse);",
        "rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);",
        "string service = 1;",
        "UNKNOWN = 0;",
        "SERVING = 1;",
        "NOT_SERVING = 2;",
        "SERVICE_UNKNOWN = 3;",
        "ServingStatus status = 1;",
    ] {
        let found = text.lines().filter(|found| found.trim() == line).count();
        assert_eq!(found, 1, "{line}");
    }
}
