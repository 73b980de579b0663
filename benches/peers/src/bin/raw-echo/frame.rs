//! The layout of a frame: `kind u8 | path | 00 | channel u32 | length u32 | data`, numbers big-endian.

/// The path of every echo.
pub(crate) const PATH: &[u8] = b"/bench.Echo/Echo";
/// Kind of a request that is one frame.
pub(crate) const REQUEST: u8 = 1;
/// Kind of a request for a stream, so that no path has to be compared: its data are the size and the number of the
/// messages, as `u64`.
pub(crate) const STREAM: u8 = 3;
/// Kind of a frame of a stream: its data are messages, each behind its length as `u32`.
pub(crate) const MESSAGES: u8 = 6;
/// Longest path that is looked for.
const MAX_PATH: usize = 2048;

/// Where the parts of a complete frame are in the bytes it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) channel: u32,
    /// First byte of the data.
    pub(crate) data: usize,
    /// First byte after the frame.
    pub(crate) end: usize,
}

/// What the bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Complete(Frame),
    /// The beginning of a frame of this many bytes, as far as can be said yet.
    Partial(usize),
    /// No frame.
    Malformed,
}

/// Looks for a frame at the beginning of `bytes`.
pub(crate) fn find(bytes: &[u8]) -> Found {
    let Some(path_end) = bytes.iter().take(MAX_PATH + 2).position(|&byte| byte == 0) else {
        return if bytes.len() > MAX_PATH + 1 {
            Found::Malformed
        } else {
            Found::Partial(bytes.len() + 1)
        };
    };
    let Some((numbers, _)) = bytes[path_end + 1..].split_first_chunk::<8>() else {
        return Found::Partial(path_end + 9);
    };
    let [c0, c1, c2, c3, l0, l1, l2, l3] = *numbers;
    let data = path_end + 9;
    let end = data + u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if bytes.len() < end {
        return Found::Partial(end);
    }
    Found::Complete(Frame {
        kind: bytes[0],
        channel: u32::from_be_bytes([c0, c1, c2, c3]),
        data,
        end,
    })
}

/// Appends everything of a frame that precedes its data.
pub(crate) fn encode_header(out: &mut Vec<u8>, kind: u8, path: &[u8], channel: u32, length: usize) {
    out.push(kind);
    out.extend_from_slice(path);
    out.push(0);
    out.extend_from_slice(&channel.to_be_bytes());
    // Payloads are far below 4 GiB: they come from this program's own command line.
    out.extend_from_slice(&(length as u32).to_be_bytes());
}
