//! What travels beside the messages: text and bytes, ahead of the first message and after the last, with a call and
//! with a stream, and with a failure. `cargo run -p iip-examples --bin metadata`

use std::error::Error;

use helloworld::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest};
use iip_rpc::{Code, Metadata, Request, Response, Sender, Server, Status};
use routeguide::{Feature, Rectangle, RouteGuide, RouteGuideClient, RouteGuideServer};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

/// The code generated from `proto/routeguide/routeguide.proto`.
pub mod routeguide {
    iip_rpc::include_proto!("routeguide");
}

/// Greets in the language that the metadata asks for.
struct Polyglot;

impl Greeter for Polyglot {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let metadata = request.metadata();
        let language = metadata.get("accept-language").unwrap_or("en");
        let greeting = match language {
            "en" => "Hello",
            "de" => "Hallo",
            _ => {
                // A failure carries metadata too.
                let text = format!("no greeting in {language}");
                let mut status = Status::invalid_argument(text);
                status.metadata_mut().append("content-language", "de")?;
                status.metadata_mut().append("content-language", "en")?;
                return Err(status);
            }
        };
        // Under a key that ends with -bin the value is any bytes.
        let length = metadata.get_bytes("trace-bin").map_or(0, <[u8]>::len);
        let message = format!("{greeting} {}!", request.get_ref().name);
        let mut response =
            Response::new(HelloReply { message }).with_metadata("content-language", language);
        response
            .trailers_mut()
            .insert("trace-bytes", length.to_string())?;
        Ok(response)
    }
}

/// Lists three features, says ahead how many and afterwards that it was all.
struct Guide;

impl RouteGuide for Guide {
    async fn list_features(
        &self,
        _: Request<Rectangle>,
        out: Sender<Feature>,
    ) -> Result<(), Status> {
        let names = ["spring", "bridge", "mouth"];
        out.set_metadata(Metadata::new().with("features", names.len().to_string())?)?;
        for name in names {
            let name = String::from(name);
            out.send(Feature {
                name,
                location: None,
            })
            .await?;
        }
        out.set_trailers(Metadata::new().with("complete", "yes")?)
    }
}

/// Fails with `what` where something is not as it must be.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    println!("{} {what}", if holds { "yes:" } else { "NO:" });
    if holds { Ok(()) } else { Err(what.into()) }
}

async fn with_a_call(address: &str) -> Result<(), Box<dyn Error>> {
    let greeter = GreeterClient::connect(address).await?;
    let name = String::from("Welt");
    let request = Request::new(HelloRequest { name })
        .with_metadata("accept-language", "de")
        .with_metadata("authorization", "Bearer 4711")
        .with_metadata("trace-bin", [0u8, 159, 146, 150].as_slice());

    let shown = format!("{request:?}");
    check(!shown.contains("4711"), "Debug output hides credentials")?;

    let response = greeter.say_hello(request).await?;
    let language = response.metadata().get("content-language");
    check(language == Some("de"), "metadata came ahead of the message")?;
    let bytes = response.trailers().get("trace-bytes");
    check(bytes == Some("4"), "and trailers after it")?;
    check(response.get_ref().message == "Hallo Welt!", "in German")
}

async fn with_a_failure(address: &str) -> Result<(), Box<dyn Error>> {
    let greeter = GreeterClient::connect(address).await?;
    let name = String::from("monde");
    let request = Request::new(HelloRequest { name }).with_metadata("accept-language", "fr");
    let Err(status) = greeter.say_hello(request).await else {
        return Err("nobody here speaks French".into());
    };
    check(status.code() == Code::InvalidArgument, "the call failed")?;
    let known = status.metadata().get_all("content-language").count();
    check(known == 2, "and its status carries a key with two values")
}

async fn with_a_stream(address: &str) -> Result<(), Box<dyn Error>> {
    let guide = RouteGuideClient::connect(address).await?;
    let response = guide.list_features(Rectangle::default()).await?;
    let ahead = response.metadata().get("features");
    check(ahead == Some("3"), "metadata came ahead of the stream")?;
    let mut features = response.into_inner();
    let mut names = Vec::new();
    while let Some(feature) = features.message().await? {
        names.push(feature.name);
    }
    check(names.len() == 3, "three messages came")?;
    let after = features.trailers().get("complete");
    check(after == Some("yes"), "and trailers after the last")
}

async fn run() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .add_service(GreeterServer::new(Polyglot))
        .add_service(RouteGuideServer::new(Guide))
        .bind("127.0.0.1:0")
        .await?;
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    with_a_call(&address).await?;
    with_a_failure(&address).await?;
    with_a_stream(&address).await
}

fn main() -> Result<(), Box<dyn Error>> {
    iip_rpc::run(run())
}
