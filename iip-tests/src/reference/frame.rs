use std::fmt;

/// Longest path, bytes.
pub const MAX_PATH: usize = 2048;

/// Most data of a frame, bytes.
pub const MAX_DATA: usize = 16 * 1024 * 1024;

/// The kind that closes the connection.
pub(super) const CLOSE: u8 = 8;

/// A frame of any values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its first byte.
    pub kind: u8,
    /// What is called.
    pub path: Vec<u8>,
    /// The lane.
    pub channel: u32,
    /// What it is called with, or the answer.
    pub data: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, path: impl Into<Vec<u8>>, channel: u32, data: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            path: path.into(),
            channel,
            data: data.into(),
        }
    }

    /// Its bytes, whatever its values.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.path);
        bytes.push(0);
        bytes.extend_from_slice(&self.channel.to_be_bytes());
        bytes.extend_from_slice(&(self.data.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// Its bytes as the writer sends them.
    ///
    /// # Errors
    ///
    /// The frame breaks a limit. The writer learns of it so late that it can only close the connection. A NUL in the
    /// path is not noticed.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        if self.path.is_empty() || self.path.len() > MAX_PATH {
            return Err(format!("a path of {} bytes", self.path.len()));
        }
        if self.data.is_empty() || self.data.len() > MAX_DATA {
            return Err(format!("data of {} bytes", self.data.len()));
        }
        Ok(self.to_bytes())
    }

    /// Number of its bytes.
    pub(super) fn len(&self) -> usize {
        1 + self.path.len() + 1 + 4 + 4 + self.data.len()
    }

    /// Whether its message is complete with it.
    pub(super) fn is_last(&self) -> bool {
        self.kind % 2 == 1
    }

    /// Whether its message begins with it.
    pub(super) fn is_first(&self) -> bool {
        self.kind % 4 < 2
    }
}

/// Who sends frames of which kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Kinds 0 to 3.
    Client,
    /// Kinds 4 to 7.
    Server,
}

/// One direction of one channel: which kind was received last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence(u8);

impl Sequence {
    /// Nothing was received.
    pub(super) const START: Self = Self(255);

    /// Takes the next kind.
    pub(super) fn advance(&mut self, kind: u8, sender: Sender) -> Result<(), String> {
        let base = match sender {
            Sender::Client => 0,
            Sender::Server => 4,
        };
        let before = self.0;
        let allowed = match kind.checked_sub(base) {
            Some(0 | 1) => [255, base + 1, base + 3].contains(&before),
            Some(2 | 3) => [base, base + 2].contains(&before),
            _ => false,
        };
        if !allowed {
            return Err(format!("kind {kind} after {before}"));
        }
        self.0 = kind;
        Ok(())
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kind {} on channel {}, path {:?}, {} bytes",
            self.kind,
            self.channel,
            String::from_utf8_lossy(&self.path),
            self.data.len()
        )
    }
}
