use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use super::bounded::{Codec, CompressionError, check};

const MALFORMED: CompressionError = CompressionError::Malformed { encoding: "lz4" };

/// Bytes before the block: the message's length.
const PREFIX: usize = 4;

pub(super) struct Lz4;

impl Codec for Lz4 {
    fn compress(&self, message: &[u8]) -> Option<Vec<u8>> {
        let len = u32::try_from(message.len()).ok()?;
        let mut compressed = vec![0; PREFIX + get_maximum_output_size(message.len())];
        let (prefix, block) = compressed.split_at_mut_checked(PREFIX)?;
        prefix.copy_from_slice(&len.to_le_bytes());
        let taken = compress_into(message, block).ok()?;
        compressed.truncate(PREFIX + taken);
        Some(compressed)
    }

    fn decompress(&self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        let (prefix, block) = compressed.split_first_chunk::<PREFIX>().ok_or(MALFORMED)?;
        let len = usize::try_from(u32::from_le_bytes(*prefix)).map_err(|_| MALFORMED)?;
        // No byte of a block gives more than 255, so what is allocated here is bounded by what was sent.
        if len / 255 > block.len() {
            return Err(check(compressed.len(), len, limit)
                .err()
                .unwrap_or(MALFORMED));
        }
        check(compressed.len(), len, limit)?;
        let mut message = vec![0; len];
        match decompress_into(block, &mut message) {
            Ok(written) if written == len => Ok(message),
            _ => Err(MALFORMED),
        }
    }
}
