use std::time::Duration;

/// How much of everything there is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Calls begun a second, whatever becomes of them.
    pub rate: u32,
    /// How long a call takes at its server, at most, milliseconds: on average half as long.
    pub work_ms: u32,
    /// Whether times have to be kept too, and not only counts.
    pub timed: bool,
    /// How long a call may take.
    pub timeout: Duration,
    /// How often a server is killed.
    pub kills: u32,
    /// Time from one kill to the next.
    pub kill_every: Duration,
    /// How often a server is cut off.
    pub black_holes: u32,
    /// How long it is.
    pub black_hole: Duration,
    /// How often a server is stopped.
    pub stops: u32,
    /// How long it is.
    pub stop: Duration,
    /// How long one attempt may take while servers are cut off and stopped.
    pub attempt_timeout: Duration,
    /// After how long without an answer there is a ping then, and how long that is waited for.
    pub ping: Duration,
    /// How many connections are cut.
    pub cuts: u64,
    /// How long all servers are down.
    pub down: Duration,
}

impl Plan {
    /// All of it, where nothing else runs: three quarters of an hour. Times are kept.
    pub fn full() -> Self {
        Self {
            rate: 2_000,
            work_ms: 14,
            timed: true,
            timeout: Duration::from_secs(10),
            kills: 120,
            kill_every: Duration::from_secs(5),
            black_holes: 10,
            black_hole: Duration::from_secs(60),
            stops: 10,
            stop: Duration::from_secs(10),
            attempt_timeout: Duration::from_millis(250),
            ping: Duration::from_secs(1),
            cuts: 100_000,
            down: Duration::from_secs(30),
        }
    }

    /// A minute or two, on a machine that has other things to do. Only what does not depend on its speed has to hold.
    pub fn short() -> Self {
        Self {
            rate: 200,
            work_ms: 40,
            timed: false,
            timeout: Duration::from_secs(60),
            kills: 5,
            kill_every: Duration::from_secs(2),
            black_holes: 1,
            black_hole: Duration::from_secs(5),
            stops: 1,
            stop: Duration::from_secs(4),
            attempt_timeout: Duration::from_secs(1),
            ping: Duration::from_secs(2),
            cuts: 300,
            down: Duration::from_secs(3),
        }
    }
}
