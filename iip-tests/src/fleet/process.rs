use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The process of a server. It does not outlive this.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts it, and waits until it listens.
    pub(super) fn start(program: &Path, address: &str, notes: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["serve", address])
            .arg(notes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().map(BufReader::new);
        let process = Self(child);
        let mut line = String::new();
        if let Some(mut output) = output {
            output.read_line(&mut line)?;
        }
        match line.is_empty() {
            true => Err(io::Error::other("a server ended before it listened")),
            false => Ok(process),
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("a process without an id"))?;
        Ok(kill_process(id, signal)?)
    }

    /// It does nothing any more until it [resumes](Self::resume): SIGSTOP.
    pub(super) fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub(super) fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGKILL. The process is still to be waited for, which dropping this does.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.0.kill()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
