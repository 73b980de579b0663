//! The world of one seed: what can happen next, of which one thing at random does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fastrand::Rng;
use iip_core::session::{CallId, Chunk, Ended};

use super::connection::{Connection, Handler};
use super::message::Reader;
use super::plan::{Fault, Plan, Stall};
use super::plant::{Bug, Plant};
use super::recorder::{Breach, Count, Promise, Recorder};

/// How late a call may be.
const LATE: Duration = Duration::from_millis(50);

/// A world that takes longer does not end.
const MOST_STEPS: usize = 300_000;

/// Where a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its caller has not made it yet.
    Planned,
    /// It waits for a channel.
    Waiting,
    Running,
    Over,
}

pub(super) struct Call {
    pub(super) state: State,
    pub(super) deadline: Option<Instant>,
    pub(super) attempts: usize,
}

/// A call as its caller sees it.
pub(super) struct Caller {
    pub(super) call: usize,
    pub(super) attempt: usize,
    pub(super) connection: usize,
    pub(super) id: CallId,
    /// What of the request is not given to the session yet.
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) next: usize,
    pub(super) sent: bool,
    pub(super) waits: bool,
    pub(super) reader: Reader,
    pub(super) whole: bool,
    pub(super) received: usize,
    pub(super) unconsumed: VecDeque<usize>,
    pub(super) complete: bool,
    /// It has failed, and its caller has still to notice.
    pub(super) failed: bool,
    /// Its request was cancelled, and its answer is awaited.
    pub(super) cancelled: bool,
}

impl Caller {
    /// Whether its answer is still to come, on that connection.
    pub(super) fn waits_on(&self, connection: usize) -> bool {
        self.connection == connection && !self.complete && !self.failed
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    Make(usize),
    Begin(usize),
    Connect,
    Push(usize),
    Take(usize),
    GiveUp(usize),
    Release(usize),
    WriteClient(usize),
    ReadServer(usize),
    WriteServer(usize),
    ReadClient(usize),
    Start(usize, usize),
    Consume(usize, usize),
    Answer(usize, usize),
    Drain,
    Finish(usize),
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) now: Instant,
    pub(super) step: u32,
    pub(super) calls: Vec<Call>,
    pub(super) callers: Vec<Caller>,
    pub(super) connections: Vec<Connection>,
    pub(super) recorder: Recorder,
    pub(super) plant: Plant,
    drained: bool,
    moves: Vec<Move>,
}

