//! A server that is offered three times what it can do, and what its callers see: before, meanwhile, and after.
//!
//! What bounds the server is not the machine's processor but places for so many calls at a time, as those of a database
//! are, so that its capacity is known exactly. Callers come at random and do not wait for each other. Half of the capacity
//! is asked for by critical calls, all else by sheddable ones.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iip_rpc::server::{AdaptiveLimit, Overload};
use iip_rpc::tokio;
use iip_rpc::{Channel, Code, Outcome, Request, Response, Server, Status};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::helloworld::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Calls that the server can work on at a time.
    pub places: usize,
    /// How long each takes.
    pub service: Duration,
    /// How long the load before and after lasts.
    pub calm: Duration,
    /// How long the overload lasts.
    pub overload: Duration,
    /// Deadline of every call.
    pub timeout: Duration,
}

impl Plan {
    /// A server that works on eight calls at a time, for so long each, under three times as many.
    pub fn new(service: Duration, overload: Duration) -> Self {
        Self {
            places: 8,
            service,
            calm: Duration::from_secs(5).min(overload),
            overload,
            timeout: Duration::from_secs(1),
        }
    }

    /// Calls a second that can be answered.
    fn capacity(&self) -> f64 {
        self.places as f64 / self.service.as_secs_f64()
    }
}

/// What came of the calls of one kind.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// All calls.
    pub offered: usize,
    /// Those that were answered.
    pub answered: usize,
    /// Those of which the server says that it did not run them.
    pub refused: usize,
    /// Those whose deadline passed.
    pub expired: usize,
    /// Those that failed otherwise.
    pub failed: usize,
    /// How long the answered ones took.
    times: Vec<Duration>,
}

impl Outcomes {
    /// So many of a hundred of the answered calls took no longer.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(at).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.answered += other.answered;
        self.refused += other.refused;
        self.expired += other.expired;
        self.failed += other.failed;
        self.times.extend(other.times);
    }
}

/// What came of the calls of one phase.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    /// The critical ones.
    pub critical: Outcomes,
    /// All of them.
    pub all: Outcomes,
    /// When the last call began that was not answered, or slowly, since the phase began.
    pub bad_until: Duration,
    length: Duration,
}

impl Phase {
    /// Answers a second.
    pub fn goodput(&self) -> f64 {
        self.all.answered as f64 / self.length.as_secs_f64()
    }
}

/// What came of it all.
#[derive(Clone, Debug)]
pub struct Report {
    /// With two thirds of what the server can do.
    pub before: Phase,
    /// With just what it can do.
    pub peak: Phase,
    /// With three times as much.
    pub overload: Phase,
    /// With two thirds again.
    pub after: Phase,
    /// Requests that reached the server.
    pub requests: u64,
    /// Calls whose handler ran.
    pub executed: usize,
    /// Calls whose handler ran more than once.
    pub executed_again: usize,
}

impl Report {
    fn phases(&self) -> [&Phase; 4] {
        [&self.before, &self.peak, &self.overload, &self.after]
    }

    /// All calls.
    pub fn calls(&self) -> usize {
        self.phases().iter().map(|phase| phase.all.offered).sum()
    }

    /// Requests for each call.
    pub fn amplification(&self) -> f64 {
        self.requests as f64 / self.calls() as f64
    }

    /// What holds however slow the machine is.
    ///
    /// # Errors
    ///
    /// What does not.
    pub fn check_counts(&self) -> Result<(), String> {
        let sum = |of: fn(&Outcomes) -> usize| -> usize {
            self.phases().iter().map(|phase| of(&phase.all)).sum()
        };
        let (answered, expired) = (sum(|all| all.answered), sum(|all| all.expired));
        let checks = [
            (
                "every call has one end",
                sum(|all| all.answered + all.refused + all.expired + all.failed) == self.calls(),
            ),
            (
                "calls are answered, refused or late",
                sum(|all| all.failed) == 0,
            ),
            ("nothing runs twice", self.executed_again == 0),
            (
                "what was refused did not run",
                self.executed <= answered + expired,
            ),
            (
                "something is refused in the overload",
                self.overload.all.refused > 0,
            ),
            (
                "there is at most a tenth more requests than calls",
                self.amplification() <= 1.1,
            ),
        ];
        all_true(&checks)
    }

