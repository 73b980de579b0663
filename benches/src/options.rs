//! The command lines of the programs.

use std::path::PathBuf;
use std::time::Duration;

use iip_load::{Arguments, Failure};

use crate::programs::Name;
use crate::suite::Suite;

/// What `compare` is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareOptions {
    /// `--rounds`, default 7: how often each measurement is made.
    pub rounds: usize,
    /// `--seconds`, default 2: how long each measurement counts.
    pub duration: Duration,
    /// `--warm-up`, default 0.5 seconds: how long the load runs before.
    pub warm_up: Duration,
    /// `--workloads`, default all.
    pub workloads: Suite,
    /// `--frameworks`, default [`Name::COMPARED`].
    pub frameworks: Vec<Name>,
    /// `--json`, default `compare.json` in the target folder's `release`: where every measurement is written.
    pub json: Option<PathBuf>,
    /// `--peers-target`, default `peers` in the target folder: where the peers are built.
    pub peers_target: Option<PathBuf>,
}

impl CompareOptions {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// An option that is unknown or has a value out of range.
    pub fn read(mut arguments: Arguments) -> Result<Self, Failure> {
        let options = Self {
            rounds: arguments.optional("--rounds")?.unwrap_or(7),
            duration: Duration::try_from_secs_f64(arguments.optional("--seconds")?.unwrap_or(2.0))?,
            warm_up: Duration::try_from_secs_f64(arguments.optional("--warm-up")?.unwrap_or(0.5))?,
            workloads: arguments.optional("--workloads")?.unwrap_or_default(),
            frameworks: frameworks(&mut arguments)?,
            json: arguments.optional("--json")?,
            peers_target: arguments.optional("--peers-target")?,
        };
        arguments.finish()?;
        if options.rounds == 0 {
            return Err("--rounds 0: at least one".into());
        }
        Ok(options)
    }
}

/// What `balancing` is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct BalancingOptions {
    /// `--calls`, default 200,000.
    pub calls: usize,
    /// `--picture`: where the picture is written, if anywhere.
    pub picture: Option<PathBuf>,
}

impl BalancingOptions {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// An option that is unknown or has a value out of range.
    pub fn read(mut arguments: Arguments) -> Result<Self, Failure> {
        let options = Self {
            calls: arguments.optional("--calls")?.unwrap_or(200_000),
            picture: arguments.optional("--picture")?,
        };
        arguments.finish()?;
        if options.calls == 0 {
            return Err("--calls 0: at least one".into());
        }
        Ok(options)
    }
}

/// What `memory` is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryOptions {
    /// `--connections`, default 2,000.
    pub connections: usize,
    /// `--frameworks`, default [`Name::COMPARED`].
    pub frameworks: Vec<Name>,
    /// `--peers-target`, as for [`CompareOptions`].
    pub peers_target: Option<PathBuf>,
}

impl MemoryOptions {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// An option that is unknown or has a value out of range.
    pub fn read(mut arguments: Arguments) -> Result<Self, Failure> {
        let options = Self {
            connections: arguments.optional("--connections")?.unwrap_or(2_000),
            frameworks: frameworks(&mut arguments)?,
            peers_target: arguments.optional("--peers-target")?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

fn frameworks(arguments: &mut Arguments) -> Result<Vec<Name>, Failure> {
    match arguments.optional::<String>("--frameworks")? {
        None => Ok(Name::COMPARED.to_vec()),
        Some(text) => text
            .split(',')
            .map(|name| name.parse().map_err(Failure::from))
            .collect(),
    }
}
