//! The commands of a framework's program.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::closed_loop::{Failure, Group, count, measure};
use crate::command_line::Arguments;
use crate::cores::confine;
use crate::framework::{Caller, Framework, Target};
use crate::process::raise_open_files;
use crate::report::BesideMeasurement;
use crate::streaming::{Stalled, measure_stream};
use crate::workload::{Crowd, Load, Operation, Times, payload};

/// Unless `--cores` says otherwise, both sides get as many threads as the comparison's machine has cores, whatever
/// machine it is repeated on.
const WORKER_THREADS: usize = 2;

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that the one call of an idle connection carries.
const IDLE_PAYLOAD: usize = 32;

/// The `main` of a framework's program: runs the command that the command line names.
pub fn run<F: Framework>() -> ExitCode {
    match command::<F>() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut text = format!("{}: {failure}", F::NAME);
            let mut cause = failure.source();
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = Error::source(error);
            }
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn command<F: Framework>() -> Result<(), Failure> {
    let mut given = std::env::args().skip(1);
    let name = given.next().unwrap_or_default();
    let arguments = Arguments::read(given)?;
    match name.as_str() {
        "server" => server::<F>(arguments),
        "client" => client::<F>(arguments),
        "stream" => stream::<F>(arguments),
        "beside" => beside::<F>(arguments),
        "idle" => idle::<F>(arguments),
        other => Err(format!(
            "`{other}` is not a command: use server, client, stream, beside or idle"
        )
        .into()),
    }
}

/// With `cores`, a runtime of so many threads on as many cores.
fn runtime(cores: Option<usize>) -> io::Result<Runtime> {
    if let Some(cores) = cores {
        confine(cores)?;
    }
    Builder::new_multi_thread()
        .worker_threads(cores.unwrap_or(WORKER_THREADS))
        .enable_all()
        .build()
}

fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn server<F: Framework>(mut arguments: Arguments) -> Result<(), Failure> {
    let listen = arguments.required("--listen")?;
    let max_message = arguments.optional("--max-message")?;
    let cores = arguments.optional("--cores")?;
    arguments.finish()?;
    raise_open_files();
    // Run as a task: the thread that blocks is not one of the runtime's, and the accept loop should be.
    let runtime = runtime(cores)?;
    runtime.block_on(runtime.spawn(F::serve(listen, max_message, |address| {
        let _ = print_line(&address.to_string());
    })))?
}

/// What every measuring command is told.
struct Order {
    target: Target,
    cores: Option<usize>,
    /// The server's process.
    server: Option<u32>,
    times: Times,
}

impl Order {
    fn read(arguments: &mut Arguments) -> Result<Self, Failure> {
        Ok(Self {
            target: Target {
                address: arguments.required("--addr")?,
                connections: arguments
                    .optional::<NonZeroUsize>("--connections")?
                    .map_or(1, NonZeroUsize::get),
                max_message: arguments.optional("--max-message")?,
            },
            cores: arguments.optional("--cores")?,
            server: arguments.optional("--server-pid")?,
            times: Times {
                warm_up: seconds(arguments.optional("--warm-up")?.unwrap_or(0.5))?,
                counted: seconds(arguments.required("--seconds")?)?,
            },
        })
    }

    /// A runtime and, on one of its threads, the connections.
    fn connect<F: Framework>(&self) -> Result<(Runtime, Arc<F::Connection>), Failure> {
        raise_open_files();
        let runtime = runtime(self.cores)?;
        let connecting = runtime.spawn(connect::<F>(self.target));
        let connection = runtime.block_on(connecting)??;
        Ok((runtime, Arc::new(connection)))
    }
}

/// Prints what was measured and leaves: a framework's shutdown is not part of the measurement.
fn report(runtime: Runtime, measurement: &impl Serialize) -> Result<(), Failure> {
    print_line(&serde_json::to_string(measurement)?)?;
    runtime.shutdown_background();
    Ok(())
}

fn client<F: Framework>(mut arguments: Arguments) -> Result<(), Failure> {
    let order = Order::read(&mut arguments)?;
    let load = Load {
        operation: arguments.required::<Operation>("--workload")?,
        callers: arguments.required("--callers")?,
        size: arguments.required("--size")?,
        times: order.times,
    };
    let stalled = arguments.optional("--stalled")?.unwrap_or(0);
    arguments.finish()?;

    let (runtime, connection) = order.connect::<F>()?;
    let stalled = runtime.block_on(Stalled::begin::<F>(&connection, stalled))?;
    let callers = (0..load.callers).map(|index| {
        F::caller(
            &connection,
            index,
            load.operation,
            payload(index, load.size),
        )
    });
    let measurement = measure(runtime.handle(), F::NAME, load, order.server, callers)?;
    runtime.block_on(stalled.read_on())?;
    report(runtime, &measurement)
}

fn stream<F: Framework>(mut arguments: Arguments) -> Result<(), Failure> {
    let order = Order::read(&mut arguments)?;
    let size = arguments.required("--size")?;
    let count = arguments.required("--messages")?;
    arguments.finish()?;

    let (runtime, connection) = order.connect::<F>()?;
    // Read by a task on one of the runtime's threads, as a program would.
    let measuring = runtime.spawn(async move {
        measure_stream::<F>(&connection, size, count, order.times, order.server).await
    });
    let measurement = runtime.block_on(measuring)??;
    report(runtime, &measurement)
}

fn beside<F: Framework>(mut arguments: Arguments) -> Result<(), Failure> {
    let order = Order::read(&mut arguments)?;
    let small: Crowd = arguments.required("--small")?;
    let bulk: Crowd = arguments.required("--bulk")?;
    arguments.finish()?;

    let (runtime, connection) = order.connect::<F>()?;
    let mut index = 0..;
    let groups = [small, bulk].map(|crowd| Group {
        callers: index
            .by_ref()
            .take(crowd.callers)
            .map(|i| F::caller(&connection, i, Operation::Echo, payload(i, crowd.size)))
            .collect(),
        pause: crowd.pause,
    });
    let counted = count(runtime.handle(), order.times, order.server, groups.into())?;
    let measurement = BesideMeasurement::new(F::NAME, small, bulk, &counted);
    report(runtime, &measurement)
}

/// Opens connections, makes one call on each, says `ready` and holds them until its standard input ends.
fn idle<F: Framework>(mut arguments: Arguments) -> Result<(), Failure> {
    let address: SocketAddr = arguments.required("--addr")?;
    let connections: usize = arguments.required("--connections")?;
    arguments.finish()?;
    raise_open_files();

    let target = Target {
        address,
        connections: 1,
        max_message: None,
    };
    let runtime = runtime(None)?;
    let open = runtime.block_on(runtime.spawn(async move {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            let connection = connect::<F>(target).await?;
            F::caller(&connection, 0, Operation::Echo, payload(0, IDLE_PAYLOAD))
                .call()
                .await?;
            open.push(connection);
        }
        Ok::<_, Failure>(open)
    }))??;
    print_line("ready")?;
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(open);
    runtime.shutdown_background();
    Ok(())
}

async fn connect<F: Framework>(target: Target) -> Result<F::Connection, Failure> {
    match tokio::time::timeout(CONNECT_TIMEOUT, F::connect(target)).await {
        Ok(connected) => connected,
        Err(_) => {
            let Target {
                address,
                connections,
                ..
            } = target;
            let text =
                format!("no {connections} connections to {address} within {CONNECT_TIMEOUT:?}");
            Err(text.into())
        }
    }
}

fn seconds(value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .map_err(|error| Failure::from(format!("{value} seconds: {error}")))
}
