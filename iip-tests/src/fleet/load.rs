use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use iip_rpc::Channel;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ledger::{Call, Failure, Ledger, is_idempotent};
use super::plan::Plan;
use super::proto::{FleetClient, Item};

/// Bytes that each call sends, and gets back.
const PAYLOAD: usize = 1024;

/// How long anything is waited for that comes soon: longer than it takes on the slowest machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Calls that are made until there are to be no more.
pub(super) struct Load {
    pub(super) ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

#[derive(Clone)]
struct Caller {
    client: FleetClient,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    /// How long calls take at their servers, at most, milliseconds.
    work_ms: u32,
}

impl Load {
    fn new(channel: &Channel, work_ms: u32) -> (Self, Caller) {
        let load = Self {
            ledger: Arc::default(),
            stop: Arc::default(),
            callers: JoinSet::new(),
        };
        let caller = Caller {
            client: FleetClient::new(channel.clone()),
            ledger: Arc::clone(&load.ledger),
            stop: Arc::clone(&load.stop),
            work_ms,
        };
        (load, caller)
    }

    /// Begins as many calls a second as the plan says, whatever becomes of those before.
    pub(super) fn at(plan: &Plan, channel: &Channel) -> Self {
        let (mut load, caller) = Self::new(channel, plan.work_ms);
        load.callers.spawn(caller.at(plan.rate));
        load
    }

    /// Makes calls one after the other, so many at a time.
    pub(super) fn callers(count: usize, channel: &Channel) -> Self {
        let (mut load, caller) = Self::new(channel, 0);
        for _ in 0..count {
            load.callers.spawn(caller.clone().one_by_one());
        }
        load
    }

    /// Waits until so many more calls have ended.
    pub(super) async fn progress(&self, calls: u64) -> io::Result<()> {
        let mut ended = self.ledger.ended();
        let until = *ended.borrow() + calls;
        let progress = timeout(PATIENCE, ended.wait_for(|ended| *ended >= until));
        match progress.await {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("no call ends any more")),
        }
    }

    /// Waits until that time, and until so many more calls have ended.
    pub(super) async fn until(&self, at: Instant, calls: u64) -> io::Result<()> {
        self.progress(calls).await?;
        tokio::time::sleep_until(at.into()).await;
        Ok(())
    }

    /// Makes no more calls, and waits for those there are.
    pub(super) async fn end(mut self) -> io::Result<Vec<Call>> {
        self.stop.store(true, Ordering::Relaxed);
        let all = async {
            while let Some(ended) = self.callers.join_next().await {
                ended?;
            }
            Ok(self.ledger.take())
        };
        let result = timeout(PATIENCE, all).await;
        result.map_err(|_| io::Error::other("calls do not end"))?
    }
}

impl Caller {
    async fn at(self, rate: u32) {
        let began = Instant::now();
        let mut made = 0;
        let mut calls: JoinSet<()> = JoinSet::new();
        while !self.stop.load(Ordering::Relaxed) {
            let due = began.elapsed().as_micros() * u128::from(rate) / 1_000_000;
            // A machine that stood still is not made to catch up on more than a second.
            made = made.max(due.saturating_sub(rate.into()));
            while made < due {
                let caller = self.clone();
                calls.spawn(async move { caller.call().await });
                made += 1;
            }
            while calls.try_join_next().is_some() {}
            sleep(Duration::from_millis(1)).await;
        }
        calls.join_all().await;
    }

    async fn one_by_one(self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.call().await;
        }
    }

    async fn call(&self) {
        let number = self.ledger.begin();
        let payload = Bytes::from(number.to_le_bytes().repeat(PAYLOAD / 8));
        let item = Item {
            number,
            work_ms: match self.work_ms {
                0 => 0,
                most => fastrand::u32(0..=most),
            },
            payload: payload.clone(),
        };
        let began = Instant::now();
        let result = match is_idempotent(number) {
            true => self.client.put(item).await,
            false => self.client.add(item).await,
        };
        let failure = match result.map(|response| response.into_inner()) {
            Ok(receipt) if receipt.number == number && receipt.payload == payload => None,
            Ok(_) => Some(Failure::Mismatched),
            Err(status) => Some(Failure::from(status)),
        };
        self.ledger.end(number, began, failure);
    }
}
