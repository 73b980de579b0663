use iip_core::session::Encodings;

use super::Encoding;

/// Length from which on messages are compressed by default, bytes: the other bytes of a shorter one's frame would weigh
/// more than what is saved.
pub(crate) const COMPRESS_FROM: usize = 1024;

/// Whether a message is compressed on its way. It chooses for one call, or some messages of a stream; which encoding
/// it is, and whether there is one, is a setting of the sending side
/// ([`ChannelBuilder::compress`](crate::client::ChannelBuilder::compress),
/// [`ServerBuilder::compress`](crate::server::ServerBuilder::compress)) and known by the receiving side or not.
///
/// Asking for compression never fails: without that setting, without the encoding's feature, to a receiver that does not
/// read the encoding, to a plain peer and inside one process messages travel as they are. So does one that would
/// not get smaller, or would get so small that its receiver had to take it for an attack (`docs/protocol.md`, section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// From the length on that is set for the sending side, 1 KiB by default.
    #[default]
    Auto,
    /// Whatever its length.
    Always,
    /// It is not, for example because it holds a secret beside what an attacker can choose, or is compressed data.
    Never,
}

/// How the messages of one direction are compressed: what was agreed on, and from which length on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) encoding: Encoding,
    /// For [`Compression::Auto`], bytes.
    pub(crate) from: usize,
}

impl Packing {
    /// As the settings of one side say; `None`: it compresses nothing.
    pub(crate) fn set(encoding: Option<Encoding>, from: usize) -> Option<Self> {
        encoding.map(|encoding| Self { encoding, from })
    }

    /// Whether a peer that reads these encodings reads this one.
    pub(crate) fn is_among(&self, encodings: Encodings) -> bool {
        encodings.contains(self.encoding.name())
    }

    /// How a message of `len` bytes is compressed; `None`: it is not.
    pub(crate) fn of(self, len: usize, compression: Compression) -> Option<Encoding> {
        let wanted = match compression {
            Compression::Auto => len >= self.from,
            Compression::Always => true,
            Compression::Never => false,
        };
        wanted.then_some(self.encoding)
    }
}
