use bytes::{Buf, BytesMut};

use super::{ChannelId, Frame, FrameKind, Header, MAX_DATA, MAX_PATH, WireError};

/// What one step of decoding found.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The input ends inside a frame.
    Incomplete,
    /// A whole frame.
    Frame(Frame),
    /// Kind 8, which acts at its first byte. Nothing after it counts.
    Close,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// `scanned` bytes of the path are known to hold no NUL.
    Header { scanned: usize },
    /// The header is complete, its data is not.
    Data { header: Header },
    /// Data the receiver does not want is dropped as it arrives.
    Skip { left: usize },
}

/// Turns a byte stream, however it is cut up, into frames. No byte is looked at twice while a frame is
/// incomplete, and nothing is allocated: the caller owns the buffer and decides how it grows
/// ([`missing`](Self::missing)).
#[derive(Debug)]
pub struct Decoder {
    max_data: u32,
    state: State,
}

impl Decoder {
    /// A decoder that accepts frames of at most `max_data` bytes of data (1 to 16 MiB; clamped).
    pub fn new(max_data: u32) -> Self {
        Self {
            max_data: max_data.clamp(1, MAX_DATA),
            state: State::Header { scanned: 0 },
        }
    }

    /// Takes the next frame off the front of `buf`.
    ///
    /// # Errors
    ///
    /// The bytes cannot be a frame. The decoder must not be used any further.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Decoded, WireError> {
        if let State::Skip { left } = &mut self.state {
            let step = (*left).min(buf.len());
            buf.advance(step);
            *left -= step;
            if *left > 0 {
                return Ok(Decoded::Incomplete);
            }
            self.state = State::Header { scanned: 0 };
        }
        if let State::Header { scanned } = self.state {
            match parse_header(buf, scanned, self.max_data)? {
                Parsed::Incomplete { scanned } => {
                    self.state = State::Header { scanned };
                    return Ok(Decoded::Incomplete);
                }
                Parsed::Close => return Ok(Decoded::Close),
                Parsed::Header(header) => self.state = State::Data { header },
            }
        }
        let State::Data { header } = self.state else {
            return Ok(Decoded::Incomplete);
        };
        let total = header.encoded_length() + header.length as usize;
        if buf.len() < total {
            return Ok(Decoded::Incomplete);
        }
        self.state = State::Header { scanned: 0 };
        let raw = buf.split_to(total).freeze();
        Ok(Decoded::Frame(Frame { header, raw }))
    }

    /// The header of the frame whose data is still arriving.
    pub fn pending(&self) -> Option<&Header> {
        match &self.state {
            State::Data { header } => Some(header),
            _ => None,
        }
    }

    /// Gives up the data of the [`pending`](Self::pending) frame: returns the frame with empty data, and drops
    /// the data as it arrives.
    pub fn skip(&mut self, buf: &mut BytesMut) -> Option<Frame> {
        let State::Data { header } = self.state else {
            return None;
        };
        let raw = buf.split_to(header.encoded_length()).freeze();
        self.state = State::Skip {
            left: header.length as usize,
        };
        Some(Frame { header, raw })
    }

    /// How many bytes the frame that is arriving still lacks, as far as is known; 0 between frames.
    pub fn missing(&self, buffered: usize) -> usize {
        match &self.state {
            State::Header { .. } => 0,
            State::Data { header } => {
                (header.encoded_length() + header.length as usize).saturating_sub(buffered)
            }
            State::Skip { left } => *left,
        }
    }

    /// Whether the input so far ends between two frames, given what is left in the buffer.
    pub fn is_between_frames(&self, buffered: usize) -> bool {
        buffered == 0 && matches!(self.state, State::Header { .. })
    }

    /// Whether a header has begun to arrive and is not complete.
    pub fn is_inside_header(&self, buffered: usize) -> bool {
        buffered > 0 && matches!(self.state, State::Header { .. })
    }
}

enum Parsed {
    Incomplete { scanned: usize },
    Header(Header),
    Close,
}

fn parse_header(buf: &[u8], scanned: usize, max_data: u32) -> Result<Parsed, WireError> {
    let Some((&first, rest)) = buf.split_first() else {
        return Ok(Parsed::Incomplete { scanned: 0 });
    };
    let kind = FrameKind::from_u8(first).ok_or(WireError::UnknownKind(first))?;
    if kind == FrameKind::Close {
        return Ok(Parsed::Close);
    }
    let window = rest.get(..rest.len().min(MAX_PATH + 1)).unwrap_or(rest);
    let unseen = window.get(scanned..).unwrap_or(&[]);
    let Some(position) = unseen.iter().position(|&byte| byte == 0) else {
        if window.len() > MAX_PATH {
            return Err(WireError::PathTooLong);
        }
        return Ok(Parsed::Incomplete {
            scanned: window.len(),
        });
    };
    let path_length = scanned + position;
    if path_length == 0 {
        return Err(WireError::EmptyPath);
    }
    let Some(numbers) = rest
        .get(path_length + 1..)
        .and_then(|tail| tail.first_chunk::<8>())
    else {
        return Ok(Parsed::Incomplete {
            scanned: path_length,
        });
    };
    let [c0, c1, c2, c3, l0, l1, l2, l3] = *numbers;
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    if length == 0 {
        return Err(WireError::EmptyData);
    }
    if length > max_data {
        return Err(WireError::DataTooLong {
            length,
            limit: max_data,
        });
    }
    Ok(Parsed::Header(Header {
        kind,
        channel: ChannelId(u32::from_be_bytes([c0, c1, c2, c3])),
        length,
        path_length,
    }))
}