    /// What holds on a machine with nothing else to do.
    ///
    /// # Errors
    ///
    /// What does not.
    pub fn check_times(&self) -> Result<(), String> {
        let critical = &self.overload.critical;
        let checks = [
            ("nothing is refused before", self.before.all.refused == 0),
            (
                "goodput is 80 % of the peak",
                self.overload.goodput() >= 0.8 * self.peak.goodput(),
            ),
            (
                "answers take at most twice as long as at the peak",
                self.overload.all.percentile(99) <= 2 * self.peak.all.percentile(99),
            ),
            (
                "99 % of the critical calls are answered",
                critical.answered * 100 >= critical.offered * 99,
            ),
            (
                "it is over within 5 s",
                self.after.bad_until <= Duration::from_secs(5),
            ),
        ];
        all_true(&checks)
    }
}

fn all_true(checks: &[(&str, bool)]) -> Result<(), String> {
    let wrong = checks.iter().filter(|(_, holds)| !holds);
    let wrong: Vec<_> = wrong.map(|(what, _)| *what).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("this does not hold: {}", wrong.join("; "))),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| phase | calls | answered | a second | refused | expired | p50 | p99 | critical answered |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        let names = ["two thirds", "peak", "three times", "after"];
        for (name, phase) in names.into_iter().zip(self.phases()) {
            let Phase { all, critical, .. } = phase;
            writeln!(
                f,
                "| {name} | {} | {} | {:.0} | {} | {} | {:.1} ms | {:.1} ms | {:.1} % |",
                all.offered,
                all.answered,
                phase.goodput(),
                all.refused,
                all.expired,
                all.percentile(50).as_secs_f64() * 1e3,
                all.percentile(99).as_secs_f64() * 1e3,
                100.0 * critical.answered as f64 / critical.offered.max(1) as f64,
            )?;
        }
        writeln!(f)?;
        let share = 100.0 * self.overload.goodput() / self.peak.goodput();
        writeln!(
            f,
            "goodput under three times the load: {share:.0} % of the peak"
        )?;
        let recovered = self.after.bad_until.as_secs_f64();
        writeln!(
            f,
            "over after {recovered:.2} s; {:.3} requests for each call",
            self.amplification()
        )
    }
}

/// A greeter with so many places.
struct Bounded {
    places: Arc<Semaphore>,
    service: Duration,
    executed: Arc<Executed>,
}

#[derive(Default)]
struct Executed {
    calls: AtomicUsize,
    again: AtomicUsize,
    seen: Mutex<Vec<bool>>,
}

