//! The programs under comparison: built with cargo, started as child processes.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use iip_load::Failure;
use serde::de::DeserializeOwned;

/// A framework under comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// This project: generated client and server.
    Iip,
    /// gRPC.
    Tonic,
    /// The hand-written echo without RPC.
    Raw,
    /// This project without RPC: bytes by path.
    Core,
    /// HTTP/1.1 with hyper.
    Http1,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Iip, Self::Tonic, Self::Raw, Self::Core, Self::Http1];

    /// Those that `compare` and `memory` run unless told otherwise, in the order of the table.
    pub const COMPARED: [Self; 3] = [Self::Iip, Self::Tonic, Self::Raw];

    /// Whether it has nothing but one method, which echoes on its connections.
    pub(crate) fn only_echoes(self) -> bool {
        matches!(self, Self::Core | Self::Http1)
    }

    /// Whether it is built with the peers.
    fn is_peer(self) -> bool {
        !matches!(self, Self::Iip | Self::Core)
    }

    /// The name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iip => "iip",
            Self::Tonic => "tonic",
            Self::Raw => "raw",
            Self::Core => "core",
            Self::Http1 => "http1",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName(String);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown framework `{}`: use iip, tonic, raw, core or http1",
            self.0
        )
    }
}

impl std::error::Error for UnknownName {}

impl FromStr for Name {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// Where the built programs are.
#[derive(Debug)]
pub struct Programs {
    own: PathBuf,
    peers: PathBuf,
}

impl Programs {
    /// Builds what `names` needs, optimised, in the target folder of the running program; the peers in a folder
    /// `peers` of it, unless `peers_target` says otherwise.
    ///
    /// # Errors
    ///
    /// Cargo cannot be started or fails.
    pub fn build(names: &[Name], peers_target: Option<PathBuf>) -> Result<Self, Failure> {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        let running = std::env::current_exe()?;
        // The running program is `<target>/<profile>/<name>`.
        let target = running
            .ancestors()
            .nth(2)
            .ok_or("no target folder above the running program")?;
        let peers_target = peers_target.unwrap_or_else(|| target.join("peers"));
        let (peers, own): (Vec<Name>, Vec<Name>) =
            names.iter().copied().partition(|name| name.is_peer());
        if !own.is_empty() {
            let bins = ["--bin", "iip-echo", "--bin", "core-echo"];
            cargo_build(&benches.join("Cargo.toml"), target, &bins)?;
        }
        if !peers.is_empty() {
            cargo_build(&benches.join("peers/Cargo.toml"), &peers_target, &[])?;
        }
        Ok(Self {
            own: target.join("release"),
            peers: peers_target.join("release"),
        })
    }

    fn command(&self, name: Name) -> Command {
        let folder = if name.is_peer() {
            &self.peers
        } else {
            &self.own
        };
        Command::new(folder.join(format!("{name}-echo")))
    }

    /// Starts a server, with these arguments, on a free port and waits for its address.
    ///
    /// # Errors
    ///
    /// It cannot be started, or ends without saying its address.
    pub fn server(&self, name: Name, arguments: &[(&str, String)]) -> Result<Server, Failure> {
        let mut command = self.command(name);
        command.args(["server", "--listen", "127.0.0.1:0"]);
        command.args(pairs(arguments));
        let (child, line) = start(command, Stdio::null())?;
        let address = line
            .trim()
            .parse()
            .map_err(|_| format!("{name} server said `{}` for its address", line.trim()))?;
        Ok(Server {
            name,
            address,
            child,
        })
    }

    /// Runs one client against `server`: its `command` with these arguments.
    ///
    /// # Errors
    ///
    /// The client fails: its text, or what is wrong with its report.
    pub fn measure<M: DeserializeOwned>(
        &self,
        server: &Server,
        client: Client,
        command: &str,
        arguments: &[(&str, String)],
    ) -> Result<M, Failure> {
        let output = self
            .command(server.name)
            .arg(command)
            .args(["--addr", &server.address.to_string()])
            .args(["--server-pid", &server.process().to_string()])
            .args(["--warm-up", &client.warm_up.as_secs_f64().to_string()])
            .args(["--seconds", &client.duration.as_secs_f64().to_string()])
            .args(pairs(arguments))
            .output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let status = output.status;
            return Err(format!("{} client: {status}: {}", server.name, text.trim()).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Starts a client that opens `connections` connections, makes one call on each and holds them.
    ///
    /// # Errors
    ///
    /// The client fails before all are open; its text is on standard error.
    pub fn hold_idle(&self, server: &Server, connections: usize) -> Result<IdleClient, Failure> {
        let mut command = self.command(server.name);
        command
            .arg("idle")
            .args(["--addr", &server.address.to_string()])
            .args(["--connections", &connections.to_string()]);
        let (mut child, line) = start(command, Stdio::piped())?;
        if line.trim() != "ready" {
            return Err(format!("{} idle client said `{}`", server.name, line.trim()).into());
        }
        let input = child.0.stdin.take();
        Ok(IdleClient {
            _input: input,
            _child: child,
        })
    }
}

/// How long a client measures.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// How long its load runs before anything is counted.
    pub warm_up: Duration,
    /// How long it is counted.
    pub duration: Duration,
}

/// A server that ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    name: Name,
    address: SocketAddr,
    child: EndedOnDrop,
}

impl Server {
    /// The id of its process.
    pub fn process(&self) -> u32 {
        self.child.0.id()
    }
}

/// A client that holds connections until this is dropped.
#[derive(Debug)]
pub struct IdleClient {
    _input: Option<ChildStdin>,
    _child: EndedOnDrop,
}

#[derive(Debug)]
struct EndedOnDrop(Child);

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        // Whatever is wrong with the child, there is nobody left to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pairs<'a>(arguments: &'a [(&str, String)]) -> impl Iterator<Item = &'a str> {
    arguments
        .iter()
        .flat_map(|(name, value)| [name, value.as_str()])
}

/// Starts a program and reads the first line it prints.
fn start(mut command: Command, input: Stdio) -> io::Result<(EndedOnDrop, String)> {
    let program = command.get_program().to_owned();
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", program.display()));
    let mut child = EndedOnDrop(
        command
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(named)?,
    );
    let mut line = String::new();
    if let Some(output) = child.0.stdout.take() {
        BufReader::new(output.take(1024)).read_line(&mut line)?;
    }
    Ok((child, line))
}

fn cargo_build(manifest: &Path, target: &Path, more: &[&str]) -> Result<(), Failure> {
    // Set by `cargo run`: the same toolchain again.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target)
        .args(more)
        .stdout(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cargo build of {}: {status}", manifest.display()).into())
    }
}
