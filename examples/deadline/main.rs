//! How calls end before they are done: by a deadline, which calls made inside a handler inherit, by a caller that
//! gives up, and by one that stops listening to a stream. `cargo run -p iip-examples --bin deadline`

use std::error::Error;
use std::time::{Duration, Instant};

use errands::{Errand, Errands, ErrandsClient, ErrandsServer, Report};
use iip_rpc::{Cancellation, Code, Request, Response, Sender, Server, Status};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

/// The code generated from `proto/errands/errands.proto`.
pub mod errands {
    iip_rpc::include_proto!("errands");
}

/// What happened in a handler, told to `main`.
enum Event {
    /// An errand began, with this much time left.
    Began(Option<Duration>),
    /// The call of this errand is over: its work is worth nothing any more.
    Over(String),
}

/// Runs errands itself, or has them run by `other`.
struct Runner {
    events: UnboundedSender<Event>,
    other: Option<ErrandsClient>,
}

impl Runner {
    /// Starts a task that tells when the call of `errand` is over, early or in time.
    ///
    /// When a call ends early, its handler is dropped where it waits. A task that the handler started goes on, unless
    /// it listens to the call's cancellation.
    fn watch(&self, cancellation: Cancellation, errand: String) {
        let events = self.events.clone();
        tokio::spawn(async move {
            cancellation.cancelled().await;
            // Nobody to tell: `main` is at its end.
            let _ = events.send(Event::Over(errand));
        });
    }
}

impl Errands for Runner {
    async fn run(&self, request: Request<Errand>) -> Result<Response<Report>, Status> {
        let left = request.deadline().map(|at| at - Instant::now());
        let _ = self.events.send(Event::Began(left));
        self.watch(request.cancellation(), request.get_ref().name.clone());

        let errand = request.into_inner();
        sleep(Duration::from_millis(errand.milliseconds.into())).await;
        let text = format!("{} is done", errand.name);
        Ok(Response::new(Report { text }))
    }

    async fn delegate(&self, request: Request<Errand>) -> Result<Response<Report>, Status> {
        let other = self.other.as_ref();
        let other = other.ok_or_else(|| Status::failed_precondition("there is no other"))?;
        // No timeout here: the call ends a little before this handler's own deadline, so that it can still answer.
        other.run(request.into_inner()).await
    }

    async fn follow(&self, request: Request<Errand>, out: Sender<Report>) -> Result<(), Status> {
        self.watch(request.cancellation(), request.get_ref().name.clone());
        let errand = request.into_inner();
        loop {
            let text = format!("{} goes on", errand.name);
            out.send(Report { text }).await?;
            sleep(Duration::from_millis(errand.milliseconds.into())).await;
        }
    }
}

fn errand(name: &str, milliseconds: u32) -> Errand {
    Errand {
        name: name.into(),
        milliseconds,
    }
}

/// The next event; an error when none comes.
async fn next(events: &mut UnboundedReceiver<Event>) -> Result<Event, Box<dyn Error>> {
    match timeout(Duration::from_secs(5), events.recv()).await {
        Ok(event) => event.ok_or("the handlers are gone".into()),
        Err(_) => Err("nothing happens".into()),
    }
}

/// Waits until the call of `errand` is over.
async fn over(events: &mut UnboundedReceiver<Event>, errand: &str) -> Result<(), Box<dyn Error>> {
    loop {
        if matches!(next(events).await?, Event::Over(name) if name == errand) {
            return Ok(());
        }
    }
}

async fn a_deadline_passes(
    runner: &ErrandsClient,
    events: &mut UnboundedReceiver<Event>,
) -> Result<(), Box<dyn Error>> {
    let request = Request::new(errand("shopping", 60_000)).with_timeout(Duration::from_millis(100));
    let Err(status) = runner.run(request).await else {
        return Err("a minute passed in no time".into());
    };
    println!("the caller is told: {status}");
    if status.code() != Code::DeadlineExceeded {
        return Err(status.into());
    }
    over(events, "shopping").await?;
    println!("and so is the handler's task");
    Ok(())
}

async fn a_deadline_is_inherited(
    front: &ErrandsClient,
    events: &mut UnboundedReceiver<Event>,
) -> Result<(), Box<dyn Error>> {
    let whole = Duration::from_secs(3);
    let request = Request::new(errand("washing", 1)).with_timeout(whole);
    let report = front.delegate(request).await?.into_inner();
    println!("two servers on: {}", report.text);
    loop {
        if let Event::Began(left) = next(events).await? {
            let left = left.ok_or("the second server was given no deadline")?;
            println!("the second server had {left:?} of {whole:?}");
            if left >= whole {
                return Err("the time did not get shorter".into());
            }
            return over(events, "washing").await;
        }
    }
}

async fn a_caller_gives_up(
    runner: &ErrandsClient,
    events: &mut UnboundedReceiver<Event>,
) -> Result<(), Box<dyn Error>> {
    let call = runner.run(errand("painting", 60_000));
    // Dropping the call's future cancels the call, here because another future was faster.
    if timeout(Duration::from_millis(100), call).await.is_ok() {
        return Err("a minute passed in no time".into());
    }
    over(events, "painting").await?;
    println!("the caller gave up, and the handler knows");
    Ok(())
}

async fn a_listener_leaves(
    runner: &ErrandsClient,
    events: &mut UnboundedReceiver<Event>,
) -> Result<(), Box<dyn Error>> {
    let mut reports = runner.follow(errand("cooking", 1)).await?.into_inner();
    for _ in 0..3 {
        let report = reports.message().await?.ok_or("the stream has ended")?;
        println!("{}", report.text);
    }
    drop(reports);
    over(events, "cooking").await?;
    println!("nobody listened, and the handler ended");
    Ok(())
}

/// Starts a server in this process; the address it listens on.
async fn serve(runner: Runner) -> Result<String, Box<dyn Error>> {
    let server = Server::builder()
        .add_service(ErrandsServer::new(runner))
        .bind("127.0.0.1:0")
        .await?;
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    Ok(address)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (events, mut happened) = unbounded_channel();
    let back = serve(Runner {
        events: events.clone(),
        other: None,
    });
    let runner = ErrandsClient::connect(back.await?).await?;
    let front = serve(Runner {
        events,
        other: Some(runner.clone()),
    });
    let front = ErrandsClient::connect(front.await?).await?;

    a_deadline_passes(&runner, &mut happened).await?;
    a_deadline_is_inherited(&front, &mut happened).await?;
    a_caller_gives_up(&runner, &mut happened).await?;
    a_listener_leaves(&runner, &mut happened).await
}

fn main() -> Result<(), Box<dyn Error>> {
    iip_rpc::run(run())
}