impl Executed {
    fn enter(&self, number: usize) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() <= number {
            seen.resize(number + 1, false);
        }
        if let Some(seen) = seen.get_mut(number) {
            self.again.fetch_add(usize::from(*seen), Ordering::Relaxed);
            *seen = true;
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl Greeter for Bounded {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        let number = name
            .parse()
            .map_err(|_| Status::invalid_argument("no number"))?;
        self.executed.enter(number);
        let place = self.places.acquire().await;
        sleep(self.service).await;
        drop(place);
        Ok(Response::new(HelloReply { message: name }))
    }
}

/// Calls that come at random.
struct Callers {
    client: GreeterClient<Channel>,
    timeout: Duration,
    random: fastrand::Rng,
    number: usize,
}

impl Callers {
    /// Calls for so long; of so many critical and other calls a second. A call is slow that takes longer than `slow`.
    async fn call(&mut self, length: Duration, critical: f64, other: f64, slow: Duration) -> Phase {
        let mut phase = Phase {
            length,
            ..Phase::default()
        };
        let began = Instant::now();
        let mut at = began;
        let mut calls = JoinSet::new();
        while at < began + length {
            sleep_until(at).await;
            let is_critical = self.random.f64() * (critical + other) < critical;
            let since = at - began;
            let call = call(self.client.clone(), self.number, is_critical, self.timeout);
            calls.spawn(async move { (since, is_critical, call.await) });
            self.number += 1;
            let pause = -(1.0 - self.random.f64()).ln() / (critical + other);
            at += Duration::from_secs_f64(pause);
        }
        while let Some(ended) = calls.join_next().await {
            let (since, is_critical, outcomes) = ended.unwrap_or_default();
            let good = outcomes.times.first().is_some_and(|took| *took <= slow);
            if !good {
                phase.bad_until = phase.bad_until.max(since);
            }
            if is_critical {
                phase.critical.add(outcomes.clone());
            }
            phase.all.add(outcomes);
        }
        phase
    }
}

/// One call; a panic would leave nothing of it, so that the sums are wrong then.
async fn call(
    client: GreeterClient<Channel>,
    number: usize,
    critical: bool,
    timeout: Duration,
) -> Outcomes {
    let mut outcomes = Outcomes {
        offered: 1,
        ..Outcomes::default()
    };
    let name = number.to_string();
    let mut request = Request::new(HelloRequest { name: name.clone() }).with_timeout(timeout);
    if !critical {
        request = request.with_metadata("x-criticality", "sheddable");
    }
    let began = Instant::now();
    match client.say_hello(request).await {
        Ok(answer) if answer.get_ref().message == name => {
            outcomes.answered = 1;
            outcomes.times.push(began.elapsed());
        }
        Ok(_) => outcomes.failed = 1,
        Err(status) if status.outcome() == Some(Outcome::NotProcessed) => outcomes.refused = 1,
        Err(status) if status.code() == Code::DeadlineExceeded => outcomes.expired = 1,
        Err(_) => outcomes.failed = 1,
    }
    outcomes
}

/// Runs the plan with a server on `address`.
///
/// # Errors
///
/// The address cannot be listened on.
pub async fn run(plan: &Plan, address: &str) -> Result<Report, Box<dyn std::error::Error>> {
    let executed = Arc::new(Executed::default());
    let greeter = Bounded {
        places: Arc::new(Semaphore::new(plan.places)),
        service: plan.service,
        executed: Arc::clone(&executed),
    };
    let limit = AdaptiveLimit::default().min(plan.places);
    let server = Server::builder()
        .add_service(GreeterServer::new(greeter))
        .overload(Overload::default().adaptive(limit).queue(2 * plan.places))
        .bind(address)
        .await?;
    let statistics = server.statistics();
    let address = server.local_addr().to_string();
    let serving = tokio::spawn(server.serve());
    let mut callers = Callers {
        client: GreeterClient::connect(address.as_str()).await?,
        timeout: plan.timeout,
        random: fastrand::Rng::with_seed(29),
        number: 0,
    };
    let capacity = plan.capacity();
    let (critical, calm) = (capacity / 2.0, capacity / 6.0);
    let slow = 4 * plan.service;
    let before = callers.call(plan.calm, critical, calm, slow).await;
    let peak = callers
        .call(plan.calm, critical, capacity / 2.0, slow)
        .await;
    let overload = callers
        .call(plan.overload, critical, capacity * 2.5, slow)
        .await;
    let after = callers.call(2 * plan.calm, critical, calm, slow).await;
    let path = statistics.path("/helloworld.Greeter/SayHello");
    let requests = path.map_or(0, |figures| figures.traffic.messages_received);
    serving.abort();
    Ok(Report {
        before,
        peak,
        overload,
        after,
        requests,
        executed: executed.calls.load(Ordering::Relaxed),
        executed_again: executed.again.load(Ordering::Relaxed),
    })
}
