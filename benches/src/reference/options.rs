//! The command line of `reference`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Duration;

use iip_load::{Arguments, Failure};

use super::contender::Contender;

/// What `reference` is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceOptions {
    /// `--rounds`, default 7: how often each measurement is made.
    pub rounds: usize,
    /// `--seconds`, default 2: how long each measurement counts.
    pub duration: Duration,
    /// `--warm-up`, default 0.5 seconds: how long the load runs before.
    pub warm_up: Duration,
    /// `--callers`, default 64.
    pub callers: usize,
    /// `--size`, default 14 KiB: bytes each way.
    pub size: usize,
    /// `--pool`, default as many as there are cores, at least 2: connections of a pool.
    pub pool: usize,
    /// `--cores`, default `1,all`.
    pub cores: Cores,
    /// `--contenders`, default [`Contender::DEFAULT`].
    pub contenders: Vec<Contender>,
    /// `--json`, default `reference.json` beside the running program: where every measurement is written.
    pub json: Option<PathBuf>,
    /// `--chart`, default `reference.svg` beside the running program: where the chart is written.
    pub chart: Option<PathBuf>,
    /// `--peers-target`, default `peers` in the target folder: where the peers are built.
    pub peers_target: Option<PathBuf>,
}

impl ReferenceOptions {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// An option that is unknown or has a value out of range.
    pub fn read(mut arguments: Arguments) -> Result<Self, Failure> {
        let contenders = match arguments.optional::<String>("--contenders")? {
            None => Contender::DEFAULT.to_vec(),
            Some(text) => text.split(',').map(str::parse).collect::<Result<_, _>>()?,
        };
        let options = Self {
            rounds: arguments.optional("--rounds")?.unwrap_or(7),
            duration: Duration::try_from_secs_f64(arguments.optional("--seconds")?.unwrap_or(2.0))?,
            warm_up: Duration::try_from_secs_f64(arguments.optional("--warm-up")?.unwrap_or(0.5))?,
            callers: arguments.optional("--callers")?.unwrap_or(64),
            size: arguments.optional("--size")?.unwrap_or(14 << 10),
            // One connection keeps about one core of each side busy.
            pool: arguments.optional("--pool")?.unwrap_or(all().max(2)),
            cores: arguments.optional("--cores")?.unwrap_or_default(),
            contenders,
            json: arguments.optional("--json")?,
            chart: arguments.optional("--chart")?,
            peers_target: arguments.optional("--peers-target")?,
        };
        arguments.finish()?;
        let counts = [
            ("--rounds", options.rounds),
            ("--callers", options.callers),
            ("--size", options.size),
            ("--pool", options.pool),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(format!("{name} 0: at least one").into()),
            None => Ok(options),
        }
    }
}

/// On how many cores: client and server together run on so many, each with as many threads. Written `1,4,all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(pub Vec<usize>);

impl Default for Cores {
    /// One and all.
    fn default() -> Self {
        Self::of([1, all()])
    }
}

impl Cores {
    /// Each number once, in rising order.
    fn of(numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut numbers = Vec::from_iter(numbers);
        numbers.sort_unstable();
        numbers.dedup();
        Self(numbers)
    }
}

/// A text that is not `1,4,all`, or asks for cores that are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableCores(String);

impl fmt::Display for UnreadableCores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is neither `all` nor a number from 1 to {}",
            self.0,
            all()
        )
    }
}

impl std::error::Error for UnreadableCores {}

impl FromStr for Cores {
    type Err = UnreadableCores;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| match part {
            "all" => Ok(all()),
            part => match part.parse() {
                Ok(number) if (1..=all()).contains(&number) => Ok(number),
                _ => Err(UnreadableCores(part.to_owned())),
            },
        };
        let numbers = text.split(',').map(number);
        Ok(Self::of(numbers.collect::<Result<Vec<_>, _>>()?))
    }
}

/// Cores that this process may use.
fn all() -> usize {
    available_parallelism().map_or(1, usize::from)
}
