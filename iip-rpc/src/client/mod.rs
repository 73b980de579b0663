//! The caller's side.

mod builder;
mod channel;
mod failure;
mod invoke;

#[cfg(test)]
mod invoke_tests;

pub use builder::ChannelBuilder;
pub use channel::Channel;
pub use invoke::unary;
