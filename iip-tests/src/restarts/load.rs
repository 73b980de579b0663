use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use iip_rpc::client::ChannelBuilder;
use iip_rpc::iip_core::client::BackoffConfig;
use iip_rpc::{Channel, Outcome, Request, Response, Result, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::ledger::Ledger;
use crate::helloworld::{Greeter, GreeterClient, HelloReply, HelloRequest};

const CALLERS: u64 = 24;

/// How long a call is tried: longer than any restart takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes each call it sees; some take a while, and are in flight when their server is told to stop.
#[derive(Clone)]
pub(super) struct Noting<F>(pub(super) F);

impl<F: Fn(u64) + Clone + Send + Sync + 'static> Greeter for Noting<F> {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>> {
        let name = request.into_inner().name;
        let number = name
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok());
        let number: u64 = number.ok_or_else(|| Status::invalid_argument("no number"))?;
        (self.0)(number);
        if number.is_multiple_of(4) {
            sleep(Duration::from_millis(number % 5)).await;
        }
        Ok(HelloReply { message: name }.into())
    }
}

/// Callers that go on until they are stopped.
pub(super) struct Load {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    answered: watch::Receiver<u64>,
    callers: Vec<JoinHandle<()>>,
    channels: Vec<Channel>,
}

impl Load {
    pub(super) async fn start(address: &str, ledger: Arc<Ledger>) -> Result<Self> {
        let backoff = BackoffConfig::default()
            .min(Duration::from_millis(1))
            .base(Duration::from_millis(1))
            .max(Duration::from_millis(20));
        let builder = || {
            Channel::builder(address)
                .wait_for_ready()
                .backoff(backoff.clone())
                .timeout(PATIENCE)
        };
        // All calls on one connection, and few on each of several.
        let few = iip_rpc::iip_core::session::Limits::default().max_channels(5);
        let several = |builder: ChannelBuilder| builder.limits(few).max_connections(4);
        let channels = vec![
            builder().connect().await?,
            several(builder()).connect().await?,
        ];
        let stop = Arc::new(AtomicBool::new(false));
        let (progress, answered) = watch::channel(0);
        let callers = (0..CALLERS)
            .map(|caller| {
                let channel = channels[caller as usize % channels.len()].clone();
                let caller = Caller {
                    client: GreeterClient::new(channel),
                    ledger: Arc::clone(&ledger),
                    stop: Arc::clone(&stop),
                    progress: progress.clone(),
                    bytes: if caller % 8 == 0 { 100_000 } else { 10 },
                };
                tokio::spawn(caller.run())
            })
            .collect();
        Ok(Self {
            ledger,
            stop,
            answered,
            callers,
            channels,
        })
    }

    /// Waits until so many more calls were answered.
    pub(super) async fn progress(&mut self, calls: u64) -> Result<()> {
        let until = *self.answered.borrow() + calls;
        let progress = self.answered.wait_for(|answered| *answered >= until);
        match tokio::time::timeout(PATIENCE, progress).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let text = format!("no progress: {}", self.ledger.tally());
                Err(Status::deadline_exceeded(text))
            }
        }
    }

    /// Ends the callers with their next answers, and closes their channels. Whether that cut nothing.
    pub(super) async fn end(self) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            if caller.await.is_err() {
                return false;
            }
        }
        let mut clean = true;
        for channel in self.channels {
            clean &= channel.close(PATIENCE).await.is_clean();
        }
        clean
    }
}

struct Caller {
    client: GreeterClient,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    progress: watch::Sender<u64>,
    bytes: usize,
}

impl Caller {
    async fn run(self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.call().await;
        }
    }

    /// One call, whose method may change something: what may have run is not made again.
    async fn call(&self) {
        let number = self.ledger.make();
        let name = format!("{number} {}", "x".repeat(self.bytes));
        let until = Instant::now() + PATIENCE;
        loop {
            let request = HelloRequest { name: name.clone() };
            let status = match self.client.say_hello(request).await {
                Ok(reply) if reply.get_ref().message == name => {
                    self.ledger.answer();
                    self.progress.send_modify(|answered| *answered += 1);
                    return;
                }
                Ok(_) => Status::internal("the answer is another call's"),
                Err(status) => status,
            };
            let never = matches!(
                status.outcome(),
                Some(Outcome::NotSent | Outcome::NotProcessed)
            );
            if !never || Instant::now() >= until {
                return self.ledger.fail(format!("call {number}: {status:?}"));
            }
            self.ledger.repeat();
            tokio::task::yield_now().await;
        }
    }
}
