use bytes::Bytes;
use prost::{Message, Name};
use prost_types::Any;

use super::Details;
use crate::Code;

/// A message that can be a detail: it has a full name.
pub trait Detail: Message + Name + Default {}

impl<T: Message + Name + Default> Detail for T {}

/// Before a message's full name in an [`Any`].
const PREFIX: &str = "type.googleapis.com/";

/// `google.rpc.Status` on the wire.
#[derive(Clone, PartialEq, prost::Message)]
struct Packed {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

impl Details {
    /// The first detail of type `T`; `None` when there is none, when it does not decode, or when the details are bytes of
    /// another kind.
    pub fn find<T: Detail>(&self) -> Option<T> {
        self.find_all().into_iter().next()
    }

    /// All details of type `T`, in the order they were added.
    pub fn find_all<T: Detail>(&self) -> Vec<T> {
        let name = T::full_name();
        self.unpack()
            .iter()
            .filter(|any| any.type_url.rsplit('/').next() == Some(name.as_str()))
            .filter_map(|any| T::decode(&*any.value).ok())
            .collect()
    }

    /// All details as they are packed, so that those of types unknown here can be listed.
    pub fn unpack(&self) -> Vec<Any> {
        Packed::decode(self.as_bytes().clone()).map_or_else(|_| Vec::new(), |packed| packed.details)
    }

    /// These details, and one more of a status with this code and message. Bytes of another kind are replaced.
    pub(crate) fn with<T: Detail>(&self, code: Code, message: &str, detail: &T) -> Self {
        let mut packed = Packed {
            code: code.as_i32(),
            message: message.to_owned(),
            details: self.unpack(),
        };
        packed.details.push(Any {
            type_url: format!("{PREFIX}{}", T::full_name()),
            value: detail.encode_to_vec(),
        });
        Self::from(Bytes::from(packed.encode_to_vec()))
    }
}
