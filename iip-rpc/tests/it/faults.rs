//! Calls over connections that are split, delayed and cut: each gets its own answer or a failure that tells what is
//! known.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_rpc::testing::Faults;
use iip_rpc::{Channel, Outcome, Request, Response, Server, Status};

use crate::greeter::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest, hello};

/// Answers with the name, after a while if it is long; counts the runs of each.
#[derive(Clone)]
struct Counted {
    runs: Arc<Vec<AtomicUsize>>,
}

impl Greeter for Counted {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        let number: usize = name.split(' ').next().unwrap().parse().unwrap();
        self.runs[number].fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(3) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(HelloReply { message: name }.into())
    }
}

const CALLS: usize = 40;

async fn calls_of_seed(seed: u64) {
    let runs: Arc<Vec<_>> = Arc::new((0..CALLS).map(|_| AtomicUsize::new(0)).collect());
    let server = Server::builder()
        .add_service(GreeterServer::new(Counted {
            runs: Arc::clone(&runs),
        }))
        .bind(format!("memory://faults-{seed}"))
        .await
        .unwrap();
    let target = server.local_addr().clone();
    let serving = tokio::spawn(server.serve());
    let relay = Faults::new(seed)
        .split(1..=2000)
        .delay(Duration::ZERO..=Duration::from_millis(3))
        .stall(50, Duration::ZERO..=Duration::from_secs(1))
        .drop_after(200..=20_000)
        .refuse(10)
        .relay(&target);
    let channel = Channel::builder(relay.address().to_string())
        .wait_for_ready()
        .connect_lazy()
        .unwrap();
    let client = GreeterClient::new(channel);
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let client = client.clone();
            let name = format!("{number} {}", "x".repeat(number * 37 % 3000));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(number as u64)).await;
                (name.clone(), client.say_hello(hello(name)).await)
            })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        let (name, result) = call.await.unwrap();
        let ran = runs[number].load(Ordering::Relaxed);
        assert!(ran <= 1, "seed {seed}: call {number} ran {ran} times");
        match result {
            Ok(reply) => {
                assert_eq!(reply.get_ref().message, name, "seed {seed}");
                assert_eq!(ran, 1);
            }
            Err(status) => {
                let outcome = status.outcome();
                assert!(outcome.is_some(), "seed {seed}: {status}");
                if matches!(outcome, Some(Outcome::NotSent | Outcome::NotProcessed)) {
                    assert_eq!(ran, 0, "seed {seed}: {status}");
                }
            }
        }
    }
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn calls_over_broken_connections_are_answered_or_fail_knowingly() {
    for seed in 0..50 {
        calls_of_seed(seed).await;
    }
}
