//! Tests without a network: a client over a server value, a streaming handler called directly, and code that uses a
//! client over a mock. What is done in `main` here belongs into tests. `cargo run -p iip-examples --bin in-process`

#[path = "../routeguide/features.rs"]
mod features;
#[path = "../routeguide/guide.rs"]
mod guide;

use std::error::Error;

use guide::Guide;
use helloworld::{GreeterClient, HelloReply, HelloRequest, MockGreeter};
use iip_rpc::{Code, Request, Response, RpcService, Status, Streaming};
use routeguide::{Point, Rectangle, RouteGuide, RouteGuideClient, RouteGuideServer, RouteNote};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

/// The code generated from `proto/routeguide/routeguide.proto`.
pub mod routeguide {
    iip_rpc::include_proto!("routeguide");
}

const MELK: Point = Point {
    latitude: 482_282_000,
    longitude: 153_340_000,
};

/// Fails with `what` where something is not as it must be.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    println!("{} {what}", if holds { "yes:" } else { "NO:" });
    if holds { Ok(()) } else { Err(what.into()) }
}

/// The whole way of a call but for the connection: metadata, deadlines, status and streams are as over a network.
async fn a_client_over_a_server() -> Result<(), Box<dyn Error>> {
    let guide = RouteGuideClient::new(RouteGuideServer::new(Guide));

    let feature = guide.get_feature(MELK).await?.into_inner();
    check(feature.name == "Melk Abbey", "a call without a socket")?;

    let everywhere = Rectangle {
        lo: Some(Point::default()),
        hi: Some(Point {
            latitude: 900_000_000,
            longitude: 1_800_000_000,
        }),
    };
    let mut features = guide.list_features(everywhere).await?.into_inner();
    let mut listed = 0;
    while features.message().await?.is_some() {
        listed += 1;
    }
    check(
        listed == features::all().count(),
        "a stream of all features",
    )?;

    let (out, mut answers) = guide.route_chat(()).await?;
    for message in ["first", "second"] {
        let (location, message) = (Some(MELK), message.into());
        out.send(RouteNote { location, message }).await?;
    }
    let answer = answers.message().await?.ok_or("no answer")?;
    check(answer.message == "first", "an answer while both sides talk")?;
    out.finish().await?;
    check(answers.message().await?.is_none(), "and the end")
}

/// A handler is a plain async function, and a stream can be made of anything that can be iterated over.
async fn a_handler_alone() -> Result<(), Box<dyn Error>> {
    let points = Streaming::from_iter([MELK, Point::default(), MELK]);
    let summary = Guide.record_route(Request::new(points)).await?.into_inner();
    check(summary.point_count == 3, "three points from an array")?;
    check(summary.feature_count == 2, "two of them with a feature")
}

/// What is to be tested: greets everybody, and goes on without those whom the service does not like.
async fn greet_all<S: RpcService>(
    greeter: &GreeterClient<S>,
    names: &[&str],
) -> Result<Vec<String>, Status> {
    let mut greetings = Vec::new();
    for name in names {
        let name = name.to_string();
        match greeter.say_hello(HelloRequest { name }).await {
            Ok(reply) => greetings.push(reply.into_inner().message),
            Err(status) if status.code() == Code::InvalidArgument => {}
            Err(status) => return Err(status),
        }
    }
    Ok(greetings)
}

/// The other side is told what to answer.
async fn a_client_over_a_mock() -> Result<(), Box<dyn Error>> {
    let mock = MockGreeter::new().on_say_hello(|request| async move {
        match request.into_inner().name.as_str() {
            "" => Err(Status::invalid_argument("nobody")),
            "storm" => Err(Status::unavailable("the roof is gone")),
            name => Ok(Response::new(HelloReply {
                message: name.to_uppercase(),
            })),
        }
    });
    let greeter = GreeterClient::new(mock);
    let greetings = greet_all(&greeter, &["ada", "", "alan"]).await?;
    check(greetings == ["ADA", "ALAN"], "it goes on after a refusal")?;
    let result = greet_all(&greeter, &["ada", "storm", "alan"]).await;
    let code = result.err().map(|status| status.code());
    check(code == Some(Code::Unavailable), "and stops at a failure")
}

async fn run() -> Result<(), Box<dyn Error>> {
    a_client_over_a_server().await?;
    a_handler_alone().await?;
    a_client_over_a_mock().await
}

fn main() -> Result<(), Box<dyn Error>> {
    iip_rpc::run(run())
}
