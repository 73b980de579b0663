//! Channels to many servers: how they are named, and which of them calls go to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_rpc::client::HashBy;
use iip_rpc::iip_core::balance::{
    ConsistentHash, DiscoverError, Ejection, Pick, RoundRobin, Static, Target, Targets,
};
use iip_rpc::tokio::task::JoinHandle;
use iip_rpc::{
    Channel, Code, IntoRequest, MetadataKey, Outcome, Request, Response, Server, Status,
};

use crate::greeter::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest, hello};
use crate::streams::{Client, Streams, command};

/// Says its name, or fails with the code that it is asked for: `all` or its own name stands before it.
struct Named(String);

impl Greeter for Named {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let wish = request.get_ref().name.split_once(' ');
        if let Some((who, code)) = wish
            && (who == "all" || who == self.0)
        {
            return Err(match code {
                "internal" => Status::internal("it is broken"),
                _ => Status::not_found("it is not here"),
            });
        }
        Ok(HelloReply {
            message: self.0.clone(),
        }
        .into())
    }
}

/// A server in memory, until it is killed.
struct Running {
    address: String,
    task: JoinHandle<()>,
}

impl Running {
    /// With a name that no other test uses.
    async fn start(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let server = Server::builder()
            .add_service(GreeterServer::new(Named(name.to_owned())))
            .bind(format!("memory://many-{number}"))
            .await
            .unwrap();
        Self {
            address: server.local_addr().to_string(),
            task: iip_rpc::tokio::spawn(async { drop(server.serve().await) }),
        }
    }

    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn three() -> [Running; 3] {
    [
        Running::start("a").await,
        Running::start("b").await,
        Running::start("c").await,
    ]
}

/// `address#weight,…`
fn list(servers: &[Running], weights: &[u8]) -> String {
    let targets = servers.iter().zip(weights);
    let targets = targets.map(|(server, weight)| format!("{}#{weight}", server.address));
    targets.collect::<Vec<_>>().join(",")
}

/// Waits until the channel has these numbers of connections.
async fn eventually(channel: &Channel, connections: &[usize]) {
    let wait = async {
        loop {
            let endpoints = channel.endpoints().into_iter();
            let now: Vec<_> = endpoints.map(|endpoint| endpoint.connections).collect();
            if now == connections {
                return;
            }
            iip_rpc::tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = Duration::from_secs(60);
    let result = iip_rpc::tokio::time::timeout(limit, wait).await;
    assert!(result.is_ok(), "never {connections:?}: {channel:?}");
}

async fn connected(builder: iip_rpc::client::ChannelBuilder, endpoints: usize) -> Channel {
    let channel = builder.connect().await.expect("a server");
    eventually(&channel, &vec![1; endpoints]).await;
    channel
}

async fn greet(
    channel: &Channel,
    request: impl IntoRequest<HelloRequest>,
) -> Result<String, Status> {
    let client = GreeterClient::new(channel.clone());
    let reply = client.say_hello(request).await?;
    Ok(reply.into_inner().message)
}

/// How often each server answers so many calls.
async fn answers(channel: &Channel, calls: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..calls {
        let name = greet(channel, hello("you")).await.expect("an answer");
        *answers.entry(name).or_default() += 1;
    }
    answers
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let pairs = expected.iter();
    pairs
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn a_list_with_weights() {
    let servers = three().await;
    let text = list(&servers, &[1, 2, 5]);
    let builder = Channel::builder(&text).balance(RoundRobin::default());
    let channel = connected(builder, 3).await;
    assert_eq!(channel.endpoint(), text);
    assert_eq!(
        answers(&channel, 16).await,
        counts(&[("a", 2), ("b", 4), ("c", 10)])
    );
    assert_eq!(channel.usage().connections, 3);
    let [a, b, c] = servers;
    c.kill().await;
    eventually(&channel, &[1, 1, 0]).await;
    assert_eq!(answers(&channel, 9).await, counts(&[("a", 3), ("b", 6)]));
    for server in [a, b] {
        server.kill().await;
    }
    eventually(&channel, &[0, 0, 0]).await;
    let status = greet(&channel, hello("you"))
        .await
        .expect_err("nobody is left");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert_eq!(status.endpoint(), Some(&*text));
}

#[tokio::test]
async fn one_address_needs_no_balancing() {
    let server = Running::start("a").await;
    for text in [server.address.clone(), format!("{}#7", server.address)] {
        let channel = Channel::connect(&text).await.expect("a server");
        assert!(channel.endpoints().is_empty());
        assert_eq!(channel.endpoint(), server.address);
        assert_eq!(greet(&channel, hello("you")).await.unwrap(), "a");
    }
}

#[tokio::test]
async fn a_file_that_changes() {
    let servers = three().await;
    let path = std::env::temp_dir().join(format!("iip-many-{}", std::process::id()));
    std::fs::write(&path, format!("{}\n", servers[0].address)).unwrap();
    let builder = Channel::builder(format!("file://{}", path.display()));
    let channel = connected(builder.balance(RoundRobin::default()), 1).await;
    assert_eq!(answers(&channel, 2).await, counts(&[("a", 2)]));
    let next = path.with_extension("new");
    let text = format!("# new\n{}#3\n{}\n", servers[1].address, servers[2].address);
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, &path).unwrap();
    eventually(&channel, &[1, 1]).await;
    assert_eq!(answers(&channel, 8).await, counts(&[("b", 6), ("c", 2)]));
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn targets_that_are_none() {
    for (text, part) in [
        ("a:1,b", "no port"),
        ("a:1,a:1", "twice"),
        ("a:1#0,b:1", "1 to 100"),
        ("file://servers", "file:///path"),
        ("dns://name", "name"),
        ("", "empty"),
    ] {
        let status = Channel::connect(text).await.expect_err(text);
        assert_eq!(status.code(), Code::InvalidArgument, "{text}");
        assert_eq!(status.outcome(), Some(Outcome::NotSent));
        assert!(status.message().contains(part), "{text:?}: {status}");
    }
    let dns = Channel::builder("dns://name:9090").connect_lazy();
    assert_eq!(dns.is_ok(), cfg!(feature = "dns"));
}

#[tokio::test]
async fn a_server_that_only_fails_is_ejected() {
    let servers = three().await;
    let text = list(&servers, &[1, 1, 1]);
    let builder = Channel::builder(&text).balance(RoundRobin::default());
    let channel = connected(builder, 3).await;
    let mut failures = 0;
    for _ in 0..60 {
        if let Err(status) = greet(&channel, hello("b internal")).await {
            assert_eq!(status.code(), Code::Internal);
            assert_eq!(status.endpoint(), Some(&*servers[1].address));
            failures += 1;
        }
    }
    assert_eq!(failures, 5);
    let endpoints = channel.endpoints().into_iter();
    let ejected: Vec<_> = endpoints
        .map(|endpoint| endpoint.ejected_until.is_some())
        .collect();
    assert_eq!(ejected, [false, true, false]);

    // What the method says of the request is no failure of its server; and it can be switched off.
    for (wish, ejection) in [
        ("all not_found", Ejection::default()),
        ("all internal", Ejection::off()),
    ] {
        let builder = Channel::builder(&text).outlier_ejection(ejection);
        let channel = connected(builder, 3).await;
        for _ in 0..60 {
            greet(&channel, hello(wish)).await.expect_err(wish);
        }
        let endpoints = channel.endpoints();
        assert!(
            endpoints
                .iter()
                .all(|endpoint| endpoint.ejected_until.is_none()),
            "{wish}"
        );
    }
}

#[tokio::test]
async fn calls_with_the_same_key_go_to_the_same_server() {
    let servers = three().await;
    let text = list(&servers, &[1, 1, 1]);
    let user = || MetadataKey::try_from("user").unwrap();
    let by_metadata = Channel::builder(&text)
        .balance(ConsistentHash::default())
        .hash_by(HashBy::metadata(user()));
    let by_function = Channel::builder(&text)
        .balance(ConsistentHash::default())
        .hash_by(HashBy::function(|request| {
            let user = request.metadata().get("user")?;
            Some(Pick::key_of(user.as_bytes()))
        }));
    let channels = [
        connected(by_metadata, 3).await,
        connected(by_function, 3).await,
    ];
    let mut servers_seen = BTreeMap::new();
    for number in 0..50 {
        let mut seen = Vec::new();
        for channel in &channels {
            for _ in 0..3 {
                let request = Request::new(hello("you")).with_metadata("user", format!("{number}"));
                seen.push(greet(channel, request).await.unwrap());
            }
        }
        assert!(
            seen.iter().all(|name| *name == seen[0]),
            "{number}: {seen:?}"
        );
        *servers_seen.entry(seen[0].clone()).or_insert(0) += 1;
    }
    assert_eq!(servers_seen.len(), 3, "{servers_seen:?}");
}

#[tokio::test]
async fn a_streamed_response_counts_until_it_has_ended() {
    let streams = Streams::new();
    let server = Server::builder()
        .add_service(streams)
        .bind("memory://many-streams")
        .await
        .unwrap();
    iip_rpc::tokio::spawn(server.serve());
    let targets: Targets = "memory://many-streams".parse().unwrap();
    let builder = Channel::builder_with("streams", Static::from(targets));
    let channel = connected(builder, 1).await;
    assert_eq!(channel.endpoint(), "streams");
    let in_flight = || channel.endpoints()[0].in_flight;
    let client = Client(channel.clone());
    let stream = client.list(command("wait 2")).await.unwrap().into_inner();
    assert_eq!(in_flight(), 1);
    assert_eq!(client.one(1).await.unwrap(), 1);
    assert_eq!(in_flight(), 1);
    drop(stream);
    assert_eq!(in_flight(), 0);
}

#[tokio::test]
async fn servers_that_cannot_be_found() {
    #[derive(Debug)]
    struct Lost;

    #[async_trait::async_trait]
    impl iip_rpc::iip_core::balance::Discover for Lost {
        async fn next(&mut self) -> Result<Vec<Target>, DiscoverError> {
            Err(DiscoverError::new("the registry is away"))
        }
    }

    let status = Channel::builder_with("fleet", Lost).connect().await;
    let status = status.expect_err("no server");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert!(status.message().contains("registry is away"), "{status}");
}
