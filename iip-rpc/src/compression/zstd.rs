use zstd::stream::read::Decoder;
use zstd::zstd_safe::get_frame_content_size;

use super::bounded::{Codec, CompressionError, check, read_to_end};

const NAME: &str = "zstd";

const MALFORMED: CompressionError = CompressionError::Malformed { encoding: NAME };

/// What the library takes for its usual balance of speed and size.
const LEVEL: i32 = 3;

/// Bounds of the window that a decoder keeps, as powers of two: the least that the format has, and the 8 MiB that every
/// decoder should accept.
const WINDOW_LOG: (u32, u32) = (10, 23);

pub(super) struct Zstd;

impl Codec for Zstd {
    fn compress(&self, message: &[u8]) -> Option<Vec<u8>> {
        zstd::bulk::compress(message, LEVEL).ok()
    }

    fn decompress(&self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        // A frame that says how long its message is can be refused at once.
        if let Ok(Some(len)) = get_frame_content_size(compressed) {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            check(compressed.len(), len, limit)?;
        }
        let mut decoder = Decoder::with_buffer(compressed)
            .map_err(|_| MALFORMED)?
            .single_frame();
        // A frame says itself how large a window it needs. None needs one larger than the message.
        let log = limit
            .checked_next_power_of_two()
            .map_or(WINDOW_LOG.1, usize::ilog2);
        decoder
            .window_log_max(log.clamp(WINDOW_LOG.0, WINDOW_LOG.1))
            .map_err(|_| MALFORMED)?;
        let message = read_to_end(&mut decoder, compressed.len(), limit, NAME)?;
        match decoder.finish() {
            [] => Ok(message),
            _ => Err(MALFORMED),
        }
    }
}
