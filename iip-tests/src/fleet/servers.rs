use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use super::process::Process;

/// How many there are.
pub(super) const SERVERS: usize = 3;

/// The servers, and what they have noted.
#[derive(Debug)]
pub(super) struct Servers {
    program: PathBuf,
    folder: PathBuf,
    addresses: Vec<String>,
    running: Vec<Option<Process>>,
}

impl Servers {
    /// Starts them. `program` is this one, which calls [`serve`](super::serve) when it is told to.
    pub(super) async fn start(program: &Path) -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("iip-fleet-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        let mut servers = Self {
            program: program.to_owned(),
            folder,
            addresses: (0..SERVERS).map(|_| own_address()).collect(),
            running: (0..SERVERS).map(|_| None).collect(),
        };
        for index in 0..SERVERS {
            servers.begin(index).await?;
        }
        Ok(servers)
    }

    /// Where each of them listens, whenever it runs.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    fn notes(&self, index: usize) -> PathBuf {
        self.folder.join(index.to_string())
    }

    /// Starts one that does not run, and waits until it listens.
    pub(super) async fn begin(&mut self, index: usize) -> io::Result<()> {
        let (program, address) = (self.program.clone(), self.addresses[index].clone());
        let notes = self.notes(index);
        let start = move || Process::start(&program, &address, &notes);
        self.running[index] = Some(tokio::task::spawn_blocking(start).await??);
        Ok(())
    }

    /// Kills one at once (SIGKILL).
    pub(super) fn kill(&mut self, index: usize) -> io::Result<()> {
        if let Some(mut process) = self.running[index].take() {
            process.kill()?;
            // It takes a while until the system has taken everything from it.
            tokio::task::spawn_blocking(|| drop(process));
        }
        Ok(())
    }

    pub(super) fn running(&self, index: usize) -> io::Result<&Process> {
        let process = self.running[index].as_ref();
        process.ok_or_else(|| io::Error::other("the server does not run"))
    }

    /// Ends all of them, and counts how often each call ran.
    pub(super) fn end(mut self) -> io::Result<HashMap<u64, u32>> {
        self.running.clear();
        let mut executed = HashMap::new();
        for index in 0..SERVERS {
            for number in std::fs::read(self.notes(index))?.as_chunks().0 {
                *executed.entry(u64::from_le_bytes(*number)).or_default() += 1;
            }
        }
        Ok(executed)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.running.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An address that nobody else has: one of this process on the loopback interface, and a port that the system gives to no
/// client, which could get it while no server listens.
pub(super) fn own_address() -> String {
    static PORT: AtomicU16 = AtomicU16::new(20_000);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{b}.{c}:{port}", a | 0x40)
}
