//! The caller's side.

mod attempts;
mod breaker;
mod budget;
mod builder;
mod calls;
mod channel;
mod classify;
mod failure;
mod hash_by;
mod hedge;
mod invoke;
mod place;
mod reliability;
mod retry;
mod stream;
mod target;
mod throttle;
mod window;

#[cfg(test)]
mod attempts_tests;
#[cfg(test)]
mod breaker_tests;
#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod classify_tests;
#[cfg(test)]
mod invoke_tests;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod throttle_tests;
#[cfg(test)]
mod window_tests;

pub use breaker::CircuitBreaker;
pub use builder::ChannelBuilder;
pub use channel::Channel;
pub use hash_by::HashBy;
pub use hedge::Hedge;
pub use iip_core::balance::EndpointState;
pub use iip_core::client::CloseReport;
pub use iip_core::conn::Usage;
pub use invoke::{bidi_streaming, client_streaming, server_streaming, unary};
pub use retry::Retry;
pub use throttle::Throttle;
