//! What stands around calls: interceptors on both sides, and tower's own layers as they are.
//! `cargo run -p iip-examples --bin layers`

use std::error::Error;
use std::time::{Duration, Instant};

use errands::{Errand, Errands, ErrandsClient, ErrandsServer, Report};
use iip_rpc::layer::{Next, interceptor};
use iip_rpc::{Body, Channel, Code, Outcome, Request, Response, Server, Status};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::sleep;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;

/// The code generated from `proto/errands/errands.proto`.
pub mod errands {
    iip_rpc::include_proto!("errands");
}

/// Runs errands, and tells `main` when one begins.
struct Runner {
    began: UnboundedSender<String>,
}

impl Errands for Runner {
    async fn run(&self, request: Request<Errand>) -> Result<Response<Report>, Status> {
        let errand = request.into_inner();
        // Nobody to tell: `main` is at its end.
        let _ = self.began.send(errand.name.clone());
        sleep(Duration::from_millis(errand.milliseconds.into())).await;
        let text = format!("{} is done", errand.name);
        Ok(Response::new(Report { text }))
    }
}

/// On the server: lets in who knows the word, and says afterwards how long it took.
async fn guard(request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
    if request.metadata().get("authorization") != Some("sesame") {
        return Err(Status::unauthenticated("what is the word?"));
    }
    let started = Instant::now();
    let mut response = next.run(request).await?;
    let micros = started.elapsed().as_micros().to_string();
    response.trailers_mut().insert("took-us", micros)?;
    Ok(response)
}

/// On the client: says the word with every call, and writes down how it ended.
async fn speak(mut request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
    request.metadata_mut().insert("authorization", "sesame")?;
    let path = request.method().map(|method| method.path());
    let result = next.run(request).await;
    let ended = match &result {
        Ok(_) => "well".into(),
        Err(status) => status.to_string(),
    };
    println!("  {} ended {ended}", path.unwrap_or_default());
    result
}

fn errand(name: &str, milliseconds: u32) -> Errand {
    Errand {
        name: name.into(),
        milliseconds,
    }
}

/// Fails with `what` where something is not as it must be.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    println!("{} {what}", if holds { "yes:" } else { "NO:" });
    if holds { Ok(()) } else { Err(what.into()) }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (began, mut begun) = unbounded_channel();
    // The layer added first is the outermost. Who does not know the word takes no place; of those who do, one at a
    // time is served and any other is refused rather than kept waiting.
    let server = Server::builder()
        .layer(interceptor(guard))
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .add_service(ErrandsServer::new(Runner { began }))
        .bind("127.0.0.1:0")
        .await?;
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());

    let stranger = ErrandsClient::connect(&address).await?;
    let refused = stranger.run(errand("theft", 1)).await.err();
    let code = refused.map(|status| status.code());
    check(
        code == Some(Code::Unauthenticated),
        "strangers stay outside",
    )?;

    let channel = Channel::builder(&address).layer(interceptor(speak));
    let friend = ErrandsClient::connect(channel).await?;
    let response = friend.run(errand("shopping", 1)).await?;
    let took = response.trailers().get("took-us");
    check(took.is_some(), "a friend is told how long it took")?;

    let channel = Channel::builder(&address)
        .layer(interceptor(speak))
        .layer(TimeoutLayer::new(Duration::from_secs(2)));
    let hasty = ErrandsClient::connect(channel).await?;
    let long = tokio::spawn(async move { hasty.run(errand("painting", 60_000)).await });
    while begun.recv().await.ok_or("the server is gone")? != "painting" {}

    let status = friend.run(errand("cooking", 1)).await.err();
    let status = status.ok_or("there was room for two")?;
    check(
        status.code() == Code::Unavailable,
        "there is no room for two",
    )?;
    let untouched = status.outcome() == Some(Outcome::NotProcessed);
    check(untouched, "and the second may be tried elsewhere")?;

    let late = long.await?.err();
    let code = late.map(|status| status.code());
    check(
        code == Some(Code::DeadlineExceeded),
        "the first took too long",
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    iip_rpc::run(run())
}
