//! Messages and failures in the form of plain peers: bare protobuf, and the reference's JSON for errors
//! (`docs/protocol.md`, section 12).

use std::borrow::Cow;

use bytes::Bytes;
use iip_core::session::ErrorReply;

use crate::envelope::MessageBytes;
use crate::{Code, Status};

/// What stands for a message without bytes, since frames cannot be empty: field 19000, which is reserved in every
/// message and skipped by every decoder, with the value 0.
const EMPTY: &[u8] = &[0xc0, 0xa3, 0x09, 0x00];

/// What hand-written clients send for an empty message. It is not valid protobuf.
const EMPTY_JSON: &[u8] = b"{}";

/// What the reference puts before a handler's error.
const HANDLER_FAIL: &str = "handler fail:";

/// The data to send for a message.
pub(crate) fn outgoing(message: MessageBytes) -> Bytes {
    match message.into_bytes() {
        empty if empty.is_empty() => Bytes::from_static(EMPTY),
        bytes => bytes,
    }
}

/// The message in received data.
pub(crate) fn incoming(data: Bytes) -> MessageBytes {
    MessageBytes::bare(if data == EMPTY_JSON {
        Bytes::new()
    } else {
        data
    })
}

/// The message in a response, or the failure it tells of. No message begins with `{`: it would be a group, which
/// proto3 does not have.
pub(crate) fn response(data: Bytes) -> Result<MessageBytes, Status> {
    match ErrorReply::parse(&data) {
        Some(reply) => Err(status_of(&reply)),
        None => Ok(incoming(data)),
    }
}

/// The answer to a plain client whose method failed.
pub(crate) fn failure(status: &Status) -> Bytes {
    let text = format!("{HANDLER_FAIL}{}: {}", status.code(), status.message());
    json(ErrorReply::HANDLER_FAILED, text)
}

/// An answer in the reference's error form.
pub(crate) fn json(code: i64, message: impl Into<String>) -> Bytes {
    ErrorReply::new(code, message).to_json().into()
}

/// What an error of the reference, or of a server of this project towards a plain client, means.
pub(crate) fn status_of(reply: &ErrorReply) -> Status {
    if reply.code == ErrorReply::HANDLER_FAILED {
        let text = reply.message.strip_prefix(HANDLER_FAIL);
        let named = text.and_then(|text| {
            let (name, message) = text.split_once(": ")?;
            Some((Code::from_name(name)?, message))
        });
        return match named {
            Some((code, message)) if code != Code::Ok => Status::new(code, message.to_owned()),
            _ => Status::unknown(text.unwrap_or(&reply.message).to_owned()),
        };
    }
    let message: Cow<'static, str> = if reply.message.is_empty() {
        format!("the server answered with code {}", reply.code).into()
    } else {
        format!(
            "the server answered with code {}: {}",
            reply.code, reply.message
        )
        .into()
    };
    Status::new(code_of(reply.code), message)
}

/// The canonical code for a number in the reference's error form.
pub(crate) fn code_of(number: i64) -> Code {
    match number {
        ErrorReply::NO_HANDLER => Code::Unimplemented,
        ErrorReply::OVERLOADED | ErrorReply::DRAINING => Code::Unavailable,
        ErrorReply::TOO_LARGE => Code::ResourceExhausted,
        ErrorReply::UNAUTHENTICATED => Code::Unauthenticated,
        ErrorReply::PERMISSION_DENIED => Code::PermissionDenied,
        ErrorReply::DEADLINE_EXCEEDED => Code::DeadlineExceeded,
        _ => Code::Unknown,
    }
}
