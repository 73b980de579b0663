//! The caller's side.

mod builder;
mod channel;
mod failure;
mod invoke;
mod stream;

#[cfg(test)]
mod invoke_tests;

pub use builder::ChannelBuilder;
pub use channel::Channel;
pub use iip_core::client::CloseReport;
pub use iip_core::conn::Usage;
pub use invoke::{bidi_streaming, client_streaming, server_streaming, unary};
