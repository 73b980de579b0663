use super::{ChannelId, FrameKind};

/// Appends a frame's header. `path` must be a validated path or a part of one, and `length` the number of data
/// bytes the caller appends next (1 to 16 MiB).
pub fn encode_header(
    out: &mut Vec<u8>,
    kind: FrameKind,
    path: &str,
    channel: ChannelId,
    length: u32,
) {
    debug_assert!(!path.is_empty() && path.len() <= super::MAX_PATH && !path.contains('\0'));
    debug_assert!((1..=super::MAX_DATA).contains(&length));
    out.reserve(path.len() + 10);
    out.push(kind.as_u8());
    out.extend_from_slice(path.as_bytes());
    let mut rest = [0u8; 9];
    rest[1..5].copy_from_slice(&channel.0.to_be_bytes());
    rest[5..9].copy_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&rest);
}

/// Appends a whole frame. `data` is 1 to 16 MiB long; what is longer is the caller's mistake and is refused by
/// returning `false` with nothing appended.
#[must_use]
pub fn encode_frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    path: &str,
    channel: ChannelId,
    data: &[u8],
) -> bool {
    match u32::try_from(data.len()) {
        Ok(length) if (1..=super::MAX_DATA).contains(&length) => {
            encode_header(out, kind, path, channel, length);
            out.extend_from_slice(data);
            true
        }
        _ => false,
    }
}
