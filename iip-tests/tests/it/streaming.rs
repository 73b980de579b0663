//! All four kinds of methods, generated, in the same process and over TCP.

use std::future::Future;

use iip_rpc::{Channel, Code, Request, Response, RpcService, Sender, Server, Status, Streaming};
use iip_tests::fixtures::streaming::route::{Point, Route, RouteClient, RouteServer, Summary};

struct Map;

impl Route for Map {
    async fn find(&self, request: Request<Point>) -> Result<Response<Point>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn list(&self, request: Request<Point>, out: Sender<Point>) -> Result<(), Status> {
        let Point { x, y } = request.into_inner();
        if x < 0 {
            return Err(Status::invalid_argument("west of the map"));
        }
        for step in 0..x {
            out.send(Point { x: step, y }).await?;
        }
        Ok(())
    }

    async fn record(
        &self,
        request: Request<Streaming<Point>>,
    ) -> Result<Response<Summary>, Status> {
        let mut stream = request.into_inner();
        let mut points = 0;
        while stream.message().await?.is_some() {
            points += 1;
        }
        Ok(Response::new(Summary { points }))
    }

    async fn chat(
        &self,
        request: Request<Streaming<Point>>,
        out: Sender<Point>,
    ) -> Result<(), Status> {
        let mut stream = request.into_inner();
        while let Some(Point { x, y }) = stream.message().await? {
            out.send(Point { x: y, y: x }).await?;
        }
        Ok(())
    }

    async fn watch(
        &self,
        request: Request<Streaming<Point>>,
        out: Sender<Summary>,
    ) -> Result<(), Status> {
        let mut stream = request.into_inner();
        let mut points = 0;
        while stream.message().await?.is_some() {
            points += 1;
            out.send(Summary { points }).await?;
        }
        Ok(())
    }
}

const POINT: Point = Point { x: 3, y: 7 };

async fn all<T>(stream: &mut Streaming<T>) -> Vec<T>
where
    T: iip_rpc::prost::Message + Default,
{
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await.expect("a message or the end") {
        messages.push(message);
    }
    messages
}

/// Calls every method of the map.
async fn call_all<S: RpcService>(client: RouteClient<S>) {
    let found = client.find(POINT).await.expect("a point");
    assert_eq!(found.into_inner(), POINT);

    let mut listed = client.list(POINT).await.expect("a stream").into_inner();
    let steps = all(&mut listed).await;
    assert_eq!(
        steps.iter().map(|step| step.x).collect::<Vec<_>>(),
        [0, 1, 2]
    );

    let (out, reply) = client.record(()).await.expect("a call");
    for _ in 0..1000 {
        out.send(POINT).await.expect("a listener");
    }
    out.finish().await.expect("a listener");
    assert_eq!(reply.await.expect("a summary").get_ref().points, 1000);

    let (out, mut stream) = client.chat(Request::new(())).await.expect("a call");
    for turn in 0..3 {
        out.send(Point { x: turn, y: 9 }).await.expect("a listener");
        let answer = stream.message().await.expect("an answer");
        assert_eq!(answer, Some(Point { x: 9, y: turn }));
    }
    out.finish().await.expect("a listener");
    assert_eq!(stream.message().await.expect("the end"), None);

    #[allow(deprecated)]
    let (out, mut stream) = client.watch(()).await.expect("a call");
    out.send(POINT).await.expect("a listener");
    out.send(POINT).await.expect("a listener");
    out.finish().await.expect("a listener");
    let counts = all(&mut stream).await;
    assert_eq!(
        counts.iter().map(|count| count.points).collect::<Vec<_>>(),
        [1, 2]
    );

    let refused = match client.list(Point { x: -1, y: 0 }).await {
        Ok(response) => response.into_inner().message().await.map(|_| ()),
        Err(status) => Err(status),
    };
    let status = refused.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "west of the map");
}

/// Serves over TCP while the future runs.
async fn served<F: Future>(calls: impl FnOnce(Channel) -> F) -> F::Output {
    let server = Server::builder()
        .add_service(RouteServer::new(Map))
        .bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = server.local_addr().to_string();
    iip_rpc::tokio::spawn(server.serve());
    let channel = Channel::connect(address).await.expect("a connection");
    calls(channel).await
}

#[test]
fn all_kinds_are_called_in_the_same_process() {
    iip_rpc::run(call_all(RouteClient::new(RouteServer::new(Map))));
}

#[test]
fn all_kinds_are_called_over_tcp() {
    iip_rpc::run(served(|channel| call_all(RouteClient::new(channel))));
}

#[test]
fn a_handler_is_tested_without_a_client() {
    iip_rpc::run(async {
        let request = Request::new(Streaming::from_iter([POINT; 4]));
        let summary = Map.record(request).await.expect("a summary");
        assert_eq!(summary.get_ref().points, 4);
    });
}
