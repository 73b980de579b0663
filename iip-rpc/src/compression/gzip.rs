use std::io::Write;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::bounded::{Codec, CompressionError, read_to_end};

const NAME: &str = "gzip";

pub(super) struct Gzip;

impl Codec for Gzip {
    fn compress(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(message).ok()?;
        encoder.finish().ok()
    }

    fn decompress(&self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        let mut decoder = GzDecoder::new(compressed);
        let message = read_to_end(&mut decoder, compressed.len(), limit, NAME)?;
        match decoder.into_inner() {
            [] => Ok(message),
            _ => Err(CompressionError::Malformed { encoding: NAME }),
        }
    }
}
