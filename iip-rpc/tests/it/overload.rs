//! Typed calls that a server has no room for, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_rpc::client::Retry;
use iip_rpc::server::{Overload, Statistics};
use iip_rpc::{Channel, Code, Outcome, Request, Response, Server, Status};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::greeter::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest};

const SECOND: Duration = Duration::from_secs(1);

/// Takes a second for each call, and counts them.
#[derive(Clone, Default)]
struct Slow(Arc<AtomicUsize>);

impl Greeter for Slow {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        sleep(SECOND).await;
        let message = request.into_inner().name;
        Ok(HelloReply { message }.into())
    }
}

struct Rig {
    client: GreeterClient,
    begun: Arc<AtomicUsize>,
    statistics: Statistics,
}

type Answer = JoinHandle<Result<Response<HelloReply>, Status>>;

impl Rig {
    /// A server of four calls at a time.
    async fn new(name: &str, queue: usize) -> Self {
        let slow = Slow::default();
        let begun = Arc::clone(&slow.0);
        let server = Server::builder()
            .add_service(GreeterServer::new(slow))
            .max_in_flight(4)
            .overload(Overload::default().queue(queue))
            .bind(format!("memory://overload-{name}"))
            .await
            .unwrap();
        let statistics = server.statistics();
        let address = server.local_addr().to_string();
        tokio::spawn(server.serve());
        // Each call is refused once only, so that refusals can be counted.
        let once = Retry::off().budget(0.0).budget_floor(0);
        let channel = Channel::builder(address).retry(once);
        let channel = channel.connect().await.unwrap();
        Self {
            client: GreeterClient::new(channel),
            begun,
            statistics,
        }
    }

    /// A call, once its server has seen it.
    async fn call(&self, name: &str, criticality: Option<&'static str>) -> Answer {
        let mut request = Request::new(HelloRequest { name: name.into() });
        if let Some(criticality) = criticality {
            request = request.with_metadata("x-criticality", criticality);
        }
        let client = self.client.clone();
        let call = tokio::spawn(async move { client.say_hello(request).await });
        // Time goes on when nothing else can.
        sleep(Duration::from_millis(1)).await;
        call
    }

    async fn fill(&self, calls: usize) {
        for _ in 0..calls {
            drop(self.call("first", None).await);
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

/// That the call was refused, at once.
async fn refused(call: Answer) {
    let begun = Instant::now();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
}

async fn answered(call: Answer, name: &str) {
    let answer = call.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.message, name);
}

#[tokio::test(start_paused = true)]
async fn sheddable_calls_are_refused_first() {
    let rig = Rig::new("criticality", 0).await;
    rig.fill(3).await;
    refused(rig.call("a", Some("sheddable")).await).await;
    let critical = rig.call("b", Some("critical")).await;
    refused(rig.call("c", None).await).await;
    refused(rig.call("d", Some("critical_plus")).await).await;
    answered(critical, "b").await;
    assert_eq!(rig.begun(), 4);
    let stats = rig.statistics.overload();
    assert_eq!((stats.in_flight, stats.refused_limit), (0, 3));
    answered(rig.call("e", Some("sheddable")).await, "e").await;
}

#[tokio::test(start_paused = true)]
async fn the_more_critical_take_the_places_of_others_in_the_queue() {
    let rig = Rig::new("queue", 2).await;
    rig.fill(4).await;
    let sheddable = rig.call("a", Some("sheddable")).await;
    let critical = rig.call("b", None).await;
    assert_eq!(rig.statistics.overload().waiting, 2);
    let displaced = rig.call("c", None).await;
    refused(sheddable).await;
    refused(rig.call("d", Some("sheddable")).await).await;
    let plus = rig.call("e", Some("critical_plus")).await;
    refused(displaced).await;
    refused(rig.call("f", None).await).await;
    let stats = rig.statistics.overload();
    assert_eq!((stats.refused_waiting, stats.refused_limit), (2, 2));
    assert_eq!(rig.begun(), 4);
    answered(critical, "b").await;
    answered(plus, "e").await;
    assert_eq!(rig.begun(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_while_it_waits_never_begins() {
    let rig = Rig::new("cancelled", 1).await;
    rig.fill(4).await;
    let given_up = rig.call("a", None).await;
    assert_eq!(rig.statistics.overload().waiting, 1);
    given_up.abort();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.statistics.overload().waiting, 0);
    answered(rig.call("b", None).await, "b").await;
    assert_eq!(rig.begun(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_passes_while_it_waits_never_begins() {
    let rig = Rig::new("expired", 1).await;
    rig.fill(4).await;
    let request = Request::new(HelloRequest::default()).with_timeout(SECOND / 10);
    let status = rig.client.say_hello(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.statistics.overload().waiting, 0);
    sleep(2 * SECOND).await;
    assert_eq!(rig.begun(), 4);
    assert_eq!(rig.statistics.load().held, 0);
}