impl World {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::new(&mut rng);
        let plant = Plant::new(bug, &mut rng);
        let now = Instant::now();
        let call = |_| Call {
            state: State::Planned,
            deadline: None,
            attempts: 0,
        };
        Self {
            calls: plan.calls.iter().map(call).collect(),
            callers: Vec::new(),
            connections: vec![Connection::new(&plan, plan.fault, now)],
            recorder: Recorder::new(plan.calls.len()),
            plant,
            drained: plan.drain.is_none(),
            rng,
            plan,
            now,
            step: 0,
            moves: Vec::new(),
        }
    }

    /// Everything that can happen now.
    fn find_moves(&mut self) {
        let moves = &mut self.moves;
        moves.clear();
        let quiet = self.step > 1000;
        for (index, call) in self.calls.iter().enumerate() {
            match call.state {
                State::Planned if self.plan.calls[index].from <= self.step || quiet => {
                    moves.push(Move::Make(index));
                }
                State::Waiting => match self.connections.last() {
                    Some(connection) if connection.client.available() > 0 => {
                        moves.push(Move::Begin(index));
                    }
                    Some(connection) if !connection.takes_calls() => moves.push(Move::Connect),
                    _ => {}
                },
                _ => {}
            }
        }
        for (index, caller) in self.callers.iter().enumerate() {
            if caller.failed {
                moves.push(Move::Release(index));
                continue;
            }
            let plan = &self.plan.calls[caller.call];
            if !caller.sent && !caller.waits && !caller.complete {
                moves.push(Move::Push(index));
            }
            if !caller.unconsumed.is_empty() && plan.stall != Stall::Caller {
                moves.push(Move::Take(index));
            }
            if plan.cancelled.is_some() && !caller.cancelled && !caller.complete {
                moves.push(Move::GiveUp(index));
            }
        }
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if !connection.client_gone {
                if connection.client.has_output() || !connection.client_out.is_empty() {
                    moves.push(Move::WriteClient(index));
                }
                if !connection.to_client.is_empty() {
                    moves.push(Move::ReadClient(index));
                }
            }
            if connection.server_gone {
                continue;
            }
            if connection.server.has_output() || !connection.server_out.is_empty() {
                moves.push(Move::WriteServer(index));
            }
            let readable = !connection.to_server.is_empty() || connection.server.has_deferred();
            if readable && connection.server.wants_read() {
                moves.push(Move::ReadServer(index));
            }
            for (at, handler) in connection.handlers.iter().enumerate() {
                if handler.can_start(&self.plan) {
                    moves.push(Move::Start(index, at));
                }
                let plan = &self.plan.calls[handler.call];
                if handler.started && !handler.unconsumed.is_empty() && plan.stall != Stall::Handler
                {
                    moves.push(Move::Consume(index, at));
                }
                if handler.can_answer(&self.plan) {
                    moves.push(Move::Answer(index, at));
                }
            }
            let server = &mut connection.server;
            if server.is_draining() && !connection.finished && !server.has_output() {
                let drained = server.is_drained(self.now);
                if drained || server.in_flight() == 0 && self.plant.ends_hastily(drained) {
                    moves.push(Move::Finish(index));
                }
            }
        }
        if !self.drained && self.plan.drain.is_some_and(|at| at <= self.step) {
            moves.push(Move::Drain);
        }
    }

    /// One thing happens, or time passes until something can. False: nothing ever will.
    fn advance(&mut self) -> bool {
        self.step += 1;
        self.recorder.count.steps += 1;
        self.find_moves();
        if self.moves.is_empty() && self.step <= 1000 {
            let waits = |call: &Call| call.state == State::Planned;
            if self.calls.iter().any(waits) || !self.drained {
                // What is planned for later happens now.
                self.step = 1001;
                return true;
            }
        }
        if self.moves.is_empty() {
            self.check_progress();
            return self.sleep();
        }
        let at = self.rng.usize(..self.moves.len());
        let next = self.moves[at];
        self.perform(next, self.moves.len() == 1);
        self.now += Duration::from_micros(self.rng.u64(..40));
        self.tick();
        true
    }

    fn perform(&mut self, next: Move, only: bool) {
        match next {
            Move::Make(call) => self.make(call),
            Move::Begin(call) => self.begin(call),
            Move::Connect => {
                let connection = Connection::new(&self.plan, Fault::Nothing, self.now);
                self.connections.push(connection);
            }
            Move::Push(caller) => self.push(caller),
            Move::Take(caller) => self.take(caller),
            Move::GiveUp(caller) => {
                let chances = self.plan.calls[self.callers[caller].call].cancelled;
                if only || self.rng.u32(..chances.unwrap_or(1)) == 0 {
                    self.give_up(caller);
                }
            }
            Move::Release(caller) => {
                let caller = self.callers.swap_remove(caller);
                self.release(&caller);
            }
            Move::WriteClient(index) => self.write_client(index),
            Move::ReadServer(index) => self.read_server(index),
            Move::WriteServer(index) => self.write_server(index),
            Move::ReadClient(index) => self.read_client(index),
            Move::Start(index, handler) => self.start(index, handler),
            Move::Consume(index, handler) => self.consume(index, handler),
            Move::Answer(index, handler) => self.answer(index, handler),
            Move::Drain => {
                self.drained = true;
                self.recorder.count.drains += 1;
                if let Some(connection) = self.connections.last_mut() {
                    connection.server.drain(self.plan.grace, self.now);
                }
            }
            Move::Finish(index) => {
                let connection = &mut self.connections[index];
                connection.server.finish();
                connection.finished = true;
            }
        }
    }

    /// Lets time pass until somebody wants something.
    fn sleep(&mut self) -> bool {
        let timers = self.connections.iter().filter_map(Connection::next_timer);
        let deadlines = self
            .calls
            .iter()
            .filter(|call| matches!(call.state, State::Waiting | State::Running))
            .filter_map(|call| call.deadline)
            // A session that forgets a deadline is found out.
            .flat_map(|at| [at, at + LATE + Duration::from_micros(1)])
            .filter(|at| *at > self.now);
        let Some(next) = timers.chain(deadlines).min() else {
            return false;
        };
        self.now = self.now.max(next);
        self.tick();
        true
    }

    /// What is due, and what must be true at any time.
    fn tick(&mut self) {
        let now = self.now;
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if !connection.client_gone && due(connection.client.poll_timeout()) {
                connection.client.handle_timeout(now);
                self.hear_client(index);
            }
            let connection = &mut self.connections[index];
            if !connection.server_gone && due(connection.server.poll_timeout()) {
                connection.server.handle_timeout(now);
                self.hear_server(index);
            }
            self.end_connection(index);
        }
        self.expire();
        for index in 0..self.calls.len() {
            let call = &self.calls[index];
            let open = matches!(call.state, State::Waiting | State::Running);
            let late = open && call.deadline.is_some_and(|at| now > at + LATE);
            self.recorder.expect(!late, Promise::Deadline, || {
                format!("call {index} outlives its deadline")
            });
        }
        let budget = self.plan.budget;
        for index in 0..self.connections.len() {
            let server = self.connections[index].held();
            let client: usize = self
                .callers
                .iter()
                .filter(|caller| caller.connection == index)
                .map(|caller| caller.unconsumed.iter().sum::<usize>() + caller.reader.partial())
                .sum();
            self.recorder
                .expect(server.max(client) <= budget, Promise::Budget, || {
                    format!("{server} bytes held by a server, {client} by a client, of {budget}")
                });
        }
    }

    /// Where nothing can happen, everybody who waits has a reason to.
    fn check_progress(&mut self) {
        for caller in &self.callers {
            let connection = &self.connections[caller.connection];
            if connection.silent || connection.client_gone || connection.server_gone {
                continue;
            }
            if self.plan.calls[caller.call].is_stuck() {
                continue;
            }
            // Somebody who takes nothing may have borrowed what this one waits for.
            if connection.client.lent() > 0 || connection.server.lent() > 0 {
                let stuck = |other: &Caller| {
                    other.connection == caller.connection && self.plan.calls[other.call].is_stuck()
                };
                let abandoned = |handler: &Handler| self.plan.calls[handler.call].is_stuck();
                if self.callers.iter().any(stuck) || connection.handlers.iter().any(abandoned) {
                    continue;
                }
            }
            let text = format!(
                "call {} ({:?}) does not go on, though both sides are willing",
                caller.call, self.plan.calls[caller.call].shape
            );
            return self.recorder.breach(Promise::Progress, text);
        }
    }

    /// Everything is as it was before the first call.
    fn check_return(&mut self) {
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.cut || connection.silent || connection.client_gone {
                continue;
            }
            let left = (
                connection.client.in_flight(),
                connection.server.in_flight(),
                connection.server.held(),
                connection.client.lent(),
                connection.server.lent(),
            );
            connection.client.close();
            let ended = connection.client.ended() == Some(&Ended::Locally);
            self.recorder
                .expect(left == (0, 0, 0, 0, 0), Promise::Return, || {
                    format!("calls, held and lent bytes that are left: {left:?}")
                });
            self.recorder.expect(ended, Promise::Return, || {
                "a channel did not come back".into()
            });
        }
    }

    fn is_over(&self) -> bool {
        self.calls.iter().all(|call| call.state == State::Over) && self.callers.is_empty()
    }
}

/// Runs the world of a seed to its end.
pub(super) fn run(seed: u64, bug: Option<Bug>) -> (Count, Option<Breach>) {
    let mut world = World::new(seed, bug);
    let mut steps = 0;
    while world.recorder.broken().is_none() && !world.is_over() && world.advance() {
        steps += 1;
        if steps > MOST_STEPS {
            world.recorder.breach(Promise::Progress, "it does not end");
        }
    }
    world.recorder.end();
    // Answers to those who did not wait are still under way, and handlers that say nothing end at their deadline.
    while world.recorder.broken().is_none() {
        world.find_moves();
        let owed = |connection: &Connection| !connection.handlers.is_empty();
        if world.moves.is_empty() && !world.connections.iter().any(owed) {
            break;
        }
        steps += 1;
        if !world.advance() || steps > MOST_STEPS {
            let text = "a handler does not end";
            world.recorder.breach(Promise::Progress, text);
        }
    }
    if world.recorder.broken().is_none() {
        world.check_return();
    }
    let mut count = world.recorder.count;
    count.grants = world.plant.grants;
    count.planted = usize::from(world.plant.acted);
    (count, world.recorder.broken().cloned())
}
