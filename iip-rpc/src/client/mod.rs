//! The caller's side.

mod builder;
mod channel;
mod failure;
mod hash_by;
mod invoke;
mod place;
mod stream;
mod target;

#[cfg(test)]
mod invoke_tests;

pub use builder::ChannelBuilder;
pub use channel::Channel;
pub use hash_by::HashBy;
pub use iip_core::balance::EndpointState;
pub use iip_core::conn::Usage;
pub use invoke::{bidi_streaming, client_streaming, server_streaming, unary};
