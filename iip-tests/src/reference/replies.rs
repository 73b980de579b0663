//! The JSON that the reference sends, in its order of keys.

use serde::{Deserialize, Serialize};

/// A handler's own failure.
const HANDLER_FAILED: i64 = -1;
/// No handler has this path.
const NO_HANDLER: i64 = 102;
/// The handler returned nothing, or panicked.
const NO_RESPONSE: i64 = 101;
/// Defined by the reference, and sent by it only if it is told to here.
const CHANNEL_LIMIT: i64 = 106;

/// An answer that says how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) code: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) channel_id: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Reply {
    fn error(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            channel_id: 0,
        }
    }

    pub(super) fn granted(channel_id: u32) -> Self {
        Self {
            channel_id,
            ..Self::error(0, "")
        }
    }

    pub(super) fn channel_limit() -> Self {
        Self::error(CHANNEL_LIMIT, "channel create limited")
    }

    pub(super) fn no_handler() -> Self {
        Self::error(NO_HANDLER, "handle error")
    }

    pub(super) fn no_response() -> Self {
        Self::error(NO_RESPONSE, "handle no response")
    }

    pub(super) fn failed(text: &str) -> Self {
        Self::error(HANDLER_FAILED, format!("handler fail:{text}"))
    }

    pub(super) fn not_supported(path: &str) -> Self {
        Self::failed(&format!("path [{path}] not support"))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// The reference's answer for what cannot be encoded is a text of its own, with spaces.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    let unknown = || br#"{"code": -1, "message": "unknown"}"#.to_vec();
    serde_json::to_vec(value).unwrap_or_else(|_| unknown())
}
