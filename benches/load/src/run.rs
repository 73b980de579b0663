//! The commands of a framework's program.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::closed_loop::{Failure, measure};
use crate::command_line::Arguments;
use crate::framework::{Caller, Framework};
use crate::process::raise_open_files;
use crate::workload::{Load, Operation, payload};

/// Both sides get as many threads as the comparison's machine has cores, whatever machine it is repeated on.
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
        "idle" => idle::<F>(arguments),
        other => Err(format!("`{other}` is not a command: use server, client or idle").into()),
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
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
    arguments.finish()?;
    raise_open_files();
    // Run as a task: the thread that blocks is not one of the runtime's two, and the accept loop should be.
    let runtime = runtime()?;
    runtime.block_on(runtime.spawn(F::serve(listen, |address| {
        let _ = print_line(&address.to_string());
    })))?
}

fn client<F: Framework>(mut arguments: Arguments) -> Result<(), Failure> {
    let address: SocketAddr = arguments.required("--addr")?;
    let load = Load {
        operation: arguments.required::<Operation>("--workload")?,
        callers: arguments.required("--callers")?,
        size: arguments.required("--size")?,
        warm_up: seconds(arguments.optional("--warm-up")?.unwrap_or(0.5))?,
        duration: seconds(arguments.required("--seconds")?)?,
    };
    let server = arguments.optional("--server-pid")?;
    arguments.finish()?;

    let runtime = runtime()?;
    let connection = runtime.block_on(runtime.spawn(connect::<F>(address)))??;
    let callers = (0..load.callers).map(|index| {
        F::caller(
            &connection,
            index,
            load.operation,
            payload(index, load.size),
        )
    });
    let measurement = measure(runtime.handle(), F::NAME, load, server, callers)?;
    print_line(&serde_json::to_string(&measurement)?)?;
    // Nothing is left to wait for; a framework's shutdown is not part of the measurement.
    runtime.shutdown_background();
    Ok(())
}

/// Opens connections, makes one call on each, says `ready` and holds them until its standard input ends.
fn idle<F: Framework>(mut arguments: Arguments) -> Result<(), Failure> {
    let address: SocketAddr = arguments.required("--addr")?;
    let connections: usize = arguments.required("--connections")?;
    arguments.finish()?;
    raise_open_files();

    let runtime = runtime()?;
    let open = runtime.block_on(runtime.spawn(async move {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            let connection = connect::<F>(address).await?;
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

async fn connect<F: Framework>(address: SocketAddr) -> Result<F::Connection, Failure> {
    match tokio::time::timeout(CONNECT_TIMEOUT, F::connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(format!("no connection to {address} within {CONNECT_TIMEOUT:?}").into()),
    }
}

fn seconds(value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .map_err(|error| Failure::from(format!("{value} seconds: {error}")))
}
