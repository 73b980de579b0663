use super::{ChannelId, FrameKind};

/// Appends a frame's header. `path` must be a validated path or a part of one, and `length` the number of data
/// bytes the caller appends next (1 to 16 MiB).
#[inline]
pub fn encode_header(
    out: &mut Vec<u8>,
    kind: FrameKind,
    path: &str,
    channel: ChannelId,
    length: u32,
) {
    debug_assert!(!path.is_empty() && path.len() <= super::MAX_PATH && !path.contains('\0'));
    debug_assert!((1..=super::MAX_DATA).contains(&length));
    let [c0, c1, c2, c3] = channel.0.to_be_bytes();
    let [l0, l1, l2, l3] = length.to_be_bytes();
    let kind = kind.as_u8();
    if path == "/" {
        // Most frames between native peers; one copy instead of three.
        out.extend_from_slice(&[kind, b'/', 0, c0, c1, c2, c3, l0, l1, l2, l3]);
        return;
    }
    out.reserve(path.len() + 10);
    out.push(kind);
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(&[0, c0, c1, c2, c3, l0, l1, l2, l3]);
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
