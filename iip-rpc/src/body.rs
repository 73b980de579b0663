use bytes::Bytes;
use prost::Message;

use crate::Status;
use crate::envelope::MessageBytes;

/// One encoded message, as a [`RpcService`](crate::RpcService) takes and returns it. Cheap to clone: the bytes are
/// shared.
#[derive(Clone, Debug)]
pub struct Body {
    message: MessageBytes,
}

impl Body {
    /// Encodes `message`.
    ///
    /// # Errors
    ///
    /// `INTERNAL` when the message cannot be encoded, which no generated message does.
    pub fn encode(message: &impl Message) -> Result<Self, Status> {
        MessageBytes::encode(message).map(Self::from_message)
    }

    /// Decodes the message.
    ///
    /// # Errors
    ///
    /// The bytes are no such message.
    pub fn decode<M: Message + Default>(self) -> Result<M, prost::DecodeError> {
        self.message.decode()
    }

    /// Length of the encoded message, bytes.
    pub fn len(&self) -> usize {
        self.message.len()
    }

    /// Whether the encoded message has no bytes, which is how a message without any field set is encoded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The encoded message. Copies it when it came in several parts.
    pub fn into_bytes(self) -> Bytes {
        self.message.into_bytes()
    }

    pub(crate) fn from_message(message: MessageBytes) -> Self {
        Self { message }
    }

    pub(crate) fn into_message(self) -> MessageBytes {
        self.message
    }
}

impl From<Bytes> for Body {
    /// A body of a message that is encoded already.
    fn from(message: Bytes) -> Self {
        Self::from_message(MessageBytes::bare(message))
    }
}
